"""One run: two stages of training, the whole, and the presets."""

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

from ._check import check_choices, require
from ._method import (
    AlignmentConfig,
    AutoencoderConfig,
    ConditionConfig,
    CouplingConfig,
    TransportConfig,
    VelocityConfig,
)
from ._programs import ProgramsConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderTraining:
    """Stage 1: reconstruction (Eq. 5)."""

    learning_rate: float = 1e-4
    batch: int = 256
    epochs: int = 100
    clip_norm: float = 1.0
    validation: float = 0.1
    """Share of each condition's cells held out for early stopping."""
    patience: int = 10
    """Validations without improvement after which training stops."""
    validate_every: int = 1
    """Epochs between two validations."""
    buffer: int | None = None
    """Cells of one compiled call, read from disk while the call before runs; None: an epoch's."""
    block: int = 1
    """Neighbouring cells that are drawn together, then shuffled within a buffer: 1 shuffles all,
    a few hundred let a disk read in pieces."""

    def __post_init__(self) -> None:
        require(0 < self.validation < 1, self, "validation must lie in (0, 1)")
        require(self.buffer is None or self.buffer >= self.batch, self, "buffer >= batch, or None")
        require(self.block > 0, self, "block must be positive")
        require(min(self.learning_rate, self.clip_norm) > 0, self, "rates must be positive")
        require(min(self.batch, self.epochs, self.validate_every) > 0, self, "sizes are positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowTraining:
    """Stage 2: flow matching and alignment in one objective (Eq. 6 to 9)."""

    learning_rate: float = 5e-5
    groups: int = 1
    """Conditions drawn for each step."""
    cells: int = 1024
    """Cells drawn for each of those conditions, and as many controls."""
    steps: int = 500_000
    accumulate: int = 20
    """Steps whose gradients are averaged into one update."""
    clip_norm: float = 1.0
    sigma: float = 0.0
    """Constant noise of the probability path."""
    ema: float | None = None
    """Decay, an update, of the parameters' average, which is then what is validated and kept."""
    trainable: Literal["flow", "flow+decoder", "all"] = "flow"
    reconstruction_weight: float = 1.0
    """Weight of Eq. 5 when the decoder or the encoder trains too; otherwise it is constant."""
    steps_per_call: int = 100
    validate_every: int = 10
    """Compiled calls between two validations."""
    criterion: Literal["pearson_delta", "flow"] = "pearson_delta"
    """What selects the best parameters: mean validation Pearson delta, or validation loss."""
    validation_cells: int = 256
    """Control cells transported for each validated condition."""

    def __post_init__(self) -> None:
        check_choices(self)
        sizes = (self.groups, self.cells, self.steps, self.accumulate, self.steps_per_call)
        require(min(sizes) > 0 and self.validate_every > 0, self, "sizes must be positive")
        require(min(self.learning_rate, self.clip_norm) > 0, self, "rates must be positive")
        require(min(self.sigma, self.reconstruction_weight) >= 0, self, "sigma, weight >= 0")
        require(self.ema is None or 0 < self.ema < 1, self, "ema must lie in (0, 1) or be None")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScBIGConfig:
    """One run, whole."""

    programs: ProgramsConfig = field(default_factory=ProgramsConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    condition: ConditionConfig = field(default_factory=ConditionConfig)
    velocity: VelocityConfig = field(default_factory=VelocityConfig)
    coupling: CouplingConfig = field(default_factory=CouplingConfig)
    transport: TransportConfig = field(default_factory=TransportConfig)
    alignment: AlignmentConfig = field(default_factory=AlignmentConfig)
    stage1: AutoencoderTraining = field(default_factory=AutoencoderTraining)
    stage2: FlowTraining = field(default_factory=FlowTraining)
    max_tokens: int = 2
    """Most perturbations in one condition."""
    standardise_latents: bool = True
    """Whether latents are shifted and scaled to mean 0 and variance 1 before the flow."""
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.max_tokens > 0, self, "max_tokens must be positive")
        whole = self.stage2.steps_per_call % self.alignment.period == 0
        text = "stage2.steps_per_call must be a multiple of alignment.period, for whole averages"
        require(whole, self, text)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries of plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ScBIGConfig":
        """The inverse of `to_dict`; an unknown field is a `ValueError` that names it."""
        return _from_dict(cls, data, "config")


def fingerprint(config: Any) -> str:
    """A short name for exactly this configuration, for instance for its folder."""
    blob = json.dumps(dataclasses.asdict(config), sort_keys=True, default=str)
    return hashlib.sha256(blob.encode()).hexdigest()[:10]


def _from_dict(cls: Any, data: dict[str, Any], where: str) -> Any:
    hints = typing.get_type_hints(cls)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise ValueError(f"{where}: no such field: {', '.join(unknown)}. Known: {sorted(hints)}.")
    values = {
        name: _from_dict(hints[name], value, f"{where}.{name}")
        if dataclasses.is_dataclass(hints[name])
        else value
        for name, value in data.items()
    }
    return cls(**values)


def paper() -> ScBIGConfig:
    """The published setting (A.4.1), with this project's choices where the paper is silent."""
    return ScBIGConfig()


def released() -> ScBIGConfig:
    """The authors' released choices where they differ from the paper's text."""
    base = paper()
    return dataclasses.replace(
        base,
        programs=dataclasses.replace(base.programs, rounds=3),
        autoencoder=dataclasses.replace(base.autoencoder, semantics="none"),
        condition=dataclasses.replace(base.condition, dropout=0.9),
        velocity=dataclasses.replace(base.velocity, frequencies=1024, top_frequency=1e4),
        coupling=dataclasses.replace(base.coupling, epsilon=1.0),
        alignment=dataclasses.replace(base.alignment, period=1000),
        stage2=dataclasses.replace(base.stage2, sigma=0.5, steps_per_call=1000, validate_every=100),
        standardise_latents=False,
    )


def on_disk(base: ScBIGConfig) -> ScBIGConfig:
    """The same run for cells that stay on disk: some thousand of them in memory at once."""
    return dataclasses.replace(
        base,
        stage1=dataclasses.replace(base.stage1, buffer=max(16_384, base.stage1.batch), block=256),
        alignment=dataclasses.replace(base.alignment, pool=512),
    )


def cpu() -> ScBIGConfig:
    """Small enough to train in minutes on two cores; every part of the method is on."""
    quick = TransportConfig(solver="bosh3", rtol=1e-2, atol=1e-2, max_steps=64)
    return ScBIGConfig(
        programs=ProgramsConfig(clusters=12, starts=5),
        autoencoder=AutoencoderConfig(
            width=32, heads=2, layers=1, inducing=4, latent=32, mlp_width=64, dropout=0.0
        ),
        # With few doubles to learn from, a sum tells two genes from one where a mean does not.
        condition=ConditionConfig(hidden=64, width=64, pooling="sum"),
        velocity=VelocityConfig(frequencies=8, top_frequency=3.0, hidden=128, dropout=0.0),
        coupling=CouplingConfig(epsilon=0.1, iterations=200),
        transport=TransportConfig(rtol=1e-4, atol=1e-4, max_steps=256),
        alignment=AlignmentConfig(conditions=2, cells=32, iterations=50, transport=quick),
        stage1=AutoencoderTraining(learning_rate=3e-3, batch=128, epochs=120, validate_every=4),
        stage2=FlowTraining(
            learning_rate=1e-3,
            groups=8,
            cells=32,
            steps=2000,
            accumulate=1,
            ema=0.99,
            validate_every=2,
            validation_cells=128,
        ),
    )
