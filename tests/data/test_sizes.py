"""What one count of a log-normalised cell is worth, from every source that may tell."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig.data import size_factors

CELLS, GENES = 30, 40


def cells(layer=False) -> Any:
    """Log-normalised cells whose library has genes that are not here; one expresses nothing."""
    rng = np.random.default_rng(0)
    counts = rng.negative_binomial(1, 0.5, (CELLS, GENES)).astype(np.float64)
    counts[3] = 0
    counts[4] *= 2  # no count of one
    counts[5] = np.where(counts[5] > 0, counts[5] + 2, 0)  # no multiple of the smallest
    library = rng.integers(2_000, 30_000, CELLS).astype(float)
    counts[6], library[6] = np.where(np.arange(GENES) == 2, 1.0, 0.0), 5e4
    obs = pd.DataFrame({"total": library}, index=pd.Index([f"c{i}" for i in range(CELLS)]))
    logs = sparse.csr_matrix(np.log1p(counts / library[:, None] * 1e4), dtype=np.float32)
    layers = {"counts": sparse.csr_matrix(counts)} if layer else None
    return ad.AnnData(logs, obs=obs, layers=layers)


def expected(adata: Any) -> np.ndarray:
    return adata.obs["total"].to_numpy() / 1e4


def test_a_library_size_is_the_factor():
    own = cells()
    np.testing.assert_allclose(size_factors(own, "total"), expected(own))
    np.testing.assert_allclose(size_factors(own, own.obs["total"].tolist()), expected(own))


@pytest.mark.parametrize("layer", [True, False])
def test_counts_or_the_values_tell_it(layer):
    own = cells(layer)
    found, there = size_factors(own), expected(own)
    told = np.arange(CELLS) != 3
    if not layer:  # the cell of which all counts are even seems to have half of them
        told[4] = False
        np.testing.assert_allclose(found[4], there[4] / 2, rtol=1e-5)
    np.testing.assert_allclose(found[told], there[told], rtol=1e-5)
    assert found[3] == pytest.approx(np.median(np.delete(found, 3)))


def test_a_dense_matrix_tells_the_same():
    own, dense = cells(), cells()
    dense.X = dense.X.toarray()
    np.testing.assert_array_equal(size_factors(dense), size_factors(own))


def smooth() -> Any:
    own = cells()
    own.X = own.X.toarray() + np.random.default_rng(1).uniform(0, 0.1, own.shape)
    return own


BAD = {
    "no column": (lambda: size_factors(cells(), "umis"), "obs has no column 'umis'"),
    "too few": (lambda: size_factors(cells(), [1.0]), "1 entries for 30 cells"),
    "zero": (lambda: size_factors(cells(), [0.0] + [1e4] * 29), "1 of 30 .*'c0'"),
    "text": (
        lambda: size_factors(cells(), np.array(["many"] * 30)),
        "30 of 30 entries that are no numbers",
    ),
    "other sum": (
        lambda: size_factors(cells(), "total", target_sum=1e6),
        "library / 1e.06 makes 0.01 of the smallest count",
    ),
    "smoothed": (lambda: size_factors(smooth()), "No counts are behind .* Pass library="),
    "nothing": (
        lambda: size_factors(ad.AnnData(np.zeros((2, 3)))),
        "No control has any expression",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_tells_nothing_is_an_error(kind):
    call, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        call()


def test_counts_of_another_normalisation_are_an_error():
    own = cells(layer=True)
    own.layers["counts"] = own.layers["counts"] * 3
    with pytest.raises(ValueError, match=r"layers\['counts'\] makes 3 of the smallest count"):
        size_factors(own)


def test_smooth_values_take_a_library_size_as_it_is():
    own = smooth()
    np.testing.assert_allclose(size_factors(own, "total"), expected(own))


def test_real_cells_tell_their_counts(shared_file):
    own: Any = ad.read_h5ad(shared_file("data/norman19_k562_3375x500.h5ad"))
    counts = own.layers.pop("counts").toarray()
    found = np.expm1(own.X.toarray().astype(float)) * size_factors(own)[:, None]
    np.testing.assert_allclose(found, counts, rtol=1e-4)
