"""The parts of a training run, one at a time."""

import dataclasses
import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest

from scbig import train
from scbig._foreign import lenient_promotion
from scbig.alignment import correlation_targets
from scbig.objective import Adam, pearson_or_zero
from scbig.programs import GenePartition
from scbig.sampling import CellIndex, Order

ADAM = Adam(0.1, clip_norm=1.0).build()


def quadratic(params):
    return jnp.sum((params["w"] - 3.0) ** 2), {}


def part(loss):
    """One part of weight one."""
    return [train.Part("own", 1.0, loss)]


def steps(state, optimiser, count, **options):
    metrics = {}
    for _ in range(count):
        state, metrics = train.update(state, part(quadratic), optimiser, **options)
    return state, metrics


def start(optimiser, **options):
    return train.initial_state({"w": jnp.zeros(2)}, optimiser, **options).train


def test_accumulation_moves_only_at_every_kth_step():
    optimiser = train.accumulated(ADAM, 3)
    state = start(optimiser)
    twice, _ = steps(state, optimiser, 2)
    thrice, _ = steps(state, optimiser, 3)
    assert jnp.all(twice.params["w"] == 0)
    # The first Adam step has the size of the learning rate.
    np.testing.assert_allclose(thrice.params["w"], 0.1, rtol=1e-4)


def test_the_average_weighs_the_past_less_and_the_initial_parameters_not_at_all():
    state = start(ADAM, average=True)
    seen = []
    for _ in range(4):
        state, _ = train.update(state, part(quadratic), ADAM, ema=0.75)
        seen.append(np.asarray(state.params["w"]))
    by_hand = np.average(seen, axis=0, weights=0.75 ** np.arange(4)[::-1])
    np.testing.assert_allclose(state.average["w"], by_hand, rtol=1e-5)
    assert state.chosen is state.average


def test_a_slow_average_of_a_short_run_is_of_its_own_parameters():
    """A decay of 0.999 over 100 updates gave 0.042 where the parameter was 0.776."""
    state = train.TrainState(
        {"w": jnp.zeros(1)}, None, {"w": jnp.zeros(1)}, jnp.zeros((), jnp.int32)
    )
    still = optax.set_to_zero()
    state = dataclasses.replace(state, optimiser=still.init(state.params))
    state = dataclasses.replace(state, params={"w": jnp.full(1, 0.776)})
    for _ in range(100):
        state, _ = train.update(state, part(quadratic), still, ema=0.999)
    np.testing.assert_allclose(state.average["w"], 0.776, rtol=1e-4)


def test_each_parts_share_is_of_the_length_of_its_weighted_gradient():
    one = lambda p: (jnp.sum(p["w"]) * 3.0, {})
    two = lambda p: (p["w"][0] * 2.0, {})
    parts = [train.Part("one", 1.0, one), train.Part("two", 0.5, two)]
    _, metrics = train.update(start(ADAM), parts, ADAM)
    lengths = np.array([3 * np.sqrt(2), 1.0])
    found = [metrics["one_share"], metrics["two_share"]]
    np.testing.assert_allclose(found, lengths / lengths.sum(), rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm"], np.hypot(4, 3), rtol=1e-5)


def three_parts(weight, loss):
    """A flow of gradient length 5, and a part that weighs its gradient between it and a third."""
    flow = lambda p: (p["w"][0] * 3.0 + p["w"][1] * 4.0, {})
    third = lambda p: (p["w"][0] * 2.0, {})
    weighing = train.Part("own", weight, loss, weighs_gradient=True)
    return [train.Part("flow", 1.0, flow), weighing, train.Part("third", 1.0, third)]


@pytest.mark.parametrize("size", [1e-2, 1.0, 700.0])
def test_a_part_that_weighs_its_gradient_moves_the_parameters_by_its_weight(size):
    """Its gradient is 0.5 times as long as the flow's, whatever its loss is multiplied with."""
    own = lambda p: (-size * (p["w"][1] - 1.0), {})
    state, metrics = train.update(start(ADAM), three_parts(0.5, own), optax.sgd(1.0))
    np.testing.assert_allclose(state.params["w"], [-5.0, -4.0 + 2.5], rtol=1e-5)
    np.testing.assert_allclose(metrics["own_weight"], 2.5 / size, rtol=1e-5)
    shares = [float(metrics[f"{name}_share"]) for name in ("flow", "own", "third")]
    np.testing.assert_allclose(shares, np.array([5.0, 2.5, 2.0]) / 9.5, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], 2.5, rtol=1e-5)
    assert "third_weight" not in metrics


def test_a_gradient_of_next_to_no_length_is_not_blown_up():
    faint = lambda p: (1e-6 * jnp.sum(p["w"][1:]) + 1.0, {})
    state, metrics = train.update(start(ADAM), three_parts(0.5, faint), optax.sgd(1.0))
    assert float(metrics["own_weight"]) == 500.0
    np.testing.assert_allclose(state.params["w"], [-5.0, -4.0 - 5e-4], rtol=1e-6)


@pytest.mark.parametrize("slope", [0.0, 3e38])
def test_a_gradient_without_a_length_or_a_finite_one_counts_for_nothing(slope):
    own = lambda p: (slope * jnp.sum(p["w"]), {})
    state, metrics = train.update(start(ADAM), three_parts(0.5, own), optax.sgd(1.0))
    assert float(metrics["own_weight"]) == 0.0
    np.testing.assert_allclose(state.params["w"], [-5.0, -4.0], rtol=1e-6)


def test_a_flow_without_a_finite_length_measures_nothing():
    flow = train.Part("flow", 1.0, lambda p: (3e38 * jnp.sum(p["w"]), {}))
    own = lambda p: (-jnp.sum(p["w"]), {})
    parts = [flow, train.Part("own", 0.5, own, weighs_gradient=True)]
    _, metrics = train.update(start(ADAM), parts, optax.sgd(1.0))
    assert float(metrics["own_weight"]) == 0.0


def test_a_gradient_that_is_no_number_stays_an_error():
    own = lambda p: (jnp.nan * jnp.sum(p["w"]), {})
    state, metrics = train.update(start(ADAM), three_parts(0.5, own), optax.sgd(1.0))
    assert jnp.all(jnp.isnan(state.params["w"]))
    assert jnp.isnan(metrics["loss"])


def test_two_parts_of_one_name_are_refused():
    twice = [*part(quadratic), *part(quadratic)]
    with pytest.raises(ValueError, match="Two terms log 'own': give one of them"):
        train.update(start(ADAM), twice, ADAM)


def test_the_gradient_norm_is_logged_before_clipping():
    optimiser = Adam(0.1, clip_norm=1e-3).build()
    _, metrics = steps(start(optimiser), optimiser, 1)
    np.testing.assert_allclose(metrics["gradient_norm"], 6 * np.sqrt(2), rtol=1e-5)


def test_the_steps_of_a_call_are_compiled_once_and_average_their_metrics():
    traces = []
    optimiser = ADAM

    def step(state, data, own, key):
        traces.append(1)
        loss = lambda p: (jnp.sum((p["w"] - data) ** 2), {"seen": state.step.astype(jnp.float32)})
        return train.update(state, part(loss), optimiser)

    advance = train.compile_steps(step, 5)
    state = start(optimiser)
    state, first = advance(state, jnp.ones(2), jr.key(0))
    state, second = advance(state, jnp.ones(2), jr.key(0))
    assert (float(first["seen"]), float(second["seen"])) == (2.0, 7.0)
    assert len(traces) == 1


def test_a_steps_key_depends_on_the_step_alone():
    optimiser = ADAM

    def step(state, data, own, key):
        drawn = jr.uniform(key)
        loss = lambda p: (jnp.sum(p["w"]) * drawn, {"drawn": drawn})
        return train.update(state, part(loss), optimiser)

    one = train.compile_steps(step, 1)
    state, seen = start(optimiser), []
    for _ in range(4):
        state, metrics = one(state, None, jr.key(7))
        seen.append(float(metrics["drawn"]))
    four = train.compile_steps(step, 4)
    _, metrics = four(start(optimiser), None, jr.key(7))
    np.testing.assert_allclose(metrics["drawn"], np.mean(seen), rtol=1e-6)
    assert len(set(seen)) == 4


def test_only_the_named_parts_are_trainable():
    model = {"a": eqx.nn.Linear(2, 2, key=jr.key(0)), "b": eqx.nn.Linear(2, 2, key=jr.key(1))}

    class Pair(eqx.Module):
        a: eqx.nn.Linear
        b: eqx.nn.Linear

    spec = train.trainable(Pair(**model), "b")
    assert jax.tree.leaves(spec.a) == [False, False]
    assert jax.tree.leaves(spec.b) == [True, True]


def test_each_step_of_a_call_gets_its_own_input():
    optimiser = ADAM

    def step(state, data, own, key):
        return train.update(state, part(lambda p: (jnp.sum(p["w"]), {"own": own})), optimiser)

    inputs = lambda state, data: 10.0 * state.step.astype(jnp.float32) + data
    advance = train.compile_steps(step, 3, inputs=inputs)
    state, first = advance(start(optimiser), jnp.array([1.0, 2.0, 6.0]), jr.key(0))
    _, second = advance(state, jnp.array([1.0, 2.0, 6.0]), jr.key(0))
    assert (float(first["own"]), float(second["own"])) == (3.0, 33.0)


@pytest.mark.parametrize("block", [1, 4])
def test_an_epoch_never_repeats_a_cell(block):
    order = Order.of(50, 3, None, block, key=jr.key(0))
    first, second = itertools.islice(order.calls(0), 2)
    assert first.shape == (16, 3)
    assert len(np.unique(first)) == 48
    assert not np.array_equal(first, second)


def test_calls_of_an_epoch_share_out_its_cells_and_can_start_anywhere():
    order = Order.of(100, 4, 20, 8, key=jr.key(0))
    assert (order.steps, order.calls_per_epoch) == (5, 5)
    calls = list(itertools.islice(order.calls(0), 12))
    for epoch in (calls[:5], calls[5:10]):
        assert len(np.unique(epoch)) == 100
    np.testing.assert_array_equal(next(order.calls(11)), calls[11])
    # Neighbours come together: a call of 20 cells touches 3 or 4 blocks of 8, one of them cut.
    assert all(len(np.unique(call // 8)) <= 5 for call in calls)
    # A buffer that does not divide the cells costs no more than a batch or so of an epoch.
    uneven = Order.of(1000, 4, 640, 8, key=jr.key(0))
    assert (uneven.steps, uneven.calls_per_epoch) == (125, 2)
    plain = Order.of(100, 4, 20, 1, key=jr.key(0))
    assert all(len(np.unique(call // 8)) > 6 for call in itertools.islice(plain.calls(0), 5))


def test_holding_out_splits_the_cells_of_every_condition(screen, key):
    kept, held = train.hold_out_cells(screen, 0.25, key=key)
    assert set(kept.cells) | set(held.cells) == set(screen.cells)
    assert not set(kept.cells) & set(held.cells)
    for condition in screen.conditions:
        share = len(held.rows(condition)) / len(screen.rows(condition))
        assert abs(share - 0.25) < 0.05, condition.name


def test_a_condition_of_a_single_cell_is_named(screen, key):
    condition = next(c for c in screen.conditions if not c.is_control)
    drop = screen.rows(condition)[1:]
    few = screen.take(np.setdiff1d(np.arange(screen.num_cells), drop))
    with pytest.raises(ValueError, match=condition.name):
        train.hold_out_cells(few, 0.25, key=key)


def test_correlation_targets_use_all_cells_of_a_group(screen):
    partition = GenePartition.from_labels(np.arange(screen.num_genes) % 3, 3)
    index = CellIndex.from_screen(screen)
    targets = correlation_targets(screen, index, partition)
    for group in range(index.num_groups):
        cells = screen.dense(screen.rows(screen.conditions[int(index.condition[group])]))
        means = np.stack([cells[:, k::3].mean(1) for k in range(3)])
        np.testing.assert_allclose(targets[group], np.corrcoef(means), atol=1e-4)


def test_pearson_is_numpys_and_zero_for_a_constant():
    x, y = jr.normal(jr.key(0), (2, 30))
    np.testing.assert_allclose(pearson_or_zero(x, y), np.corrcoef(x, y)[0, 1], rtol=1e-4)
    assert float(pearson_or_zero(jnp.ones(30), y)) == 0.0
    gradient = jax.grad(lambda v: pearson_or_zero(v, y))(jnp.ones(30))
    assert jnp.all(jnp.isfinite(gradient))


def stage_of(losses):
    """A stage whose n-th call logs the n-th loss and validates to minus the loss."""

    def advance(state, data, key):
        call = int(state.step)
        params = {"w": jnp.full(2, call + 1.0)}
        moved = dataclasses.replace(state, params=params, step=state.step + 1)
        return moved, {"loss": jnp.asarray(losses[call])}

    validate = lambda params: (-jnp.asarray(losses[int(params["w"][0]) - 1]), {})
    return train.Stage(
        name="toy",
        advance=advance,
        validate=validate,
        feed=lambda _: itertools.repeat(None),
        calls=len(losses),
        steps_per_call=1,
        patience=2,
    )


def run_toy(losses):
    optimiser = ADAM
    recorder = train.Recorder(progress=False)
    state = train.initial_state({"w": jnp.zeros(2)}, optimiser)
    return train.run(stage_of(losses), state, recorder, key=jr.key(0)), recorder


def test_the_best_parameters_are_kept_and_patience_ends_the_stage():
    state, recorder = run_toy([3.0, 1.0, 2.0, 2.5, 0.1])
    assert float(state.best["w"][0]) == 2.0
    assert int(state.best_step) == 2
    assert [row["step"] for row in recorder.log.rows] == [1, 2, 3, 4]


def test_a_loss_that_is_not_finite_is_an_error():
    with pytest.raises(FloatingPointError, match="'toy', by step 2: loss not finite"):
        run_toy([3.0, float("nan"), 2.0])


def test_a_validation_that_is_not_finite_is_an_error():
    stage = dataclasses.replace(stage_of([1.0]), validate=lambda *_: (jnp.array(jnp.nan), {}))
    state = train.initial_state({"w": jnp.zeros(2)}, ADAM)
    with pytest.raises(FloatingPointError, match="validation not finite"):
        train.run(stage, state, train.Recorder(progress=False), key=jr.key(0))


def test_terms_apart_move_the_parameters_by_an_optimiser_of_their_own():
    """As two optimisers by hand: the second is called in the steps that have its gradient."""
    flow = lambda p: jnp.sum((p["w"] - 3.0) ** 2)
    own, further = (lambda p: 7.0 * p["w"][0] * p["w"][1]), (lambda p: jnp.sum(p["w"] ** 3))
    beside = lambda p: 0.5 * own(p) + 0.1 * further(p)
    apart = Adam(0.03, clip_norm=None, clip_entries=1.5)
    both = train.side_by_side(train.accumulated(ADAM, 2), apart.build())
    params: Any = {"w": jnp.array([1.0, -2.0])}
    state = train.initial_state(params, both).train
    first, second = optax.MultiSteps(ADAM, 2), optax.adam(0.03)
    with lenient_promotion():
        slots, own_slots = first.init(params), second.init(params)
    for step in range(7):
        now = float(step % 3 == 0)
        parts = [
            train.Part("flow", 1.0, lambda p: (flow(p), {})),
            train.Part("own", 0.5, lambda p, now=now: (now * own(p), {})),
            train.Part("further", 0.1, lambda p, now=now: (now * further(p), {})),
        ]
        with lenient_promotion():
            moves, slots = first.update(jax.grad(flow)(params), slots, params)
            moved = optax.apply_updates(params, moves)
            if now:
                pull = jax.tree.map(lambda g: jnp.clip(g, -1.5, 1.5), jax.grad(beside)(params))
                moves, own_slots = second.update(pull, own_slots, params)
                moved = optax.apply_updates(moved, moves)
        params = moved
        state, _ = train.update(state, parts, both, apart=True)
        np.testing.assert_allclose(state.params["w"], params["w"], rtol=1e-5)


def test_a_gradient_apart_that_is_no_number_stays_an_error():
    both = train.side_by_side(ADAM, ADAM)
    parts = [*part(quadratic), train.Part("bad", 1.0, lambda p: (jnp.nan * jnp.sum(p["w"]), {}))]
    state, _ = train.update(train.initial_state({"w": jnp.zeros(2)}, both).train, parts, both,
                            apart=True)  # fmt: skip
    assert jnp.all(jnp.isnan(state.params["w"]))
