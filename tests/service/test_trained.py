"""The assembled model: names, prediction, files."""

import dataclasses
import json
import re
from typing import Any

import anndata as ad
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig._errors import NumericalFailure
from scbig.anchor import nonnegative
from scbig.data import Columns
from scbig.flow import adaptive
from scbig.method import ScBIGConfig, but
from scbig.model import make_model
from scbig.nn import (
    AbstractDecoder,
    AbstractVelocity,
    AbstractVelocitySpec,
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    Sizes,
    VelocityFieldSpec,
)
from scbig.programs import GRC, GenePartition
from scbig.service import Names, TrainedModel, as_counts, load, save

GENES = tuple(f"g{i}" for i in range(10))
PERTURBATIONS = ("AHR", "CEBPE", "KLF1")


def small() -> ScBIGConfig:
    body: dict[str, Any] = {
        "width": 8,
        "heads": 2,
        "layers": 1,
        "mixing": InducingPoints(2),
        "mlp_width": 8,
    }
    return ScBIGConfig(
        programs=GRC(clusters=3),
        encoder=GeneClusterEncoderSpec(**body, latent=4),
        decoder=GeneClusterDecoderSpec(**body),
        condition=ConditionEncoderSpec(hidden=8, width=8),
        velocity=VelocityFieldSpec(frequencies=3, top_frequency=3.0, hidden=8, depth=1),
        transport=adaptive(1e-4, 1e-4, max_steps=64),
    )


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    made = make_model(
        small().networks,
        partition=GenePartition.from_labels(np.arange(10) % 3, 3),
        embeddings=jr.normal(jr.key(1), (10, 5)),
        mean=jnp.linspace(0.1, 2.0, 10),
        tokens=jr.normal(jr.key(2), (3, 6)),
        key=jr.key(0),
    )
    moved = (jnp.arange(4.0), jnp.full(4, 2.0))
    pure = eqx.tree_at(lambda m: (m.shift, m.scale), made, moved)
    names = Names(genes=GENES, perturbations=PERTURBATIONS)
    return TrainedModel(pure=pure, names=names, config=small())


def changed(model: TrainedModel, where, new) -> TrainedModel:
    """The same with other parts of its arrays."""
    return dataclasses.replace(model, pure=eqx.tree_at(where, model.pure, new))


def same(a: TrainedModel, b: TrainedModel) -> bool:
    return bool(eqx.tree_equal(a.pure, b.pure)) and (a.names, a.config) == (b.names, b.config)


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
    pure = model.pure
    condition = pure.condition_encoder(pure.tokens[jnp.array([1, 2])], jnp.ones(2, bool))
    velocity = eqx.filter_jit(pure.velocity)
    for cell in range(2):
        z, steps = pure.encode(jnp.asarray(base[cell].to_df().to_numpy()[0])), 200
        for step in range(steps):
            z = z + velocity(jnp.array((step + 0.5) / steps), z, condition) / steps
        np.testing.assert_allclose(found.X[cell], pure.decode(z), rtol=2e-2, atol=2e-2)


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
    there, back = (
        model.predict(controls(), [label], key=jr.key(0)) for label in ("AHR+KLF1", "KLF1+AHR")
    )
    np.testing.assert_allclose(there.X, back.X, rtol=1e-4, atol=1e-4)


def test_labels_are_read_as_the_columns_say(model):
    columns = Columns(separator="_", control="none")
    found = model.predict(controls(), ["KLF1_AHR", "none_CEBPE"], columns, key=jr.key(0))
    usual = model.predict(controls(), ["AHR+KLF1", "CEBPE"], key=jr.key(0))
    assert found.obs["condition"].tolist() == usual.obs["condition"].tolist()
    np.testing.assert_array_equal(found.X, usual.X)


def test_one_compilation_serves_all_conditions(model):
    traces = []

    class Counted(AbstractVelocity):
        inner: AbstractVelocity

        def __call__(self, t, z, c, *, key=None):
            traces.append(1)
            return self.inner(t, z, c, key=key)

    counted = changed(model, lambda m: m.velocity, Counted(model.pure.velocity))
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
    with pytest.raises(ValueError, match=r"1 perturbation\(s\): 'KLF2'.*Close to KLF2: KLF1"):
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
    assert same(model, loaded)
    for label in ["AHR", "AHR+KLF1"]:
        before = model.predict(controls(), [label], key=jr.key(0))
        after = loaded.predict(controls(), [label], key=jr.key(0))
        np.testing.assert_array_equal(before.X, after.X)


def test_the_file_begins_with_a_readable_header(model, tmp_path):
    save(model, tmp_path / "model.scbig")
    header = json.loads((tmp_path / "model.scbig").read_bytes().split(b"\n", 1)[0])
    assert header["header"]["names"]["genes"] == list(GENES)
    assert header["versions"]["jax"] == jax.__version__
    assert ScBIGConfig.from_dict(header["header"]["config"]) == model.config


def test_a_model_of_other_genes_is_refused(model, tmp_path):
    save(model, tmp_path / "model.scbig")
    with pytest.raises(ValueError, match="lacks 1, e.g. 'g9'"):
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


def test_columns_of_the_controls_stay_what_they_are(model, tmp_path):
    known: Any = controls()
    known.obs["source"] = [f"patient {row % 2}" for row in range(7)]
    known.obs["stage"] = pd.Categorical(["I", "II"] * 3 + ["I"], ["II", "I"], ordered=True)
    known.obs["male"] = pd.array([True, None] * 3 + [False], dtype="boolean")
    found = model.predict(known, ["AHR", "KLF1"], key=jr.key(0), cells=5)
    own = known.obs.loc[found.obs["source"]]
    assert found.obs["control_source"].tolist() == own["source"].tolist()
    assert found.obs["stage"].cat.categories.tolist() == ["II", "I"]
    assert found.obs["stage"].cat.ordered
    pd.testing.assert_series_equal(found.obs["male"], own["male"], check_index=False)
    found.write_h5ad(tmp_path / "predicted.h5ad")
    again = ad.read_h5ad(tmp_path / "predicted.h5ad")
    assert again.obs["male"].isna().sum() == own["male"].isna().sum()


def test_a_condition_that_is_spelt_twice_is_predicted_once(model):
    found = model.predict(controls(), ["AHR+KLF1", "CEBPE", "KLF1+AHR"], key=jr.key(0))
    assert found.obs["condition"].unique().tolist() == ["AHR+KLF1", "CEBPE"]
    assert found.n_obs == 2 * controls().n_obs


def test_controls_on_another_scale_than_the_training_are_refused(model):
    cells: Any = controls()
    cells.X = 3 * cells.X
    with pytest.raises(ValueError, match=r"the given cells is .* of the training cells"):
        model.predict(cells, ["AHR"], key=jr.key(0))
    cells = controls()
    cells.uns["log1p"] = {"base": 2}
    with pytest.raises(ValueError, match="base 2"):
        model.predict(cells, ["AHR"], key=jr.key(0))


def test_cells_whose_labels_stand_in_another_column_are_not_all_controls(model):
    cells = controls()
    cells.obs["target"] = ["AHR", "NT", "KLF1+NT", "NT", "NT", "NT", "NT"]
    with pytest.raises(ValueError, match=r"obs\['target'\] names perturbations .* 'AHR', 'KLF1'"):
        model.predict(cells, ["AHR"], key=jr.key(0))
    found = model.predict(cells, ["AHR"], Columns(condition="target"), key=jr.key(0))
    assert found.n_obs == 5


class Linear(AbstractVelocity):
    """A field of someone else's."""

    map: eqx.nn.Linear

    def __call__(self, t, z, c, *, key=None):
        return self.map(jnp.concatenate([z, c]))


class LinearSpec(AbstractVelocitySpec):
    """Describes it."""

    def build(self, sizes: Sizes, *, key) -> Linear:
        return Linear(eqx.nn.Linear(sizes.latent + sizes.condition, sizes.latent, key=key))


def test_a_velocity_field_of_ones_own_is_read_again(model, tmp_path):
    built = make_model(
        but(small(), velocity=LinearSpec()).networks,
        partition=model.pure.partition,
        embeddings=jr.normal(jr.key(1), (10, 5)),
        mean=model.pure.mean,
        tokens=model.pure.tokens,
        key=jr.key(0),
    )
    own = TrainedModel(pure=built, names=model.names, config=but(small(), velocity=LinearSpec()))
    save(own, tmp_path / "model.scbig")
    assert same(own, load(tmp_path / "model.scbig"))


def test_networks_that_the_configuration_does_not_build_are_not_saved(model, tmp_path):
    field = Linear(eqx.nn.Linear(12, 4, key=jr.key(0)))
    other = changed(model, lambda m: m.velocity, field)
    with pytest.raises(ValueError, match="'velocity' is not what its configuration builds"):
        save(other, tmp_path / "model.scbig")
    assert not list(tmp_path.iterdir())


def rewritten(path, change):
    """Changes the header of a file, whose checksum is of the arrays alone."""
    first, arrays = path.read_bytes().split(b"\n", 1)
    line = json.loads(first)
    change(line["header"])
    path.write_bytes(json.dumps(line).encode() + b"\n" + arrays)


def test_a_model_of_an_older_version_is_refused_by_its_version(model, tmp_path):
    path = tmp_path / "model.scbig"
    save(model, path)
    rewritten(path, lambda header: header.pop("format"))
    with pytest.raises(ValueError, match=r"format 1, of an earlier version .* format 6"):
        load(path)


def test_a_class_that_is_not_imported_is_named(model, tmp_path):
    path = tmp_path / "model.scbig"
    save(model, path)
    rewritten(path, lambda header: header["config"]["velocity"].update({"is": "Elsewhere"}))
    with pytest.raises(ValueError, match="'Elsewhere'.*Import the module that defines it first"):
        load(path)


def test_a_solve_that_runs_out_of_steps_names_its_population(model):
    short = adaptive(1e-7, 1e-7, max_steps=1)
    with pytest.raises(NumericalFailure, match=r"solve for KLF1 ran out of 1 steps.*max_steps"):
        model.predict(controls(), ["KLF1"], key=jr.key(0), transport=short)
    found = model.predict(controls(), ["KLF1"], key=jr.key(0), transport=short, throw=False)
    assert not found.uns["transport"]["solved"].any()


def varied(cells, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 3, (cells, len(GENES))).astype(np.float32)


@pytest.mark.parametrize("cells", [1, 256, 300])
def test_a_round_trip_encodes_and_decodes_each_cell_by_itself(model, cells):
    given = varied(cells)
    found = model.round_trip(given, nonnegative=False)
    assert found.shape == given.shape
    assert found.dtype == np.float32
    for row in {0, cells // 2, cells - 1}:
        expected = model.pure.decode(model.pure.encode(jnp.asarray(given[row])))
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)
    assert found.min() < 0
    np.testing.assert_array_equal(model.round_trip(given), np.maximum(found, 0))


def test_a_round_trip_finds_genes_by_name(model):
    given = varied(5)
    order = [3, 1, 9, 0, 2, 5, 4, 8, 7, 6]
    found = model.round_trip(given[:, order], [GENES[i] for i in order])
    np.testing.assert_array_equal(found, model.round_trip(given)[:, order])


def test_a_round_trip_compiles_once_for_all_sizes(model, caplog):
    traces = []

    class Counted(AbstractDecoder):
        inner: AbstractDecoder

        def __call__(self, latent, facts, *, key=None):
            traces.append(1)
            return self.inner(latent, facts, key=key)

    counted = changed(model, lambda m: m.decoder, Counted(model.pure.decoder))
    counted.round_trip(varied(3))
    once = len(traces)
    assert once > 0
    with jax.log_compiles():
        for cells in (1, 40, 200):
            counted.round_trip(varied(cells))
    assert len(traces) == once
    compiled = {
        found[1] for x in caplog.messages if (found := re.match(r"Compiling jit\((\w+)", x))
    }
    assert compiled <= {"stage"}  # which copies an array to the device


def test_a_round_trip_without_negative_expression_has_its_own_mean(model):
    given = varied(37)
    raw, found = (model.round_trip(given, nonnegative=own) for own in (False, True))
    expected = nonnegative(jnp.asarray(raw))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert raw.min() < 0 <= found.min()


def test_a_round_trip_refuses_what_predict_refuses(model):
    with pytest.raises(ValueError, match="missing from the data: 'g0'"):
        model.round_trip(varied(3), ("other", *GENES[1:]))
    with pytest.raises(ValueError, match="raw counts"):
        model.round_trip(np.round(10 * varied(3)))
    with pytest.raises(ValueError, match="each of 10 genes .* got 3 cells with 9 columns"):
        model.round_trip(varied(3)[:, 1:])
    with pytest.raises(ValueError, match="got 0 cells"):
        model.round_trip(varied(0))


def test_counts_are_those_of_the_prediction(model):
    base = controls(cells=40)
    counts = np.random.default_rng(1).negative_binomial(1, 0.4, base.shape)
    base.X = np.log1p(counts / np.linspace(0.5, 2, 40)[:, None]).astype(np.float32)
    options: Any = {"key": jr.key(0), "cells": 6}
    found: Any = model.predict(base, ["CEBPE"], emit="counts", **options)
    expected: Any = as_counts(model.predict(base, ["CEBPE"], **options), base, key=jr.key(0))
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    assert found.X.dtype == np.int32
    assert "transport" in found.uns
    with pytest.raises(ValueError, match="No counts are behind the values of the controls"):
        model.predict(controls(cells=40), ["CEBPE"], emit="counts", **options)
    unknown: Any = "umis"
    with pytest.raises(ValueError, match="emit must be 'log1p' or 'counts'; got 'umis'"):
        model.predict.__wrapped__(model, base, ["CEBPE"], emit=unknown, **options)
