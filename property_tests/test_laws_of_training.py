"""What every alignment, term, criterion, optimiser and schedule does."""

import dataclasses

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from scbig import alignment, flow, nn, objective
from scbig._foreign import lenient_promotion
from scbig._value import Weighted

from .small_world import PARTITION, PATHWAYS, SAME, data, index, model, screen, setting
from .subclasses import LOSSES, QUICK, TABLE, compiled, of
from .test_laws_of_flow import finite


@compiled
def align(loss, predicted, groups, facts, key):
    return jax.value_and_grad(lambda x: loss(x, groups, facts, key=key))(predicted)


def cells_of(group):
    """Measured cells of a group, all of them."""
    return jnp.asarray(screen().dense()[screen().condition_index == group])


@pytest.mark.parametrize("loss", **of(alignment.AbstractAlignment))
def test_an_alignment_is_least_at_its_own_facts_with_finite_gradients(loss):
    facts = loss.prepare(screen(), index(), PARTITION, PATHWAYS)
    run = lambda x, group, seed=0: align(loss, x[None], jnp.array([group]), facts, jr.key(seed))
    for seed in range(3):
        own = cells_of(SAME)[:6]
        value, gradient = run(own, SAME, seed)
        assert abs(float(value)) < 1e-5  # all cells of the group are this one cell
        assert finite((value, gradient))
        assert float(run(own[:, ::-1] + jnp.arange(6.0)[:, None], SAME, seed)[0]) > 1e-3
    first, other = cells_of(0), cells_of(3)[:6]
    near, far = run(first, 0), run(other + jnp.arange(6.0)[:, None], 0)
    assert finite((near, far))
    assert float(near[0]) < float(far[0])
    order = jnp.array([5, 0, 3, 1, 4, 2])
    np.testing.assert_allclose(run(other[order], 0)[0], run(other, 0)[0], rtol=1e-3, atol=1e-5)
    value, gradient = run(other, 0)
    step = 1e-2 * gradient[0] / jnp.maximum(jnp.linalg.norm(gradient), 1e-12)
    assert float(run(other - step, 0)[0]) < float(value)
    assert finite(run(jnp.zeros((6, 12)), 0))


@compiled
def descend(term, model, data, step, key):
    arrays, rest = eqx.partition(model, eqx.is_inexact_array)
    loss = lambda arrays: term(eqx.combine(arrays, rest), data, step, key=key)
    return jax.value_and_grad(loss, has_aux=True)(arrays)


NETWORKS = ("encoder", "decoder", "condition_encoder", "velocity")


def lowered(gradient):
    """The model a little further down a gradient, in all of its networks, and how steep it is."""
    own = {name: getattr(gradient, name) for name in NETWORKS}
    norm = np.sqrt(sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(own)))
    lower = lambda x, g: x if g is None else x - np.float32(3e-3 / max(norm, 1e-12)) * g
    moved = [
        jax.tree.map(lower, getattr(model(), name), own[name], is_leaf=lambda x: x is None)
        for name in NETWORKS
    ]
    return eqx.tree_at(lambda m: [getattr(m, name) for name in NETWORKS], model(), moved), norm


@pytest.mark.parametrize("term", **of(objective.AbstractTerm))
def test_a_term_is_a_finite_loss_that_its_gradient_lowers(term):
    given = dataclasses.replace(data(), own=term.prepare(setting()))
    period = getattr(term, "period", 1)
    values = []
    for step in (0, period, 2 * period):
        out = descend(term, model(), given, jnp.int32(step), jr.key(step))
        (value, metrics), gradient = out
        assert finite(out)
        assert float(value) > -1e-4  # no loss of the library is negative
        changed, steepness = lowered(gradient)
        assert steepness > 0
        lower = descend(term, changed, given, jnp.int32(step), jr.key(step))[0][0]
        assert float(lower) < float(value)
        assert all(x.shape in ((), (3,)) for x in metrics.values())
        assert all((x.shape == (3,)) == name.endswith("_unsolved") for name, x in metrics.items())
        values.append(float(value))
        if period > 1:
            off = descend(term, model(), given, jnp.int32(step + 1), jr.key(step))
            assert float(off[0][0]) == 0
            assert off[0][1].keys() == metrics.keys()
            assert not any(jnp.any(x != 0) for x in jax.tree.leaves(off[1]))
    assert len(set(values)) == 3  # each step draws anew
    again = descend(term, model(), given, jnp.int32(0), jr.key(0))
    assert float(again[0][0]) == values[0]


class Explosion(nn.AbstractVelocity):
    """Leaves the numbers before the solve has taken its steps."""

    rate: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return self.rate * (10 + z) ** 3 + jnp.sum(c)


@pytest.mark.parametrize("adjoint", [dfx.RecursiveCheckpointAdjoint(), dfx.DirectAdjoint()])
def test_a_solve_that_fails_makes_no_loss_and_no_gradient(adjoint):
    solve = flow.adaptive(1e-3, 1e-3, max_steps=16, adjoint=adjoint)
    term = objective.Consistency(LOSSES, solve, groups=2, cells=5)
    given = dataclasses.replace(data(), own=term.prepare(setting()))
    exploding = eqx.tree_at(lambda m: m.velocity, model(), Explosion(jnp.float32(5)))
    (value, metrics), gradient = descend(term, exploding, given, jnp.int32(0), jr.key(0))
    assert float(metrics["consistency_unsolved_share"]) == 1
    assert float(jnp.sum(metrics["consistency_unsolved"])) == 2
    assert float(value) == 0
    assert not any(jnp.any(g != 0) for g in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_losses_of_one_kind_are_each_counted_and_named():
    pathway = lambda epsilon: alignment.PathwayAlignment(epsilon, iterations=20)
    two = (Weighted(pathway(0.1), 1.0), Weighted(pathway(5.0), 2.0))
    both = objective.Consistency(two, QUICK, groups=2, cells=5)
    assert both.names == ("pathway", "pathway_2")
    values = []
    for term in (
        both,
        *(objective.Consistency((part,), QUICK, groups=2, cells=5) for part in two),
    ):
        given = dataclasses.replace(data(), own=term.prepare(setting()))
        run = eqx.filter_jit(lambda m, d, k, term=term: term(m, d, jnp.int32(0), key=k)[0])
        values.append(float(run(model(), given, jr.key(0))))
    assert values[1] != values[2]
    assert values[0] == pytest.approx(values[1] + values[2], rel=1e-4)


REFERRING = [
    term for term in TABLE[objective.AbstractTerm] if isinstance(term, objective.HasReferences)
]


@pytest.mark.parametrize("term", REFERRING, ids=lambda t: type(t).__name__)
def test_what_a_loss_is_held_against_is_finite_and_not_negative(term):
    given = dataclasses.replace(data(), own=term.prepare(setting()))
    refer = eqx.filter_jit(lambda m, d, k: term.references(m, d, key=k))
    found = refer(model(), given, jr.key(0))
    assert found
    assert finite(found)
    assert all(float(value) >= -1e-6 for value in found.values())


@compiled
def judge(criterion, model, data):
    return criterion(model, data)


@pytest.mark.parametrize("criterion", **of(objective.AbstractCriterion))
def test_a_criterion_is_a_finite_score_of_the_model_alone(criterion):
    given = dataclasses.replace(data(), own=criterion.prepare(setting(), key=jr.key(0)))
    score, metrics = judge(criterion, model(), given)
    assert score.shape == ()
    assert finite((score, metrics))
    assert float(judge(criterion, model(), given)[0]) == float(score)
    moved = jax.tree.map(lambda x: 1.1 * x if eqx.is_inexact_array(x) else x, model().velocity)
    other = judge(criterion, eqx.tree_at(lambda m: m.velocity, model(), moved), given)
    assert float(other[0]) != float(score)


@compiled
def minimise(optimiser, x):
    made = optimiser.build()
    loss = lambda x: jnp.sum((x["a"] - 1) ** 2) + jnp.sum(x["b"] ** 2)

    def step(carry, _):
        x, state = carry
        with lenient_promotion():
            change, state = made.update(jax.grad(loss)(x), state, x)
            x = optax.apply_updates(x, change)
        return (x, state), loss(x)

    (x, state), values = jax.lax.scan(step, (x, made.init(x)), length=60)
    return x, state, values


@pytest.mark.parametrize("optimiser", **of(objective.AbstractOptimiser))
@pytest.mark.parametrize("seed", range(2))
def test_an_optimiser_lowers_a_quadratic_in_finite_steps(optimiser, seed):
    x = {"a": jr.normal(jr.key(seed), (3,)), "b": jr.normal(jr.key(seed + 9), (2, 2))}
    found, state, values = minimise(optimiser, x)
    assert finite((found, state, values))
    before = float(jnp.sum((x["a"] - 1) ** 2) + jnp.sum(x["b"] ** 2))
    assert float(values[-1]) < 0.9 * before  # at the rate that the table gives it
    still = minimise(optimiser, {"a": jnp.ones(3), "b": jnp.zeros((2, 2))})
    assert finite(still)
    np.testing.assert_allclose(still[2], 0, atol=1e-2)


@pytest.mark.parametrize("schedule", **of(objective.AbstractSchedule))
def test_a_schedule_never_exceeds_its_rate_and_is_not_always_zero(schedule):
    made = schedule.build(0.3)
    steps = jnp.arange(200)
    with lenient_promotion():
        rates = jnp.full(200, made) if isinstance(made, float) else jax.vmap(made)(steps)
    assert finite(rates)
    assert float(jnp.min(rates)) >= 0
    assert float(jnp.max(rates)) == pytest.approx(0.3)
