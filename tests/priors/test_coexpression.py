"""Co-expression embeddings against the eigenvectors of the dense correlation matrix."""

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import hadamard

from scbig.priors import coexpression

CELLS, GENES = 80, 30
NAMES = [f"G{i}" for i in range(GENES)]


@pytest.fixture(scope="module")
def dense():
    """Log-normalised counts of three groups of genes; gene 4 is never seen, gene 7 is constant."""
    draw = np.random.default_rng(0)
    activity = draw.gamma(1.0, size=(CELLS, 3))
    counts = draw.poisson(activity[:, np.arange(GENES) % 3] * draw.gamma(2.0, size=GENES))
    expression = np.log1p(counts).astype(np.float32)
    expression[:, 4] = 0
    expression[:, 7] = 1.1
    return expression


def reference(expression, components):
    """Rows whose inner products are the best approximation of the correlations of that rank."""
    varying = np.ptp(expression, axis=0) > 0
    values, vectors = np.linalg.eigh(np.corrcoef(expression[:, varying].astype(float).T))
    rows = np.zeros((expression.shape[1], components))
    rows[varying] = (vectors * np.sqrt(np.maximum(values, 0)))[:, : -components - 1 : -1]
    return rows


FORMS = {"numpy": np.asarray, "matrix": sparse.csr_matrix, "array": sparse.csr_array}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_scaled_loadings(dense, form, dtype):
    table = coexpression(FORMS[form](dense.astype(dtype)), NAMES, components=5)
    assert table.names == tuple(NAMES)
    assert table.vectors.dtype == np.float32
    assert table.vectors.shape == (GENES, 5)
    expected = reference(dense, 5)
    # Eigenvectors have no sign of their own; ours makes the largest loading positive.
    expected *= np.sign(expected[np.abs(expected).argmax(axis=0), range(5)])
    np.testing.assert_allclose(table.vectors, expected, atol=2e-5)
    assert (table.vectors[[4, 7]] == 0).all()


def test_all_components_give_back_the_correlations(dense):
    varying = np.delete(np.arange(GENES), [4, 7])
    vectors = coexpression(sparse.csr_matrix(dense), NAMES, components=27).vectors
    correlation = np.corrcoef(dense[:, varying].astype(float).T)
    approximate = (vectors @ vectors.T)[np.ix_(varying, varying)]
    # One component of 28 is left out, the least.
    least = np.linalg.eigvalsh(correlation)[0]
    assert np.linalg.norm(approximate - correlation, 2) == pytest.approx(least, abs=1e-5)
    few = (coexpression(dense, NAMES, components=3).vectors ** 2).sum(axis=1)
    assert (few <= 1 + 1e-5).all()
    assert few.sum() == pytest.approx(np.linalg.eigvalsh(correlation)[-3:].sum(), rel=1e-5)


def test_a_sparse_matrix_is_not_filled():
    """Filled, this one would need 64 GB."""
    draw = np.random.default_rng(1)
    shape = 400_000, 20_000
    rows, columns = draw.integers(shape[0], size=4_000), draw.integers(40, size=4_000) * 500
    values = draw.gamma(1.0, size=4_000).astype(np.float32)
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=shape)
    table = coexpression(matrix, [f"G{i}" for i in range(shape[1])], components=2)
    assert np.count_nonzero((table.vectors != 0).any(axis=1)) == 40


def test_the_same_input_gives_the_same_table_and_is_left_alone(dense):
    before = sparse.csr_matrix(dense)
    matrix = before.copy()
    one, other = (coexpression(matrix, NAMES, components=6) for _ in range(2))
    assert one.checksum == other.checksum
    assert (matrix != before).nnz == 0


def test_equal_singular_values_give_the_same_table_too():
    """Uncorrelated genes: every direction is as good, so only the start decides."""
    expression = hadamard(16)[:, 1:] + 1.0
    one, other = (coexpression(expression, NAMES[:15], components=3) for _ in range(2))
    assert one.checksum == other.checksum


def test_components_beyond_the_rank_are_zeros():
    few = np.random.default_rng(2).gamma(1.0, size=(40, 4))[:, np.arange(GENES) % 4]
    vectors = coexpression(few, NAMES, components=9).vectors
    assert (vectors[:, 4:] == 0).all()
    np.testing.assert_allclose(vectors @ vectors.T, np.corrcoef(few.T), atol=1e-5)


def test_identical_genes_have_identical_rows(dense):
    both = np.hstack([dense, dense])
    vectors = coexpression(both, [*NAMES, *(f"{name}'" for name in NAMES)], components=4).vectors
    np.testing.assert_allclose(vectors[:GENES], vectors[GENES:], atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_bad_input_is_explained(dense, form):
    make = FORMS[form]
    with pytest.raises(ValueError, match=r"30 genes need expression of shape .*\(80, 29\)"):
        coexpression(make(dense[:, 1:]), NAMES, components=2)
    spoilt = dense.copy()
    spoilt[3, 5], spoilt[0, 9] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"2 of 30 genes have NaN or infinite values: 'G5', 'G9'"):
        coexpression(make(spoilt), NAMES, components=2)
    for components in (0, 28):
        with pytest.raises(ValueError, match=r"80 cells .* 28 genes \(of 30\) .* got (0|28)"):
            coexpression(make(dense), NAMES, components=components)
    with pytest.raises(ValueError, match=r"fewer than the 5 cells"):
        coexpression(make(dense[:5]), NAMES, components=5)
    for cells in (0, 1):
        with pytest.raises(ValueError, match=f"several cells; got {cells}"):
            coexpression(make(dense[:cells]), NAMES, components=1)
    with pytest.raises(ValueError, match="must be unique"):
        coexpression(make(dense), [*NAMES[1:], "G1"], components=2)
