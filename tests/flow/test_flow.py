"""Path, loss and solve against closed forms."""

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from scbig import flow, nn


class Rotation(nn.AbstractVelocity):
    """A rotation by `rate` radians: the exact flow is known."""

    rate: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return self.rate * jnp.array([-z[1], z[0]]) * (1 + c[0])


class KnowsTheStart(nn.AbstractVelocity):
    """On the straight path from `start`, the velocity is `(z - start) / t`."""

    start: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return (z - self.start) / t


class Stiff(nn.AbstractVelocity):
    """A field with structure in time, which small steps must resolve."""

    def __call__(self, t, z, c, *, key=None):
        return jnp.sin(40 * t) * z + c


@pytest.mark.parametrize("t", [0.1, 0.5, 1.0])
def test_the_true_velocity_has_no_loss(t):
    start, end = jr.normal(jr.key(0), (2, 3))
    loss = flow.cell_loss(
        KnowsTheStart(start), flow.LinearPath(), jnp.array(t), start, end, jnp.zeros(1),
        key=jr.key(1),
    )  # fmt: skip
    np.testing.assert_allclose(loss, 0.0, atol=1e-9)


def test_the_path_begins_at_the_control_and_ends_at_the_perturbed_cell():
    start, end = jr.normal(jr.key(0), (2, 3))
    path = flow.LinearPath()
    at = lambda t: path(jnp.array(t), start, end, key=jr.key(1))[0]
    np.testing.assert_allclose(at(0.0), start, rtol=1e-6)
    np.testing.assert_allclose(at(1.0), end, rtol=1e-6)


def test_the_noise_of_the_path_has_its_standard_deviation():
    path, zero = flow.LinearPath(0.5), jnp.zeros(2)
    draw = lambda k: path(jnp.array(0.3), zero, zero, key=k)
    points, targets = jax.vmap(draw)(jr.split(jr.key(0), 4000))
    assert abs(float(jnp.std(points)) - 0.5) < 0.02
    assert jnp.all(targets == 0)


def test_the_batch_loss_is_the_mean_over_stratified_times():
    """Against a field that returns the time: the loss is then a known integral."""

    class Clock(nn.AbstractVelocity):
        def __call__(self, t, z, c, *, key=None):
            return jnp.full_like(z, t)

    zeros = jnp.zeros((2, 64, 3))
    loss = flow.flow_matching_loss(
        Clock(), flow.LinearPath(), zeros, zeros, jnp.zeros((2, 1)), key=jr.key(0)
    )
    # The integral of t^2 is 1/3; one stratified draw of 64 misses it by about 1e-3 at most.
    assert abs(float(loss) - 1 / 3) < 3e-3


def test_the_solve_rotates_every_cell_by_its_conditions_angle():
    transport = flow.adaptive(1e-6, 1e-6)
    cells = jr.normal(jr.key(0), (2, 5, 2))
    conditions = jnp.array([[0.0], [1.0]])
    moved = transport(Rotation(jnp.array(np.pi / 2)), cells, conditions)
    x, y = cells[0, :, 0], cells[0, :, 1]
    np.testing.assert_allclose(moved.latents[0], jnp.stack([-y, x], 1), atol=1e-4)
    np.testing.assert_allclose(moved.latents[1], -cells[1], atol=1e-4)


def test_the_solve_equals_scipys():
    transport = flow.adaptive(1e-6, 1e-6)
    z, c = jr.normal(jr.key(0), (1, 4, 3)), jr.normal(jr.key(1), (1, 3))
    moved = transport(Stiff(), z, c).latents[0]
    for cell in range(4):
        exact = solve_ivp(
            lambda t, y: np.sin(40 * t) * y + np.asarray(c[0]),
            (0, 1),
            np.asarray(z[0, cell]),
            rtol=1e-9,
            atol=1e-9,
        ).y[:, -1]
        np.testing.assert_allclose(moved[cell], exact, rtol=1e-4, atol=1e-4)


def test_the_steps_are_those_of_the_hardest_cell():
    error = jnp.zeros((1, 100, 3)).at[0, 7].set(2.0)
    np.testing.assert_allclose(flow.WorstCellNorm()(error), 2.0)


def test_step_counts_are_reported_and_grow_with_the_tolerance():
    z, c = jnp.ones((1, 2, 3)), jnp.ones((1, 3))
    loose = flow.adaptive(1e-2, 1e-2)(Stiff(), z, c)
    tight = flow.adaptive(1e-6, 1e-6)(Stiff(), z, c)
    assert 0 < int(loose.steps) < int(tight.steps)


def test_a_solve_that_runs_out_of_steps_is_an_error():
    transport = flow.adaptive(1e-6, 1e-6, max_steps=3)
    solve = eqx.filter_jit(lambda z, c: transport(Stiff(), z, c).latents)
    with pytest.raises(RuntimeError, match="max"):
        solve(jnp.ones((1, 2, 3)), jnp.ones((1, 3)))


@pytest.mark.parametrize(
    ("solver", "steps"), [(None, 400), (dfx.Midpoint(), 50), (dfx.Heun(), 50), (dfx.Tsit5(), 7)]
)
def test_fixed_steps_solve_too(solver, steps):
    transport = flow.fixed(steps, solver)
    moved = transport(Rotation(jnp.array(1.0)), jnp.array([[[1.0, 0.0]]]), jnp.zeros((1, 1)))
    np.testing.assert_allclose(moved.latents[0, 0], [np.cos(1), np.sin(1)], atol=5e-3)
    assert int(moved.steps) == steps


ADJOINTS = [
    dfx.RecursiveCheckpointAdjoint(),
    dfx.DirectAdjoint(),
    dfx.ForwardMode(),
    dfx.BacksolveAdjoint(stepsize_controller=dfx.PIDController(1e-5, 1e-5)),
]


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=lambda a: type(a).__name__)
def test_gradients_flow_through_the_adaptive_solve(adjoint):
    transport = flow.adaptive(1e-5, 1e-5, adjoint=adjoint, max_steps=64)
    z = jnp.array([[[1.0, 0.0], [0.5, -0.3]]])

    def height(rate):
        return jnp.sum(transport(Rotation(rate), z, jnp.zeros((1, 1))).latents[..., 1])

    by_hand = lambda r: np.sum(np.sin(r) * np.asarray(z[0, :, 0]) + np.cos(r) * z[0, :, 1])
    slope = (by_hand(1.0 + 1e-3) - by_hand(1.0 - 1e-3)) / 2e-3
    derivative = jax.jacfwd if isinstance(adjoint, dfx.ForwardMode) else jax.grad
    np.testing.assert_allclose(derivative(height)(jnp.array(1.0)), slope, rtol=1e-2)


def test_an_adjoint_of_steady_states_is_refused():
    with pytest.raises(ValueError, match="ImplicitAdjoint differentiates a steady state"):
        flow.adaptive(1e-5, 1e-5, adjoint=dfx.ImplicitAdjoint())


def test_a_failed_solve_can_be_a_flag():
    transport = flow.adaptive(1e-6, 1e-6, max_steps=3)
    moved = transport(Stiff(), jnp.ones((1, 2, 3)), jnp.ones((1, 3)), throw=False)
    assert not moved.solved
    assert int(moved.steps) == 3
    assert flow.fixed(3)(Stiff(), jnp.ones((1, 2, 3)), jnp.ones((1, 3))).solved


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: flow.Transport(controller=dfx.ConstantStepSize()), "needs first_step"),
        (lambda: flow.Transport(dfx.Euler()), "Euler has no estimate of its error"),
        (lambda: flow.adaptive(rtol=0.0), "rtol must be a positive number; got 0.0"),
        (lambda: flow.adaptive(atol=float("nan")), "atol must be a positive number; got nan"),
        (lambda: flow.adaptive(max_steps=0), "max_steps must be a whole number >= 1"),
        (lambda: flow.fixed(0), "steps must be a whole number >= 1; got 0"),
        (lambda: flow.fixed(True), "steps must be a whole number >= 1; got True"),
        (
            lambda: flow.Transport(first_step=2.0),
            "first_step must be a finite number and > 0",
        ),
    ],
)
def test_a_solve_that_cannot_be_made_is_refused_where_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()
