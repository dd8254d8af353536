"""Changes that differ between states of cells, and changes of their proportions."""

import anndata as ad
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig.anchor import ResponseAnchor
from scbig.anchor._controls import evenly
from scbig.anchor._local import Matching
from scbig.baselines import MovedControls
from scbig.data import Condition, Screen
from scbig.metrics import energy_distance

GENES, CELLS = 30, 240
TYPES = np.random.default_rng(0).gamma(2.0, 1.0, size=(2, GENES)) + 1.0
NAMES = tuple("ABCDEF")


def cells_of(kind: np.ndarray, change: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cells of two types, each moved by its own change."""
    noise = rng.normal(0, 0.2, (len(kind), GENES))
    return np.maximum(TYPES[kind] + change[kind] + noise, 0).astype(np.float32)


def mixed(*, differ: bool, rarer: bool) -> tuple[Screen, np.ndarray]:
    """A screen of two types, with the type of each cell."""
    rng = np.random.default_rng(1)
    values, labels, kinds = [], [], []
    for name in ("control", *NAMES):
        share = 0.5 if name == "control" or not rarer else rng.uniform(0.15, 0.85)
        kind = (rng.random(2 * CELLS if name == "control" else CELLS) < share).astype(int)
        change = rng.normal(0, 0.4, (2, GENES)) * (name != "control")
        change = change if differ else change[[0, 0]]
        values.append(cells_of(kind, change, rng))
        labels += [name] * len(kind)
        kinds.append(kind)
    obs = pd.DataFrame({"condition": labels}, index=pd.Index(map(str, range(len(labels)))))
    var = pd.DataFrame(index=pd.Index([f"g{n}" for n in range(GENES)]))
    screen = Screen.from_anndata(ad.AnnData(np.concatenate(values), obs=obs, var=var))
    return screen, np.concatenate(kinds)


def moved(screen: Screen, states: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Predicted cells of a condition, and the rows of the controls that they are of."""
    anchor = ResponseAnchor(components=20, related=False, states=states)
    found = MovedControls.fit(screen, anchor).predict(screen, [name], key=jr.key(0))
    return np.asarray(found.X), np.array([screen.cells.index(c) for c in found.obs["source"]])


@pytest.fixture(scope="module", params=[(True, False), (True, True), (False, True)])
def both(request):
    differ, rarer = request.param
    return *mixed(differ=differ, rarer=rarer), rarer


def test_each_type_moves_as_its_own_cells_do(both):
    screen, kinds, _ = both
    scores = {}
    for states in (0, 20):
        apart = []
        for name in NAMES[:3]:
            cells, sources = moved(screen, states, name)
            own = screen.rows(name)
            for kind in (0, 1):
                pair = cells[kinds[sources] == kind], screen.dense(own[kinds[own] == kind])
                apart.append(energy_distance(*pair, unbiased=True))
        scores[states] = np.mean(apart)
    assert scores[20] < 0.25 * scores[0]


def test_types_are_as_frequent_as_in_the_condition(both):
    screen, kinds, rarer = both
    for name in NAMES[:3]:
        _, sources = moved(screen, 20, name)
        expected = kinds[screen.rows(name)].mean()
        assert kinds[sources].mean() == pytest.approx(expected, abs=0.08)
        if not rarer:
            assert len(set(sources)) > 0.9 * len(sources)


def test_the_population_moves_by_the_measured_mean(both):
    screen, _, _ = both
    fitted = ResponseAnchor(components=10, related=False).fit(screen)
    controls = screen.dense(screen.rows("control"))
    for name in NAMES:
        moves = fitted.moves([Condition((name,))], [""])[0]
        given = jnp.asarray(controls), jnp.asarray(controls.mean(axis=0))
        assert moves.states is not None
        kept = np.asarray(moves.states.kept((given[0] - given[1][None]) @ moves.axes.T))
        cells = np.asarray(moves.whole(*given))
        found = (kept / kept.sum()) @ cells - controls.mean(axis=0)
        expected = fitted.means[fitted.conditions.index(name)]
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_one_kind_of_cells_has_no_states():
    """What matching makes of nothing is taken off, and the rest is shrunk away."""
    rng = np.random.default_rng(2)
    labels = ["control"] * 400 + [name for name in NAMES for _ in range(100)]
    effects = {name: rng.normal(0, 0.3, GENES) * (name != "control") for name in {*labels}}
    values = np.stack([TYPES[0] + effects[own] for own in labels])
    values = np.maximum(values + rng.normal(0, 0.3, values.shape), 0).astype(np.float32)
    obs = pd.DataFrame({"condition": labels}, index=pd.Index(map(str, range(len(labels)))))
    screen = Screen.from_anndata(ad.AnnData(values, obs=obs))
    fitted = ResponseAnchor(components=10, related=False).fit(screen)
    scatter = np.sqrt((screen.dense(screen.rows("control")).var(axis=0)).sum())
    assert np.linalg.norm(fitted.local.local, axis=-1).max() < 0.1 * scatter
    assert np.abs(fitted.local.weights).max() < 0.1


def test_a_context_with_few_controls_has_none():
    screen, _ = mixed(differ=True, rarer=False)
    few = np.concatenate([screen.rows("control")[:15], *map(screen.rows, NAMES)])
    fitted = ResponseAnchor(components=10, related=False).fit(screen.take(np.sort(few)))
    assert not fitted.local.local.any()
    assert not fitted.local.weights.any()
    moves = fitted.moves([Condition((NAMES[0],))], [""])[0]
    cells = jnp.asarray(screen.dense(screen.rows("control")[:15]))
    np.testing.assert_array_equal(moves.drawn(cells, cells.mean(axis=0)), np.arange(15))


def test_a_group_with_few_cells_does_what_is_common():
    screen, _ = mixed(differ=True, rarer=True)
    rows = np.concatenate([screen.rows(n)[: 6 if n == "A" else None] for n in ("control", *NAMES)])
    fitted = ResponseAnchor(components=10, related=False).fit(screen.take(np.sort(rows)))
    few, other = (fitted.conditions.index(name) for name in "AB")
    np.testing.assert_array_equal(fitted.local.local[few], fitted.local.common[0])
    np.testing.assert_array_equal(fitted.local.weights[few], fitted.local.rarer[0])
    assert np.abs(fitted.local.local[other] - fitted.local.common[0]).max() > 0.05


def test_the_device_shares_cells_out_as_the_host_does():
    screen, _ = mixed(differ=True, rarer=False)
    fitted = ResponseAnchor(components=10, related=False).fit(screen)
    controls = screen.dense(screen.rows("control"))
    scores = ((controls - controls.mean(axis=0)) @ fitted.axes.T).astype(np.float64)
    states = fitted.moves([Condition(("A",))], [""])[0].states
    assert states is not None
    apart = ((scores[:, None] - fitted.local.places[0][None]) ** 2).sum(axis=-1)
    expected = np.exp(-(apart - apart.min(axis=1, keepdims=True)) / fitted.local.width[0])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(states.shares(jnp.asarray(scores, jnp.float32)), expected, atol=1e-3)


def test_matching_finds_proportions_and_changes_of_known_states():
    rng = np.random.default_rng(3)
    places = np.array([[0.0, 0.0], [10.0, 0.0]])
    kinds = [np.repeat([0, 1], own) for own in ((100, 100), (160, 40))]
    changes = np.array([[0.0, 2.0], [0.0, -1.0]])
    controls, cells = (places[own] + rng.normal(0, 0.3, (200, 2)) for own in kinds)
    cells = cells + changes[kinds[1]]
    matching = Matching.of(controls, 2)
    local, weights = matching.match(cells)
    order = np.argsort(matching.places[:, 0])
    # Beside the mean of the changes, in the cells' proportions.
    np.testing.assert_allclose(local[order], changes - [0, 0.8 * 2 - 0.2], atol=0.15)
    np.testing.assert_allclose(np.exp(weights[order]) / 2, [0.8, 0.2], atol=0.03)


def test_rows_are_spread_evenly():
    np.testing.assert_array_equal(evenly(np.arange(3), 5), [0, 1, 2])
    np.testing.assert_array_equal(evenly(np.arange(10), 5), [0, 2, 4, 6, 8])
