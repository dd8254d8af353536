"""Laws of the closed-form model of responses."""

import itertools

import numpy as np
from hypothesis import given, strategies as st

from scbig.data import Condition
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.response import EmbeddingRelation, GraphRelation, MixedEffects, PathwayRelation

NAMES = "ABCDEF"
POOL = [Condition((a,)) for a in NAMES]
POOL += [Condition((a, b)) for a in NAMES for b in NAMES if a < b] + [Condition(("A", "B", "C"))]
ASKED = [*POOL, Condition(("X",)), Condition(("A", "X")), Condition(("A", "C", "D"))]
LEAN = MixedEffects((0.1, 1.0), (0.0, 0.5), (0.0, 1.0), (0.1, 1.0), bands=(2,), least=3)


@st.composite
def measured(draw):
    """Some conditions, in any order, with responses of any size; and their cells."""
    chosen = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=12, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    size = draw(st.sampled_from([1e-3, 1.0, 50.0]))
    changes = size * rng.normal(size=(len(chosen), draw(st.integers(1, 9))))
    return chosen, changes, rng.integers(1, 300, len(chosen)).astype(float)


@given(measured(), st.randoms(use_true_random=False))
def test_neither_the_order_of_conditions_nor_of_genes_matters(given_, random):
    conditions, changes, cells = given_
    fitted = LEAN.fit(conditions, changes, cells=cells)
    rows = random.sample(range(len(conditions)), len(conditions))
    columns = random.sample(range(changes.shape[1]), changes.shape[1])
    turned = LEAN.fit(
        [conditions[i] for i in rows], changes[np.ix_(rows, columns)], cells=cells[rows]
    )
    scale = np.abs(changes).max()
    for found, other in (
        (fitted.means(ASKED), turned.means(ASKED)),
        (fitted.deviations(ASKED), turned.deviations(ASKED)),
    ):
        np.testing.assert_allclose(found[:, columns], other, rtol=1e-5, atol=1e-6 * scale)


@given(measured(), st.floats(0.01, 100))
def test_responses_in_other_units_are_predicted_in_other_units(given_, unit):
    conditions, changes, cells = given_
    fitted = LEAN.fit(conditions, changes, cells=cells)
    other = LEAN.fit(conditions, unit * changes, cells=cells)
    scale = unit * np.abs(changes).max()
    np.testing.assert_allclose(
        other.means(ASKED), unit * fitted.means(ASKED), rtol=1e-5, atol=1e-7 * scale
    )


@given(measured())
def test_every_condition_has_a_finite_mean_and_deviation_and_the_control_none(given_):
    conditions, changes, cells = given_
    fitted = LEAN.fit(conditions, changes, cells=cells)
    for found in (fitted.means(ASKED), fitted.deviations(ASKED)):
        assert np.isfinite(found).all()
    none = [Condition()]
    assert not fitted.means(none).any()
    assert not fitted.deviations(none).any()
    assert (fitted.deviations(ASKED) >= 0).all()


@given(measured(), st.randoms(use_true_random=False))
def test_contexts_are_only_names_in_no_order(given_, random):
    conditions, changes, cells = given_
    lines = [random.choice("xyz") for _ in conditions]
    fitted = LEAN.fit(conditions, changes, contexts=lines, cells=cells)
    rows = random.sample(range(len(conditions)), len(conditions))
    other = dict(zip("xyzq", random.sample("xyzq", 4), strict=True))
    turned = LEAN.fit(
        [conditions[i] for i in rows],
        changes[rows],
        contexts=[other[lines[i]] for i in rows],
        cells=cells[rows],
    )
    places = [random.choice("xyzq") for _ in ASKED]
    scale = np.abs(changes).max()
    for asked in (places, None):
        names = None if asked is None else [other[place] for place in asked]
        for found, expected in (
            (turned.means(ASKED, names), fitted.means(ASKED, asked)),
            (turned.deviations(ASKED, names), fitted.deviations(ASKED, asked)),
        ):
            assert np.isfinite(found).all()
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6 * scale)
    assert not fitted.means([Condition()], ["x"]).any()


DOSED = [
    Condition(tuple(names), doses)
    for names in ("A", "B", "C", "AB", "BC")
    for doses in itertools.product((None, 0.01, 1.0, 20.0), repeat=len(names))
]


@st.composite
def dosed(draw):
    """Conditions of which some have doses, in two lines, with responses."""
    row = st.tuples(st.sampled_from(DOSED), st.sampled_from("xy"))
    rows = draw(st.lists(row, min_size=1, max_size=12, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    return [c for c, _ in rows], [line for _, line in rows], rng.normal(size=(len(rows), 5))


@given(dosed(), st.sampled_from(NAMES), st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=5))
def test_more_of_one_thing_does_more_in_the_same_direction(given_, name, doses):
    conditions, lines, changes = given_
    fitted = LEAN.fit(conditions, changes, contexts=lines)
    asked = [Condition((name,), (dose,)) for dose in sorted(doses)]
    for contexts in (None, ["x"] * len(asked)):
        sizes = np.linalg.norm(fitted.means(asked, contexts), axis=1)
        assert (np.diff(sizes) >= -1e-9 * sizes.max()).all()
        assert np.isfinite(fitted.deviations(asked, contexts)).all()
    assert not fitted.means([Condition()], ["y"]).any()


@given(dosed(), st.floats(0.01, 100))
def test_doses_in_other_units_are_the_same_doses(given_, unit):
    conditions, lines, changes = given_
    scaled = lambda c: Condition(
        c.perturbations, tuple(None if dose is None else unit * dose for dose in c.doses)
    )
    fitted = LEAN.fit(conditions, changes, contexts=lines)
    other = LEAN.fit([scaled(c) for c in conditions], changes, contexts=lines)
    found = other.means([scaled(c) for c in conditions], lines)
    np.testing.assert_allclose(found, fitted.means(conditions, lines), rtol=1e-5, atol=1e-6)


PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), min_size=1)


@given(
    PAIRS,
    st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
    st.floats(0.1, 5),
    st.integers(0, 10_000),
    st.lists(st.sampled_from([*NAMES, "X"]), min_size=1, unique=True),
)
def test_a_relation_is_a_kernel_whatever_else_is_asked_for(pairs, names, number, seed, asked):
    """Also where it knows some of the names only."""
    first, second = map(tuple, zip(*pairs, strict=True))
    sets = {str(place): pair for place, pair in enumerate(pairs)}
    vectors = np.random.default_rng(seed).normal(size=(len(names), 2)).astype(np.float32)
    check_kernel(GraphRelation(InteractionGraph(first, second), number), asked)
    check_kernel(PathwayRelation(PathwayLibrary(sets)), asked)
    check_kernel(EmbeddingRelation(EmbeddingTable(tuple(names), vectors), number), asked)


def check_kernel(relation, asked):
    every = [*NAMES, "X"]
    whole = relation.similarity(every, every)
    np.testing.assert_allclose(whole, whole.T, atol=1e-12)
    np.testing.assert_array_equal(np.diag(whole), 1)
    assert np.linalg.eigvalsh(whole).min() > -1e-9
    rows = [every.index(name) for name in asked]
    found = relation.similarity(asked, every)
    np.testing.assert_allclose(found, whole[rows], rtol=1e-9, atol=1e-12)
