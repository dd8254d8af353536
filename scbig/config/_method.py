"""The method: networks, flow, alignment."""

from dataclasses import dataclass, field
from typing import Literal

from ._check import check_choices, require


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
        check_choices(self)
        sizes = (self.width, self.heads, self.layers, self.inducing, self.latent, self.mlp_width)
        require(min(sizes) > 0, self, "sizes must be positive")
        require(self.width % self.heads == 0, self, "width must be a multiple of heads")
        require(0 <= self.dropout < 1, self, "dropout must lie in [0, 1)")


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
        check_choices(self)
        require(0 <= self.dropout < 1, self, "dropout must lie in [0, 1)")


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
        require(self.frequencies > 0, self, "frequencies must be positive")
        require(self.depth > 0, self, "depth must be positive")
        require(0 <= self.dropout < 1, self, "dropout must lie in [0, 1)")


@dataclass(frozen=True, kw_only=True, slots=True)
class CouplingConfig:
    """How control and perturbed cells of a mini-batch are paired."""

    kind: Literal["sinkhorn", "independent"] = "sinkhorn"
    epsilon: float = 0.1
    """Entropic regularisation relative to the mean cost."""
    iterations: int = 500
    threshold: float = 1e-2

    def __post_init__(self) -> None:
        check_choices(self)
        require(self.epsilon > 0, self, "epsilon must be positive")
        require(self.iterations > 0, self, "iterations must be positive")


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
        check_choices(self)
        require(min(self.rtol, self.atol) > 0, self, "rtol and atol must be positive")
        require(self.steps is None or self.steps > 0, self, "steps must be positive or None")
        fixed = self.solver in ("euler",)
        require(not fixed or self.steps is not None, self, "euler has no error estimate: set steps")


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
    pool: int | None = None
    """Most cells of a condition, spread evenly, whose pathway activities are kept; None: all."""
    epsilon: float = 0.1
    """Entropic regularisation of the pathway transport, relative to the mean cost."""
    iterations: int = 100
    transport: TransportConfig = field(
        default_factory=lambda: TransportConfig(rtol=1e-3, atol=1e-3, max_steps=256)
    )

    def __post_init__(self) -> None:
        weights = (self.correlation_weight, self.pathway_weight)
        sizes = (self.period, self.conditions, self.iterations)
        require(min(weights) >= 0, self, "weights must not be negative")
        require(min(sizes) > 0, self, "period, conditions and iterations must be positive")
        require(self.epsilon > 0, self, "epsilon must be positive")
        require(self.cells > 1, self, "cells must be at least 2, for a correlation")
        require(self.pool is None or self.pool > 1, self, "pool must be at least 2 or None")
