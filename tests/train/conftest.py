"""A screen and a configuration so small that compiling is most of the work."""

import dataclasses
from typing import Any

import diffrax as dfx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from scbig.alignment import CorrelationAlignment, PathwayAlignment
from scbig.data import Screen
from scbig.flow import adaptive
from scbig.method import AutoencoderTraining, FlowTraining, ScBIGConfig, Weighted, but
from scbig.model import make_model
from scbig.nn import (
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    VelocityFieldSpec,
)
from scbig.objective import Adam, Consistency, FlowCriterion, FlowMatching, ResponseCriterion
from scbig.ot import IndependentCoupling, SinkhornCoupling
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.programs import GRC, GenePartition, KMeansStart
from scbig.service import Names, TrainedModel
from scbig.simulate import SimulationConfig, simulate_screen
from scbig.train import Priors, flow_data, make_setting

SIMULATION = SimulationConfig(
    genes=24, programs=3, perturbations=5, doubles=4, control_cells=60, cells_per_condition=20,
    features=4,
)  # fmt: skip

BODY: dict[str, Any] = {
    "width": 8,
    "heads": 2,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 8,
    "dropout": 0.1,
}
QUICK = adaptive(1e-2, 1e-2, solver=dfx.Bosh3(), max_steps=32)
LOSSES = (Weighted(CorrelationAlignment(), 0.1), Weighted(PathwayAlignment(iterations=20), 0.1))
MATCHING = FlowMatching(coupling=SinkhornCoupling(iterations=50), groups=3, cells=8)
CONSISTENCY = Consistency(LOSSES, QUICK, groups=2, cells=6)
# One value for most tests: what is equal is compiled once.
TINY = ScBIGConfig(
    programs=GRC(clusters=3, start=KMeansStart(tries=2)),
    encoder=GeneClusterEncoderSpec(**BODY, latent=4),
    decoder=GeneClusterDecoderSpec(**BODY),
    condition=ConditionEncoderSpec(hidden=8, width=8),
    velocity=VelocityFieldSpec(frequencies=2, top_frequency=3.0, hidden=8, depth=1),
    flow=MATCHING,
    terms=(Weighted(CONSISTENCY, 1.0),),
    transport=QUICK,
    stage1=AutoencoderTraining(Adam(1e-2), batch=32, epochs=4),
    stage2=FlowTraining(
        Adam(1e-2),
        steps=12,
        accumulate=1,
        steps_per_call=4,
        validate_every=1,
        criterion=ResponseCriterion(cells=16),
    ),
)
# Without the alignment losses, which are most of what is compiled.
PAIRED = but(MATCHING, coupling=IndependentCoupling())
LEAN = but(TINY, flow=PAIRED, terms=(), **{"stage2.criterion": FlowCriterion(PAIRED)})


@pytest.fixture(scope="session")
def simulated():
    return simulate_screen(SIMULATION, seed=0)


@pytest.fixture(scope="session")
def screen(simulated):
    settings = PreprocessConfig(min_genes=1, min_cells=1)
    return Screen.from_anndata(preprocess(simulated.counts, settings))


@pytest.fixture(scope="session")
def priors(simulated):
    return Priors(
        genes=EmbeddingTable(simulated.genes, simulated.embeddings),
        interactions=InteractionGraph(*simulated.interactions),
        pathways=PathwayLibrary(simulated.pathways),
    )


@pytest.fixture(scope="session")
def trained(screen, priors):
    """An untrained model with its names."""
    table = priors.tokens
    pure = make_model(
        TINY.networks,
        partition=GenePartition.from_labels(np.arange(screen.num_genes) % 3, 3),
        embeddings=jnp.asarray(priors.genes.vectors),
        mean=jnp.asarray(screen.mean()),
        tokens=jnp.asarray(table.vectors),
        key=jr.key(0),
    )
    names = Names(genes=screen.genes, perturbations=table.names)
    return TrainedModel(pure=pure, names=names, config=TINY)


@pytest.fixture(scope="session")
def model(trained):
    return trained.pure


@pytest.fixture(scope="session")
def contexts(screen):
    """The screen in two contexts, of which the second has another origin."""
    index = (np.arange(screen.num_cells) % 2).astype(np.int32)
    moved = screen.dense()
    moved[index == 1] += np.linspace(0, 2, screen.num_genes, dtype=np.float32)
    return dataclasses.replace(
        screen, expression=csr_matrix(moved), contexts=("a", "b"), context_index=index
    )


@pytest.fixture(scope="session")
def setting(trained, contexts, priors):
    return make_setting(trained.pure, trained.names, contexts, TINY, priors.pathways)


@pytest.fixture(scope="session")
def data(setting):
    return flow_data(setting)


@pytest.fixture
def key():
    return jr.key(0)
