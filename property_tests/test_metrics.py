"""Laws of the metrics."""

import anndata as ad
import numpy as np
import pandas as pd
from hypothesis import assume, given, strategies as st
from hypothesis.extra import numpy as hnp

from scbig import metrics
from scbig.data import Columns, Condition

LINE = Columns(context="line")

# Of no counts, on any scale.
entries = st.floats(0, 14, allow_subnormal=False, width=32)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def screens(draw):
    """Cells of a control and a few perturbations, with ties, zeros and one-gene cases."""
    genes = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    labels = np.repeat(["control", *(f"P{i}" for i in range(len(sizes)))], [3, *sizes])
    values = draw(hnp.arrays(np.float32, (len(labels), genes), elements=entries))
    assume(np.all(values.sum(axis=1) > 0))
    values = values * np.float32(0.9371)
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    return ad.AnnData(
        values, obs=obs, var=pd.DataFrame(index=pd.Index([f"g{i}" for i in range(genes)]))
    )


def reordered(adata, rng):
    cells, genes = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    return adata[cells][:, genes].copy()


@given(screens(), seeds)
def test_a_perfect_prediction_has_no_error_and_every_direction(observed, seed):
    predicted = reordered(observed, np.random.default_rng(seed))
    table = metrics.evaluate(predicted, observed, unbiased=False)
    np.testing.assert_allclose(table[["l2", "mse", "mae"]], 0, atol=1e-5)
    np.testing.assert_allclose(table[["acc", "acc_deg20"]], 1)
    np.testing.assert_allclose(table["e_distance"], 0, atol=1e-5)
    np.testing.assert_allclose(table["pearson_delta"].dropna(), 1)
    np.testing.assert_allclose(table["discr_cos"].dropna(), 1)


@given(screens(), seeds)
def test_every_score_keeps_to_its_range(observed, seed):
    rng = np.random.default_rng(seed)
    predicted = observed.copy()
    predicted.X = rng.permuted(predicted.X, axis=1)  # the sum of a cell stays
    table = metrics.evaluate(predicted, observed, unbiased=False)
    for column in ("pearson_delta", "pearson_delta_deg20", "discr_cos"):
        assert table[column].dropna().between(-1, 1).all()
    for column in ("acc", "acc_deg20"):
        assert table[column].between(0, 1).all()
    assert table["pds"].dropna().between(0, 1).all()
    assert table[["l2", "mse", "mae", "e_distance"]].to_numpy().min() >= 0
    # Errors of the mean are ordered: the mean absolute error is at most the root mean square.
    assert (table["mae"] <= np.sqrt(table["mse"]) + 1e-9).all()


@given(seeds)
def test_the_order_of_genes_and_cells_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(["control", "A", "B", "A+B"], 6)
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(24)]))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(9)]))
    observed = ad.AnnData(rng.gamma(1, size=(24, 9)), obs=obs, var=var)
    predicted = ad.AnnData(rng.gamma(1, size=(24, 9)), obs=obs, var=var)
    expected = metrics.evaluate(predicted, observed)
    found = metrics.evaluate(reordered(predicted, rng), reordered(observed, rng))
    pd.testing.assert_frame_equal(found, expected)


def lines(seed, numbers):
    """Cells of three conditions in as many contexts as there are numbers, which are their sizes."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.repeat(["control", "A", "B"], number) for number in numbers])
    contexts = np.repeat([f"L{i}" for i in range(len(numbers))], 3 * np.array(numbers))
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"condition": labels, "line": contexts}, index=index)
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(7)]))
    return ad.AnnData(rng.gamma(9, 0.1, size=(len(labels), 7)), obs=obs, var=var)


sizes = st.lists(st.integers(2, 5), min_size=1, max_size=3)


@given(seeds, sizes)
def test_contexts_are_scored_as_if_each_were_alone(seed, numbers):
    rng = np.random.default_rng(seed)
    observed, predicted = lines(seed, numbers), lines(seed + 1, numbers)
    cells = [reordered(adata, rng) for adata in (predicted, observed)]
    table = metrics.evaluate(cells[0], cells[1], LINE)
    for context in observed.obs["line"].unique():
        alone = [adata[(adata.obs["line"] == context).to_numpy()] for adata in cells]
        expected = metrics.evaluate(alone[0], alone[1])
        pd.testing.assert_frame_equal(table.loc[context], expected)


@given(seeds, sizes)
def test_what_a_context_adds_to_all_its_cells_is_no_response(seed, numbers):
    observed, predicted = lines(seed, numbers), lines(seed + 1, numbers)
    before = metrics.evaluate(predicted, observed, columns=LINE)
    rng = np.random.default_rng(seed)
    offset = {line: rng.uniform(0, 9, 7) for line in observed.obs["line"].unique()}
    for adata in (observed, predicted):
        adata.X = np.asarray(adata.X) + np.stack([offset[line] for line in adata.obs["line"]])
    after = metrics.evaluate(predicted, observed, columns=LINE)
    pd.testing.assert_frame_equal(after, before, rtol=1e-5, atol=1e-9)


@given(seeds, st.floats(0.1, 10))
def test_energy_distance_is_symmetric_and_scales_with_the_cells(seed, scale):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(9, 3))
    distance = metrics.energy_distance(x, y)
    np.testing.assert_allclose(metrics.energy_distance(y, x), distance, atol=1e-9)
    np.testing.assert_allclose(
        metrics.energy_distance(scale * x + 1, scale * y + 1), scale * distance, atol=1e-9
    )


@given(seeds, st.floats(0.1, 10), st.floats(-3, 3))
def test_correlation_ignores_scale_and_offset(seed, scale, offset):
    x, y = np.random.default_rng(seed).normal(size=(2, 12))
    np.testing.assert_allclose(
        metrics.pearson(scale * x + offset, y), metrics.pearson(x, y), atol=1e-9
    )


@given(st.permutations(["A", "B", "C", "ctrl", "control"]))
def test_a_condition_has_one_name(parts):
    assert Condition.parse("+".join(parts)).name == "A+B+C"
