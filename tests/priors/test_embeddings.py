"""Embedding tables: construction, alignment, and each file format against what was written."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig.priors import Coverage, EmbeddingTable, read_embeddings

NAMES = ("KLF1", "TP53", "GATA1", "NAN")  # a symbol that a careless reader takes for NaN
VECTORS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def frame(columns=(0, 1, 2)) -> pd.DataFrame:
    return pd.DataFrame(VECTORS, index=pd.Index(NAMES), columns=pd.Index(columns))


def write_npz(path):
    np.savez(path, names=np.array(NAMES), embeddings=VECTORS)


def write_npz_bytes(path):
    np.savez_compressed(path, names=np.array(NAMES, "S"), embeddings=VECTORS.astype(np.float64))


def write_csv(path):
    frame(columns=["a", "b", "c"]).to_csv(path)


def write_tsv(path):
    frame().to_csv(path, sep="\t", index_label="gene")


def write_r_table(path):
    """R's write.table: the header has no entry over the row names."""
    frame(columns=["a", "b", "c"]).to_csv(path, sep="\t", index_label=False)


def write_parquet(path):
    frame(columns=["a", "b", "c"]).to_parquet(path)


def write_parquet_column(path):
    frame(columns=["a", "b", "c"]).reset_index(names="symbol").to_parquet(path)


def write_h5ad(path):
    anndata.AnnData(VECTORS, obs=pd.DataFrame(index=pd.Index(NAMES))).write_h5ad(path)


def write_h5ad_sparse(path):
    anndata.AnnData(sparse.csr_matrix(VECTORS), obs=pd.DataFrame(index=pd.Index(NAMES))).write_h5ad(
        path
    )


WRITERS = [
    (write_npz, ".npz"),
    (write_npz_bytes, ".npz"),
    (write_csv, ".csv"),
    (write_csv, ".csv.gz"),
    (write_tsv, ".tsv"),
    (write_tsv, ".tsv.gz"),
    (write_r_table, ".txt"),
    (write_parquet, ".parquet"),
    (write_parquet_column, ".parquet"),
    (write_h5ad, ".h5ad"),
    (write_h5ad_sparse, ".h5ad"),
]


@pytest.mark.parametrize(("write", "suffix"), WRITERS, ids=[f"{w.__name__}{s}" for w, s in WRITERS])
def test_every_format_gives_back_the_table(write, suffix, tmp_path):
    path = tmp_path / f"table.v1{suffix}"
    write(path)
    table = read_embeddings(path)
    assert table.names == NAMES
    assert table.vectors.dtype == np.float32
    np.testing.assert_allclose(table.vectors, VECTORS, rtol=1e-6)


def test_keys_of_an_npz_can_be_chosen(tmp_path):
    np.savez(tmp_path / "x.npz", symbol=np.array(NAMES), X=VECTORS)
    assert read_embeddings(tmp_path / "x.npz", names="symbol", vectors="X").names == NAMES
    with pytest.raises(ValueError, match=r"no array 'embeddings'; it has 'symbol', 'X'"):
        read_embeddings(tmp_path / "x.npz", names="symbol")


def test_a_row_number_before_a_tab_is_no_part_of_a_name(tmp_path):
    np.savez(tmp_path / "x.npz", names=np.array(["0\tA", "1\t2\tB"]), embeddings=VECTORS[:2])
    assert read_embeddings(tmp_path / "x.npz").names == ("A", "B")


def test_names_of_digits_stay_text(tmp_path):
    (tmp_path / "x.csv").write_text("gene,x\n007157,1\n42,2\n")
    assert read_embeddings(tmp_path / "x.csv").names == ("007157", "42")


def test_repeated_names_are_an_error_unless_a_policy_is_chosen(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("gene,x,y\nB,1,2\nA,3,4\nB,5,0\n")
    with pytest.raises(ValueError, match=r"1 occur more than once: 'B'\. Or choose duplicates="):
        read_embeddings(path)
    mean = read_embeddings(path, duplicates="mean")
    assert mean.names == ("B", "A")
    np.testing.assert_array_equal(mean.vectors, [[3, 1], [3, 4]])
    first = read_embeddings(path, duplicates="first")
    assert first.names == ("B", "A")
    np.testing.assert_array_equal(first.vectors, [[1, 2], [3, 4]])


BROKEN = {
    "no_header.csv": ("A,0.5,1.5\nB,2,3\n", "Add a header row"),
    "text.csv": ("gene,x,y\nA,1,high\nB,2,low\n", "1 columns after the names .* 'y'"),
    "ragged.csv": ("gene,x,y\nA,1,2\nB,2\n", "line 3 has 2 and the first 3"),
    "nan.tsv": ("gene\tx\ty\nA\t1\t2\nB\tNaN\t1\nC\t\t3\n", "2 names have NaN .* 'B', 'C'"),
    "large.csv": ("gene,x\nA,1\nB,1e39\n", "infinite entries: 'B'"),
    "blank.csv": ("gene,x\nA,1\n,2\n", "1 of 2 names are empty .* position 1"),
    "empty.csv": ("", "the file is empty"),
    "header_only.csv": ("gene,x\n", "no rows under the first"),
    "names_only.csv": ("gene\nA\nB\n", "cannot be divided into two columns"),
    "text.npz": ("not a zip", "npz without pickle"),
    "text.parquet": ("not a parquet", "read as parquet"),
    "text.h5ad": ("not hdf5", "read as h5ad"),
    "table.xlsx": ("", r"none of the formats .*\.npz, \.csv, \.tsv, \.txt, \.parquet, \.h5ad"),
    "table.npz.gz": ("", "none of the formats"),
    "gzip.csv.gz": ("gene,x\nA,1\n", "read as text"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_explained(name, tmp_path):
    text, message = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_embeddings(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte-order mark"])
@pytest.mark.parametrize("form", [",.", ";.", ";,", "\t,"])
def test_text_tables_as_spreadsheets_write_them(form, mark, tmp_path):
    separator, decimal = form
    rows = [["gene", "x", "y"], ["A", "0.5", "-1.25"], ["B", "2", "3e-1"]]
    text = "\r\n".join(separator.join(row).replace(".", decimal) for row in rows)
    (tmp_path / "x.csv").write_bytes((mark + text).encode())
    table = read_embeddings(tmp_path / "x.csv")
    assert table.names == ("A", "B")
    np.testing.assert_array_equal(table.vectors, np.array([[0.5, -1.25], [2, 0.3]], np.float32))


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
@pytest.mark.parametrize("column", ["index", "entrez"])
def test_a_column_of_identifiers_is_no_entry_of_a_vector(column, name, tmp_path):
    rng = np.random.default_rng(0)
    ids = np.arange(30) if column == "index" else rng.permutation(90_000)[:30]
    genes = pd.Index([f"G{row}" for row in range(30)], name="gene")
    frame = pd.DataFrame({column: ids, **{f"v{n}": rng.normal(size=30) for n in range(4)}}, genes)
    write = frame.to_csv if name.endswith("csv") else frame.to_parquet
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"1 columns hold another whole number .*'{column}'"):
        read_embeddings(tmp_path / name)
    frame.drop(columns=column).to_csv(tmp_path / "right.csv")
    assert read_embeddings(tmp_path / "right.csv").vectors.shape == (30, 4)


@pytest.mark.parametrize("form", ["x.csv", "x.tsv", "x.csv.gz", "x.parquet"])
@pytest.mark.parametrize("order", ["gene a b", "a gene b", "a b gene"])
@pytest.mark.parametrize("index", [None, "", "Unnamed: 0"])
def test_the_names_are_the_column_of_text_and_a_count_of_the_rows_is_none(
    index, order, form, tmp_path
):
    frame = pd.DataFrame({"gene": ["G2", "G1"], "a": [0.5, 1.5], "b": [3.0, 2.0]})[order.split()]
    if index is not None:
        frame.insert(0, index, np.arange(2))
    if form.endswith("parquet"):
        frame.to_parquet(tmp_path / form)
    else:
        frame.to_csv(tmp_path / form, index=False, sep="\t" if "tsv" in form else ",")
    table = read_embeddings(tmp_path / form)
    assert table.names == ("G2", "G1")
    np.testing.assert_array_equal(table.vectors, np.array([[0.5, 3], [1.5, 2]], np.float32))


@pytest.mark.parametrize("form", ["x.csv", "x.parquet", "x.npz"])
def test_whole_numbers_beside_fractions_are_said(form, tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 5)) * 9
    values[:, 2] = np.arange(30) // 3
    names = [f"G{row}" for row in range(30)]
    frame = pd.DataFrame(values, pd.Index(names), pd.Index([f"v{n}" for n in range(5)]))
    if form.endswith("npz"):
        np.savez(tmp_path / form, names=names, embeddings=values)
    else:
        getattr(frame, f"to_{form[2:]}")(tmp_path / form)
    with pytest.warns(UserWarning, match="1 of 5 columns hold whole numbers only: '(v|entry )2'"):
        read_embeddings(tmp_path / form)
    if form.endswith("npz"):
        values[:, 2] = rng.permutation(9000)[:30]
        np.savez(tmp_path / form, names=names, embeddings=values)
        with pytest.raises(ValueError, match="another whole number in each row.*'entry 2'"):
            read_embeddings(tmp_path / form)


def test_remarks_and_blanks_between_cells_are_read(tmp_path):
    (tmp_path / "x.txt").write_text("# of a paper\ngene d1 d2\nG1 0.5 1\nG2 1.5 2\n")
    table = read_embeddings(tmp_path / "x.txt")
    assert (table.names, table.vectors.tolist()) == (("G1", "G2"), [[0.5, 1], [1.5, 2]])


def test_an_entry_with_nearly_all_of_the_variance_is_warned_of(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    vectors[:, 5] *= 1000
    names = np.array([f"G{row}" for row in range(30)])
    np.savez(tmp_path / "x.npz", names=names, embeddings=vectors)
    with pytest.warns(UserWarning, match=r"x\.npz: entry 5 .* has 100\.0% of the variance"):
        read_embeddings(tmp_path / "x.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.npz"):
        read_embeddings(tmp_path / "absent.npz")


def test_names_stored_as_objects_are_not_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", names=np.array(NAMES, object), embeddings=VECTORS)
    with pytest.raises(ValueError, match="without pickle"):
        read_embeddings(tmp_path / "x.npz")


def test_npz_arrays_of_the_wrong_kind_are_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", names=np.arange(4), embeddings=VECTORS)
    with pytest.raises(ValueError, match="'names' must be a list of text"):
        read_embeddings(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", names=np.array(NAMES), embeddings=VECTORS[:3])
    with pytest.raises(ValueError, match=r"4 names need vectors .* \(3, 3\)"):
        read_embeddings(tmp_path / "y.npz")


def test_parquet_without_text_is_an_error(tmp_path):
    pd.DataFrame(VECTORS, columns=pd.Index(["a", "b", "c"])).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="neither the index nor a column holds text"):
        read_embeddings(tmp_path / "x.parquet")


def test_align_orders_and_fills_by_policy():
    table = EmbeddingTable(NAMES, VECTORS)
    genes = ("GATA1", "MISSING", "KLF1")
    zero = table.align(genes, missing="zero")
    np.testing.assert_array_equal(zero.vectors, [VECTORS[2], [0, 0, 0], VECTORS[0]])
    np.testing.assert_array_equal(zero.found, [True, False, True])
    assert zero.coverage == Coverage("gene embeddings", 2, ("MISSING",))
    mean = table.align(genes, missing="mean")
    np.testing.assert_allclose(mean.vectors[1], np.mean(VECTORS.tolist(), axis=0), rtol=1e-6)
    np.testing.assert_array_equal(mean.vectors[[0, 2]], zero.vectors[[0, 2]])
    assert mean.vectors.dtype == np.float32


def test_missing_genes_are_an_error_by_default():
    genes = ["KLF1", *(f"X{i}" for i in range(7))]
    with pytest.raises(
        ValueError, match=r"7 of 8 .*'X0', 'X1', 'X2', 'X3', 'X4' and 2 more.*zero.*mean"
    ):
        EmbeddingTable(NAMES, VECTORS).align(genes)


@pytest.mark.parametrize("missing", ["error", "zero", "mean"])
def test_a_table_without_any_of_the_genes_is_always_an_error(missing):
    with pytest.raises(
        ValueError, match=r"none of the 1 genes \('ENSG1'\).*'KLF1', 'TP53'.*Ensembl"
    ):
        EmbeddingTable(NAMES, VECTORS).align(["ENSG1"], missing=missing)


@pytest.mark.parametrize("genes", [[], ["KLF1", "KLF1"], ["KLF1", ""]])
def test_genes_must_be_distinct_names(genes):
    with pytest.raises(ValueError, match="genes"):
        EmbeddingTable(NAMES, VECTORS).align(genes)


def test_a_table_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match=r"must be unique; 1 occur .*: 'A'"):
        EmbeddingTable(("A", "B", "A"), VECTORS[:3])
    with pytest.raises(ValueError, match="need vectors of shape"):
        EmbeddingTable(("A",), VECTORS)
    spoilt = VECTORS.copy()
    spoilt[1, 2], spoilt[3, 0] = np.nan, np.inf
    with pytest.raises(ValueError, match=r"2 names have NaN or infinite entries: 'TP53', 'NAN'"):
        EmbeddingTable(NAMES, spoilt)


def test_select_takes_known_names_in_order():
    table = EmbeddingTable(NAMES, VECTORS).select(["GATA1", "KLF1"])
    assert table.names == ("GATA1", "KLF1")
    np.testing.assert_array_equal(table.vectors, VECTORS[[2, 0]])
    with pytest.raises(ValueError, match="1 of 2 names are unknown: 'MYC'"):
        table.select(["KLF1", "MYC"])


def test_a_constant_up_to_rounding_becomes_zero():
    tenth = np.float32(0.1)
    up = np.nextafter(tenth, np.float32(1))
    vectors = np.array([[tenth, 1], [up, 2], [tenth, 3], [tenth, 4]], np.float32)
    standard = EmbeddingTable(NAMES, vectors).standardised().vectors
    np.testing.assert_array_equal(standard[:, 0], 0)
    np.testing.assert_allclose(standard[:, 1], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6)


def test_joined_tables_by_hand():
    left = EmbeddingTable(("A", "B", "O"), np.array([[3, 4], [0, 2], [0, 0]], np.float32))
    right = EmbeddingTable(("C", "O", "A"), np.array([[5, 0, 0], [0, 1, 0], [1, 2, 2]], np.float32))
    joined = left.joined(right)
    assert joined.names == ("A", "B", "O", "C")
    expected = [
        [0.6, 0.8, 1 / 3, 2 / 3, 2 / 3],
        [0, 1, 0, 0, 0],
        [0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0],
    ]
    np.testing.assert_allclose(joined.vectors, expected, rtol=1e-6)
    assert joined.vectors.dtype == np.float32


def test_rows_of_any_size_are_joined():
    large = EmbeddingTable(("A",), np.array([[3e38, 3e38]], np.float32))
    small = EmbeddingTable(("A",), np.array([[1e-38, 0]], np.float32))
    np.testing.assert_allclose(
        large.joined(small).vectors, [[np.sqrt(0.5), np.sqrt(0.5), 1, 0]], rtol=1e-6
    )


def test_checksums_tell_contents_apart(tmp_path):
    tables = [
        EmbeddingTable(NAMES, VECTORS),
        EmbeddingTable(("KLF", "1TP53", *NAMES[2:]), VECTORS),
        EmbeddingTable(NAMES, VECTORS[::-1]),
        EmbeddingTable(NAMES, VECTORS + np.float32(1e-6)),
        EmbeddingTable(NAMES[::-1], VECTORS[::-1]),
    ]
    assert len({table.checksum for table in tables}) == len(tables)
    turned = EmbeddingTable(NAMES, np.asfortranarray(VECTORS))
    assert turned.checksum == tables[0].checksum
    write_npz(tmp_path / "x.npz")
    write_h5ad(tmp_path / "x.h5ad")
    for path in tmp_path.iterdir():
        assert read_embeddings(path).checksum == tables[0].checksum


def test_coverage_reads_as_a_sentence():
    missing = tuple("ABCDEFGH")
    report = Coverage("gene embeddings", 12, missing)
    assert (report.total, report.fraction) == (20, 0.6)
    assert report.summary() == (
        "gene embeddings: 12 of 20 genes (60.0 %); missing 8: 'A', 'B', 'C' and 5 more"
    )
    assert Coverage("x", 1, ("A",)).summary() == "x: 1 of 2 genes (50.0 %); missing 1: 'A'"
    assert Coverage("x", 2, ()).summary() == "x: 2 of 2 genes (100.0 %)"
    assert Coverage("x", 0, ()).fraction == 0


def test_real_embeddings(shared_file):
    path = shared_file("priors/enformer_tss_19685x32.npz")
    with pytest.raises(ValueError, match="25 occur more than once: 'TBCE'"):
        read_embeddings(path)
    table = read_embeddings(path, duplicates="mean")
    assert table.vectors.shape == (19_659, 32)
    with np.load(path) as raw:
        rows = {}
        for label, vector in zip(raw["names"], raw["embeddings"], strict=True):
            rows.setdefault(label.split("\t")[1], []).append(vector)
    assert set(table.names) == set(rows)
    for name in ("PERM1", "TP53", "MKKS", "TBCE"):
        mine = table.align([name]).vectors[0]
        np.testing.assert_allclose(mine, np.mean(rows[name], axis=0), rtol=1e-5, atol=1e-6)
    assert len(rows["MKKS"]) == 3


def test_real_embeddings_cover_the_real_screen(shared_file):
    adata = anndata.read_h5ad(shared_file("data/norman19_k562_3375x500.h5ad"), backed="r")
    genes = tuple(adata.var_names)
    adata.file.close()
    path = shared_file("priors/enformer_tss_19685x32.npz")
    aligned = read_embeddings(path, duplicates="mean").align(genes, missing="zero")
    with np.load(path) as raw:
        known = {label.split("\t")[1] for label in raw["names"]}
    assert aligned.coverage.missing == tuple(gene for gene in genes if gene not in known)
    assert aligned.coverage.found + len(aligned.coverage.missing) == 500
