"""Every number that a run can choose, as frozen values; standard library only.

A variant is `dataclasses.replace(config, ...)`. Presets: `paper()`, `released()`, `cpu()`.
Equation and table numbers refer to arXiv 2602.04901.
"""

import dataclasses
import hashlib
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal


def _require(ok: bool, owner: object, requirement: str) -> None:
    if not ok:
        raise ValueError(f"{type(owner).__name__}: {requirement}; got {owner}.")


def _check_choices(owner: Any) -> None:
    """Raises for a field of a few named choices that holds anything else."""
    for name, hint in typing.get_type_hints(type(owner)).items():
        if typing.get_origin(hint) is Literal and getattr(owner, name) not in hint.__args__:
            choices = ", ".join(map(repr, hint.__args__))
            _require(False, owner, f"{name} must be one of {choices}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PreprocessConfig:
    """Thresholds of the pipeline from raw counts to log-normalised expression (A.4.2)."""

    min_genes: int = 1000
    """A cell is kept if it has at least this many detected genes."""
    min_cells: int = 50
    """A gene is kept if at least this many cells express it."""
    target_sum: float = 1e4
    """Counts of a cell after library-size normalisation."""
    variable_genes: int = 2000
    """Highly variable genes kept; every perturbed gene that was measured is added to them."""

    def __post_init__(self) -> None:
        _require(self.target_sum > 0, self, "target_sum must be positive")
        _require(self.variable_genes > 0, self, "variable_genes must be positive")
        _require(min(self.min_genes, self.min_cells) >= 0, self, "thresholds must not be negative")


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulationConfig:
    """A simulated screen with known programs and effects."""

    genes: int = 240
    programs: int = 12
    perturbations: int = 16
    """Genes that are perturbed, each alone."""
    doubles: int = 60
    """Pairs of perturbed genes, drawn without replacement."""
    control_cells: int = 600
    cells_per_condition: int = 60
    features: int = 24
    """Width of the simulated gene embeddings."""
    embedding_noise: float = 0.5
    """Standard deviation of a gene's embedding around its program's centre, of unit variance."""
    edges_within: float = 0.3
    """Probability of an interaction between two genes of one program."""
    edges_between: float = 0.01
    """Probability of an interaction between genes of two programs."""
    effect: float = 0.5
    """Root mean square of the perturbations' effects on the log expression of programs."""
    interaction: float = 1.5
    """Largest non-additive part of a double on a program, relative to `effect`."""
    program_noise: float = 0.3
    """Standard deviation of the cell-to-cell log activity of a program."""
    dispersion: float = 0.2
    """Negative-binomial over-dispersion: variance = mean + dispersion * mean^2."""
    library_size: float = 5000.0
    """Median total counts of a cell."""
    library_spread: float = 0.3
    """Standard deviation of the log library size."""

    def __post_init__(self) -> None:
        pairs = self.perturbations * (self.perturbations - 1) // 2
        _require(0 < self.programs <= self.genes, self, "1 <= programs <= genes")
        _require(0 < self.perturbations <= self.genes, self, "1 <= perturbations <= genes")
        _require(0 <= self.doubles <= pairs, self, f"0 <= doubles <= {pairs}, the number of pairs")
        _require(self.dispersion > 0, self, "dispersion must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramsConfig:
    """Gene-Relation Clustering (section 3.1, Eq. 1)."""

    clusters: int = 32
    rounds: int = 30
    """Most alternations of transport and rounding; it stops when the labels no longer change."""
    semantic_weight: float = 1.0
    interaction_weight: float = 1.0
    epsilon: float = 0.1
    """Entropic regularisation, on costs whose semantic part lies in [0, 1]."""
    iterations: int = 2000
    """Most Sinkhorn iterations a round."""
    threshold: float = 1e-3
    """Largest accepted L1 error of the transport plan's marginals."""
    starts: int = 10
    """k-means++ starts, of which the best by inertia is taken."""

    def __post_init__(self) -> None:
        _require(self.clusters > 0, self, "clusters must be positive")
        _require(self.rounds > 0, self, "rounds must be positive")
        _require(self.epsilon > 0, self, "epsilon must be positive")
        _require(self.starts > 0, self, "starts must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderConfig:
    """Gene-Cluster-Aware Encoder and its decoder (section 3.2, Eq. 2 to 4)."""

    width: int = 256
    heads: int = 8
    layers: int = 3
    inducing: int = 8
    latent: int = 50
    mlp_width: int = 512
    dropout: float = 0.1
    norm: Literal["post", "pre"] = "post"
    semantics: Literal["mean", "weighted", "none"] = "mean"
    """Embedding stream of Eq. 2: program mean, expression-weighted pool, or no such stream."""
    pooling: Literal["mean", "attention", "pma"] = "mean"
    """How tokens become one latent (Table 10)."""

    def __post_init__(self) -> None:
        _check_choices(self)
        sizes = (self.width, self.heads, self.layers, self.inducing, self.latent, self.mlp_width)
        _require(min(sizes) > 0, self, "sizes must be positive")
        _require(self.width % self.heads == 0, self, "width must be a multiple of heads")
        _require(0 <= self.dropout < 1, self, "dropout must lie in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class ConditionConfig:
    """From a set of perturbation tokens to one vector."""

    hidden: int = 256
    width: int = 256
    """Entries of the encoded condition."""
    dropout: float = 0.0
    """Dropout of the encoded condition, drawn for each condition."""
    pooling: Literal["attention", "mean", "sum"] = "attention"

    def __post_init__(self) -> None:
        _check_choices(self)
        _require(0 <= self.dropout < 1, self, "dropout must lie in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class VelocityConfig:
    """The velocity field: three streams, then a trunk (section 3.3)."""

    frequencies: int = 32
    """Sinusoidal time features: this many sines and as many cosines."""
    top_frequency: float = 6.0
    """Highest angular frequency, in radians per unit of flow time; it sets the solver's cost."""
    hidden: int = 1024
    depth: int = 2
    """Hidden layers of each stream and of the trunk."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        _require(self.frequencies > 0, self, "frequencies must be positive")
        _require(self.depth > 0, self, "depth must be positive")
        _require(0 <= self.dropout < 1, self, "dropout must lie in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class CouplingConfig:
    """How control and perturbed cells of a mini-batch are paired."""

    kind: Literal["sinkhorn", "independent"] = "sinkhorn"
    epsilon: float = 0.1
    """Entropic regularisation relative to the mean cost."""
    iterations: int = 500
    threshold: float = 1e-2

    def __post_init__(self) -> None:
        _check_choices(self)
        _require(self.epsilon > 0, self, "epsilon must be positive")
        _require(self.iterations > 0, self, "iterations must be positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class TransportConfig:
    """The solve of `dz/dt = v(z, t, c)` from control (t = 0) to perturbed (t = 1)."""

    solver: Literal["tsit5", "dopri5", "bosh3", "heun", "midpoint", "euler"] = "tsit5"
    rtol: float = 1e-5
    atol: float = 1e-5
    steps: int | None = None
    """A number of equal steps instead of the adaptive controller."""
    max_steps: int = 1024
    adjoint: Literal["recursive_checkpoint", "direct", "backsolve"] = "recursive_checkpoint"
    pcoeff: float = 0.0
    """Proportional coefficient of the step size controller; the default is a plain I controller."""
    icoeff: float = 1.0
    dcoeff: float = 0.0

    def __post_init__(self) -> None:
        _check_choices(self)
        _require(min(self.rtol, self.atol) > 0, self, "rtol and atol must be positive")
        _require(self.steps is None or self.steps > 0, self, "steps must be positive or None")
        fixed = self.solver in ("euler",)
        _require(
            not fixed or self.steps is not None, self, "euler has no error estimate: set steps"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignmentConfig:
    """The two structure-aware losses through encode, solve, decode (Eq. 7 to 9)."""

    correlation_weight: float = 0.1
    pathway_weight: float = 0.1
    period: int = 1
    """Training steps between two evaluations of the alignment losses."""
    conditions: int = 3
    cells: int = 64
    """Cells transported for each of those conditions."""
    epsilon: float = 0.1
    """Entropic regularisation of the pathway transport, relative to the mean cost."""
    iterations: int = 100
    transport: TransportConfig = field(
        default_factory=lambda: TransportConfig(rtol=1e-3, atol=1e-3, max_steps=256)
    )

    def __post_init__(self) -> None:
        weights = (self.correlation_weight, self.pathway_weight)
        sizes = (self.period, self.conditions, self.iterations)
        _require(min(weights) >= 0, self, "weights must not be negative")
        _require(min(sizes) > 0, self, "period, conditions and iterations must be positive")
        _require(self.epsilon > 0, self, "epsilon must be positive")
        _require(self.cells > 1, self, "cells must be at least 2, for a correlation")


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

    def __post_init__(self) -> None:
        _require(0 < self.validation < 1, self, "validation must lie in (0, 1)")
        _require(min(self.learning_rate, self.clip_norm) > 0, self, "rates must be positive")
        _require(min(self.batch, self.epochs, self.validate_every) > 0, self, "sizes are positive")


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
        _check_choices(self)
        sizes = (self.groups, self.cells, self.steps, self.accumulate, self.steps_per_call)
        _require(min(sizes) > 0 and self.validate_every > 0, self, "sizes must be positive")
        _require(min(self.learning_rate, self.clip_norm) > 0, self, "rates must be positive")
        _require(min(self.sigma, self.reconstruction_weight) >= 0, self, "sigma, weight >= 0")
        _require(self.ema is None or 0 < self.ema < 1, self, "ema must lie in (0, 1) or be None")


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
        _require(self.max_tokens > 0, self, "max_tokens must be positive")
        whole = self.stage2.steps_per_call % self.alignment.period == 0
        text = "stage2.steps_per_call must be a multiple of alignment.period, for whole averages"
        _require(whole, self, text)

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
