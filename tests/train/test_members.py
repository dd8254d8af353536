"""Several flows at once, each as it would be alone, and what they say together."""

import dataclasses

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig.method import Weighted, but
from scbig.objective import Reconstruction
from scbig.service import load, save
from scbig.train import fit
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


def test_with_an_anchor_both_uncertainties_count_and_each_member_is_refit(screen, priors):
    changes = {"stage2.members": 2, "stage2.hold_out": 0.9, "stage2.refit": True}
    result = fit(screen, priors, but(ANCHORED, **changes), progress=False, key=jr.key(0))
    model, names = result.model, [c.name for c in screen.conditions if not c.is_control]
    found = model.predict(screen, names, key=jr.key(1))
    assert model.anchor is not None
    parsed = [c for c in screen.conditions if not c.is_control]
    known = model.anchor.deviations(parsed, [""] * len(parsed))
    assert (found.uns["response_sd"] >= known - 1e-5).all()


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
