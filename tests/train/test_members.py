"""Several flows at once, each as it would be alone, and what they say together."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig.data import Condition
from scbig.method import Weighted, but
from scbig.objective import AbstractCriterion, Adam, Reconstruction
from scbig.service import load, save
from scbig.train import Recorder, Stage, fit, initial_state, run
from scbig.train._members import for_members, member_keys, stacked, unstacked

from .conftest import LEAN
from .test_anchored import ANCHORED

MANY = but(LEAN, **{"stage2.members": 3, "stage2.patience": 2})
FLOWS = ("condition_encoder", "velocity")


def flows(model):
    return [jax.tree.leaves([getattr(model, name) for name in FLOWS])]


def numbers(model):
    return np.concatenate(
        [np.ravel(x) for x in jax.tree.leaves(flows(model)) if hasattr(x, "ndim")]
    )


def check_same(found, expected):
    """Up to rounding, of which Adam makes a step where a gradient is next to nothing."""
    apart = np.abs(numbers(found) - numbers(expected))
    assert np.quantile(apart, 0.98) < 1e-4
    assert apart.max() < 0.02


@pytest.fixture(scope="module")
def alone(screen, priors):
    config = but(MANY, **{"stage2.members": 1})
    return fit(screen, priors, config, progress=False, key=jr.key(0))


@pytest.fixture(scope="module")
def together(screen, priors):
    return fit(screen, priors, MANY, progress=False, key=jr.key(0))


def test_the_first_member_is_what_it_would_be_alone(alone, together):
    check_same(together.model.pure, alone.model.pure)


def test_the_members_differ_in_their_flows_and_in_nothing_else(together):
    model = together.model
    assert len(model.others) == 2
    values = [numbers(member) for member in (model.pure, *model.others)]
    assert np.abs(values[0] - values[1]).max() > 0.01
    assert np.abs(values[1] - values[2]).max() > 0.01
    for other in model.others:
        for name in ("encoder", "decoder", "shift", "scale", "tokens"):
            pairs = zip(
                jax.tree.leaves(getattr(model.pure, name)),
                jax.tree.leaves(getattr(other, name)),
                strict=True,
            )
            assert all(np.array_equal(a, b) for a, b in pairs if hasattr(a, "ndim"))


def test_a_prediction_is_the_mean_and_says_how_far_the_members_are_apart(together, screen):
    model, names = together.model, [c.name for c in screen.conditions[:2]]
    each = []
    for member in (model.pure, *model.others):
        own = dataclasses.replace(model, pure=member, others=())
        each.append(own.predict(screen, names, key=jr.key(1)))
    found = model.predict(screen, names, key=jr.key(1))
    values = np.stack([np.asarray(own.X) for own in each])
    np.testing.assert_allclose(found.X, values.mean(axis=0), atol=1e-5)
    for place, name in enumerate(names):
        rows = (found.obs["condition"] == name).to_numpy()
        expected = values[:, rows].mean(axis=1).std(axis=0, ddof=1)
        np.testing.assert_allclose(found.uns["response_sd"][place], expected, atol=1e-4)
    tried = sum(own.uns["transport"]["steps"].to_numpy() for own in each)
    np.testing.assert_array_equal(found.uns["transport"]["steps"], tried)
    assert "response_sd" not in each[0].uns


def test_an_ensemble_is_saved_whole(together, screen, tmp_path):
    save(together.model, tmp_path / "model.scbig")
    again = load(tmp_path / "model.scbig")
    assert len(again.others) == 2
    names = [c.name for c in screen.conditions]
    predict = lambda m: np.asarray(m.predict(screen, names, key=jr.key(1)).X)
    np.testing.assert_allclose(predict(again), predict(together.model), atol=1e-6)


def test_a_stopped_ensemble_goes_on(together, screen, priors, tmp_path, monkeypatch):
    config = but(MANY, **{"stage2.steps": 8})
    fit(screen, priors, config, out=tmp_path, progress=False, key=jr.key(0))
    on = fit(screen, priors, MANY, out=tmp_path, progress=False, key=jr.key(0))
    members = zip(
        (on.model.pure, *on.model.others),
        (together.model.pure, *together.model.others),
        strict=True,
    )
    for found, expected in members:
        check_same(found, expected)


def test_with_an_anchor_both_uncertainties_count_for_an_unseen_condition(screen, priors):
    # Judged, and not refit on: unseen when it is predicted.
    held = [c.name for c in screen.conditions if len(c.perturbations) > 1][:2]
    config = but(ANCHORED, **{"stage2.members": 2, "stage2.optimiser.learning_rate": 0.1})
    loose = but(config, **{"stage2.criterion": LastOne(), "stage2.refit": "nothing"})
    result = fit(screen, priors, loose, validation=held, progress=False, key=jr.key(0))
    model = result.model
    assert model.anchor is not None
    known = model.anchor.deviations([Condition.parse(name) for name in held], ["", ""])
    found = model.predict(screen, held, key=jr.key(1))
    each = []
    for member in (model.pure, *model.others):
        own = dataclasses.replace(model, pure=member, others=())
        each.append(np.asarray(own.predict(screen, held, key=jr.key(1)).X))
    labels = found.obs["condition"].to_numpy()
    means = np.stack([[cells[labels == name].mean(axis=0) for name in held] for cells in each])
    between = means.var(axis=0, ddof=1)
    assert between.max() > 1e-6
    expected = np.sqrt(known**2 + between)
    np.testing.assert_allclose(found.uns["response_sd"], expected, rtol=1e-3, atol=1e-4)


class LastOne(AbstractCriterion):
    """The latest parameters are the best."""

    def prepare(self, setting, *, key):
        return None

    def __call__(self, model, data):
        velocity: Any = model.velocity
        return jnp.sum(jnp.abs(velocity.out.weight)), {}


def toy(curves, **options):
    """Members whose parameter is the step, and whose scores are given, by member and step."""

    def advance(state, data, key):
        step = state.step + 1
        params = {"w": jnp.full(len(curves), step, jnp.float32)}
        return dataclasses.replace(state, params=params, step=step), {"loss": jnp.zeros(())}

    scores = np.array(curves)
    validate = lambda params: (jnp.asarray(scores[:, int(params["w"][0]) - 1], jnp.float32), {})
    stage = Stage(
        name="toy",
        advance=advance,
        validate=validate,
        feed=lambda _: itertools.repeat(None),
        calls=scores.shape[1],
        steps_per_call=1,
        **options,
    )
    state = initial_state({"w": jnp.zeros(len(curves))}, Adam(0.1).build(), members=len(curves))
    return run(stage, state, Recorder(progress=False), key=jr.key(0))


def test_each_member_keeps_its_own_best():
    found = toy([[1, 3, 2, 0], [4, 1, 2, 5], [0, 0, 1, 0]])
    np.testing.assert_array_equal(found.best["w"], [2, 4, 3])
    np.testing.assert_array_equal(found.best_step, [2, 4, 3])
    np.testing.assert_array_equal(found.score, [3, 5, 1])


def test_a_member_ends_where_it_would_end_alone():
    # The first would find a better one after its patience; the second goes on longer.
    curves = [[1, 0, 0, 9, 9], [1, 2, 3, 4, 5]]
    found = toy(curves, patience=2)
    np.testing.assert_array_equal(found.best_step, [1, 5])
    # None has any left after step 3: nobody goes on.
    found = toy([[1, 0, 0, 9, 9], [1, 0, 0, 0, 9]], patience=2)
    assert int(found.train.step) == 3


def test_without_selection_each_is_taken_at_its_own_end():
    nothing = [[0] * 5] * 3
    found = toy(nothing, selects=False, validate_every=3, ends=np.array([0, 2, 5]))
    np.testing.assert_array_equal(found.best["w"], [0, 2, 5])
    np.testing.assert_array_equal(found.best_step, [0, 2, 5])


def test_an_autoencoder_that_trains_too_is_refused():
    trains = ("condition_encoder", "velocity", "decoder")
    terms = (Weighted(Reconstruction(), 1.0),)
    with pytest.raises(ValueError, match="all flows are between the latents of one autoencoder"):
        but(MANY, terms=terms, **{"stage2.trains": trains})


def test_a_member_is_validated_as_if_alone_and_its_logs_are_averaged():
    seen = []

    def validate(params):
        seen.append(params)
        value = params["w"].sum()
        return value, {"mean": value, "by_group": params["w"]}

    parts = [{"w": jnp.arange(2.0)}, {"w": jnp.ones(2)}, {"w": jnp.zeros(2)}]
    scores, logged = for_members(validate, 3)(stacked(parts))
    np.testing.assert_array_equal(scores, [1, 2, 0])
    np.testing.assert_allclose(logged["mean"], 1.0)
    np.testing.assert_allclose(logged["by_group"], [1.0, 2.0])
    assert for_members(validate, 1) is validate
    for part, again in zip(parts, unstacked(stacked(parts), 3), strict=True):
        np.testing.assert_array_equal(part["w"], again["w"])
    assert member_keys(jr.key(3), 1).ndim == 0
    assert jnp.array_equal(jr.key_data(member_keys(jr.key(3), 2)[0]), jr.key_data(jr.key(3)))
