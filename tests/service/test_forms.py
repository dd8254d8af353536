"""Predictions do not depend on the form of the controls, nor scores on that of the predictions."""

from typing import Any

import anndata as ad
import dask.array as da
import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata.io import write_elem
from scipy import sparse

from scbig.data import Columns, write_store
from scbig.flow import adaptive
from scbig.method import ScBIGConfig
from scbig.metrics import evaluate
from scbig.model import make_model
from scbig.nn import (
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    VelocityFieldSpec,
)
from scbig.programs import GRC, GenePartition
from scbig.service import Names, TrainedModel

pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding"),
]

GENES = tuple(f"G{i}" for i in range(12))
COLUMNS = Columns(condition="drug", context="line", control="none")


def controls() -> Any:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(2.0, 2.0, 12), (40, 12))
    x = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 100).astype(np.float32)
    obs = pd.DataFrame(
        {"drug": ["none", "none", "G1", "G4"] * 10, "line": ["1"] * 20 + ["2"] * 20},
        index=pd.Index([f"c{i}" for i in range(40)]),
    )
    return ad.AnnData(sparse.csr_matrix(x), obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    body: dict[str, Any] = {
        "width": 4,
        "heads": 1,
        "layers": 1,
        "mixing": InducingPoints(2),
        "mlp_width": 4,
    }
    config = ScBIGConfig(
        programs=GRC(clusters=3),
        encoder=GeneClusterEncoderSpec(**body, latent=2),
        decoder=GeneClusterDecoderSpec(**body),
        condition=ConditionEncoderSpec(hidden=4, width=4),
        velocity=VelocityFieldSpec(frequencies=2, top_frequency=2.0, hidden=4, depth=1),
        transport=adaptive(1e-2, 1e-2, max_steps=64),
    )
    pure = make_model(
        config.networks,
        partition=GenePartition.from_labels(np.arange(12) % 3, 3),
        embeddings=jr.normal(jr.key(1), (12, 3)),
        mean=jnp.asarray(controls().to_df().to_numpy().mean(axis=0)),
        tokens=jr.normal(jr.key(2), (1, 3)),
        key=jr.key(0),
    )
    pure = eqx.tree_at(lambda m: (m.shift, m.scale), pure, (jnp.zeros(2), jnp.ones(2)))
    names = Names(genes=GENES, perturbations=("G1",))
    return TrainedModel(pure=pure, names=names, config=config)


def of_x(change):
    def form(adata):
        adata.X = change(adata.X)
        return adata

    return form


def lazy(kind, chunks: Any):
    return of_x(lambda x: da.from_array(x.toarray(), chunks=chunks).map_blocks(kind))


def of_labels(**dtypes):
    def form(adata):
        adata.obs = adata.obs.astype(dtypes)
        return adata

    return form


FORMS = {
    "csc": of_x(sparse.csc_matrix),
    "csr array": of_x(sparse.csr_array),
    "dense": of_x(lambda x: x.toarray()),
    "dense big-endian": of_x(lambda x: x.toarray().astype(">f4")),
    "float64": of_x(lambda x: x.astype(np.float64)),
    "lazy": lazy(np.asarray, (7, 5)),
    "lazy csr": lazy(sparse.csr_matrix, (7, -1)),
    "categories": of_labels(drug="category", line="category"),
    "string[pyarrow]": of_labels(drug="string[pyarrow]", line="string[pyarrow]"),
    "whole floats": of_labels(line="float64"),
    "Int64": of_labels(line="int64"),
}


@pytest.mark.parametrize("form", FORMS)
def test_predictions_do_not_depend_on_the_form_of_the_controls(model, form):
    usual, found = (
        model.predict(given, ["G1"], COLUMNS, key=jr.key(0), cells=4)
        for given in (controls(), FORMS[form](controls()))
    )
    np.testing.assert_array_equal(found.X, usual.X)
    assert list(found.obs["source"]) == list(usual.obs["source"])


def test_backed_controls_are_controls(model, tmp_path):
    write_store(tmp_path / "x.h5ad", controls())
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    usual, found = (
        model.predict(given, ["G1"], COLUMNS, key=jr.key(0), cells=4)
        for given in (controls(), backed)
    )
    np.testing.assert_array_equal(found.X, usual.X)


def test_predictions_in_a_file_are_scored_as_in_memory(model, tmp_path):
    """What predictions say of their own columns goes through every kind of file."""
    guess = model.predict(controls(), ["G1"], COLUMNS, key=jr.key(0), cells=4)
    usual = evaluate(guess, controls(), COLUMNS)
    for name in ("x.h5ad", "x.zarr"):
        write_store(tmp_path / name, guess)
    write_elem(zarr.open_group(str(tmp_path / "third.zarr"), mode="w", zarr_format=3), "/", guess)
    found = [
        ad.read_h5ad(tmp_path / "x.h5ad"),
        ad.read_h5ad(tmp_path / "x.h5ad", backed="r"),
        ad.io.read_zarr(tmp_path / "x.zarr"),
        ad.io.read_zarr(tmp_path / "third.zarr"),
    ]
    for adata in found:
        pd.testing.assert_frame_equal(evaluate(adata, controls(), COLUMNS), usual)
