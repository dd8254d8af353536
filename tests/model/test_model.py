"""The assembled model: names, prediction, files."""

import json

import anndata as ad
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig import config as C
from scbig.model import Names, ScBIG, load, make_model, save
from scbig.nn import AbstractVelocity
from scbig.programs import GenePartition

GENES = tuple(f"g{i}" for i in range(10))
PERTURBATIONS = ("AHR", "CEBPE", "KLF1")


def small() -> C.ScBIGConfig:
    return C.ScBIGConfig(
        programs=C.ProgramsConfig(clusters=3),
        autoencoder=C.AutoencoderConfig(
            width=8, heads=2, layers=1, inducing=2, latent=4, mlp_width=8
        ),
        condition=C.ConditionConfig(hidden=8, width=8),
        velocity=C.VelocityConfig(frequencies=3, top_frequency=3.0, hidden=8, depth=1),
        transport=C.TransportConfig(rtol=1e-4, atol=1e-4, max_steps=64),
    )


@pytest.fixture(scope="module")
def model() -> ScBIG:
    made = make_model(
        small(),
        partition=GenePartition.from_labels(np.arange(10) % 3, 3),
        embeddings=jr.normal(jr.key(1), (10, 5)),
        mean=jnp.linspace(0.1, 2.0, 10),
        tokens=jr.normal(jr.key(2), (3, 6)),
        names=Names(genes=GENES, perturbations=PERTURBATIONS),
        key=jr.key(0),
    )
    moved = (jnp.arange(4.0), jnp.full(4, 2.0))
    return eqx.tree_at(lambda m: (m.shift, m.scale), made, moved)


def controls(cells=7, genes=GENES) -> ad.AnnData:
    values = np.abs(np.random.default_rng(0).normal(size=(cells, len(GENES)))).astype(np.float32)
    frame = pd.DataFrame(
        values, columns=pd.Index(GENES), index=pd.Index([f"c{i}" for i in range(cells)])
    )
    return ad.AnnData(frame[list(genes)])


def test_prediction_is_encode_solve_decode(model):
    """Against a plain Euler loop over single cells."""
    base = controls()
    found = model.predict(base, ["CEBPE+KLF1"], key=jr.key(0), nonnegative=False)
    condition = model.condition_encoder(model.tokens[jnp.array([1, 2])], jnp.ones(2, bool))
    for cell in range(2):
        z, steps = model.encode(jnp.asarray(base[cell].to_df().to_numpy()[0])), 400
        for step in range(steps):
            z = z + model.velocity(jnp.array((step + 0.5) / steps), z, condition) / steps
        np.testing.assert_allclose(found.X[cell], model.decode(z), rtol=2e-2, atol=2e-2)


def test_the_latents_are_standardised_by_shift_and_scale(model):
    x = jnp.asarray(controls().to_df().to_numpy()[0])
    plain = eqx.tree_at(lambda m: (m.shift, m.scale), model, (jnp.zeros(4), jnp.ones(4)))
    raw, z = plain.encode(x), model.encode(x)
    np.testing.assert_allclose(z, (raw - jnp.arange(4.0)) / 2, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.decode(z), plain.decode(raw), rtol=1e-4, atol=1e-5)


def test_the_prediction_is_ready_for_scanpy(model):
    labels = ["CEBPE+KLF1", "AHR", "control"]
    found = model.predict(controls(), labels, key=jr.key(0))
    assert tuple(found.var_names) == GENES
    assert found.obs["condition"].value_counts().to_dict() == dict.fromkeys(labels, 7)
    assert found.obs_names.is_unique
    assert np.isfinite(found.X).all()
    assert found.X.min() >= 0
    assert (found.uns["transport"]["steps"] > 0).all()
    assert list(found.obs["source"][:7]) == [f"c{i}" for i in range(7)]


def test_the_order_of_the_genes_in_the_data_does_not_matter(model):
    straight = model.predict(controls(), ["AHR"], key=jr.key(0))
    shuffled = model.predict(controls(genes=GENES[::-1]), ["AHR"], key=jr.key(0))
    np.testing.assert_array_equal(straight.X, shuffled.X)


def test_the_order_within_a_label_does_not_matter(model):
    found = model.predict(controls(), ["KLF1+AHR", "AHR+KLF1"], key=jr.key(0))
    np.testing.assert_allclose(found.X[:7], found.X[7:], rtol=1e-4, atol=1e-4)
    assert list(found.obs["condition"].cat.categories) == ["AHR+KLF1", "KLF1+AHR"]


def test_one_compilation_serves_all_conditions(model):
    traces = []

    class Counted(AbstractVelocity):
        inner: AbstractVelocity

        def __call__(self, t, z, c, *, key=None):
            traces.append(1)
            return self.inner(t, z, c, key=key)

    counted = eqx.tree_at(lambda m: m.velocity, model, Counted(model.velocity))
    counted.predict(controls(), ["AHR"], key=jr.key(0))
    once = len(traces)
    assert once > 0
    counted.predict(controls(), ["AHR+KLF1", "CEBPE", "control", "KLF1"], key=jr.key(1))
    assert len(traces) == once


def test_cells_are_drawn_by_key(model):
    draw = lambda seed, n: model.predict(controls(), ["AHR", "KLF1"], key=jr.key(seed), cells=n)
    first = draw(0, 5).obs["source"].tolist()
    assert first == draw(0, 5).obs["source"].tolist()
    assert first != draw(1, 5).obs["source"].tolist()
    assert len(set(first[:5])) == 5
    assert draw(0, 20).n_obs == 40


def test_an_unknown_gene_is_named(model):
    with pytest.raises(ValueError, match=r"1 perturbation\(s\): KLF2.*Close to KLF2: KLF1"):
        model.predict(controls(), ["AHR", "KLF1+KLF2"], key=jr.key(0))


def test_too_many_perturbations_in_one_condition(model):
    with pytest.raises(ValueError, match="AHR\\+CEBPE\\+KLF1.*max_tokens"):
        model.predict(controls(), ["KLF1+AHR+CEBPE"], key=jr.key(0))


def test_a_single_string_is_not_a_list_of_conditions(model):
    with pytest.raises(ValueError, match="list of labels"):
        model.predict(controls(), "AHR", key=jr.key(0))


def test_missing_genes_are_named(model):
    with pytest.raises(ValueError, match="g0"):
        model.predict(controls(genes=GENES[1:]), ["AHR"], key=jr.key(0))


def test_saving_and_loading_is_exact(model, tmp_path):
    save(model, tmp_path / "model.scbig")
    loaded = load(tmp_path / "model.scbig", genes=GENES)
    assert eqx.tree_equal(model, loaded)
    for label in ["AHR", "AHR+KLF1"]:
        before = model.predict(controls(), [label], key=jr.key(0))
        after = loaded.predict(controls(), [label], key=jr.key(0))
        np.testing.assert_array_equal(before.X, after.X)


def test_the_file_begins_with_a_readable_header(model, tmp_path):
    save(model, tmp_path / "model.scbig")
    header = json.loads((tmp_path / "model.scbig").read_bytes().split(b"\n", 1)[0])
    assert header["header"]["names"]["genes"] == list(GENES)
    assert header["versions"]["jax"] == jax.__version__
    assert C.ScBIGConfig.from_dict(header["header"]["config"]) == model.config


def test_a_model_of_other_genes_is_refused(model, tmp_path):
    save(model, tmp_path / "model.scbig")
    with pytest.raises(ValueError, match="lacks 1, e.g. g9"):
        load(tmp_path / "model.scbig", genes=(*GENES[:9], "other"))
    with pytest.raises(ValueError, match="same order"):
        load(tmp_path / "model.scbig", genes=GENES[::-1])


@pytest.mark.parametrize("cut", ["header", "arrays"])
def test_a_truncated_file_is_an_error(model, tmp_path, cut):
    path = tmp_path / "model.scbig"
    save(model, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: 40 if cut == "header" else -100])
    with pytest.raises(ValueError, match="truncated"):
        load(path)


def test_an_altered_file_is_an_error(model, tmp_path):
    path = tmp_path / "model.scbig"
    save(model, path)
    whole = bytearray(path.read_bytes())
    whole[-5] ^= 1
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="SHA-256"):
        load(path)


def test_another_file_is_an_error(tmp_path):
    (tmp_path / "x").write_bytes(b"\x80\x04pickle\n")
    with pytest.raises(ValueError, match="not a scBIG model file"):
        load(tmp_path / "x")


def test_a_failed_write_leaves_the_old_file(model, tmp_path, monkeypatch):
    path = tmp_path / "model.scbig"
    save(model, path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save(model, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_raw_counts_and_cells_that_are_not_finite_are_refused(model):
    counts = ad.AnnData(np.round(100 * controls().to_df()))
    with pytest.raises(ValueError, match="counts"):
        model.predict(counts, ["AHR"], key=jr.key(0))
    values = controls().to_df()
    values.iloc[2, 3] = np.nan
    with pytest.raises(ValueError, match="g3"):
        model.predict(ad.AnnData(values), ["AHR"], key=jr.key(0))


@pytest.mark.parametrize(
    ("conditions", "rows", "cells"), [([], 7, None), (["AHR"], 0, None), (["AHR"], 7, 0)]
)
def test_nothing_to_predict_is_an_error(model, conditions, rows, cells):
    with pytest.raises(ValueError, match="Nothing to predict"):
        model.predict(controls()[:rows], conditions, key=jr.key(0), cells=cells)


def test_surplus_genes_are_refused_or_left_out(model):
    more = controls()
    wide = ad.AnnData(more.to_df().assign(EXTRA=np.float32(0.5)))
    with pytest.raises(ValueError, match="EXTRA"):
        model.predict(wide, ["AHR"], key=jr.key(0))
    found = model.predict(wide, ["AHR"], key=jr.key(0), extra="ignore")
    np.testing.assert_array_equal(found.X, model.predict(more, ["AHR"], key=jr.key(0)).X)


def test_predicted_cells_keep_what_is_known_of_their_source(model):
    known = controls()
    known.obs["cell_type"] = ["A172", "T98G"] * 3 + ["A172"]
    found = model.predict(known, ["AHR", "KLF1"], key=jr.key(0), cells=5)
    expected = known.obs["cell_type"].loc[found.obs["source"]].tolist()
    assert found.obs["cell_type"].tolist() == expected
