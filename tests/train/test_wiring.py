"""How stage 2 is put together: each drawn thing reaches the place that it is meant for."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import train
from scbig.flow import AbstractProbabilityPath, LinearPath, adaptive
from scbig.method import Weighted, but
from scbig.nn import AbstractVelocity
from scbig.objective import AbstractTerm, Adam, FlowCriterion, Reconstruction, ResponseCriterion
from scbig.ot import IndependentCoupling, SinkhornCoupling
from scbig.train import _flow
from scbig.train._autoencoder import autoencoder_stage

from .conftest import CONSISTENCY, LEAN, LOSSES, MATCHING, PAIRED, TINY

RECONSTRUCTING = (Weighted(Reconstruction(8)),)


@eqx.filter_jit
def on_groups(term, *given, **options):
    """The loss of some groups, compiled: as it stands each of its steps would be."""
    return term.on_groups(*given, **options)


class Constant(AbstractVelocity):
    """A velocity that is `scale` times the latent, whatever the time and the condition."""

    scale: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return self.scale * z


class Small(AbstractTerm):
    """Holds the velocity field to small numbers."""

    def prepare(self, setting):
        return None

    def __call__(self, model, data, step, *, key):
        leaves = jax.tree.leaves(eqx.filter(model.velocity, eqx.is_inexact_array))
        return 1e3 * jnp.sum(jnp.stack([jnp.sum(leaf**2) for leaf in leaves])), {}


@pytest.fixture(scope="module")
def aligning(setting, data):
    """The cells, with what the alignment losses read."""
    return dataclasses.replace(data, own=CONSISTENCY.prepare(setting))


def test_every_group_gets_its_own_conditions_tokens(trained, model, contexts, data):
    groups = jnp.arange(data.index.num_groups)
    found = data.conditions(model, groups, key=None)
    for group in range(data.index.num_groups):
        condition = contexts.conditions[int(data.index.condition[group])]
        rows = [trained.names.perturbations.index(name) for name in condition.perturbations]
        padded = jnp.array([*rows, 0])[: TINY.max_tokens]
        mask = jnp.arange(TINY.max_tokens) < len(rows)
        expected = model.condition_encoder(model.tokens[padded], mask)
        np.testing.assert_allclose(found[group], expected, rtol=1e-4, atol=1e-5)


def test_condition_dropout_acts_in_training_only(model, data):
    parts = lambda m: (m.condition_encoder.dropout, m.velocity.dropout)
    dropped = eqx.tree_at(parts, model, (eqx.nn.Dropout(0.5), eqx.nn.Dropout(0.0)))
    without = eqx.tree_at(parts, model, (eqx.nn.Dropout(0.0), eqx.nn.Dropout(0.0)))

    def loss(chosen, dropout):
        groups = jnp.array([0])
        return float(on_groups(PAIRED, chosen, data, groups, key=jr.key(1), dropout=dropout)[0])

    assert loss(dropped, True) != loss(without, True)
    assert loss(dropped, False) == loss(without, False)


def two_clouds(data, cells):
    """Controls and perturbed cells in two clouds each, at 0 and at 10."""
    latents = jnp.where(jnp.arange(cells)[:, None] % 4 < 2, 0.0, 10.0) * jnp.ones((1, 4))
    return eqx.tree_at(lambda d: d.latents, data, latents)


@pytest.mark.parametrize(
    ("coupling", "paired"),
    [(SinkhornCoupling(epsilon=0.01, iterations=500), True), (IndependentCoupling(), False)],
)
def test_cells_are_matched_as_the_coupling_pairs_them(model, contexts, data, coupling, paired):
    """With a field that stands still the loss is the mean squared length of the pairs.

    Two clouds at a distance of 10: about half of independent pairs lie across, squared length 100;
    transport crosses only for what one side has too many of.
    """
    matching = but(MATCHING, coupling=coupling, cells=64)
    still = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(0.0)))
    inputs = two_clouds(data, contexts.num_cells)
    loss, _ = on_groups(matching, still, inputs, jnp.array([0, 1]), key=jr.key(0))
    assert (float(loss) < 25) == paired


def test_the_noise_of_the_path_reaches_the_loss(model, data):
    grow = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(1.0)))
    noisy = lambda sigma: but(MATCHING, path=LinearPath(sigma))
    loss = lambda sigma: on_groups(noisy(sigma), grow, data, jnp.array([0]), key=jr.key(0))[0]
    at = lambda sigma: float(loss(sigma))
    # The field follows the noise, the target does not: the loss gains sigma^2.
    assert at(3.0) - at(0.0) == pytest.approx(9.0, rel=0.5)


def test_each_alignment_loss_has_its_own_weight(model, aligning):
    losses = tuple(but(loss, weight=w) for loss, w in zip(LOSSES, (0.3, 0.7), strict=True))
    term = but(CONSISTENCY, losses=losses)
    loss, metrics = eqx.filter_jit(term)(model, aligning, jnp.zeros((), jnp.int32), key=jr.key(0))
    total = 0.3 * metrics["correlation"] + 0.7 * metrics["pathway"]
    np.testing.assert_allclose(loss, total, rtol=1e-5)


def test_a_loss_of_weight_zero_is_not_made(setting, data, model):
    only = but(CONSISTENCY, **{"losses.1.weight": 0.0})
    bare = dataclasses.replace(setting, pathways=None)
    facts = dataclasses.replace(data, own=only.prepare(bare))
    _, metrics = eqx.filter_jit(only)(model, facts, jnp.zeros((), jnp.int32), key=jr.key(0))
    assert "correlation" in metrics
    assert "pathway" not in metrics
    with pytest.raises(ValueError, match="no loss has a weight"):
        but(only, **{"losses.0.weight": 0.0})


def test_alignment_losses_train_the_flow(model, aligning):
    """Their gradients pass the decoder and the solve, and agree with finite differences."""
    field = lambda scale: eqx.tree_at(lambda m: m.velocity, model, Constant(scale))
    tight = but(CONSISTENCY, transport=adaptive(1e-5, 1e-5, max_steps=64))

    def losses(scale):
        found = tight.evaluate(field(scale), aligning, key=jr.key(0))
        return jnp.stack([found["correlation"], found["pathway"]])

    at = jax.jit(lambda scale: (losses(scale), jax.jacrev(losses)(scale)))
    (low, _), (_, slope), (high, _) = (at(jnp.array(scale)) for scale in (0.45, 0.5, 0.55))
    assert np.abs(slope).min() > 1e-6
    np.testing.assert_allclose(slope, (high - low) / 0.1, rtol=0.1)


def test_a_solve_that_runs_out_of_steps_is_counted_and_teaches_nothing(model, aligning):
    """The raw error stopped a run before, at the same step on every resume."""
    wild = lambda scale: eqx.tree_at(lambda m: m.velocity, model, Constant(scale))
    short = but(CONSISTENCY, transport=adaptive(1e-7, 1e-7, max_steps=1))

    @jax.jit
    def loss(scale):
        return short(wild(scale), aligning, jnp.zeros((), jnp.int32), key=jr.key(0))

    (value, metrics), slope = jax.value_and_grad(loss, has_aux=True)(jnp.array(3.0))
    assert float(value) == float(slope) == 0.0
    assert float(metrics["consistency_unsolved_share"]) == 1.0
    # Which conditions: those that were drawn, each once for each draw.
    assert float(jnp.sum(metrics["consistency_unsolved"])) == short.groups


def test_what_a_loss_is_to_be_held_against(model, aligning, setting):
    """Controls as they are, and other measured cells: of a perfect flow the second is reached."""
    found = eqx.filter_jit(CONSISTENCY.references)(model, aligning, key=jr.key(0))
    names = {"correlation", "pathway"}
    expected = {f"{n}_{kind}" for n in names for kind in ("no_change", "noise_floor")}
    assert set(found) == expected
    still = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(0.0)))
    references = eqx.filter_jit(MATCHING.references)
    loss = references(still, aligning, key=jr.key(0))["no_change"]
    every = jnp.arange(aligning.index.num_groups)
    rows = [on_groups(MATCHING, still, aligning, every, key=jr.key(n))[0] for n in range(4)]
    np.testing.assert_allclose(loss, np.mean(rows), rtol=0.3)


class Faster(AbstractProbabilityPath):
    """A path whose target is twice as fast as a straight one's."""

    def __call__(self, t, start, end, *, key):
        return (1 - t) * start + t * end, 2 * (end - start)


def test_the_reference_of_flow_matching_is_that_of_its_own_path(model, aligning):
    straight, faster = (
        eqx.filter_jit(but(MATCHING, path=path).references)(model, aligning, key=jr.key(0))
        for path in (LinearPath(), Faster())
    )
    np.testing.assert_allclose(faster["no_change"], 4 * straight["no_change"], rtol=1e-5)


def test_responses_are_measured_from_the_controls_of_their_own_context(contexts, setting):
    facts = ResponseCriterion(cells=6).prepare(setting, key=jr.key(0))
    everything = contexts.dense()
    for group, context in enumerate(np.asarray(setting.index.context)):
        here = contexts.context_index == context
        origin = everything[here & contexts.is_control].mean(0)
        place = int(setting.index.condition[group])
        cells = everything[here & (contexts.condition_index == place)].mean(0)
        np.testing.assert_allclose(facts.origin[context], origin, atol=1e-4)
        np.testing.assert_allclose(facts.response[group], cells - origin, atol=1e-4)
        drawn = np.asarray(facts.controls[context])
        known = everything[here & contexts.is_control]
        assert all((np.abs(known - cell).max(1) < 1e-5).any() for cell in drawn)


@pytest.fixture(scope="module")
def judged(trained, screen):
    """The screen without contexts, to be judged on."""
    return train.make_setting(trained.pure, trained.names, screen, TINY)


def test_the_response_score_is_the_mean_correlation_of_predicted_means(screen, trained, judged):
    criterion = ResponseCriterion(cells=6)
    facts = criterion.prepare(judged, key=jr.key(0))
    controls = screen.take(np.flatnonzero(screen.is_control)[:6]).to_anndata()
    controls.X = np.asarray(facts.controls[0])
    origin = screen.mean(np.flatnonzero(screen.is_control))
    scores = []
    for condition in screen.conditions:
        if not condition.is_control:
            predicted = trained.predict(
                controls, [condition.name], key=jr.key(0), nonnegative=False
            )
            observed = screen.mean(screen.rows(condition)) - origin
            shift = predicted.to_df().to_numpy().mean(0) - origin
            scores.append(np.corrcoef(shift, observed)[0, 1])
    data = dataclasses.replace(train.flow_data(judged), own=facts)
    score, metrics = eqx.filter_jit(criterion)(trained.pure, data)
    np.testing.assert_allclose(score, np.mean(scores), atol=2e-3)
    assert float(jnp.sum(metrics["validation_unsolved"])) == 0


def test_a_group_that_cannot_be_solved_scores_zero_and_is_counted(trained, judged):
    criterion = ResponseCriterion(cells=6, transport=adaptive(1e-7, 1e-7, max_steps=1))
    data = dataclasses.replace(
        train.flow_data(judged), own=criterion.prepare(judged, key=jr.key(0))
    )
    score, metrics = eqx.filter_jit(criterion)(trained.pure, data)
    assert float(score) == 0.0
    assert np.all(np.asarray(metrics["validation_unsolved"]) == 1)


def test_the_flow_score_is_minus_the_loss_of_every_group(model, data):
    valid = eqx.filter_jit(FlowCriterion(MATCHING))
    still = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(0.0)))
    wild = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(50.0)))
    assert float(valid(wild, data)[0]) < float(valid(still, data)[0]) < 0


@pytest.mark.parametrize("buffer", [None, 33])
def test_the_autoencoder_score_is_minus_the_error_on_held_out_cells(screen, model, buffer):
    kept, held = train.hold_out_cells(screen, 0.25, key=jr.key(0))
    assert held.num_cells > 33
    config = but(TINY.stage1, buffer=buffer)
    stage, state, _ = autoencoder_stage(model, kept, held, config, key=jr.key(0))
    cells = held.dense()
    rebuilt = np.asarray(model.decode_cells(model.encode_cells(jnp.asarray(cells))))
    np.testing.assert_allclose(
        stage.validate(state.best)[0], -np.mean((rebuilt - cells) ** 2), rtol=1e-4
    )


@pytest.mark.parametrize("parts", [("velocity",), ("condition_encoder", "velocity", "decoder")])
def test_what_trains_is_what_the_configuration_says(model, parts):
    spec = train.trainable(model, *parts)
    fields = [field.name for field in dataclasses.fields(model)]
    # Static fields are no booleans, but hold something.
    trains = lambda name: any(leaf is True for leaf in jax.tree.leaves(getattr(spec, name)))
    assert {name for name in fields if trains(name)} == set(parts)


@pytest.mark.parametrize(("parts", "times"), [((), 1), (("decoder",), 3)])
def test_what_a_loss_is_held_against_is_worked_out_once_if_the_autoencoder_stands(
    setting, parts, times, monkeypatch
):
    config = but(
        LEAN, **{"stage2.trains": (*LEAN.stage2.trains, *parts)}, terms=RECONSTRUCTING[: len(parts)]
    )
    prepared = train.Prepared.of(setting, setting, config, key=jr.key(0))
    stage, state, _ = train.flow_stage(setting.model, prepared, config)
    calls, work = [], _flow.references
    monkeypatch.setattr(_flow, "references", lambda *given: calls.append(1) or work(*given))
    logged = [stage.validate(state.best)[1]["flow_no_change"] for _ in range(3)]
    assert len(calls) == times
    assert len({float(x) for x in logged}) == 1


def test_terms_apart_leave_the_updates_of_the_flow_alone(setting):
    """With an optimiser of next to no rate apart, the flow is what it is without those terms."""

    def trained(terms=(), apart=None):
        config = but(LEAN, terms=terms, **{"stage2.apart": apart})
        prepared = train.Prepared.of(setting, None, config, key=jr.key(0))
        stage, state, _ = train.flow_stage(setting.model, prepared, config)
        found, _ = stage.advance(state.train, next(stage.feed(0)), jr.key(1))
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(found.params)])

    terms = (Weighted(Small(), 1.0),)
    alone, none = trained(), trained(terms, Adam(1e-30))
    np.testing.assert_allclose(none, alone, rtol=1e-4, atol=1e-6)
    for other in (trained(terms), trained(terms, Adam(1e-2))):
        assert np.abs(other - alone).max() > 1e-3
    # Without other terms there is nothing to be apart.
    np.testing.assert_array_equal(trained((), Adam(1e-2)), alone)
