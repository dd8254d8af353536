"""The configurations that are used as they are, or as a base: `but(paper(), ...)`."""

import math
from typing import Any

import diffrax as dfx

from scbig._value import Weighted, but
from scbig.alignment import CorrelationAlignment, PathwayAlignment, PlainPathwayAlignment
from scbig.anchor import ResponseAnchor
from scbig.flow import LinearPath, adaptive
from scbig.model import Changed, Decoded
from scbig.nn import (
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    PCADecoderSpec,
    PCAEncoderSpec,
    ReleasedConditionSpec,
    ReleasedVelocitySpec,
    SeedPooling,
    SumPooling,
    VelocityFieldSpec,
)
from scbig.objective import (
    Adam,
    Consistency,
    FlowMatching,
    PlannedMatching,
    PopulationCriterion,
    ResponseCriterion,
)
from scbig.ot import SinkhornCoupling
from scbig.programs import GRC, FileOrder, KMeansStart

from ._config import AutoencoderTraining, FlowTraining, ScBIGConfig


def paper() -> ScBIGConfig:
    """The published setting (A.4.1), with this project's choices where the paper is silent."""
    return ScBIGConfig()


def released() -> ScBIGConfig:
    """The networks, the numbers and nearly the updates of the authors' released code.

    What it does not reproduce is in docs/choices.md. Its pathway loss is dead on real cells, as the
    code's is.
    """
    return but(
        paper(),
        **{
            "programs.rounds": 3,
            "encoder.semantics": None,
            "condition": ReleasedConditionSpec(),
            "velocity": ReleasedVelocitySpec(),
            "flow.coupling.epsilon": 1.0,
            "flow.path.sigma": 0.5,
            "terms.Consistency.period": 1000,
            "terms.Consistency.transport": adaptive(1e-5, 1e-5, max_steps=4096),
            "terms.Consistency.losses": (
                Weighted(CorrelationAlignment(squared=False), 0.1),
                Weighted(PlainPathwayAlignment(), 0.1),
            ),
            "stage1.optimiser.clip_norm": None,
            "stage1.validate_every": 5,
            "stage1.patience": 4,
            "stage2.apart": Adam(5e-5, clip_norm=None, clip_entries=1.0),
            "stage2.steps_per_call": 1000,
            "stage2.validate_every": 100,
            "transport.max_steps": 4096,
            "standardise_latents": False,
        },
    )


def wide() -> ScBIGConfig:
    """`cpu()` with 20 programs and a wider autoencoder that trains longer: for sparse, real cells.

    Some thousand of them: 400 passes over many more take hours on a CPU, see `stage1.epochs`.
    """
    sizes = {"width": 64, "mlp_width": 128}
    wider = {f"{part}.{name}": n for part in ("encoder", "decoder") for name, n in sizes.items()}
    return but(cpu(), **wider, **{"programs.clusters": 20, "stage1.epochs": 400})


def on_disk(base: ScBIGConfig) -> ScBIGConfig:
    """The same run for cells that stay on disk: some thousand of them in memory at once."""
    changes = {"stage1.buffer": max(16_384, base.stage1.batch), "stage1.block": 256}
    for place, part in enumerate(base.terms):
        if isinstance(part.term, Consistency):
            for number, loss in enumerate(part.term.losses):
                if hasattr(loss.term, "pool"):
                    changes[f"terms.{place}.term.losses.{number}.term.pool"] = 512
    return but(base, **changes)


def anchored(base: ScBIGConfig) -> ScBIGConfig:
    """The same networks, with a flow that starts from what measured responses make one expect.

    Not the published method: a closed-form model of responses moves the controls first
    (`scbig.anchor`), those of a training condition by what the others make one expect of it. The
    flow learns what is left, on pairs of one plan over the whole population, and may end as no flow
    at all, if held-out conditions say so. The mean of a seen condition is its measured one, shrunk.
    """
    given = base.flow
    same = {n: getattr(given, n) for n in ("coupling", "groups", "cells") if hasattr(given, n)}
    criterion = PopulationCriterion(transport=getattr(base.stage2.criterion, "transport", None))
    every = math.lcm(2, *(part.term.every for part in base.terms))
    steps = -(-min(base.stage2.steps_per_call, math.lcm(50, every)) // every) * every
    changes: dict[str, Any] = {
        "anchor": ResponseAnchor(),
        "emission": Changed(),
        "flow": PlannedMatching(path=LinearPath(sigma=0.5), centred=False, **same),
        "stage2.criterion": criterion,
        # What is learned beyond the anchor is learned early, and overlearned soon.
        "stage2.steps_per_call": steps,
        "stage2.validate_every": -(-50 * base.stage2.accumulate // steps),
        "stage2.patience": 12,
        "stage2.hold_out": 0.15,
        "stage2.refit": "flow",
    }
    for place, part in enumerate(base.terms):
        if isinstance(part.term, Consistency) and part.weight > 0:
            # On one side with what is predicted, in units of doing nothing, and of the flow's loss.
            same = {"denoised": True, "relative": True, "weighs_gradient": True}
            changes[f"terms.{place}.weight"] = 0.3
            changes |= {f"terms.{place}.term.{name}": value for name, value in same.items()}
            # The solve is most of a step, and every other step is enough.
            changes[f"terms.{place}.term.period"] = math.lcm(part.term.period, 2)
    if isinstance(base.velocity, VelocityFieldSpec):
        changes["velocity.still"] = True
    return but(base, **changes)


def cellflow_like(base: ScBIGConfig) -> ScBIGConfig:
    """The same flow without gene programs: between 50 principal components, with no alignment.

    What is left of the method is CellFlow (Klein et al. 2025): a set of perturbations encoded by
    pooling, pairs by Sinkhorn, cells decoded from components. Components are as the cells have
    them, centred and not scaled. `cellflow()` has the published sizes.
    """
    without = {
        "programs": FileOrder(1),
        "encoder": PCAEncoderSpec(),
        "decoder": PCADecoderSpec(),
        "terms": (),
        "anchor": None,
        "emission": Decoded(),
        "standardise_latents": False,
    }
    return but(base, **without)


def cellflow() -> ScBIGConfig:
    """`cellflow_like`, with the sizes and the training of CellFlow's published experiments.

    It differs in the networks' inner make: layer norms before streams are joined, one width for
    all streams, and no dropout within the condition encoder but at its end.
    """
    return but(
        cellflow_like(paper()),
        condition=ConditionEncoderSpec(
            hidden=1024, width=1024, dropout=0.9, pooling=SeedPooling(heads=8)
        ),
        velocity=VelocityFieldSpec(
            # Its time encoder has the angles 2 pi k t, of k below 1,024.
            frequencies=1024,
            top_frequency=2048 * math.pi,
            hidden=4096,
            depth=3,
            dropout=0.2,
        ),
        flow=FlowMatching(
            path=LinearPath(sigma=1.0), coupling=SinkhornCoupling(0.1), groups=1, cells=1024
        ),
        **{"stage2.steps": 200_000},
    )


def cpu() -> ScBIGConfig:
    """Small enough to train in minutes on two cores; every part of the method is on."""
    body: Any = {
        "width": 32,
        "heads": 2,
        "layers": 1,
        "mixing": InducingPoints(4),
        "mlp_width": 64,
        "dropout": 0.0,
    }
    losses = (
        Weighted(CorrelationAlignment(), 0.1),
        Weighted(PathwayAlignment(iterations=50), 0.1),
    )
    quick = adaptive(1e-2, 1e-2, solver=dfx.Bosh3(), max_steps=64)
    return ScBIGConfig(
        programs=GRC(clusters=12, start=KMeansStart(tries=5)),
        encoder=GeneClusterEncoderSpec(**body, latent=32),
        decoder=GeneClusterDecoderSpec(**body),
        # With few doubles to learn from, a sum tells two genes from one where a mean does not.
        condition=ConditionEncoderSpec(hidden=64, width=64, pooling=SumPooling()),
        velocity=VelocityFieldSpec(frequencies=8, top_frequency=3.0, hidden=128, dropout=0.0),
        flow=FlowMatching(coupling=SinkhornCoupling(iterations=200), groups=8, cells=32),
        terms=(Weighted(Consistency(losses, quick, groups=2, cells=32), 1.0),),
        transport=adaptive(1e-4, 1e-4, max_steps=256),
        stage1=AutoencoderTraining(Adam(3e-3), batch=128, epochs=120, validate_every=4),
        stage2=FlowTraining(
            Adam(1e-3),
            steps=2000,
            accumulate=1,
            ema=0.99,
            validate_every=2,
            criterion=ResponseCriterion(cells=128),
        ),
    )
