"""Every algorithm of the library, by what it is: a line here puts it under all laws of its kind."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import diffrax as dfx
import equinox as eqx

from scbig import (
    alignment,
    anchor,
    baselines,
    flow,
    model,
    nn,
    objective,
    ot,
    programs,
    response,
    rivals,
)
from scbig._hints import subclasses
from scbig._value import Value, Weighted

from .small_world import BODY, LATENT, PROGRAMS

QUICK = flow.fixed(2, dfx.Heun())
LOSSES = (
    Weighted(alignment.CorrelationAlignment(), 0.1),
    Weighted(alignment.PathwayAlignment(iterations=20), 0.1),
)
PLAIN: dict[str, Any] = {**BODY, "mixing": nn.SelfAttention()}
OFF_DISK = programs.KMeansStart(tries=2)

TABLE: dict[type, list[Any]] = {
    flow.AbstractProbabilityPath: [
        flow.LinearPath(), flow.LinearPath(0.5), flow.BrownianBridge(0.3),
    ],
    flow.Transport: [
        flow.adaptive(1e-3, 1e-3), flow.fixed(32), flow.fixed(8, dfx.Heun()),
        flow.adaptive(1e-3, 1e-3, solver=dfx.Bosh3(), adjoint=dfx.DirectAdjoint(), max_steps=32),
    ],
    ot.AbstractCoupling: [ot.IndependentCoupling(), ot.SinkhornCoupling(iterations=200)],
    nn.AbstractPooling: [
        nn.MeanPooling(), nn.SumPooling(), nn.AttentionPooling(), nn.SeedPooling(heads=2),
    ],
    nn.AbstractSemantics: [nn.MeanSemantics(), nn.WeightedSemantics()],
    nn.AbstractPosition: [nn.RelationalPosition(), nn.LearnedPosition()],
    nn.AbstractNormPlacement: [nn.PostNorm(), nn.PreNorm()],
    nn.AbstractMixing: [nn.InducingPoints(2), nn.SelfAttention()],
    nn.AbstractEncoderSpec: [
        nn.GeneClusterEncoderSpec(**BODY, latent=LATENT),
        nn.GeneClusterEncoderSpec(
            **PLAIN, latent=LATENT, norm=nn.PreNorm(),
            semantics=nn.WeightedSemantics(), position=nn.LearnedPosition(),
            pooling=nn.SeedPooling(heads=2),
        ),
        nn.PCAEncoderSpec(LATENT),
    ],
    nn.AbstractDecoderSpec: [
        nn.GeneClusterDecoderSpec(**BODY),
        nn.GeneClusterDecoderSpec(**BODY, norm=nn.PreNorm(), position=nn.LearnedPosition()),
        nn.PCADecoderSpec(),
    ],
    nn.AbstractConditionSpec: [
        nn.ConditionEncoderSpec(hidden=8, width=6, dropout=0.2, pooling=pooling)
        for pooling in (nn.AttentionPooling(), nn.SumPooling())
    ]
    + [nn.ReleasedConditionSpec(seed=4, heads=2, width=6, dropout=0.5)],
    nn.AbstractVelocitySpec: [
        nn.VelocityFieldSpec(frequencies=2, top_frequency=3.0, hidden=8, depth=1, dropout=0.2),
        nn.ReleasedVelocitySpec(frequencies=2, top_frequency=3.0, hidden=8, depth=1, dropout=0.2),
    ],
    alignment.AbstractAlignment: [part.term for part in LOSSES]
    + [
        alignment.PathwayAlignment(pool=4, iterations=20),
        alignment.PlainPathwayAlignment(epsilon=5.0, iterations=20),
        alignment.CorrelationAlignment(squared=False),
    ],
    objective.AbstractTerm: [
        objective.FlowMatching(coupling=ot.IndependentCoupling(), groups=2, cells=6),
        objective.PlannedMatching(
            coupling=ot.SinkhornCoupling(iterations=50), groups=2, cells=6, most=8, draws=3
        ),
        objective.Consistency(LOSSES, QUICK, period=2, groups=2, cells=5),
        objective.Consistency(LOSSES, QUICK, groups=2, cells=5, denoised=True, relative=True),
        objective.Reconstruction(batch=9),
    ],
    anchor.AbstractAnchor: [
        anchor.ResponseAnchor(), anchor.ResponseAnchor(components=3, shape=False),
    ],
    model.AbstractEmission: [model.Decoded(), model.Changed(), model.Changed(mean=0.0)],
    objective.AbstractCriterion: [
        objective.PopulationCriterion(cells=5, measured=6, components=4),
        objective.ResponseCriterion(cells=5),
        objective.FlowCriterion(objective.FlowMatching(cells=6)),
    ],
    objective.AbstractSchedule: [objective.Constant(), objective.WarmupCosine(5, 60)],
    objective.AbstractOptimiser: [
        objective.Adam(0.05), objective.Adam(0.05, clip_norm=None, weight_decay=0.01),
        objective.Adam(0.05, schedule=objective.WarmupCosine(5, 60)),
    ],
    programs.AbstractClustering: [
        programs.GRC(PROGRAMS, rounds=3, start=OFF_DISK), programs.KMeans(PROGRAMS, tries=2),
        programs.GRC(
            PROGRAMS, rounds=3, tolerance=0.3, rounding=programs.ExactRounding(), runs=3,
            start=programs.RandomStart(), select=programs.Consensus(),
        ),
        programs.GRC(PROGRAMS, rounds=2, start=OFF_DISK, soft=programs.Soft(0.2, 2)),
        programs.KMeans(PROGRAMS, balanced=True, tries=2), programs.FileOrder(PROGRAMS),
        programs.RandomPrograms(PROGRAMS), programs.Given(),
    ],
    programs.AbstractRounding: [programs.GreedyRounding(), programs.ExactRounding()],
    programs.AbstractStart: [OFF_DISK, programs.KMeansStart(2, 3), programs.RandomStart()],
    programs.AbstractSelection: [programs.Cheapest(), programs.Consensus()],
    programs.AbstractFeatures: [
        programs.Pretrained(), programs.Coexpression(3),
        programs.SideBySide(programs.Coexpression(2)),
    ],
    # Their laws are in tests/rivals.
    rivals.AbstractNetworkRecipe: [
        rivals.LatentAdditive(), rivals.State(), rivals.SamsVAE(), rivals.CPA(),
        rivals.GEARS(), rivals.GeneTransformer(),
    ],
    rivals.AbstractLikelihood: [rivals.NegativeBinomial(), rivals.Gaussian()],
}  # fmt: skip

BUILT: dict[type, tuple[type, ...]] = {
    nn.AbstractPool: (nn.AbstractPooling,),
    nn.AbstractBlock: (nn.AbstractMixing,),
    nn.AbstractPositions: (nn.AbstractPosition,),
    nn.AbstractEncoder: (nn.AbstractEncoderSpec,),
    nn.AbstractDecoder: (nn.AbstractDecoderSpec,),
    nn.AbstractConditionEncoder: (nn.AbstractConditionSpec,),
    nn.AbstractVelocity: (nn.AbstractVelocitySpec,),
    programs.AbstractPartition: (programs.AbstractClustering,),
    anchor.AbstractFittedAnchor: (anchor.AbstractAnchor,),
    response.AbstractRelation: (),  # made of priors; its laws are in test_response.py
    rivals.AbstractNetwork: (rivals.AbstractNetworkRecipe,),
    baselines.AbstractRecipe: (rivals.AbstractNetworkRecipe,),
    baselines.AbstractEffects: (),  # fitted to cells; its laws are in tests/baselines
}
"""What the values of the table build, which is under law through them."""


def of(kind: type) -> dict[str, Any]:
    """For `pytest.mark.parametrize`: the instances of a kind, by their names."""
    names = [f"{type(value).__name__}-{place}" for place, value in enumerate(TABLE[kind])]
    return {"argvalues": TABLE[kind], "ids": names}


def library(base: type) -> Iterator[type]:
    """Every class of this library that is a `base`."""
    yield from (sub for sub in subclasses(base) if sub.__module__.startswith("scbig."))


def missing() -> list[str]:
    """Algorithms that no line of the table names, and abstract classes that are no kind of it."""
    values = {type(value) for instances in TABLE.values() for value in instances}
    lost = [
        cls for cls in library(Value)
        if (inspect.isabstract(cls) and cls not in TABLE)
        or (not inspect.isabstract(cls) and issubclass(cls, tuple(TABLE)) and cls not in values)
    ]  # fmt: skip
    kinds = [
        cls for cls in library(eqx.Module)
        if inspect.isabstract(cls) and not issubclass(cls, Value) and cls not in BUILT
    ]  # fmt: skip
    return sorted(cls.__name__ for cls in [*lost, *kinds])


@functools.cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled for each algorithm at most once, whatever the numbers and the key.

    `function` takes the algorithm first: a value without arrays, which is static.
    """
    made: dict[Any, Callable[..., Any]] = {}

    def run(value: Any, *args: Any) -> Any:
        if value not in made:
            once = eqx.debug.assert_max_traces(lambda *rest: function(value, *rest), max_traces=1)
            made[value] = eqx.filter_jit(once)
        return made[value](*args)

    return run
