"""The set transformer: its loss against scipy, its order, its sets, and unseen perturbations."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import sparse
from scipy.spatial.distance import cdist

import scbig
from scbig import rivals
from scbig.data import Condition
from scbig.priors import EmbeddingTable
from scbig.rivals import Encoded, Facts
from scbig.rivals._state import StateNetwork, energy, perturbation_vectors

from ..conftest import four_genes_screen as screen
from .test_laws_of_rivals import GENES, PRIORS, QUICK, SPLIT

RECIPE = rivals.State(
    width=8, heads=2, layers=2, dropout=0.2, training=dataclasses.replace(QUICK, cells=6)
)


def facts(*asked: str, priors: scbig.Priors = PRIORS) -> Facts:
    return Facts.of(screen(), [Condition.parse(name) for name in asked], priors)


def network(recipe: rivals.State = RECIPE, known: Facts | None = None) -> StateNetwork:
    """Untrained, but for a last layer that is not zero."""
    known = facts("g9") if known is None else known
    made = recipe.build(known, key=jr.key(0))
    noise = jr.normal(jr.key(1), made.out.layers[-1].weight.shape)
    return eqx.tree_at(lambda own: own.out.layers[-1].weight, made, noise)


def condition(name: str, known: Facts | None = None) -> Encoded:
    known = facts("g9") if known is None else known
    own = known.encode([Condition.parse(name)], [known.contexts[0]])
    return Encoded(own.counts[0], own.context[0])


CONTROLS = jnp.asarray(screen().dense()[:6])


def test_the_loss_is_the_energy_distance_of_scipy_with_finite_gradients():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(9, 20)), rng.normal(0.3, 1.5, size=(7, 20))
    x[3] = x[1]  # drawn twice
    expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    given = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
    found, slope = jax.jit(jax.value_and_grad(energy))(*given)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    # Equal cells pull equally, whatever rounding leaves between them.
    np.testing.assert_allclose(slope[3], slope[1], atol=1e-6)
    # In double precision, gene by gene.
    step = 1e-5 * np.eye(20)
    distance = lambda z: 2 * cdist(z, y).mean() - cdist(z, z).mean()
    moved = lambda h: distance(np.vstack([x[:5], x[5:6] + h, x[6:]]))
    wanted = [(moved(h[None]) - moved(-h[None])) / 2e-5 for h in step]
    np.testing.assert_allclose(slope[5], wanted, atol=1e-5)
    assert jnp.isfinite(jax.jit(jax.grad(energy))(given[1], given[1])).all()


def test_cells_in_another_order_become_the_same_in_that_order():
    model, order = network(), np.array([4, 0, 5, 2, 1, 3])
    moved = eqx.filter_jit(model.moved)
    made = moved(CONTROLS, condition("g0+g1"))
    again = moved(CONTROLS[order], condition("g0+g1"))
    np.testing.assert_allclose(again, made[order], rtol=1e-4, atol=1e-5)


def test_a_cell_reads_the_others_of_its_set_and_no_other_set():
    model, given = network(), jnp.concatenate([CONTROLS, CONTROLS[::-1] + 0.5])
    carry = eqx.filter_jit(lambda cells: model.carry(cells, condition("g0"), key=jr.key(0)))
    run = lambda cells: np.asarray(carry(cells))
    made = run(given)
    apart = np.abs(run(given.at[1].add(1.0)) - made).sum(axis=1)
    assert (apart[:6] > 0).all()
    np.testing.assert_array_equal(apart[6:], 0)
    # A set that is not full is filled with cells from the start.
    np.testing.assert_allclose(run(given[:8])[:6], made[:6], rtol=1e-5, atol=1e-6)
    filled = run(jnp.concatenate([given[6:8], given[:4]]))
    np.testing.assert_allclose(run(given[:8])[6:], filled[:2], rtol=1e-4, atol=1e-5)


def test_an_untrained_network_gives_the_controls_back():
    made = RECIPE.build(facts(), key=jr.key(0)).moved(CONTROLS, condition("g0", facts()))
    np.testing.assert_array_equal(made, CONTROLS)


def test_an_unseen_perturbation_is_read_by_its_vector_alone():
    known = facts("g9")
    vectors = perturbation_vectors(known)
    wanted = PRIORS.tokens.select(known.perturbations).vectors
    np.testing.assert_allclose(vectors[:, :-1], wanted)
    np.testing.assert_array_equal(vectors[:, -1], 0)
    read = jax.vmap(network(known=known).known)(jnp.eye(len(known.perturbations)))
    np.testing.assert_allclose(read, np.hstack([vectors, np.diag(known.seen)]), rtol=1e-6)
    assert not known.seen[known.perturbations.index("g9")]
    like = np.array(vectors[known.perturbations.index("g9"), :-1])
    # The same vector under another name, unseen too, is the same prediction.
    table = EmbeddingTable(
        (*GENES, "twin"), np.vstack([PRIORS.tokens.vectors, like]).astype(np.float32)
    )
    both = facts("g9", "twin", priors=scbig.Priors(perturbations=table))
    model = network(known=both)
    made = [model.moved(CONTROLS, condition(name, both)) for name in ("g9", "twin")]
    np.testing.assert_allclose(made[0], made[1], atol=1e-6)
    assert not np.allclose(made[0], model.moved(CONTROLS, condition("g0", both)))


def test_a_dose_is_told_beside_the_vector():
    known = facts("g9@10+g8")
    found = dict(zip(known.perturbations, perturbation_vectors(known)[:, -1], strict=True))
    assert found["g9@10"] == pytest.approx(np.log(11))
    assert found["g8"] == 0


def test_a_perturbation_without_a_vector_is_named_unless_vectors_are_not_read():
    with pytest.raises(ValueError, match=r"1 perturbations have no vector: .*drug.*vectors=False"):
        RECIPE.build(facts("drug"), key=jr.key(0))
    lenient = dataclasses.replace(PRIORS, missing="mean")
    filled = perturbation_vectors(facts("drug", priors=lenient))
    np.testing.assert_allclose(filled[facts("drug").perturbations.index("drug")], 0, atol=1e-6)
    wanted = lenient.filled(["drug"]).tokens.select(facts().perturbations).vectors
    np.testing.assert_allclose(filled[1:, :-1], wanted)
    names = dataclasses.replace(RECIPE, vectors=False)
    made = names.build(facts("drug"), key=jr.key(0))
    assert made.vectors is None
    np.testing.assert_array_equal(made.known(jnp.ones(5)), facts("drug").seen)


def test_what_makes_no_network_is_refused():
    with pytest.raises(ValueError, match="width must be a multiple of heads"):
        rivals.State(width=10, heads=4)
    with pytest.raises(ValueError, match="take vectors or own"):
        rivals.State(vectors=False, own=False)
    with pytest.raises(ValueError, match="training.cells >= 2"):
        rivals.State(training=rivals.Training())


def test_an_unseen_gene_that_is_like_a_seen_one_is_predicted_to_act_like_it():
    vectors = np.array(PRIORS.tokens.vectors)
    vectors[9] = vectors[3]
    priors = scbig.Priors(perturbations=EmbeddingTable(GENES, vectors))
    split = scbig.Split.of(name="new", train=SPLIT.train, test=["g9"])
    training = dataclasses.replace(QUICK, groups=4, cells=16)
    recipe = rivals.State(width=16, heads=2, dropout=0.0, own=False, training=training)
    model = recipe.fit(screen(), split, priors, progress=False, key=jr.key(0))
    found = model.predict(screen().controls, ["g9", "g3"], key=jr.key(1))
    mean = lambda name: np.asarray(found[found.obs["condition"] == name].X).mean(axis=0)
    change = mean("g9") - screen().mean(screen().rows("control"))
    np.testing.assert_allclose(mean("g9"), mean("g3"), atol=0.1)
    assert np.abs(change).max() > 0.3


def test_a_gene_that_no_control_expresses_is_learned_all_the_same():
    values = screen().dense()
    values[screen().is_control, 10:13] = 0.0
    cells = dataclasses.replace(screen(), expression=sparse.csr_matrix(values))
    training = dataclasses.replace(QUICK, groups=4, cells=16)
    recipe = rivals.State(width=16, heads=2, dropout=0.0, training=training)
    model = recipe.fit(cells, SPLIT, PRIORS, progress=False, key=jr.key(0))
    made = np.asarray(model.predict(cells.controls, ["g2"], key=jr.key(1)).X).mean(axis=0)
    assert (made[10:13] > 0.5 * cells.mean(cells.rows("g2"))[10:13]).all()
