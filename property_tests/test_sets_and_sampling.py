"""Laws of conditions as sets, of screens as sets of cells, and of drawing from them."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from hypothesis import given, strategies as st
from scipy import sparse

from scbig import nn
from scbig.data import Condition, Screen
from scbig.model import ConditionTokens, Dosing, Networks, make_model
from scbig.nn import InducingPoints
from scbig.programs import GenePartition
from scbig.sampling import CellIndex
from scbig.service import Names

NAMES = st.text("ABCxyz019-.", min_size=1, max_size=4)
DOSES = st.none() | st.floats(1e-300, 1e300, allow_subnormal=False)
# Some end in the sign that stands before a dose.
DOSED = st.dictionaries(NAMES | st.just("IGH@") | st.just("A@"), DOSES, max_size=4)
CONTROLS = st.sampled_from(["control", "ctrl"])
CELLS, DRAWS = 24, 6


@st.composite
def layouts(draw):
    """The (condition, context) of 24 cells; each context has a control.

    Always four groups and six controls, since each new number of them would compile again.
    """
    groups = draw(st.permutations(list(itertools.product(range(3), range(2)))))[:4]
    free = CELLS - 6 - len(groups)
    perturbed = draw(st.lists(st.sampled_from(groups), min_size=free, max_size=free))
    contexts = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=4, max_size=4))]
    return draw(st.permutations([*groups, *perturbed, *((3, context) for context in contexts)]))


def make_screen(pairs):
    # Outside the strategy: the type checker draws from `random`, which Hypothesis forbids there.
    conditions = tuple(Condition(names) for names in [("A",), ("A", "B"), ("B",), ()])
    condition, context = np.array(pairs, np.int32).T.copy()
    return Screen(
        expression=sparse.csr_matrix(np.arange(CELLS, dtype=np.float32)[:, None]),
        genes=("g",),
        cells=tuple(map(str, range(CELLS))),
        conditions=conditions,
        condition_index=condition,
        contexts=("x", "y"),
        context_index=context,
    )


@given(st.sets(NAMES, min_size=1, max_size=4), st.lists(CONTROLS, max_size=2), st.randoms())
def test_a_condition_does_not_depend_on_order_or_controls(names, controls, random):
    parts = [*names, *controls]
    random.shuffle(parts)
    assert Condition.parse("+".join(parts)) == Condition(tuple(sorted(names)))


@given(st.sets(NAMES, max_size=4))
def test_parsing_a_name_changes_nothing(names):
    condition = Condition(tuple(sorted(names)))
    assert Condition.parse(condition.name) == condition
    assert condition.is_control == (not names)


def with_doses(doses):
    names = tuple(sorted(doses))
    return Condition(names, tuple(doses[name] for name in names))


@given(DOSED)
def test_parsing_a_name_with_doses_changes_nothing(doses):
    condition = with_doses(doses)
    again = Condition.parse(condition.name)
    assert again == condition
    assert hash(again) == hash(condition)
    assert again.name == condition.name


@given(DOSED, DOSED)
def test_conditions_are_equal_where_their_names_are(first, second):
    one, other = with_doses(first), with_doses(second)
    assert (one == other) == (one.name == other.name) == (first == second)


@given(st.dictionaries(NAMES, st.floats(1e-9, 1e9), min_size=1, max_size=4), st.randoms())
def test_doses_beside_the_label_or_in_it_are_the_same_in_any_order(doses, random):
    names = list(doses)
    random.shuffle(names)
    beside = "+".join(repr(doses[name]) for name in names).replace("e+", "e")
    within = "+".join(f"{name}@{doses[name]!r}" for name in names).replace("e+", "e")
    label = "+".join(names)
    assert Condition.parse(label, doses=beside) == Condition.parse(within) == with_doses(doses)


DRUGS = ("A", "B", "C")
NAMED = Names(
    genes=tuple("pqrs"), perturbations=DRUGS, dosing=Dosing(mean=0.0, scale=2.0, always=False)
)
BODY: dict[str, Any] = {
    "width": 4,
    "heads": 1,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 4,
}
MODEL = make_model(
    Networks(
        nn.GeneClusterEncoderSpec(**BODY, latent=2),
        nn.GeneClusterDecoderSpec(**BODY),
        nn.ConditionEncoderSpec(hidden=8, width=8),
        nn.VelocityFieldSpec(frequencies=2, hidden=4, depth=1),
    ),
    partition=GenePartition.from_labels(np.arange(4) % 2, 2),
    embeddings=jnp.ones((4, 2)),
    mean=jnp.zeros(4),
    tokens=jr.normal(jr.key(1), (3, 5)),
    dose_features=2,
    key=jr.key(0),
)
encode = eqx.filter_jit(lambda model, tokens: model.condition(tokens))
DRUG_DOSES = st.dictionaries(
    st.sampled_from(DRUGS), st.none() | st.floats(1e-3, 1e3), min_size=1, max_size=3
)


@given(DRUG_DOSES, st.permutations(range(4)))
def test_the_order_of_tokens_with_doses_does_not_matter(doses, order):
    one = NAMED.tokens([with_doses(doses)], 4)[0]
    place = jnp.array(order)
    moved = ConditionTokens(
        rows=one.rows[place], mask=one.mask[place], doses=one.doses[place], context=one.context
    )
    np.testing.assert_allclose(encode(MODEL, one), encode(MODEL, moved), rtol=1e-4, atol=1e-5)


@given(DRUG_DOSES, NAMES, st.integers(0, 5))
def test_without_a_table_of_contexts_a_context_changes_nothing(doses, context, row):
    condition = with_doses(doses)
    plain = NAMED.tokens([condition], 4)
    assert eqx.tree_equal(plain, NAMED.tokens([condition], 4, contexts=[context]))
    one = plain[0]
    other = ConditionTokens(
        rows=one.rows, mask=one.mask, doses=one.doses, context=jnp.asarray(row, jnp.int32)
    )
    np.testing.assert_array_equal(encode(MODEL, one), encode(MODEL, other))


@given(layouts(), st.sets(st.sampled_from(["A", "A+B", "B"])))
def test_select_and_without_partition_the_perturbed_cells(layout, names):
    screen = make_screen(layout)
    names = sorted(names)
    kept, left = screen.select(names), screen.without(names)
    controls = {screen.cells[i] for i in np.flatnonzero(screen.is_control)}
    assert set(kept.cells) & set(left.cells) == controls
    assert set(kept.cells) | set(left.cells) == set(screen.cells)
    for part in (kept, left):
        for row, cell in enumerate(part.cells):
            was = screen.cells.index(cell)
            here = part.conditions[part.condition_index[row]]
            assert here == screen.conditions[screen.condition_index[was]]
            assert (here.name in names) == (part is kept) or here.is_control
            assert part.context_index[row] == screen.context_index[was]
            assert part.dense()[row] == screen.dense()[was]


@jax.jit
def draw(index, key):
    group_key, cell_key, control_key = jr.split(key, 3)
    groups = index.draw_groups(4, key=group_key)
    return (
        groups,
        index.draw_cells(groups, DRAWS, key=cell_key),
        index.draw_controls(groups, DRAWS, key=control_key),
    )


@given(layouts(), st.integers(0, 2**31 - 1))
def test_drawn_cells_are_of_their_group_and_controls_of_its_context(layout, seed):
    screen = make_screen(layout)
    index = CellIndex.from_screen(screen)
    groups, cells, controls = (np.asarray(rows) for rows in draw(index, jr.key(seed)))
    assert cells.shape == controls.shape == (4, DRAWS)
    condition = np.asarray(index.condition)[groups][:, None]
    context = np.asarray(index.context)[groups][:, None]
    assert np.all(screen.condition_index[cells] == condition)
    assert np.all(screen.context_index[cells] == context)
    assert np.all(screen.is_control[controls])
    assert np.all(screen.context_index[controls] == context)


@given(layouts())
def test_the_groups_hold_each_perturbed_cell_once(layout):
    screen = make_screen(layout)
    index = CellIndex.from_screen(screen)
    assert sorted(index.order.tolist()) == np.flatnonzero(~screen.is_control).tolist()
    start, size = np.asarray(index.start), np.asarray(index.size)
    assert size.sum() == np.sum(~screen.is_control)
    np.testing.assert_array_equal(start, np.cumsum(size) - size)
    pairs = list(zip(index.condition.tolist(), index.context.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
