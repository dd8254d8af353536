"""Distributions of a cell: their probabilities, their gradients and what is drawn of them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from scbig import rivals
from scbig.rivals._cell_decoder import CellDecoder
from scbig.rivals._counts import expression_of
from scbig.rivals._likelihoods import negative_binomial
from scbig.rivals._mlp import Perceptron

from ..conftest import four_genes_screen
from .test_laws_of_rivals import PRIORS


def test_probabilities_of_counts_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    counts = np.array([0, 1, 2, 5, 40, 700, 0, 3], np.float32)
    mean, failures = rng.uniform(0.01, 60, 8), rng.uniform(0.05, 50, 8)
    got = negative_binomial(
        jnp.asarray(counts), jnp.log(jnp.asarray(mean)), jnp.log(jnp.asarray(failures))
    )
    np.testing.assert_allclose(
        got, stats.nbinom.logpmf(counts, failures, failures / (failures + mean)), rtol=2e-4
    )


def test_a_cell_is_as_probable_as_its_counts_at_its_size() -> None:
    counts = np.array([0.0, 1, 3, 0, 17, 2])
    size, rates, spread = 0.4, np.array([1.0, 2, 9, 0.1, 30, 5]), np.linspace(-1, 2, 6)
    cell = jnp.asarray(np.log1p(counts / size), jnp.float32)
    got = rivals.NegativeBinomial().log_prob(cell, jnp.log(jnp.asarray(rates)), jnp.asarray(spread))
    failures = np.exp(spread)
    each = stats.nbinom.logpmf(counts, failures, failures / (failures + rates * size))
    np.testing.assert_allclose(got, each.sum(), rtol=1e-5)


@pytest.mark.parametrize("outputs", [-40.0, 0.0, 80.0])
def test_the_gradient_is_finite_in_any_cell_and_at_any_outputs(outputs: float) -> None:
    likelihood = rivals.NegativeBinomial()
    full = expression_of(jnp.arange(5.0), jnp.asarray(2.0))
    grads = jax.jit(jax.grad(likelihood.log_prob, argnums=(1, 2)))
    for cell in (jnp.zeros(5), full):
        for grad in grads(cell, jnp.full(5, outputs), jnp.linspace(-20.0, 20.0, 5)):
            assert bool(jnp.all(jnp.isfinite(grad)))
    assert float(likelihood.log_prob(jnp.zeros(5), jnp.zeros(5), jnp.zeros(5))) == 0


def test_a_spread_without_end_is_that_of_poisson() -> None:
    counts = np.array([0.0, 1, 7, 30])
    cell = expression_of(jnp.asarray(counts), jnp.asarray(1.0))
    got = rivals.NegativeBinomial().log_prob(cell, jnp.full(4, np.log(5.0)), jnp.full(4, 20.0))
    np.testing.assert_allclose(got, stats.poisson.logpmf(counts, 5.0).sum(), rtol=0.03)


def test_counts_are_drawn_with_the_mean_and_variance_of_the_distribution() -> None:
    size, rate, spread = 0.5, 8.0, np.log(2.0)
    cell = expression_of(jnp.asarray([1.0, 0.0, 3.0]), jnp.asarray(size))
    draw = lambda key: rivals.NegativeBinomial().draw(
        cell, jnp.zeros(3), jnp.full(3, np.log(rate)), jnp.full(3, spread), key=key
    )
    counts = np.expm1(np.asarray(jax.jit(jax.vmap(draw))(jr.split(jr.key(0), 6000)))) * size
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)
    np.testing.assert_allclose(counts.mean(axis=0), 4.0, rtol=0.06)
    np.testing.assert_allclose(counts.var(axis=0), 4.0 + 16.0 / 2.0, rtol=0.12)


def test_a_cell_without_counts_becomes_one_without_counts() -> None:
    empty = jnp.zeros(3)
    got = rivals.NegativeBinomial().draw(empty, empty, empty + 2, empty, key=jr.key(0))
    np.testing.assert_array_equal(got, empty)


def test_the_start_is_the_rate_of_all_cells_and_its_dispersion() -> None:
    rng = np.random.default_rng(5)
    size, rate, failures = rng.uniform(0.5, 2.0, 4000), np.array([3.0, 20.0]), np.array([0.5, 4.0])
    mean = size[:, None] * rate
    counts = rng.negative_binomial(failures, failures / (failures + mean)).astype(np.float64)
    counts = np.concatenate([counts, np.ones((4000, 1))], axis=1)
    log = jnp.asarray(np.log1p(counts / size[:, None]), jnp.float32)
    outputs, spread = rivals.NegativeBinomial().start(log)
    np.testing.assert_allclose(np.exp(outputs[:2]), rate, rtol=0.06)
    np.testing.assert_allclose(np.exp(spread[:2]), failures, rtol=0.15)


def test_a_gaussian_cell_keeps_what_it_differs_by() -> None:
    likelihood = rivals.Gaussian()
    cells = jnp.asarray(np.random.default_rng(0).uniform(0, 2, (50, 3)), jnp.float32)
    own, spread = likelihood.start(cells)
    np.testing.assert_allclose(jax.nn.softplus(own), cells.mean(axis=0), rtol=1e-4)
    outputs = jnp.log(jnp.expm1(jnp.asarray([0.5, 1.0, 3.0])))
    moved = np.asarray(
        jax.vmap(lambda x: likelihood.draw(x, own, outputs, spread, key=jr.key(0)))(cells)
    )
    np.testing.assert_allclose(moved.mean(axis=0), [0.5, 1.0, 3.0], rtol=1e-4)
    assert moved.min() >= 0
    deviation = 0.02 + np.exp(np.asarray(spread))
    np.testing.assert_allclose(
        likelihood.log_prob(cells[0], own, spread),
        stats.norm.logpdf(cells[0], cells.mean(axis=0), deviation).sum(),
        rtol=1e-4,
    )


def test_a_decoder_starts_at_some_cells_of_a_large_screen(monkeypatch) -> None:
    known = rivals.Facts.of(four_genes_screen(), [], PRIORS)
    network = Perceptron.of(2, 4, 20, 1, key=jr.key(0))
    start = lambda: CellDecoder.of(network, rivals.Gaussian(), known).origin.value
    likelihood, values = rivals.Gaussian(), known.screen.dense()
    np.testing.assert_allclose(start(), likelihood.start(jnp.asarray(values))[0], rtol=1e-5)
    monkeypatch.setattr("scbig.rivals._cell_decoder.START", 3)
    few = jnp.asarray(values[[0, (len(values) - 1) // 2, len(values) - 1]])
    np.testing.assert_allclose(start(), likelihood.start(few)[0], rtol=1e-5)
