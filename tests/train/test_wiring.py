"""How stage 2 is put together: each drawn thing reaches the place that it is meant for."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scbig import train
from scbig.flow import make_transport
from scbig.nn import AbstractVelocity
from scbig.train._flow import PARTS, aligned, matching

from .conftest import TINY, stage2

TRANSPORT = make_transport(**dataclasses.asdict(TINY.alignment.transport))


class Constant(AbstractVelocity):
    """A velocity that is `scale` times the latent, whatever the time and the condition."""

    scale: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return self.scale * z


@pytest.fixture(scope="module")
def contexts(screen):
    """The screen in two contexts, of which the second has another origin."""
    index = (np.arange(screen.num_cells) % 2).astype(np.int32)
    moved = screen.dense()
    moved[index == 1] += np.linspace(0, 2, screen.num_genes, dtype=np.float32)
    return dataclasses.replace(
        screen, expression=csr_matrix(moved), contexts=("a", "b"), context_index=index
    )


@pytest.fixture(scope="module")
def data(model, contexts, priors):
    return train.flow_data(model, contexts, priors.pathways.align(contexts.genes).matrix)


def test_every_group_gets_its_own_conditions_tokens(model, contexts, data):
    groups = jnp.arange(data.index.num_groups)
    found = data.conditions(model, groups, key=None)
    for group in range(data.index.num_groups):
        condition = contexts.conditions[int(data.index.condition[group])]
        rows = [model.names.perturbations.index(name) for name in condition.perturbations]
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
        return float(matching(chosen, data, TINY, groups=groups, key=jr.key(1), dropout=dropout)[0])

    assert loss(dropped, True) != loss(without, True)
    assert loss(dropped, False) == loss(without, False)


def two_clouds(data, cells):
    """Controls and perturbed cells in two clouds each, at 0 and at 10."""
    latents = jnp.where(jnp.arange(cells)[:, None] % 4 < 2, 0.0, 10.0) * jnp.ones((1, 4))
    return eqx.tree_at(lambda d: d.latents, data, latents)


@pytest.mark.parametrize(("kind", "paired"), [("sinkhorn", True), ("independent", False)])
def test_cells_are_matched_as_the_coupling_pairs_them(model, contexts, data, kind, paired):
    """With a field that stands still the loss is the mean squared length of the pairs.

    Two clouds at a distance of 10: about half of independent pairs lie across, squared length 100;
    transport crosses only for what one side has too many of.
    """
    coupling = dataclasses.replace(TINY.coupling, kind=kind, epsilon=0.01, iterations=500)
    config = dataclasses.replace(stage2(TINY, cells=64), coupling=coupling)
    still = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(0.0)))
    inputs = two_clouds(data, contexts.num_cells)
    loss, _ = matching(still, inputs, config, groups=jnp.array([0, 1]), key=jr.key(0))
    assert (float(loss) < 25) == paired


def test_the_noise_of_the_path_reaches_the_loss(model, data):
    grow = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(1.0)))
    at = lambda sigma: float(
        matching(grow, data, stage2(TINY, sigma=sigma), groups=jnp.array([0]), key=jr.key(0))[0]
    )
    # The field follows the noise, the target does not: the loss gains sigma^2.
    assert at(3.0) - at(0.0) == pytest.approx(9.0, rel=0.5)


def weighted(correlation, pathway):
    weights = {"correlation_weight": correlation, "pathway_weight": pathway}
    return dataclasses.replace(TINY, alignment=dataclasses.replace(TINY.alignment, **weights))


def test_each_alignment_loss_has_its_own_weight(model, data):
    config = weighted(0.3, 0.7)
    loss, metrics = train.objective(
        model, data, config, TRANSPORT, jnp.zeros((), jnp.int32), key=jr.key(0)
    )
    total = metrics["flow"] + 0.3 * metrics["correlation"] + 0.7 * metrics["pathway"]
    np.testing.assert_allclose(loss, total, rtol=1e-5)


@pytest.mark.parametrize("name", ["correlation", "pathway"])
def test_alignment_losses_train_the_flow(model, data, name):
    """Their gradient passes the decoder and the solve, and agrees with finite differences."""
    field = lambda scale: eqx.tree_at(lambda m: m.velocity, model, Constant(scale))
    tight = make_transport(rtol=1e-5, atol=1e-5, max_steps=64)
    loss = jax.jit(lambda scale: aligned(field(scale), data, TINY, tight, key=jr.key(0))[name])
    slope = jax.grad(loss)(jnp.array(0.5))
    change = (loss(jnp.array(0.55)) - loss(jnp.array(0.45))) / 0.1
    assert abs(float(slope)) > 1e-6
    np.testing.assert_allclose(slope, change, rtol=0.1)


def test_responses_are_measured_from_the_controls_of_their_own_context(contexts, model):
    valid = train.ResponseValidation.from_screen(contexts, model, TRANSPORT, cells=6, key=jr.key(0))
    everything = contexts.dense()
    for group, context in enumerate(np.asarray(valid.context)):
        here = contexts.context_index == context
        origin = everything[here & contexts.is_control].mean(0)
        place = int(train.flow_data(model, contexts).index.condition[group])
        cells = everything[here & (contexts.condition_index == place)].mean(0)
        np.testing.assert_allclose(valid.origin[context], origin, atol=1e-4)
        np.testing.assert_allclose(valid.response[group], cells - origin, atol=1e-4)
        drawn = np.asarray(valid.controls[context])
        known = everything[here & contexts.is_control]
        assert all((np.abs(known - cell).max(1) < 1e-5).any() for cell in drawn)


def test_the_response_score_is_the_mean_correlation_of_predicted_means(screen, model):
    transport = make_transport(**dataclasses.asdict(TINY.transport))
    valid = train.ResponseValidation.from_screen(screen, model, transport, cells=6, key=jr.key(0))
    controls = screen.take(np.flatnonzero(screen.is_control)[:6]).to_anndata()
    controls.X = np.asarray(valid.controls[0])
    origin = screen.mean(np.flatnonzero(screen.is_control))
    scores = []
    for condition in screen.conditions:
        if not condition.is_control:
            predicted = model.predict(controls, [condition.name], key=jr.key(0), nonnegative=False)
            observed = screen.mean(screen.rows(condition)) - origin
            shift = predicted.to_df().to_numpy().mean(0) - origin
            scores.append(np.corrcoef(shift, observed)[0, 1])
    np.testing.assert_allclose(valid(model), np.mean(scores), atol=2e-3)


def test_the_flow_score_is_minus_the_loss_of_every_group(model, data):
    valid = train.FlowValidation(data, TINY)
    still = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(0.0)))
    wild = eqx.tree_at(lambda m: m.velocity, model, Constant(jnp.array(50.0)))
    assert float(valid(wild)) < float(valid(still)) < 0


@pytest.mark.parametrize("buffer", [None, 33])
def test_the_autoencoder_score_is_minus_the_error_on_held_out_cells(screen, model, buffer):
    kept, held = train.hold_out_cells(screen, 0.25, key=jr.key(0))
    assert held.num_cells > 33
    config = dataclasses.replace(TINY.stage1, buffer=buffer)
    stage, state, _ = train.autoencoder_stage(model, kept, held, config, key=jr.key(0))
    cells = held.dense()
    rebuilt = np.asarray(model.decode_cells(model.encode_cells(jnp.asarray(cells))))
    np.testing.assert_allclose(
        stage.validate(state.best), -np.mean((rebuilt - cells) ** 2), rtol=1e-4
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("flow", {"condition_encoder", "velocity"}),
        ("flow+decoder", {"condition_encoder", "velocity", "decoder"}),
        ("all", {"condition_encoder", "velocity", "decoder", "encoder"}),
    ],
)
def test_what_trains_is_what_the_configuration_says(model, choice, expected):
    spec = train.trainable(model, *PARTS[choice])
    fields = [field.name for field in dataclasses.fields(model)]
    # Static fields are no booleans, but hold something.
    trains = lambda name: any(leaf is True for leaf in jax.tree.leaves(getattr(spec, name)))
    assert {name for name in fields if trains(name)} == expected
