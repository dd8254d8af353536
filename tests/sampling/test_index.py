"""Drawing on the device agrees with a search through the labels."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats
from scipy import sparse

from scbig.data import Condition, Screen
from scbig.sampling import CellIndex

CONDITIONS = (Condition(("A",)), Condition(("A", "B")), Condition(("B",)), Condition())
CONTEXTS = ("x", "y", "z")
DRAWS = 400


@pytest.fixture(scope="module")
def screen():
    """Unsorted cells; `B` is absent from `y`, and `z` has two controls and one `A`."""
    pairs = [(0, 0)] * 7 + [(1, 0)] * 3 + [(2, 0)] * 5 + [(3, 0)] * 6
    pairs += [(0, 1)] * 2 + [(1, 1)] * 4 + [(3, 1)] * 9 + [(0, 2)] + [(3, 2)] * 2
    order = np.random.default_rng(0).permutation(len(pairs))
    condition, context = np.array(pairs, np.int32)[order].T.copy()
    return Screen(
        expression=sparse.csr_matrix(np.ones((len(pairs), 1), np.float32)),
        genes=("g",),
        cells=tuple(map(str, range(len(pairs)))),
        conditions=CONDITIONS,
        condition_index=condition,
        contexts=CONTEXTS,
        context_index=context,
    )


@pytest.fixture(scope="module")
def index(screen):
    return CellIndex.from_screen(screen)


@pytest.fixture(scope="module")
def drawn(index):
    """Cells and controls drawn for every group."""
    draw = jax.jit(
        lambda index, groups, key: (
            index.draw_cells(groups, DRAWS, key=key),
            index.draw_controls(groups, DRAWS, key=key),
        )
    )
    return jax.tree.map(np.asarray, draw(index, jnp.arange(index.num_groups), jr.key(0)))


def group_names(index):
    return [
        (CONDITIONS[c].name, CONTEXTS[x])
        for c, x in zip(index.condition.tolist(), index.context.tolist(), strict=True)
    ]


def test_the_groups_are_the_pairs_with_perturbed_cells(screen, index):
    expected = {
        (condition.name, context)
        for condition in CONDITIONS
        for context in CONTEXTS
        if not condition.is_control and len(screen.rows(condition, context)) > 0
    }
    names = group_names(index)
    assert len(names) == index.num_groups == len(expected) == 6
    assert set(names) == expected


def test_every_row_of_a_group_is_drawn_and_no_other(screen, index, drawn):
    cells, _ = drawn
    for (condition, context), rows in zip(group_names(index), cells, strict=True):
        np.testing.assert_array_equal(np.unique(rows), screen.rows(condition, context))


def test_every_control_of_the_context_is_drawn_and_no_other(screen, index, drawn):
    _, controls = drawn
    for (_, context), rows in zip(group_names(index), controls, strict=True):
        np.testing.assert_array_equal(np.unique(rows), screen.rows("control", context))


def test_the_fields_cut_the_rows_into_groups(screen, index):
    for i, (condition, context) in enumerate(group_names(index)):
        rows = index.order[index.start[i] : index.start[i] + index.size[i]]
        np.testing.assert_array_equal(np.sort(rows), screen.rows(condition, context))
    assert set(index.order.tolist()) == set(np.flatnonzero(~screen.is_control))
    assert set(index.control_order.tolist()) == set(np.flatnonzero(screen.is_control))


def test_draws_are_uniform(index):
    n = 3000
    groups = index.draw_groups(n, key=jr.key(1))
    cells = index.draw_cells(jnp.array([0]), n, key=jr.key(2))[0]
    controls = index.draw_controls(jnp.array([0]), n, key=jr.key(3))[0]
    for values, kinds in ((groups, 6), (cells, 7), (controls, 6)):
        counts = np.unique(np.asarray(values), return_counts=True)[1]
        assert len(counts) == kinds
        assert scipy.stats.chisquare(counts).pvalue > 1e-3


def test_groups_of_one_draw_and_draws_of_two_keys_differ(index):
    groups = jnp.array([0, 0])
    first = index.draw_cells(groups, 50, key=jr.key(0))
    assert jnp.any(first[0] != first[1])
    assert jnp.any(first != index.draw_cells(groups, 50, key=jr.key(1)))
    np.testing.assert_array_equal(first, index.draw_cells(groups, 50, key=jr.key(0)))


def test_other_groups_and_keys_do_not_compile_again(index):
    def draw(index, groups, key):
        return index.draw_cells(groups, 3, key=key), index.draw_controls(groups, 3, key=key)

    draw = jax.jit(eqx.debug.assert_max_traces(draw, max_traces=1))
    for i in range(3):
        cells, controls = draw(index, jnp.array([i, 5 - i], jnp.int32), jr.key(i))
        assert cells.shape == controls.shape == (2, 3)


def test_a_screen_of_controls_has_nothing_to_draw(screen):
    with pytest.raises(ValueError, match="no perturbed cells"):
        CellIndex.from_screen(screen.select([]))
