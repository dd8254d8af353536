"""Predictions as counts: sparse, unbiased, the measured ones where nothing moved."""

from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scbig
from scbig.baselines import predict_cells
from scbig.data import Columns, Screen
from scbig.service import rounded_counts

GENES = tuple(f"g{i}" for i in range(30))
CELLS = 60
as_counts: Any = scbig.as_counts


def measured(contexts=False) -> tuple[Any, np.ndarray]:
    """Sparse log-normalised controls, and their counts."""
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(1, 0.7, (CELLS, len(GENES)))
    counts[:, 0] = 1
    library = rng.integers(3_000, 20_000, CELLS)
    obs = pd.DataFrame({"umis": library}, index=pd.Index([f"c{i}" for i in range(CELLS)]))
    if contexts:
        obs["line"] = np.where(np.arange(CELLS) % 3 == 0, "B", "A")
    logs = np.log1p(counts / library[:, None] * 1e4)
    var = pd.DataFrame(index=pd.Index(GENES))
    return ad.AnnData(sparse.csr_matrix(logs, dtype=np.float32), obs=obs, var=var), counts


def shifted(controls, labels, effect=0.2, **options) -> Any:
    effects = lambda asked: np.full((len(asked), len(GENES)), effect)
    return predict_cells(effects, GENES, controls, labels, key=jr.key(3), **options)


def dense(adata: Any) -> np.ndarray:
    return np.asarray(adata.X.toarray())


def test_what_did_not_move_keeps_its_counts():
    controls, counts = measured()
    found = as_counts(shifted(controls, ["A"], effect=0.0), controls, key=jr.key(0))
    assert found.X.format == "csr"
    assert found.X.dtype == np.int32
    np.testing.assert_array_equal(dense(found), counts)
    np.testing.assert_allclose(found.obs["size_factor"], controls.obs["umis"] / 1e4, rtol=1e-5)
    assert found.uns["scbig_counts"]["size_factor"] == "size_factor"
    assert found.uns["scbig_columns"]["condition"] == "condition"


def test_a_value_becomes_one_of_the_two_counts_around_it_and_keeps_its_mean():
    """Against the probability, written out for one value after another."""
    logs = np.array([[0.0, 0.03, 0.4, 1.7, 5.0, -0.2]])
    factor, draws = 1.3, 4000
    found = rounded_counts(
        np.repeat(logs, draws, axis=0), np.full(draws, factor), rng=np.random.default_rng(0)
    )
    for value, own in zip(np.maximum(logs[0], 0), found.T, strict=True):
        exact = (np.exp(value) - 1) * factor
        least = int(np.floor(exact))
        assert set(own) <= {least, least + 1}
        ends = [np.log(1 + n / factor) for n in (least, least + 1)]
        share = (value - ends[0]) / (ends[1] - ends[0])
        assert np.mean(own - least) == pytest.approx(share, abs=4 * np.sqrt(0.25 / draws))
        assert np.log1p(own / factor).mean() == pytest.approx(value, abs=0.03)


def test_predicted_cells_are_as_sparse_as_measured_ones_with_the_predicted_mean():
    controls, counts = measured()
    predicted = shifted(controls, ["A"], effect=0.05, cells=3000)
    found = as_counts(predicted, controls, key=jr.key(0))
    assert (np.asarray(predicted.X) == 0).mean() == 0
    assert (dense(found) == 0).mean() > 0.9 * (counts == 0).mean()
    back = np.log1p(dense(found) / found.obs["size_factor"].to_numpy()[:, None])
    np.testing.assert_allclose(back.mean(0), np.asarray(predicted.X).mean(0), atol=0.02)


def test_a_condition_does_not_depend_on_the_others_but_on_the_key_and_its_name():
    controls, _ = measured(contexts=True)
    columns = Columns(context="line")
    draw = lambda labels, seed=0: as_counts(
        shifted(controls, labels, columns=columns, cells=9), controls, key=jr.key(seed)
    )
    both, alone = draw(["A", "B+C"]), draw(["B+C"])
    np.testing.assert_array_equal(dense(both[both.obs["condition"] == "B+C"]), dense(alone))
    np.testing.assert_array_equal(dense(draw(["C+B"])), dense(alone))
    assert (dense(draw(["B+C"], seed=1)) != dense(alone)).any()
    # The same cells in another population are rounded in another way.
    same = lambda label: shifted(controls, [label])
    rounded = [dense(as_counts(same(n), controls, key=jr.key(0))) for n in ("A", "B")]
    assert (rounded[0] != rounded[1]).any()
    # Another order of cells of different populations changes none of them.
    mixed = shifted(controls, ["A", "B"])[np.arange(2 * CELLS).reshape(2, -1).T.ravel()]
    found = as_counts(mixed, controls, key=jr.key(0))
    np.testing.assert_array_equal(dense(found)[::2], rounded[0])
    np.testing.assert_array_equal(dense(found)[1::2], rounded[1])


def test_all_sources_of_library_sizes_and_all_kinds_of_controls_give_the_same():
    controls, counts = measured()
    predicted = shifted(controls, ["A", "B"], cells=20)
    draw = lambda given, **options: dense(as_counts(predicted, given, key=jr.key(0), **options))
    alone = draw(controls)
    np.testing.assert_array_equal(draw(controls, library="umis"), alone)
    np.testing.assert_array_equal(draw(controls, library=controls.obs["umis"].tolist()), alone)
    layered = controls.copy()
    layered.layers["counts"] = sparse.csr_matrix(counts)
    np.testing.assert_array_equal(draw(layered), alone)
    # Among perturbed cells, of which some are smooth.
    perturbed = controls.copy()
    perturbed.X = perturbed.X.toarray() * 1.1
    perturbed.obs_names = [f"p{i}" for i in range(CELLS)]
    whole: Any = ad.concat([perturbed, controls])
    whole.obs["condition"] = np.repeat(["A", "control"], CELLS)
    np.testing.assert_array_equal(draw(whole), alone)
    sizes = whole.obs["umis"].to_numpy()
    np.testing.assert_array_equal(draw(whole, library=sizes), alone)
    screen = Screen.from_anndata(whole)
    of_screen = shifted(screen, ["A", "B"], cells=20)
    found = as_counts(of_screen, screen, key=jr.key(0))
    np.testing.assert_array_equal(dense(found), alone)


def test_bad_input_is_an_error():
    controls, _ = measured()
    predicted = shifted(controls, ["A"], cells=5)
    twice = controls.copy()
    twice.obs_names = ["c0"] * CELLS
    counted = as_counts(predicted, controls, key=jr.key(0))
    nameless = predicted.copy()
    del nameless.obs["source"]
    for given, of, message in [
        (nameless, controls, "no column 'source'"),
        (predicted, controls[:1], "are not among the controls"),
        (predicted, twice, "Names of controls repeat: 'c0'"),
        (counted, controls, "counts already"),
    ]:
        with pytest.raises(ValueError, match=message):
            as_counts(given, of, key=jr.key(0))
    with pytest.raises(ValueError, match="3 entries for 60"):
        as_counts(predicted, controls, key=jr.key(0), library=[1.0, 2.0, 3.0])
