"""Doses and contexts of an assembled model: tokens, prediction, files."""

from typing import Any

import anndata as ad
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

from scbig.data import Columns, Condition, recorded_columns
from scbig.model import ConditionTokens, Dosing, make_model
from scbig.nn import AbstractVelocity
from scbig.programs import GenePartition
from scbig.service import Names, TrainedModel, load, save

from .test_trained import changed, same, small

GENES = tuple(f"g{i}" for i in range(10))
DRUGS = ("A", "B", "C")
DOSED = [Condition.parse(label) for label in ("A@0.1", "A@10", "B@10+C@10", "control")]


def make(*, contexts=("x", "y"), dosing: Dosing | None = None) -> TrainedModel:
    names = Names(genes=GENES, perturbations=DRUGS, contexts=contexts, dosing=dosing)
    pure = make_model(
        small().networks,
        partition=GenePartition.from_labels(np.arange(10) % 3, 3),
        embeddings=jr.normal(jr.key(1), (10, 5)),
        mean=jnp.linspace(0.1, 2.0, 10),
        tokens=jr.normal(jr.key(2), (3, 6)),
        dose_features=names.dose_features,
        contexts=jr.normal(jr.key(3), (len(contexts), 2)) if contexts else None,
        key=jr.key(0),
    )
    return TrainedModel(pure=pure, names=names, config=small())


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    return make(dosing=Dosing.of(DOSED))


def controls(lines="xyxxyyxy") -> ad.AnnData:
    values = np.abs(np.random.default_rng(0).normal(size=(len(lines), 10))).astype(np.float32)
    index = pd.Index([f"c{i}" for i in range(len(lines))])
    frame = pd.DataFrame(values, columns=pd.Index(GENES), index=index)
    return ad.AnnData(frame, obs=pd.DataFrame({"line": list(lines)}, index=index))


def values(adata: Any) -> np.ndarray:
    return np.asarray(adata.X)


def test_tokens_hold_rows_doses_and_contexts(model):
    found = model.names.tokens(["C@10+A@0.1", "control"], 2, contexts=["y", "x"])
    np.testing.assert_array_equal(found.rows, [[0, 2], [0, 0]])
    np.testing.assert_array_equal(found.mask, [[True, True], [False, False]])
    np.testing.assert_allclose(found.doses, [[[1, -1], [1, 1]], [[0, 0], [0, 0]]], atol=1e-6)
    np.testing.assert_array_equal(found.context, [1, 0])
    one = found[0]
    assert isinstance(one, ConditionTokens)
    assert (one.rows.shape, one.doses.shape, one.context.shape) == ((2,), (2, 2), ())


def test_the_encoder_reads_embedding_dose_and_context(model):
    label = model.names.tokens(["C@10+A@0.1"], 2, contexts=["y"])[0]
    vectors = np.hstack([np.asarray(model.pure.tokens)[[0, 2]], [[1, -1], [1, 1]]]).astype(
        np.float32
    )
    expected = model.pure.condition_encoder(
        jnp.asarray(vectors), jnp.ones(2, bool), model.pure.contexts[1]
    )
    np.testing.assert_allclose(model.pure.condition(label), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("A@1", "x"), ("A@1", "y")),
        (("A@1", "x"), ("A@2", "x")),
        (("A@1+B@2", "x"), ("A@2+B@1", "x")),
    ],
)
def test_conditions_differ_by_dose_and_context(model, first, second):
    encode = lambda pair: model.pure.condition(
        model.names.tokens([pair[0]], 2, contexts=[pair[1]])[0]
    )
    assert jnp.max(jnp.abs(encode(first) - encode(second))) > 1e-4


def test_no_dose_is_not_the_mean_dose():
    mixed = make(contexts=(), dosing=Dosing.of([*DOSED, Condition.parse("A")]))
    bare, mean = (mixed.pure.condition(mixed.names.tokens([c], 2)[0]) for c in ("A", "A@1"))
    assert mixed.names.tokens(["A@1"], 2).doses[0, 0, 1] == pytest.approx(0, abs=1e-6)
    assert jnp.max(jnp.abs(bare - mean)) > 1e-4


def test_without_doses_and_contexts_a_model_is_as_wide_as_its_embeddings():
    plain, full = make(contexts=()), make(dosing=Dosing.of(DOSED))
    widths = lambda m: (
        m.pure.condition_encoder.token.in_size,
        m.pure.condition_encoder.out.in_size,
    )
    assert widths(plain) == (6, 8)
    assert widths(full) == (8, 16)
    assert plain.names.tokens(["A"], 2, contexts=["anything"]).doses.shape == (1, 2, 0)


@pytest.mark.parametrize(
    ("dosing", "label", "contexts", "message"),
    [
        (None, "A@1", ["x"], r"1 condition\(s\) have a dose, but no training .*: 'A@1'\. Leave"),
        (
            Dosing.of(DOSED),
            "A@1+B",
            ["x"],
            r"1 condition\(s\) have a .* without a dose.*: 'A@1\+B'\.",
        ),
        (None, "A", ["z"], r"1 context\(s\) without a vector: 'z'\. The model knows 'x', 'y': see"),
        (None, "A", [""], r"The cells have no contexts, but the model knows 'x', 'y'\. .*column"),
        (None, "A", None, r"tells contexts apart.*It knows 'x', 'y'\."),
        (None, "A", ["x", "x"], r"2 contexts for 1 conditions"),
    ],
)
def test_what_the_model_cannot_read_is_named(dosing, label, contexts, message):
    names = Names(genes=GENES, perturbations=DRUGS, contexts=("x", "y"), dosing=dosing)
    with pytest.raises(ValueError, match=message):
        names.tokens([label], 2, contexts=contexts)


def test_each_condition_is_predicted_in_each_context_from_its_own_controls(model):
    """Against a plain midpoint rule on single cells."""
    base, labels = controls(), ["B@10+C@10", "A@0.1"]
    found = model.predict(base, labels, columns=Columns(context="line"), key=jr.key(0))
    of_line = {"x": ["c0", "c2", "c3", "c6"], "y": ["c1", "c4", "c5", "c7"]}
    expected = [(line, label, c) for line in "xy" for label in labels for c in of_line[line]]
    columns = [found.obs[name].astype(str) for name in ("line", "condition", "source")]
    assert list(zip(*columns, strict=True)) == expected
    assert list(found.uns["transport"]["context"]) == ["x", "x", "y", "y"]
    assert list(found.uns["transport"]["condition"]) == labels * 2
    for line in "xy":
        place = expected.index((line, "A@0.1", of_line[line][1]))
        cell = jnp.asarray(base[[of_line[line][1]]].to_df().to_numpy()[0])
        token = model.names.tokens(["A@0.1"], 2, contexts=[line])[0]
        moved = midpoint(model.pure.velocity, model.pure.encode(cell), model.pure.condition(token))
        close = np.maximum(model.pure.decode(moved), 0)
        np.testing.assert_allclose(values(found)[place], close, rtol=2e-2, atol=2e-2)


@eqx.filter_jit
def midpoint(velocity, z, condition):
    steps = 300
    move = lambda z, t: (z + velocity(t, z, condition) / steps, None)
    return jax.lax.scan(move, z, (jnp.arange(float(steps)) + 0.5) / steps)[0]


def test_cells_are_drawn_within_the_context(model):
    found = model.predict(
        controls(), ["A@1", "B@1"], columns=Columns(context="line"), cells=4, key=jr.key(0)
    )
    sources = found.obs["source"].astype(str).to_numpy().reshape(4, 4)
    assert [set(row) for row in sources] == [{"c0", "c2", "c3", "c6"}] * 2 + [
        {"c1", "c4", "c5", "c7"}
    ] * 2
    # Each population has a draw of its own.
    assert len({tuple(np.argsort(row)) for row in sources}) > 1


def test_a_model_without_contexts_can_be_asked_context_by_context():
    plain, base = make(contexts=()), controls()
    base.obs["stimulus"] = ["N" if line == "x" else "I" for line in base.obs["line"]]
    apart = plain.predict(base, ["A"], columns=Columns(context=["stimulus", "line"]), key=jr.key(0))
    assert list(apart.uns["transport"]["context"]) == ["I|y", "N|x"]
    assert list(apart.obs["line"]) == list("yyyyxxxx")
    own = plain.predict(base[base.obs["line"] == "x"], ["A"], key=jr.key(0))
    assert "context" not in own.uns["transport"]
    assert list(apart.obs["source"][4:]) == list(own.obs["source"])
    np.testing.assert_allclose(values(apart)[4:], values(own), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("keys", [None, "line", ["line", "day"]])
def test_predicted_cells_say_what_their_columns_are(keys, tmp_path):
    base = controls()
    base.obs["day"] = "1"
    found = make(contexts=()).predict(base, ["A"], columns=Columns(context=keys), key=jr.key(0))
    found.write_h5ad(tmp_path / "cells.h5ad")
    stored = ad.read_h5ad(tmp_path / "cells.h5ad")
    for cells in (found, stored):
        own = recorded_columns(cells, Columns(condition="else", separator="_", dose="dose"))
        assert own == Columns(context=keys)


@pytest.mark.parametrize(
    ("lines", "key", "message"),
    [
        ("xyx", None, r"tells contexts apart: pass columns=.*It knows 'x', 'y'\."),
        ("xzw", "line", r"2 context\(s\) without a vector: 'w', 'z'\. The model knows 'x', 'y'"),
        ("xyx", "condition", r"obs\['condition'\] gets the predicted labels"),
        ("xyx", "cell_type", r"no column 'cell_type' for the context; it has 'line'"),
    ],
)
def test_contexts_that_the_model_cannot_use_are_named(lines, key, message, model):
    with pytest.raises(ValueError, match=message):
        model.predict(controls(lines), ["A@1"], columns=Columns(context=key), key=jr.key(0))


@pytest.mark.parametrize("dosing", [None, Dosing.of(DOSED)])
@pytest.mark.parametrize("contexts", [(), ("x", "y")])
def test_saving_and_loading_keeps_doses_and_contexts(tmp_path, contexts, dosing):
    made = make(contexts=contexts, dosing=dosing)
    save(made, tmp_path / "model.scbig")
    loaded = load(tmp_path / "model.scbig", genes=GENES)
    assert same(made, loaded)
    assert loaded.names == made.names


def test_one_compilation_serves_all_contexts_with_a_number_of_cells(model):
    traces = []

    class Counted(AbstractVelocity):
        inner: AbstractVelocity

        def __call__(self, t, z, c, *, key=None):
            traces.append(1)
            return self.inner(t, z, c, key=key)

    counted = changed(model, lambda m: m.velocity, Counted(model.pure.velocity))
    predict = lambda labels, seed: counted.predict(
        controls(), labels, columns=Columns(context="line"), cells=4, key=jr.key(seed)
    )
    predict(["A@1"], 0)
    once = len(traces)
    assert once > 0
    predict(["B@3", "A@1+C@2"], 1)
    assert len(traces) == once
