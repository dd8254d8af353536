"""The anchor of measured responses, on simulated cells."""

import json
from typing import Any

import anndata as ad
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scbig._value import plain, read
from scbig.anchor import AbstractFittedAnchor, ResponseAnchor
from scbig.data import Condition, Screen
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.priors import EmbeddingTable, PathwayLibrary
from scbig.response import MixedEffects, PathwayRelation
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


def mean_changes(moves, screen, *, whole: bool = False) -> np.ndarray:
    """How the mean of what each group starts from moves."""
    controls = jnp.asarray(screen.dense(screen.rows("control")))
    centre, found = jnp.mean(controls, axis=0), []
    for group in range(len(moves.open)):
        own = moves[group]
        kept = np.asarray(own.states.kept((controls - centre[None]) @ own.axes.T))
        cells = own.whole(controls, centre) if whole else own(controls, centre)
        found.append((kept / kept.sum()) @ np.asarray(cells) - np.asarray(centre))
    return np.stack(found)


def test_an_unseen_condition_moves_as_the_effects_expect(fitted, screen, held):
    conditions, contexts = parsed(*held)
    moves = fitted.moves(conditions, contexts)
    found = mean_changes(moves, screen)
    np.testing.assert_allclose(found, fitted.effects.means(conditions), atol=1e-4)
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
    found = mean_changes(moves, screen)
    np.testing.assert_allclose(found, np.stack([expected[n] for n in own]), atol=1e-4)
    assert not np.asarray(moves.open).any()
    ends = mean_changes(moves, screen, whole=True)
    for shift, (name, measured) in zip(ends, own.items(), strict=True):
        free = [g for g, gene in enumerate(screen.genes) if gene not in name.split("+")]
        found = np.linalg.norm((shift - measured)[free])
        assert found <= np.linalg.norm((expected[name] - measured)[free]) + 1e-4
        mine = [g for g in range(screen.num_genes) if g not in free]
        np.testing.assert_allclose(shift[mine], measured[mine], atol=1e-4)
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


def test_left_out_of_a_screen_of_singles_is_what_is_expected_of_unseen_ones():
    """Each gene falls by what it has, and genes of a kind do alike."""
    rng = np.random.default_rng(0)
    genes = [f"{kind}{number}" for kind in "PQR" for number in range(12)]
    own = {kind: rng.normal(size=len(genes)) for kind in "PQR"}
    origin = rng.uniform(0.5, 3, len(genes))
    rows = np.stack([own[gene[0]] + 0.2 * rng.normal(size=len(genes)) for gene in genes])
    np.fill_diagonal(rows, -origin)
    relation = PathwayRelation(
        PathwayLibrary({kind: tuple(g for g in genes if g[0] == kind) for kind in "PQR"})
    )
    conditions = [Condition((gene,)) for gene in genes]
    given = {"origin": origin, "genes": genes, "relation": relation}
    fitted = MixedEffects().fit(conditions, rows, **given)
    assert fitted.new is not None
    found = fitted.left_out()
    for left in (0, 17, 35):
        rest = [i for i in range(36) if i != left]
        again = MixedEffects().fit([conditions[i] for i in rest], rows[rest], **given)
        expected = again.means([conditions[left]])[0]
        assert found[left, left] == pytest.approx(-origin[left], abs=0.05)
        assert np.corrcoef(found[left], expected)[0, 1] > 0.99


def test_a_gene_of_one_combination_alone_falls_there_as_unseen_ones_do():
    singles = [f"G{i}" for i in range(8)]
    genes = [*singles, "X"]
    origin = np.linspace(1, 3, 9)
    rng = np.random.default_rng(1)
    rows = 0.1 * rng.normal(size=(9, 9))
    for place in range(8):
        rows[place, place] = -origin[place]
    names = [*[(gene,) for gene in singles], ("G0", "X")]
    fitted = MixedEffects().fit(
        [Condition(name) for name in names], rows, origin=origin, genes=genes
    )
    assert fitted.left_out()[8, 8] == pytest.approx(-3, abs=0.2)


def test_a_context_that_training_did_not_tell_apart_is_its_own(fitted, held):
    asked = [Condition.parse(name) for name in (fitted.conditions[0], *held)]
    here, there = (fitted.moves(asked, [name] * 3) for name in ("", "batch 1"))
    for one, other in zip(jax.tree.leaves(here), jax.tree.leaves(there), strict=True):
        np.testing.assert_array_equal(one, other)


def test_moved_controls_have_the_covariance_of_the_condition(screen):
    """With many cells and nothing to shrink to, the scores of moved controls vary as measured."""
    anchor = ResponseAnchor(components=4, shrinkage=0.0, states=0).fit(screen)
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


def test_a_perturbed_gene_is_as_sure_as_its_own_cells(fitted, screen, held):
    training = screen.without(held)
    name = next(c for c in fitted.conditions if c in screen.genes)
    column = screen.genes.index(name)
    spread = [
        training.dense(training.rows(c))[:, column].astype(float) for c in training.conditions
    ]
    within = sum(((x - x.mean()) ** 2).sum() for x in spread) / (
        training.num_cells - len(training.conditions)
    )
    found = fitted.deviations(*parsed(name))[0, column]
    # What lies beside the axes is shared out, so that it is not exactly this gene's.
    assert found == pytest.approx((within / len(training.rows(name))) ** 0.5, rel=0.5)


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
    np.testing.assert_allclose(stored.moves(*asked).shift, kept.moves(*asked).shift, atol=1e-3)


def test_a_screen_of_controls_alone_is_refused(screen):
    with pytest.raises(ValueError, match="no perturb"):
        ResponseAnchor().fit(screen.controls)


def drugs(number: int = 24) -> tuple[Screen, EmbeddingTable, dict[str, np.ndarray]]:
    """Cells under drugs of four kinds: one kind has nearly one vector, and nearly one effect."""
    rng = np.random.default_rng(0)
    kinds = np.arange(number) % 4
    vectors = rng.normal(size=(4, 6))[kinds] + 0.1 * rng.normal(size=(number, 6))
    changes = rng.uniform(0, 2, (4, 30))[kinds] + rng.uniform(0, 0.2, (number, 30))
    names = [f"drug{place}" for place in range(number)]
    labels = np.repeat(["control", *names], [150] + [30] * number)
    effects = {"control": np.zeros(30), **dict(zip(names, changes, strict=True))}
    values = np.abs(3 + rng.normal(0, 0.3, (len(labels), 30)))
    values += np.stack([effects[label] for label in labels])
    adata: Any = ad.AnnData(values.astype(np.float32))
    adata.obs_names = [f"cell{row}" for row in range(len(labels))]
    adata.obs["condition"] = labels
    table = EmbeddingTable(tuple(names), vectors.astype(np.float32)).standardised()
    return Screen.from_anndata(adata), table, effects


def test_what_no_pathway_has_is_related_by_its_vectors():
    screen, table, effects = drugs()
    training = screen.without(["drug3", "drug7"])
    pathways = PathwayLibrary({"genes": ("0", "1", "2")})
    asked = parsed("drug3", "drug7")
    truth = np.stack([effects["drug3"], effects["drug7"]])
    error = {}
    for name, vectors in {"common": None, "vectors": table}.items():
        fitted = ResponseAnchor(shape=False).fit(training, pathways=pathways, vectors=vectors)
        error[name] = np.linalg.norm(fitted.effects.means(asked[0], None) - truth)
        # A saved model has it too.
        arrays: list[np.ndarray] = []
        said = json.loads(json.dumps(plain(fitted, "anchor", arrays)))
        again = read(AbstractFittedAnchor, said, "anchor", arrays)
        np.testing.assert_array_equal(again.moves(*asked).shift, fitted.moves(*asked).shift)
    assert error["vectors"] < 0.75 * error["common"]
    # Of a screen of genes that pathways know, vectors have no say.
    known = PathwayLibrary({"drugs": ("drug3", "drug7", "drug1")})
    usual = ResponseAnchor(shape=False).fit(training, pathways=known)
    given = ResponseAnchor(shape=False).fit(training, pathways=known, vectors=table)
    np.testing.assert_array_equal(
        usual.effects.means(asked[0], None), given.effects.means(asked[0], None)
    )
    other = ResponseAnchor(shape=False, related=False).fit(training, vectors=table)
    np.testing.assert_allclose(
        other.effects.means(asked[0], None)[0], other.effects.means(asked[0], None)[1]
    )
