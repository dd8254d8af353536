"""What the alignment losses compare with, on which scale, and what is said of them."""

import dataclasses
import json
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import train
from scbig.alignment import AbstractAlignment, CorrelationAlignment, MeasuredCells, PathwayAlignment
from scbig.method import ScBIGConfig, Weighted, but, real
from scbig.nn import AbstractVelocity
from scbig.objective import Consistency, Reconstruction, _denoised
from scbig.train import _flow
from scbig.train._noise import warn_of_noise

from .conftest import CONSISTENCY, LEAN, QUICK, TINY

DENOISED = but(CONSISTENCY, denoised=True)
RELATIVE = but(CONSISTENCY, denoised=True, relative=True)
NAMES = ("correlation", "pathway")


class Slope(AbstractAlignment):
    """A loss whose gradient is `slope` at every entry of the predicted cells."""

    label = "slope"

    slope: float = real(1.0)

    def prepare(self, screen, index, partition, pathways):
        return None

    def __call__(self, predicted, groups, facts, *, key):
        return self.slope * jnp.sum(predicted)


class FirstGene(AbstractAlignment):
    """A loss whose gradient is at the first gene alone."""

    label = "first"

    def prepare(self, screen, index, partition, pathways):
        return None

    def __call__(self, predicted, groups, facts, *, key):
        return jnp.sum(predicted[..., 0])


@pytest.fixture(scope="module")
def through(model, contexts):
    """Every measured cell through the autoencoder, one at a time."""
    there_and_back = jax.jit(lambda cell: model.decode(model.encode(cell)))
    return np.stack([there_and_back(jnp.asarray(cell)) for cell in contexts.dense()])


def scales_of(facts):
    """What each loss is divided by."""
    assert facts.no_change is not None
    return facts.no_change


def naive_correlation(cells, labels):
    """Correlation of program means, by NumPy."""
    return np.corrcoef(np.stack([cells[:, labels == k].mean(1) for k in range(3)]))


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of which a screen has several, the last of them not whole."""
    monkeypatch.setattr(_denoised, "CHUNK", 61)


@pytest.fixture
def labels(screen):
    """Programs of the model's partition."""
    return np.arange(screen.num_genes) % 3


@pytest.mark.usefixtures("small_chunks")
def test_denoised_targets_are_those_of_cells_that_were_encoded_and_decoded(
    setting, contexts, through, labels
):
    assert isinstance(contexts, MeasuredCells)
    (partition, targets), facts = DENOISED.prepare(setting).of_losses
    assert partition is setting.model.partition
    raw = CONSISTENCY.prepare(setting).of_losses[0][1]
    order, start, size = (np.asarray(getattr(setting.index, n)) for n in ("order", "start", "size"))
    for group, (first, count) in enumerate(zip(start, size, strict=True)):
        expected = naive_correlation(through[order[first : first + count]], labels)
        np.testing.assert_allclose(targets[group], expected, atol=1e-3)
        assert np.abs(targets[group] - raw[group]).max() > 0.1
    sets = setting.pathways.align(contexts.genes, min_genes=3).matrix
    naive = np.stack([through[:, members].mean(1) for members in sets], axis=1)
    np.testing.assert_allclose(facts.activities, naive, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_a_pool_of_denoised_cells_keeps_its_order(setting, contexts, through):
    cells = _denoised.DenoisedCells(setting.model, contexts)
    rows = np.random.default_rng(0).permutation(contexts.num_cells)[:150]
    np.testing.assert_allclose(cells.dense(rows), through[rows], rtol=1e-4, atol=1e-5)
    weights = np.random.default_rng(1).normal(size=(contexts.num_genes, 2))
    found = cells.project(weights, rows)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, through[rows] @ weights, rtol=1e-3, atol=1e-4)
    pooled = but(DENOISED, **{"losses.1.pool": 5}).prepare(setting).of_losses[1]
    _, kept = setting.index.pooled(5)
    sets = setting.pathways.align(contexts.genes, min_genes=3).matrix
    naive = np.stack([through[kept][:, members].mean(1) for members in sets], axis=1)
    np.testing.assert_allclose(pooled.activities, naive, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("small_chunks")
def test_the_scale_of_a_loss_is_its_mean_for_controls_that_stay_what_they_are(
    setting, through, labels
):
    scale, _ = scales_of(RELATIVE.prepare(setting))
    targets = np.asarray(DENOISED.prepare(setting).of_losses[0][1])
    found = []
    for group in range(setting.index.num_groups):
        key, _ = jr.split(jr.fold_in(jr.key(0), group))
        rows = setting.index.draw_controls(jnp.array([group]), CONSISTENCY.cells, key=key)[0]
        own = naive_correlation(through[np.asarray(rows)], labels)
        found.append(np.mean((own - targets[group]) ** 2))
    np.testing.assert_allclose(scale, np.mean(found), rtol=1e-3)


@pytest.mark.parametrize("denoised", [False, True])
def test_a_relative_loss_is_one_where_nothing_changes(model, data, setting, denoised):
    term = but(RELATIVE, denoised=denoised, cells=12)
    own = term.prepare(setting)
    relative, plain = (
        eqx.filter_jit(t.references)(model, dataclasses.replace(data, own=facts), key=jr.key(3))
        for t, facts in (
            (term, own),
            (but(term, relative=False), dataclasses.replace(own, no_change=None)),
        )
    )
    for name, scale in zip(NAMES, scales_of(own), strict=True):
        assert float(relative[f"{name}_no_change"]) == pytest.approx(1, rel=0.25)
        for kind in ("no_change", "noise_floor"):
            expected = plain[f"{name}_{kind}"] / scale
            np.testing.assert_allclose(relative[f"{name}_{kind}"], expected, rtol=1e-4)


def test_what_trains_is_on_the_scale_too(model, data, setting):
    own = RELATIVE.prepare(setting)
    relative, plain = (
        eqx.filter_jit(DENOISED)(
            model, dataclasses.replace(data, own=facts), jnp.zeros((), jnp.int32), key=jr.key(0)
        )
        for facts in (own, dataclasses.replace(own, no_change=None))
    )
    for name, scale in zip(NAMES, scales_of(own), strict=True):
        np.testing.assert_allclose(relative[1][name] * scale, plain[1][name], rtol=1e-4)
    total = sum(0.1 * float(relative[1][name]) for name in NAMES)
    np.testing.assert_allclose(relative[0], total, rtol=1e-5)


def slopes(*given, **options):
    losses = tuple(Weighted(Slope(slope), weight) for slope, weight in given)
    return Consistency(losses, QUICK, groups=2, cells=6, **options)


def test_a_loss_that_is_nothing_without_a_change_keeps_its_scale(setting):
    own = slopes((0.0, 1.0), (2.0, 1.0), relative=True).prepare(setting)
    nothing, something = map(float, scales_of(own))
    assert nothing == 1.0
    assert something > 1.0


class Still(AbstractVelocity):
    """Nothing moves."""

    def __call__(self, t, z, c, *, key=None):
        return jnp.zeros_like(z)


def shares_of(term, model, data, setting):
    given = dataclasses.replace(data, own=term.prepare(setting))
    still = eqx.tree_at(lambda m: m.velocity, model, Still())
    return eqx.filter_jit(term.shares)(still, given, key=jr.key(1))


def test_the_share_of_a_loss_is_of_the_length_of_its_weighted_gradient_at_the_latents(
    model, data, setting
):
    """Against differences of a decoder that is called cell by cell; the latents do not move."""
    losses = (Weighted(Slope(3.0), 0.5), Weighted(FirstGene(), 40.0))
    term = Consistency(losses, QUICK, groups=2, cells=3)
    found = shares_of(term, model, data, setting)
    decode = jax.jit(lambda z: model.decode(jnp.asarray(z, jnp.float32)))
    latents, shares = np.asarray(data.latents), []
    for key in jr.split(jr.key(1), 8):
        group_key, _, control_key = jr.split(key, 3)
        groups = data.index.draw_groups(2, key=group_key)
        rows = np.asarray(data.index.draw_controls(groups, 3, key=control_key)).ravel()
        squares = np.zeros(2)
        for z in latents[rows]:
            for step in 0.05 * np.eye(4):
                slope = (np.asarray(decode(z + step)) - np.asarray(decode(z - step))) / 0.1
                squares += [(0.5 * 3.0 * slope.sum()) ** 2, (40.0 * slope[0]) ** 2]
        lengths = np.sqrt(squares)
        shares.append(lengths / lengths.sum())
    expected = np.mean(shares, axis=0)
    assert 0.05 < expected[1] < 0.95
    np.testing.assert_allclose([found["slope_share"], found["first_share"]], expected, rtol=0.03)


def test_a_scale_changes_the_share(model, data, setting):
    plain = shares_of(slopes((3.0, 1.0), (1.0, 1.0)), model, data, setting)
    assert float(plain["slope_share"]) == pytest.approx(0.75, rel=1e-3)
    # Each is its own sum over what that was: the slopes cancel.
    relative = shares_of(slopes((3.0, 1.0), (1.0, 1.0), relative=True), model, data, setting)
    assert float(relative["slope_share"]) == pytest.approx(0.5, rel=1e-3)


def test_of_a_single_loss_no_share_is_told(model, data, setting):
    assert shares_of(slopes((3.0, 1.0)), model, data, setting) == {}


def test_validation_tells_shares_beside_values_and_references(setting):
    config = but(LEAN, terms=(Weighted(slopes((3.0, 1.0), (1.0, 1.0)), 0.25),))
    prepared = train.Prepared.of(setting, setting, config, key=jr.key(0))
    stage, state, _ = train.flow_stage(setting.model, prepared, config)
    beside = stage.validate(state.best)[1]
    assert float(beside["slope_share"]) == pytest.approx(0.75, rel=1e-3)
    assert float(beside["slope_2_share"]) == pytest.approx(0.25, rel=1e-3)
    assert {"consistency_slope_no_change", "consistency_slope_2_noise_floor"} <= set(beside)


def test_the_term_weighs_its_gradient_if_its_field_says_so(setting):
    config = but(LEAN, terms=(Weighted(slopes((1e-3, 1.0), weighs_gradient=True), 0.25),))
    prepared = train.Prepared.of(setting, setting, config, key=jr.key(0))
    stage, state, rest = train.flow_stage(setting.model, prepared, config)
    _, metrics = stage.advance(state.train, (rest, prepared), jr.key(0))
    assert float(metrics["consistency_share"]) == pytest.approx(0.2, rel=1e-3)
    assert float(metrics["consistency_weight"]) > 0


def test_between_evaluations_there_is_nothing_and_at_one_its_period_times_as_much(
    model, data, setting
):
    now_and_then = but(CONSISTENCY, period=3)
    given = dataclasses.replace(data, own=now_and_then.prepare(setting))
    every, third = eqx.filter_jit(CONSISTENCY), eqx.filter_jit(now_and_then)
    tell = lambda step: third(model, given, jnp.asarray(step), key=jr.key(0))
    always, values = every(model, given, jnp.asarray(0), key=jr.key(0))
    for step in (0, 3):
        loss, found = tell(step)
        np.testing.assert_allclose(loss, always, rtol=1e-5)
        for name in NAMES:
            np.testing.assert_allclose(found[name], 3 * values[name], rtol=1e-5)
    for step in (1, 2):
        loss, found = tell(step)
        assert float(loss) == 0
        assert found.keys() == values.keys()
        assert not any(np.any(value) for value in found.values())


def test_the_fields_come_back_from_json():
    term = but(RELATIVE, weighs_gradient=True)
    config = but(TINY, terms=(Weighted(term, 0.3),))
    assert ScBIGConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert not any((CONSISTENCY.denoised, CONSISTENCY.relative, CONSISTENCY.weighs_gradient))
    assert {type(part.term) for part in term.losses} == {CorrelationAlignment, PathwayAlignment}


def known(floor, still=2.0):
    values = {"own_no_change": still, "own_noise_floor": floor, "flow_no_change": 0.0}
    return {name: jnp.asarray(value) for name, value in values.items()}


def test_a_loss_that_is_its_own_noise_is_named_with_both_values():
    with pytest.warns(UserWarning, match=r"The loss own is 1\.9 .* 2 .* cannot tell .*`cells`"):
        warn_of_noise(known(1.9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_noise(known(1.7))


def test_a_run_warns_once(setting, monkeypatch):
    """Though where the decoder trains the values are worked out at every validation."""
    trains = {"stage2.trains": (*LEAN.stage2.trains, "decoder")}
    config = but(LEAN, **trains, terms=(Weighted(Reconstruction(8)),))
    prepared = train.Prepared.of(setting, setting, config, key=jr.key(0))
    stage, state, _ = train.flow_stage(setting.model, prepared, config)
    calls = []
    monkeypatch.setattr(_flow, "references", lambda *_: calls.append(1) or known(3.0))
    with pytest.warns(UserWarning, match="The loss own"):
        stage.validate(state.best)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stage.validate(state.best)
    assert len(calls) == 2
