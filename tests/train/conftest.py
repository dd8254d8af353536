"""A screen and a configuration so small that compiling is most of the work."""

import dataclasses

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import config as C
from scbig.data import Screen
from scbig.model import Names, make_model
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.programs import GenePartition
from scbig.simulate import SimulationConfig, simulate_screen
from scbig.train import Priors

SIMULATION = SimulationConfig(
    genes=24, programs=3, perturbations=5, doubles=4, control_cells=60, cells_per_condition=20,
    features=4,
)  # fmt: skip

TINY = C.ScBIGConfig(
    programs=C.ProgramsConfig(clusters=3, starts=2),
    autoencoder=C.AutoencoderConfig(
        width=8, heads=2, layers=1, inducing=2, latent=4, mlp_width=8, dropout=0.1
    ),
    condition=C.ConditionConfig(hidden=8, width=8),
    velocity=C.VelocityConfig(frequencies=2, top_frequency=3.0, hidden=8, depth=1),
    coupling=C.CouplingConfig(iterations=50),
    transport=C.TransportConfig(solver="bosh3", rtol=1e-2, atol=1e-2, max_steps=32),
    alignment=C.AlignmentConfig(
        conditions=2,
        cells=6,
        iterations=20,
        transport=C.TransportConfig(solver="bosh3", rtol=1e-2, atol=1e-2, max_steps=32),
    ),
    stage1=C.AutoencoderTraining(learning_rate=1e-2, batch=32, epochs=4),
    stage2=C.FlowTraining(
        learning_rate=1e-2,
        groups=3,
        cells=8,
        steps=12,
        accumulate=1,
        steps_per_call=4,
        validate_every=1,
        validation_cells=16,
    ),  # fmt: skip
)


def stage2(config: C.ScBIGConfig, **changes) -> C.ScBIGConfig:
    return dataclasses.replace(config, stage2=dataclasses.replace(config.stage2, **changes))


@pytest.fixture(scope="session")
def simulated():
    return simulate_screen(SIMULATION, seed=0)


@pytest.fixture(scope="session")
def screen(simulated):
    settings = PreprocessConfig(min_genes=1, min_cells=1)
    adata = preprocess(simulated.counts, settings)
    return Screen.from_anndata(adata)


@pytest.fixture(scope="session")
def priors(simulated):
    return Priors(
        genes=EmbeddingTable(simulated.genes, simulated.embeddings),
        interactions=InteractionGraph(*simulated.interactions),
        pathways=PathwayLibrary(simulated.pathways),
    )


@pytest.fixture(scope="session")
def model(screen, priors):
    table = priors.genes.standardised()
    return make_model(
        TINY,
        partition=GenePartition.from_labels(np.arange(screen.num_genes) % 3, 3),
        embeddings=jnp.asarray(priors.genes.vectors),
        mean=jnp.asarray(screen.mean()),
        tokens=jnp.asarray(table.vectors),
        names=Names(genes=screen.genes, perturbations=table.names),
        key=jr.key(0),
    )


@pytest.fixture
def key():
    return jr.key(0)
