"""One run, whole: every number and every algorithm of it, as one immutable value."""

from typing import Any, Literal, get_args

from scbig._value import Value, Weighted, label_of, plain, read, real, require, whole
from scbig.anchor import AbstractAnchor
from scbig.flow import Transport
from scbig.model import AbstractEmission, Decoded, Networks
from scbig.nn import (
    AbstractConditionSpec,
    AbstractDecoderSpec,
    AbstractEncoderSpec,
    AbstractVelocitySpec,
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    VelocityFieldSpec,
)
from scbig.objective import (
    AbstractCriterion,
    AbstractOptimiser,
    AbstractTerm,
    Adam,
    Consistency,
    FlowCriterion,
    FlowMatching,
    ResponseCriterion,
)
from scbig.programs import GRC, AbstractClustering

Refit = Literal["nothing", "anchor", "flow"]
PARTS = ("encoder", "decoder", "condition_encoder", "velocity")
"""The networks of a model, by the names of its fields."""


class AutoencoderTraining(Value):
    """Stage 1: reconstruction (Eq. 5).

    **Fields:**

    - `optimiser`: of every step.
    - `batch`, `epochs`: cells of a step, and passes over the cells.
    - `validation`: share of each condition's cells held out for early stopping.
    - `patience`: validations without improvement after which training stops.
    - `validate_every`: epochs between two validations.
    - `buffer`: cells of one compiled call, read from disk while the call before runs; `None` for
        an epoch's.
    - `block`: neighbouring cells that are drawn together, then shuffled within a buffer: 1 shuffles
        all, a few hundred let a disk read in pieces.
    """

    optimiser: AbstractOptimiser = Adam(1e-4)
    batch: int = whole(256)
    epochs: int = whole(100)
    validation: float = real(0.1, above=0, below=1)
    patience: int = whole(10)
    validate_every: int = whole(1)
    buffer: int | None = whole(None)
    block: int = whole(1)

    def __check_init__(self) -> None:
        require(self.buffer is None or self.buffer >= self.batch, self, "buffer >= batch, or None")


class FlowTraining(Value):
    """Stage 2: all terms of the objective in one gradient (Eq. 6 to 9).

    **Fields:**

    - `optimiser`: of every update.
    - `apart`: an optimiser of all terms but the flow's, for updates of their own beside the flow's,
        in each step in which they are evaluated, without `accumulate`; `None` for one gradient of
        all.
    - `steps`: in all, rounded up to whole calls of `steps_per_call`; a finished run goes on if it
        is called again with more.
    - `accumulate`: steps whose gradients are averaged into one update.
    - `ema`: decay, an update, of the parameters' average, which is then what is validated and kept;
        `None` for none.
    - `trains`: the parts of the model that train: `condition_encoder`, `velocity`, `decoder`,
        `encoder`.
    - `steps_per_call`: of one compiled call.
    - `validate_every`: compiled calls between two validations.
    - `patience`: validations without improvement after which training stops; `None` for never.
    - `criterion`: what selects the best parameters; with an anchor those before the first step are
        among them.
    - `hold_out`: share of the conditions that only select, if `fit` is told of none: of the
        combinations where there are eight of them at least, else of the single perturbations; 0
        for cells of the training conditions instead.
    - `refit`: what is made anew on all conditions, those that selected among them, once the best
        parameters are chosen: `nothing`, the `anchor`, or anchor and `flow`, with as many steps.
    - `members`: flows that are trained at once, of other first parameters and other draws, between
        the latents of one autoencoder; a prediction is their mean.
    """

    optimiser: AbstractOptimiser = Adam(5e-5)
    apart: AbstractOptimiser | None = None
    steps: int = whole(500_000)
    accumulate: int = whole(20)
    ema: float | None = real(None, above=0, below=1)
    trains: tuple[str, ...] = ("condition_encoder", "velocity")
    steps_per_call: int = whole(100)
    validate_every: int = whole(10)
    patience: int | None = whole(None)
    criterion: AbstractCriterion = ResponseCriterion()
    hold_out: float = real(0.0, least=0, below=1)
    refit: Refit = "nothing"
    members: int = whole(1)

    def __check_init__(self) -> None:
        known = set(self.trains) <= set(PARTS) and len(set(self.trains)) == len(self.trains)
        require(known and bool(self.trains), self, f"trains must name some of {', '.join(PARTS)}")
        choices = get_args(Refit)
        require(self.refit in choices, self, f"refit must be one of {', '.join(choices)}")


class ScBIGConfig(Value):
    """One run, whole.

    **Fields:**

    - `programs`: how genes are clustered.
    - `encoder`, `decoder`, `condition`, `velocity`: the networks, by their specs.
    - `flow`: the first term of the objective, of weight one.
    - `terms`: the others, with their weights.
    - `anchor`: a prediction in closed form, whose cells the flow starts from; `None` for a flow
        from the controls as they are.
    - `emission`: what a predicted cell is made of.
    - `transport`: the solve of inference, from control (t = 0) to perturbed (t = 1).
    - `stage1`, `stage2`: how they are trained.
    - `identity`: entries of a vector that is learned of each perturbation of the training beside
        its pretrained one, and of another of it in combination; 0 for none.
    - `targets`: whether the condition encoder also reads the mean expression, over all training
        controls, of the gene that a perturbation is named after.
    - `max_tokens`: most perturbations in one condition.
    - `standardise_latents`: whether latents are shifted and scaled to mean 0 and variance 1 before
        the flow.
    """

    programs: AbstractClustering = GRC()
    encoder: AbstractEncoderSpec = GeneClusterEncoderSpec()
    decoder: AbstractDecoderSpec = GeneClusterDecoderSpec()
    condition: AbstractConditionSpec = ConditionEncoderSpec()
    velocity: AbstractVelocitySpec = VelocityFieldSpec()
    flow: AbstractTerm = FlowMatching()
    terms: tuple[Weighted[AbstractTerm], ...] = (Weighted(Consistency(), 1.0),)
    anchor: AbstractAnchor | None = None
    emission: AbstractEmission = Decoded()
    transport: Transport = Transport()
    stage1: AutoencoderTraining = AutoencoderTraining()
    stage2: FlowTraining = FlowTraining()
    identity: int = whole(0, least=0)
    targets: bool = False
    max_tokens: int = whole(2)
    standardise_latents: bool = True

    def __check_init__(self) -> None:
        free = {"decoder", "encoder"} & set(self.stage2.trains)
        held = any(part.term.holds_autoencoder for part in self.objective)
        require(
            held == bool(free),
            self,
            f"{' and '.join(sorted(free))} in stage2.trains needs a term such as Reconstruction(), "
            "or nothing holds what stage 1 learned"
            if free
            else "Reconstruction() is constant unless stage2.trains names the decoder or encoder",
        )
        still = self.anchor is not None or any(
            getattr(part.term, "reads_latents", False) for part in self.objective
        )
        require(
            not still or "encoder" not in self.stage2.trains,
            self,
            "an anchor and PlannedMatching read latents once, by the encoder of stage 1: leave it "
            "out of stage2.trains",
        )
        require(
            self.anchor is None or not self.programs.updates,
            self,
            "programs.feedback learns from what a network misses, and an anchor leaves it nothing "
            "of the means: take the one or the other",
        )
        require(
            self.anchor is None or not isinstance(self.stage2.criterion, FlowCriterion),
            self,
            "FlowCriterion judges a flow from unmoved controls, and with an anchor it starts from "
            "moved ones: take stage2.criterion=PopulationCriterion()",
        )
        require(
            self.anchor is None or not isinstance(self.emission, Decoded),
            self,
            "with an anchor a decoded latent would lose what the anchor knows of a mean: take "
            "emission=Changed()",
        )
        require(
            self.stage2.members == 1 or not free,
            self,
            f"with stage2.members={self.stage2.members} all flows are between the latents of one "
            f"autoencoder: leave {' and '.join(sorted(free))} out of stage2.trains",
        )
        labels = [label_of(part.term) for part in self.objective]
        require(
            len(set(labels)) == len(labels),
            self,
            f"two terms are called the same in logs ({', '.join(labels)}): give one a class "
            "attribute `label` of its own, and other names to what it logs",
        )
        for term in (self.flow, *(part.term for part in self.terms)):
            require(
                self.stage2.steps_per_call % term.every == 0,
                self,
                f"stage2.steps_per_call={self.stage2.steps_per_call} must be a multiple of the "
                f"{term.every} steps between two evaluations of {type(term).__name__}, for whole "
                "averages",
            )

    @property
    def objective(self) -> tuple[Weighted[AbstractTerm], ...]:
        """All terms of stage 2 that have a weight."""
        return tuple(part for part in (Weighted(self.flow, 1.0), *self.terms) if part.weight > 0)

    @property
    def networks(self) -> Networks:
        """The four networks."""
        return Networks(self.encoder, self.decoder, self.condition, self.velocity, self.identity)

    def to_dict(self) -> dict[str, Any]:
        """Nested dictionaries of plain values, for JSON."""
        return plain(self, "config")

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ScBIGConfig":
        """The inverse of `to_dict`.

        **Raises:** `ValueError` naming an unknown field, a class that is not imported, or a file
        that an older version wrote.
        """
        if "is" not in data:
            raise ValueError(
                "This configuration was written by scBIG 0.1, whose models have another form: "
                "train again, or read the model with that version."
            )
        return read(cls, data, "config")
