import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import scbig.ot

COUPLINGS = {
    "independent": lambda: scbig.ot.IndependentCoupling(),
    "sinkhorn": lambda: scbig.ot.SinkhornCoupling(epsilon=0.1, iterations=500, threshold=1e-2),
}
CELLS, LATENT = 32, 3


@pytest.fixture
def cells():
    return jr.normal(jr.key(0), (CELLS, LATENT)), 1 + jr.normal(jr.key(1), (CELLS, LATENT))


@pytest.mark.parametrize("make", COUPLINGS.values(), ids=COUPLINGS)
def test_every_coupling_gives_each_cell_one_target_and_depends_on_its_key(make, cells):
    coupling = make()
    pairing = coupling(*cells, key=jr.key(2))
    assert pairing.partner.shape == (CELLS,)
    assert jnp.all((pairing.partner >= 0) & (pairing.partner < CELLS))
    assert pairing.converged
    again, other = coupling(*cells, key=jr.key(2)), coupling(*cells, key=jr.key(3))
    np.testing.assert_array_equal(pairing.partner, again.partner)
    assert jnp.any(pairing.partner != other.partner)


@pytest.mark.parametrize("make", COUPLINGS.values(), ids=COUPLINGS)
def test_every_coupling_maps_over_groups(make, cells):
    source = jnp.stack([cells[0], cells[1], 2 * cells[0]])
    target = jnp.stack([cells[1], cells[0], cells[1]])
    keys = jr.split(jr.key(4), 3)
    coupling = make()
    batch = jax.vmap(lambda s, t, k: coupling(s, t, key=k))(source, target, keys)
    for i in range(3):
        alone = coupling(source[i], target[i], key=keys[i])
        np.testing.assert_array_equal(batch.partner[i], alone.partner)


@pytest.mark.parametrize(("sources", "targets"), [(32, 32), (32, 8), (8, 32)])
def test_independent_pairs_use_targets_equally_often(sources, targets):
    coupling = scbig.ot.IndependentCoupling()
    source, target = jnp.zeros((sources, LATENT)), jnp.zeros((targets, LATENT))
    keys = jr.split(jr.key(5), 400)
    partner = jax.vmap(lambda key: coupling(source, target, key=key).partner)(keys)
    for once in np.asarray(partner[:20]):
        assert np.bincount(once, minlength=targets).max() == -(-sources // targets)
    counts = np.bincount(np.asarray(partner[:, 0]), minlength=targets)
    expected = 400 / targets
    assert np.sum((counts - expected) ** 2 / expected) < targets + 6 * np.sqrt(2 * targets)


def test_sinkhorn_pairs_cells_with_their_own_kind():
    source = jnp.concatenate([jnp.zeros((16, LATENT)), jnp.full((16, LATENT), 5.0)])
    source += 0.1 * jr.normal(jr.key(6), source.shape)
    target = jr.permutation(jr.key(7), source + jnp.asarray([2.0, 0, 0])[None, :])
    pairing = COUPLINGS["sinkhorn"]()(source, target, key=jr.key(8))
    np.testing.assert_array_equal(source[:, 1] > 2.5, target[pairing.partner, 1] > 2.5)


def test_a_lower_epsilon_pairs_closer_cells(cells):
    def mean_cost(epsilon):
        coupling = scbig.ot.SinkhornCoupling(epsilon=epsilon, iterations=500, threshold=1e-2)
        partners = [coupling(*cells, key=key).partner for key in jr.split(jr.key(9), 5)]
        return np.mean([jnp.sum((cells[0] - cells[1][p]) ** 2) for p in partners])

    assert mean_cost(0.01) < 0.95 * mean_cost(0.3)
    assert mean_cost(0.3) < 0.95 * mean_cost(30.0)


def test_epsilon_is_relative_to_the_mean_cost(cells):
    coupling = COUPLINGS["sinkhorn"]()
    near = coupling(*cells, key=jr.key(10))
    scaled = coupling(64 * cells[0], 64 * cells[1], key=jr.key(10))
    np.testing.assert_array_equal(near.partner, scaled.partner)


def test_a_plan_that_missed_its_marginals_says_so(cells):
    coupling = scbig.ot.SinkhornCoupling(epsilon=1e-3, iterations=2, threshold=1e-2)
    pairing = coupling(*cells, key=jr.key(11))
    assert not pairing.converged
    assert pairing.error > 1e-2
    assert jnp.all((pairing.partner >= 0) & (pairing.partner < CELLS))


def test_partners_are_drawn_in_proportion_to_their_mass():
    plan = np.random.default_rng(0).gamma(0.5, size=(4, 7)).astype(np.float32)
    plan[:, [0, 3, 6]] = 0  # never drawn, at either end or inside
    draws = 4000
    sample = jax.vmap(lambda key: scbig.ot.sample_partners(jnp.asarray(plan), key=key))
    partner = np.asarray(sample(jr.split(jr.key(12), draws)))
    for row, mass in enumerate(plan):
        share = np.bincount(partner[:, row], minlength=7) / draws
        probability = mass / mass.sum()
        assert np.all(share[[0, 3, 6]] == 0)
        deviation = np.sqrt(probability * (1 - probability) / draws)
        assert np.all(np.abs(share - probability) <= 4.5 * deviation)


@pytest.mark.parametrize("extreme", [0.0, 1 - 2**-24, 1.0])
def test_extreme_draws_stay_on_columns_with_mass(extreme, monkeypatch):
    monkeypatch.setattr(jr, "uniform", lambda key, shape, dtype: jnp.full(shape, extreme, dtype))
    plan = jnp.asarray([[0.0, 0.1, 0.3, 0.7], [0.2, 0.1, 0.6, 0.1]])
    partner = scbig.ot.sample_partners(plan, key=jr.key(0))
    np.testing.assert_array_equal(partner, [1, 0] if extreme == 0 else [3, 3])


def test_rows_are_drawn_independently():
    draw = jax.vmap(lambda key: scbig.ot.sample_partners(jnp.full((2, 2), 0.25), key=key))
    partner = np.asarray(draw(jr.split(jr.key(13), 2000)))
    assert abs(np.corrcoef(partner.T)[0, 1]) < 0.1


def test_a_coupling_without_temperature_is_an_error():
    with pytest.raises(ValueError, match="epsilon must be a finite number and > 0"):
        scbig.ot.SinkhornCoupling(epsilon=0.0, iterations=10, threshold=1e-2)
