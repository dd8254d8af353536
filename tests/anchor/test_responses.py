"""The anchor of measured responses, on simulated cells."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from scbig._value import plain, read
from scbig.anchor import AbstractFittedAnchor, ResponseAnchor
from scbig.data import Condition, Screen
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.simulate import SimulationConfig, simulate_screen

SIMULATION = SimulationConfig(
    genes=40, programs=4, perturbations=10, doubles=12, control_cells=150, cells_per_condition=30,
    features=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def screen() -> Screen:
    counts = simulate_screen(SIMULATION, seed=0).counts
    return Screen.from_anndata(preprocess(counts, PreprocessConfig(min_genes=1, min_cells=1)))


@pytest.fixture(scope="module")
def held(screen) -> tuple[str, ...]:
    return tuple(c.name for c in screen.conditions if len(c.perturbations) == 2)[:2]


@pytest.fixture(scope="module")
def fitted(screen, held):
    return ResponseAnchor(components=10).fit(screen.without(held))


def parsed(*names: str) -> tuple[list[Condition], list[str]]:
    return [Condition.parse(name) for name in names], [""] * len(names)


def test_the_control_is_not_moved(fitted, screen):
    moves = fitted.moves(*parsed("control"))[0]
    cells = jnp.asarray(screen.dense(screen.rows("control")))
    np.testing.assert_array_equal(moves(cells, jnp.zeros(cells.shape[1])), cells)


def test_an_unseen_condition_moves_as_the_effects_expect(fitted, held):
    conditions, contexts = parsed(*held)
    moves = fitted.moves(conditions, contexts)
    np.testing.assert_allclose(moves.shift, fitted.effects.means(conditions), atol=1e-6)
    assert not np.asarray(moves.rest).any()
    assert np.asarray(moves.open).tolist() == [1.0, 1.0]
    # One shape for all of them: that of no condition in particular.
    np.testing.assert_array_equal(moves.stretch[0], moves.stretch[1])


def test_the_mean_of_a_seen_condition_lies_between_its_own_and_what_is_expected(
    fitted, screen, held
):
    training = screen.without(held)
    found = training.responses()
    rows = zip(found.condition_index, found.changes, strict=True)
    own = {training.conditions[c].name: x for c, x in rows}
    expected = dict(zip(fitted.conditions, fitted.effects.left_out(), strict=True))
    moves = fitted.moves(*parsed(*own))
    axes = fitted.axes.astype(float)
    np.testing.assert_allclose(moves.shift, np.stack([expected[n] for n in own]), atol=1e-5)
    assert not np.asarray(moves.open).any()
    ends = np.asarray(moves.shift + moves.rest)
    for shift, (name, measured) in zip(ends, own.items(), strict=True):
        free = [g for g, gene in enumerate(screen.genes) if gene not in name.split("+")]
        found = np.linalg.norm((shift - measured)[free])
        assert found <= np.linalg.norm((expected[name] - measured)[free]) + 1e-4
        mine = [g for g in range(screen.num_genes) if g not in free]
        np.testing.assert_allclose(shift[mine], measured[mine], atol=1e-5)
    assert axes.shape == (10, screen.num_genes)


def test_left_out_expectations_are_those_of_fits_without_each_condition(screen, held):
    """Strengths held, refitting without a condition expects of it what the formula says."""
    training = screen.without(held)
    found = training.responses()
    method = ResponseAnchor().effects
    one = type(method)(common=(0.1,), together=(0.1,), pair=(0.3,), noise=(0.3,), bands=())
    conditions = [training.conditions[c] for c in found.condition_index]
    changes = found.changes.astype(float)
    fitted = one.fit(conditions, changes)
    for left in (0, 7, len(conditions) - 1):
        rest = [i for i in range(len(conditions)) if i != left]
        again = one.fit([conditions[i] for i in rest], changes[rest])
        np.testing.assert_allclose(
            fitted.left_out()[left], again.means([conditions[left]])[0], atol=1e-6
        )


def test_moved_controls_have_the_covariance_of_the_condition(screen):
    """With many cells and nothing to shrink to, the scores of moved controls vary as measured."""
    anchor = ResponseAnchor(components=4, shrinkage=0.0).fit(screen)
    controls = screen.dense(screen.rows("control")).astype(float)
    name = next(c.name for c in screen.conditions if len(c.perturbations) == 1)
    moves = anchor.moves(*parsed(name))[0]
    array = lambda x: jnp.asarray(x, jnp.float32)
    moved = np.asarray(moves(array(controls), array(controls.mean(axis=0))), float)
    own = screen.dense(screen.rows(name)) @ anchor.axes.T
    np.testing.assert_allclose(
        np.cov((moved @ anchor.axes.T).T), np.cov(own.T), rtol=0.02, atol=1e-3
    )
    assert not ResponseAnchor(shape=False).fit(screen).stretch.any()


def test_it_says_how_sure_it_is(fitted, held):
    seen = fitted.conditions[0]
    known, unknown = (fitted.deviations(*parsed(name))[0] for name in (seen, held[0]))
    assert np.isfinite(known).all()
    assert 0 < np.linalg.norm(known) < np.linalg.norm(unknown)


def test_it_comes_back_from_json_and_arrays(fitted, held):
    arrays: list[np.ndarray] = []
    written = json.loads(json.dumps(plain(fitted, "anchor", arrays)))
    again = read(AbstractFittedAnchor, written, "anchor", arrays)
    asked = parsed("control", fitted.conditions[3], *held)
    np.testing.assert_array_equal(again.moves(*asked).shift, fitted.moves(*asked).shift)
    np.testing.assert_array_equal(again.moves(*asked).stretch, fitted.moves(*asked).stretch)
    np.testing.assert_array_equal(again.deviations(*asked), fitted.deviations(*asked))


def test_arrays_are_refused_where_they_would_be_lost(fitted):
    with pytest.raises(ValueError, match="no form in JSON"):
        plain(fitted)


def test_a_screen_on_disk_gives_the_same_anchor(screen, tmp_path):
    path = tmp_path / "screen.h5ad"
    screen.to_anndata().write_h5ad(path)
    stored, kept = (ResponseAnchor(components=5).fit(s) for s in (Screen.open(path), screen))
    asked = parsed(stored.conditions[0], stored.conditions[-1])
    np.testing.assert_allclose(stored.moves(*asked).shift, kept.moves(*asked).shift, atol=1e-4)


def test_a_screen_of_controls_alone_is_refused(screen):
    with pytest.raises(ValueError, match="no perturb"):
        ResponseAnchor().fit(screen.controls)
