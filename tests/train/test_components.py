"""Stage 1 in closed form, against a singular value decomposition of the cells."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import nn
from scbig.data import Screen
from scbig.method import AutoencoderTraining, but, cellflow_like
from scbig.model import make_model
from scbig.objective import Adam
from scbig.programs import GenePartition, SoftPartition
from scbig.service import load
from scbig.train import fit
from scbig.train._autoencoder import autoencoder_stage
from scbig.train._components import with_components

from .conftest import LEAN
from .test_fit import same
from .test_stored import on_disk

LATENT = 4
LIKE = but(cellflow_like(LEAN), **{"encoder.latent": LATENT})


def components(screen: Screen) -> tuple[np.ndarray, np.ndarray]:
    """The centre of all cells, and their first axes as rows."""
    cells = screen.dense().astype(np.float64)
    return cells.mean(axis=0), np.linalg.svd(cells - cells.mean(axis=0))[2][:LATENT]


def made(screen: Screen, partition, networks=LIKE.networks):
    model = make_model(
        networks,
        partition=partition,
        embeddings=None,
        mean=jnp.asarray(screen.mean(), jnp.float32),
        tokens=jnp.zeros((2, 3)),
        key=jr.key(0),
    )
    return with_components(model, screen)


def hard(genes: int) -> GenePartition:
    # Of unlike sizes, so that there is padding.
    return GenePartition.from_labels(np.minimum(np.arange(genes) % 5, 3), 4)


def soft(genes: int) -> SoftPartition:
    shares = np.random.default_rng(0).uniform(0.1, 1.0, (genes, 2))
    programs = np.stack([np.arange(genes) % 3, (np.arange(genes) + 1) % 3], axis=1)
    return SoftPartition.from_shares(programs, shares, 3)


@pytest.mark.parametrize("programs", [hard, soft])
def test_latents_are_scores_on_principal_components_whatever_the_programs(screen, programs):
    model = made(screen, programs(screen.num_genes))
    centre, axes = components(screen)
    cells = screen.dense()
    scores = (cells - centre) @ axes.T
    found = np.asarray(model.encode_cells(jnp.asarray(cells)))
    # The sign of an axis is no one's choice.
    np.testing.assert_allclose(np.abs(found), np.abs(scores), atol=2e-4)
    decoded = np.asarray(model.decode_cells(jnp.asarray(found)))
    np.testing.assert_allclose(decoded, centre + scores @ axes, atol=2e-4)


def test_a_screen_on_disk_has_the_same_components(screen, tmp_path):
    stored, partition = on_disk(screen, tmp_path / "screen.h5ad"), hard(screen.num_genes)
    cells = jnp.asarray(screen.dense())
    there_and_back = lambda model: np.asarray(model.decode_cells(model.encode_cells(cells)))
    found = there_and_back(made(stored, partition))
    np.testing.assert_allclose(found, there_and_back(made(screen, partition)), atol=2e-4)


def test_more_components_than_the_cells_have_are_refused(screen):
    networks = dataclasses.replace(LIKE.networks, encoder=nn.PCAEncoderSpec(25))
    with pytest.raises(ValueError, match="24 principal components.*latent=25: choose a smaller"):
        made(screen, hard(screen.num_genes), networks)


def test_what_is_in_closed_form_does_not_train_beside_what_is_not(screen):
    decoder = but(LEAN.decoder, position=nn.LearnedPosition())
    networks = dataclasses.replace(LIKE.networks, decoder=decoder)
    model = made(screen, hard(screen.num_genes), networks)
    config = AutoencoderTraining(Adam(1e-2), batch=32)
    stage, state, rest = autoencoder_stage(model, screen, screen, config, key=jr.key(0))
    before = stage.validate(state.train.params)[0]
    after, _ = stage.advance(state.train, next(iter(stage.feed(0))), jr.key(1))
    assert stage.validate(after.params)[0] > before
    assert same(eqx.combine(after.params, rest).encoder, model.encoder)


def test_a_flow_between_components_is_trained_saved_and_read(screen, priors, tmp_path):
    found = fit(screen, priors, LIKE, out=tmp_path, progress=False, key=jr.key(0))
    assert set(found.history.stage) == {"flow"}
    again = load(tmp_path / "model.scbig")
    assert same(again, found.model)
    names = [c.name for c in screen.conditions if not c.is_control][:2]
    cells = found.model.predict(screen, names, nonnegative=False, key=jr.key(1))
    model, values = found.model.pure, np.asarray(cells.X)
    around = np.asarray(model.decode_cells(model.encode_cells(jnp.asarray(values))))
    np.testing.assert_allclose(around, values, atol=2e-4)
