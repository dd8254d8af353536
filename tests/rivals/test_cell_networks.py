"""What is particular to samsVAE and CPA, which draw cells."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import integrate, sparse, special, stats

import scbig
from scbig import rivals
from scbig.data import Condition, Screen
from scbig.objective import Adam
from scbig.priors import EmbeddingTable
from scbig.rivals._cpa import Codes, reversed_gradient, surprise
from scbig.rivals._sams_vae import SparseShifts

GENES = tuple(f"g{n}" for n in range(12))
LOSS = eqx.filter_jit(lambda network, drawn, key: network.loss(drawn, key=key))
CARRY = eqx.filter_jit(
    lambda network, controls, condition, key: network.carry(controls, condition, key=key)
)
LABELS = ("control", "A", "B", "A+B")
QUICK = rivals.Training(optimiser=Adam(3e-3), steps=20, groups=4, validate_every=20)
SAMS = rivals.SamsVAE(latent=4, width=8, training=QUICK)
CPA = rivals.CPA(latent=4, width=8, accuser=8, training=QUICK)
PRIORS = scbig.Priors(genes=EmbeddingTable(GENES, np.ones((len(GENES), 2), np.float32)))
SPLIT = scbig.Split.of(name="s", train=["A", "A+B"], validation=["B"], test=["Z"])


def screen(labels: tuple[str, ...] = LABELS, contexts: tuple[str, ...] = ("",)) -> Screen:
    """Ten cells of each condition in each context, overdispersed counts of 100 at 50."""
    rng = np.random.default_rng(3)
    conditions = tuple(sorted((Condition.parse(x) for x in labels), key=lambda c: c.name))
    group = np.repeat(np.arange(len(conditions) * len(contexts)), 10)
    counts = rng.negative_binomial(1.0, 0.2, size=(len(group), len(GENES)))
    counts[:, 0] += 1
    log = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 50.0)
    return Screen(
        expression=sparse.csr_matrix(log.astype(np.float32)),
        genes=GENES,
        cells=tuple(map(str, range(len(group)))),
        conditions=conditions,
        condition_index=(group % len(conditions)).astype(np.int32),
        context_index=(group // len(conditions)).astype(np.int32),
        contexts=contexts,
    )


def facts(cells: Screen, *asked: str) -> rivals.Facts:
    return rivals.Facts.of(cells, [Condition.parse(label) for label in asked], PRIORS)


def batch(of: rivals.Facts, conditions: list[str], *, cells: int = 3) -> rivals.Batch:
    dense = jnp.asarray(of.screen.dense())
    parsed = [Condition.parse(label) for label in conditions]
    drawn = lambda start: dense[start : start + len(conditions) * cells].reshape(
        len(conditions), cells, -1
    )
    context = [of.contexts[0]] * len(conditions)
    place = jnp.arange(len(conditions))
    return rivals.Batch(drawn(0), drawn(20), of.encode(parsed, context), place)


@pytest.mark.parametrize("recipe", [SAMS, CPA], ids=["SamsVAE", "CPA"])
def test_what_is_no_counts_is_refused_and_a_gaussian_takes_it(recipe: Any) -> None:
    cells = screen()
    rng = np.random.default_rng(0)
    dense = cells.dense()
    blurred = sparse.csr_matrix(0.5 * dense + 0.5 * dense[rng.permutation(len(dense))])
    smooth = dataclasses.replace(cells, expression=blurred)
    with pytest.raises(ValueError, match=r"no whole multiples.*rivals.Gaussian"):
        recipe.fit(smooth, SPLIT, PRIORS, progress=False, key=jr.key(0))
    other = dataclasses.replace(recipe, likelihood=rivals.Gaussian())
    model = other.fit(smooth, SPLIT, PRIORS, progress=False, key=jr.key(0))
    found = np.asarray(model.predict(smooth.controls, ["B"], key=jr.key(1)).X)
    assert found.min() >= 0
    assert found.std(axis=0).min() > 0


@pytest.mark.parametrize("recipe", [SAMS, CPA], ids=["SamsVAE", "CPA"])
def test_a_perturbation_that_was_never_seen_changes_nothing(recipe: Any) -> None:
    model = recipe.fit(screen(), SPLIT, PRIORS, progress=False, key=jr.key(0))
    controls = jnp.asarray(screen().controls.dense())
    context = jnp.ones(1)
    counts = lambda *names: jnp.asarray([float(x in names) for x in model.perturbations])
    carry = lambda x: np.asarray(
        CARRY(model.network, controls, rivals.Encoded(x, context), jr.key(2))
    )
    assert model.perturbations == ("A", "B", "Z")
    np.testing.assert_array_equal(carry(counts("Z")), carry(counts()))
    np.testing.assert_array_equal(carry(counts("A", "Z")), carry(counts("A")))
    assert not np.array_equal(carry(counts("A")), carry(counts()))


def test_the_divergence_of_sparse_shifts_is_that_of_its_definition() -> None:
    mean, scale, logit, prior = 0.7, 0.4, -1.3, 0.02
    one = lambda x: jnp.full((1, 1), x)
    shifts = SparseShifts(one(mean), one(np.log(scale)), one(logit), prior, 1.0)
    normal: Any = stats.norm(mean, scale)
    standard: Any = stats.norm()
    apart = integrate.quad(lambda x: normal.pdf(x) * (normal.logpdf(x) - standard.logpdf(x)), -4, 6)
    chance = special.expit(logit)
    wanted = stats.entropy([chance, 1 - chance], [prior, 1 - prior]) + chance * apart[0]
    np.testing.assert_allclose(shifts.divergence(), wanted, rtol=1e-4)


def test_shifts_are_drawn_as_often_as_their_mask_says_and_have_a_gradient() -> None:
    full = lambda x: jnp.full((200, 100), x)
    shifts = SparseShifts(full(2.0), full(-20.0), full(np.log(0.25 / 0.75)), 0.01, 1.0)
    drawn = np.asarray(shifts.draw(key=jr.key(0)))
    assert (np.isclose(drawn, 2.0) | (drawn == 0)).all()
    assert drawn.mean() == pytest.approx(0.5, rel=0.05)
    np.testing.assert_allclose(shifts.expected(), 0.5, rtol=1e-5)
    of_logits = lambda logits: jnp.sum(
        dataclasses.replace(shifts, logits=logits).draw(key=jr.key(0))
    )
    noise: Any = stats.logistic()
    relaxed = lambda x: special.expit(x - np.log(3)) * special.expit(np.log(3) - x) * noise.pdf(x)
    slope = float(jnp.mean(jax.grad(of_logits)(shifts.logits))) / 2.0
    assert slope == pytest.approx(integrate.quad(relaxed, -30, 30)[0], rel=0.03)


def test_the_bound_of_sams_vae_is_that_of_its_parts() -> None:
    of = facts(screen(), "Z")
    network = SAMS.build(of, key=jr.key(0))
    drawn = batch(of, ["A", "A+B"])
    loss, metrics = LOSS(network, drawn, jr.key(1))
    shift_key, key = jr.split(jr.key(1))
    table = network.shifts.draw(key=shift_key)
    keys = jr.split(key, (2, 2, 3))

    @jax.jit
    def bound(cell, shift, key):
        _, second, _ = jr.split(key, 3)
        code = network.encoder(jnp.concatenate([cell, shift]))
        mean, log_scale = code[:4], code[4:]
        z = mean + jnp.exp(log_scale) * jr.normal(second, (4,))
        basal = 0.5 * (mean**2 + jnp.exp(2 * log_scale) - 1) - log_scale
        return network.decoder.log_prob(cell, z + shift, key=None) - jnp.sum(basal)

    total = 0.0
    for g in range(2):
        for side, cells in enumerate((drawn.controls, drawn.perturbed)):
            shift = side * drawn.condition.counts[g] @ table
            for n in range(3):
                total += float(bound(cells[g, n], shift, keys[g, side, n]))
    wanted = -(total / 12 - float(network.shifts.divergence()) / 40) / len(GENES)
    np.testing.assert_allclose(loss, wanted, rtol=1e-4)
    assert float(metrics["shared"]) == pytest.approx(float(network.shifts.divergence()) / 40)


def test_a_reversed_gradient_is_the_same_forward_and_reversed_backward() -> None:
    x = jnp.asarray([1.7, -3.2])
    np.testing.assert_array_equal(reversed_gradient(x, 10.0), x)
    np.testing.assert_allclose(
        jax.grad(lambda x: jnp.sum(reversed_gradient(x, 10.0) ** 2))(x), -20.0 * x, rtol=1e-6
    )


def test_the_encoder_of_cpa_ascends_what_the_accusers_descend() -> None:
    of = facts(screen())
    own = dataclasses.replace(CPA, strength=1e6)
    network = own.build(of, key=jr.key(0))
    drawn = batch(of, ["A", "A+B"])
    grads: Any = eqx.filter_jit(eqx.filter_grad(lambda net: LOSS(net, drawn, jr.key(1))[0]))(
        network
    )
    step = lambda part, rate: jax.tree.map(
        lambda p, g: p - rate * g, getattr(network, part), getattr(grads, part)
    )
    which = lambda net: float(LOSS(net, drawn, jr.key(1))[1]["which"])
    before = which(network)
    assert which(dataclasses.replace(network, accusers=step("accusers", 1e-2))) < before
    assert which(dataclasses.replace(network, encoder=step("encoder", 1e-7))) > before


def test_accusers_are_surprised_as_by_the_cross_entropy() -> None:
    logits = jnp.asarray([0.3, -1.0, 2.0])
    chances = special.softmax(np.asarray(logits))
    np.testing.assert_allclose(
        surprise(logits, jnp.asarray([0.0, 0, 1])), -np.log(chances[2]), rtol=1e-5
    )
    both = surprise(logits, jnp.asarray([1.0, 1, 0]))
    np.testing.assert_allclose(both, -np.log(chances[:2]).mean(), rtol=1e-5)
    assert float(surprise(logits, jnp.zeros(3))) == 0


def test_doses_of_one_perturbation_share_its_code() -> None:
    of = facts(screen(("control", "A@1", "A@100", "B")), "A@10")
    codes = dataclasses.replace(
        Codes.of(of, 3),
        table=jnp.asarray([[1.0, 2, 3], [4, 5, 6]]),
        half=jnp.asarray([0.5, 9.0]),
        steep=jnp.asarray([0.2, 9.0]),
    )
    assert of.perturbations == ("A@1", "A@10", "A@100", "B")
    code = lambda n: np.asarray(codes(jnp.eye(4)[n]))
    for n, dose in enumerate([1.0, 10.0, 100.0]):  # the usual one is 10
        share = special.expit(np.exp(0.2) * (np.log(dose / 10) - 0.5))
        np.testing.assert_allclose(code(n), share * np.array([1.0, 2, 3]), rtol=1e-5)
    np.testing.assert_allclose(code(3), [4, 5, 6])
    np.testing.assert_array_equal(codes.names(jnp.eye(4)[2]), [1, 0])


def test_cpa_makes_a_context_from_its_code_and_none_from_a_new_one() -> None:
    of = facts(screen(contexts=("x", "y")))
    network = CPA.build(of, key=jr.key(0))
    network = dataclasses.replace(network, contexts=jnp.asarray([[5.0] * 4, [-5.0] * 4]))
    controls = jnp.asarray(of.screen.dense()[:3])
    none = Condition.parse("A")
    made = [
        np.asarray(
            CARRY(
                network,
                controls,
                jax.tree.map(lambda x: x[0], of.encode([none], [name])),
                jr.key(1),
            )
        )
        for name in ("x", "y", "new")
    ]
    assert not np.allclose(made[0], made[1])
    assert not np.allclose(made[0], made[2])
    assert all(np.isfinite(one).all() for one in made)
