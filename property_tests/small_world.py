"""A screen, its groups and an untrained model: all so small that compiling is most of the work."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy import sparse

from scbig import nn
from scbig.data import Condition, Screen
from scbig.flow import fixed
from scbig.model import ConditionTokens, Networks, ScBIG, make_model
from scbig.nn import InducingPoints
from scbig.objective import FlowData, Setting
from scbig.priors import PathwayLibrary
from scbig.programs import GenePartition, Relations, unit_rows
from scbig.sampling import CellIndex

GENES, PROGRAMS, FEATURES, LATENT, WIDTH, CONDITION = 12, 3, 5, 4, 8, 6
LABELS = np.arange(GENES) % PROGRAMS
PARTITION = GenePartition.from_labels(LABELS, PROGRAMS)
EMBEDDINGS = jr.normal(jr.key(1), (GENES, FEATURES))
NAMES = tuple("abcdefghijkl")
PATHWAYS = PathwayLibrary({"low": tuple("abcde"), "high": tuple("ghijk")})
SIZES = nn.Sizes(
    programs=PROGRAMS, slots=PARTITION.slots, embedding=FEATURES, token=FEATURES, context=None,
    latent=LATENT, condition=CONDITION,
)  # fmt: skip
BODY: dict[str, Any] = {
    "width": WIDTH,
    "heads": 2,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 8,
    "dropout": 0.2,
}
SAME = 2
"""The group whose cells are all the same."""


@functools.cache
def screen() -> Screen:
    """Three groups of six to ten cells, and twelve controls, in no order."""
    group = np.random.default_rng(0).permutation([0] * 6 + [1] * 10 + [SAME] * 7 + [3] * 12)
    values = np.abs(np.random.default_rng(1).normal(size=(len(group), GENES)))
    values[group < SAME] += np.linspace(0, 2, GENES)
    values[group == SAME] = values[group == SAME][0]
    names = (("A",), ("A", "B"), ("C",), ())
    return Screen(
        expression=sparse.csr_matrix(values.astype(np.float32)),
        genes=NAMES,
        cells=tuple(map(str, range(len(group)))),
        conditions=tuple(Condition(name) for name in names),
        condition_index=group.astype(np.int32),
        context_index=np.zeros(len(group), np.int32),
    )


@functools.cache
def index() -> CellIndex:
    """The groups of the screen."""
    return CellIndex.from_screen(screen())


@functools.cache
def model() -> ScBIG:
    """An untrained model, with a field that is not small."""
    networks = Networks(
        nn.GeneClusterEncoderSpec(**BODY, latent=LATENT),
        nn.GeneClusterDecoderSpec(**BODY),
        nn.ConditionEncoderSpec(hidden=8, width=CONDITION),
        nn.VelocityFieldSpec(frequencies=2, top_frequency=3.0, hidden=8, depth=1),
    )
    return make_model(
        networks,
        partition=PARTITION,
        embeddings=EMBEDDINGS,
        mean=jnp.asarray(screen().mean(), jnp.float32),
        tokens=jr.normal(jr.key(2), (3, FEATURES)),
        key=jr.key(0),
    )


def tokens() -> ConditionTokens:
    """The conditions of the groups."""
    rows = jnp.array([[0, 0], [0, 1], [2, 0]], jnp.int32)
    mask = jnp.array([[True, False], [True, True], [True, False]])
    return ConditionTokens(rows, mask, jnp.zeros((3, 2, 0)), jnp.zeros(3, jnp.int32))


def setting() -> Setting:
    """What terms and criteria are prepared from."""
    return Setting(
        screen=screen(),
        index=index(),
        tokens=tokens(),
        model=model(),
        pathways=PATHWAYS,
        transport=fixed(2),
        latents=data().latents,
        starts=starts(),
    )


@functools.cache
def starts() -> jax.Array:
    """Latents of the controls, for each group."""
    controls = np.flatnonzero(screen().is_control)
    return jnp.tile(model().encode_cells(jnp.asarray(screen().dense(controls)))[None], (3, 1, 1))


@functools.cache
def data() -> FlowData:
    """What a step reads, without anything of a term's own."""
    expression = jnp.asarray(screen().dense())
    latents = model().encode_cells(expression)
    return FlowData(index(), tokens(), latents, expression, starts())


def relations(seed: int = 0, genes: int = 24, edges: int = 40) -> Relations:
    """Embeddings and as many interactions, whatever the seed."""
    rng = np.random.default_rng(seed)
    first, second = np.triu_indices(genes, 1)
    keep = rng.permutation(first.size)[:edges]
    source = jnp.asarray(np.r_[first[keep], second[keep]], jnp.int32)
    target = jnp.asarray(np.r_[second[keep], first[keep]], jnp.int32)
    one = jnp.ones(())
    unit = unit_rows(jnp.asarray(rng.normal(size=(genes, FEATURES)), jnp.float32))
    return Relations(unit, source, target, one, one)
