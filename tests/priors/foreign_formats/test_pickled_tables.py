"""Tables in pickles: every form in every protocol, other structures, and truncated files."""

import collections
import pathlib
import pickle  # noqa: TID251 - to make the files that are read

import numpy as np
import pytest

from scbig.priors import read_embeddings

VECTORS = np.random.default_rng(0).normal(size=(3, 4))
NAMES = ("TP53", "KLF1", "MYC")


def read(path: pathlib.Path, content: bytes, **options):
    path.write_bytes(content)
    return read_embeddings(path, **options)


def table(dtype: str = "f8") -> dict[str, np.ndarray]:
    return {name: row.astype(dtype) for name, row in zip(NAMES, VECTORS, strict=True)}


GENECOMPASS = {
    "gene_symbol_embeddings": {"TP53": VECTORS[0], "KLF1": VECTORS[1]},
    "gene_embeddings": {"ENSG1": VECTORS[0], "ENSG3": VECTORS[2]},
    "symbol_to_ensembl": {"TP53": "ENSG3", "MYC": "ENSG3", "LOST": "ENSG9"},
    "embedding_dim": 4,
}
FORMS = {
    "float32": table("f4"),
    "float16": table("f2"),
    "big-endian": table(">f8"),
    "lists": {name: row.tolist() for name, row in table().items()},
    "scalars": {name: tuple(row) for name, row in table().items()},
    "ordered": collections.OrderedDict(table()),
    "strided": {name: VECTORS.T[:, row][::1] for row, name in enumerate(NAMES)},
    "matrix": {"names": list(NAMES), "embeddings": VECTORS, "made": {"by", "hand"}},
    "Fortran": {"names": np.array(NAMES), "embeddings": np.asfortranarray(VECTORS)},
    "pandas names": {"names": np.array(NAMES, object), "embeddings": [*VECTORS]},
    "rows": {"names": {"MYC": 2, "TP53": 0, "KLF1": 1}, "embeddings": VECTORS.tolist()},
    "nested": {"embeddings": table(), "note": bytearray(b"x"), "empty": (b"", frozenset())},
    "GeneCompass": GENECOMPASS,
}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_every_protocol(form, protocol, tmp_path):
    found = read(tmp_path / "table.v2.pkl", pickle.dumps(FORMS[form], protocol))
    assert found.names == NAMES
    assert found.vectors.dtype == np.float32
    tolerance = 1e-3 if form == "float16" else 1e-6
    np.testing.assert_allclose(found.vectors, VECTORS, rtol=tolerance, atol=tolerance)


def test_the_identifiers_of_genecompass_on_request(tmp_path):
    content = pickle.dumps(GENECOMPASS)
    found = read(tmp_path / "x.pickle", content, vectors="gene_embeddings")
    assert found.names == ("ENSG1", "ENSG3")
    only = {"gene_embeddings": GENECOMPASS["gene_embeddings"]}
    assert read(tmp_path / "x.pickle", pickle.dumps(only)).names == ("ENSG1", "ENSG3")
    symbols = {key: value for key, value in GENECOMPASS.items() if key != "gene_embeddings"}
    assert read(tmp_path / "x.pickle", pickle.dumps(symbols)).names == ("TP53", "KLF1")


def test_names_and_vectors_under_other_keys(tmp_path):
    content = pickle.dumps({"genes": list(NAMES), "X": VECTORS, "names": [1]})
    assert read(tmp_path / "x.pkl", content, names="genes", vectors="X").names == NAMES
    with pytest.raises(ValueError, match=r"no entry 'Z'; it has 'genes', 'X', 'names'"):
        read(tmp_path / "x.pkl", content, vectors="Z")
    with pytest.raises(ValueError, match=r"no entry 'symbols' beside 'X'"):
        read(tmp_path / "x.pkl", content, names="symbols", vectors="X")


@pytest.mark.parametrize("protocol", [2, 5])
def test_pickles_of_numpy_1_and_2(protocol, tmp_path):
    content = pickle.dumps({**table(), "MAX": np.asfortranarray(VECTORS.T)[:, 0]}, protocol)
    old, new = b"numpy.core.", b"numpy._core."
    if protocol == 5:
        content = content[:2] + content[11:]  # without the frame, which counts its bytes
        for module in (b"numeric", b"multiarray"):
            long = b"\x8c" + bytes([len(new + module)]) + new + module
            content = content.replace(long, b"\x8c" + bytes([len(old + module)]) + old + module)
    else:
        content = content.replace(new, old)
    assert old in content
    assert new not in content
    assert read(tmp_path / "x.pkl", content).names == (*NAMES, "MAX")


def test_repeated_names_follow_the_policy(tmp_path):
    twice = {"names": ["A", "B", "A"], "embeddings": np.array([[1, 2], [3, 4], [5, 0]], np.float32)}
    content = pickle.dumps(twice, 4)
    with pytest.raises(ValueError, match=r"1 occur more than once: 'A'\. Or choose duplicates="):
        read(tmp_path / "x.pkl", content)
    mean = read(tmp_path / "x.pkl", content, duplicates="mean")
    assert mean.names == ("A", "B")
    np.testing.assert_array_equal(mean.vectors, [[3, 1], [3, 4]])
    tabbed = {"0\tA": [1.0, 2.0], "1\tA": [5.0, 0.0]}
    first = read(tmp_path / "x.pkl", pickle.dumps(tabbed), duplicates="first")
    np.testing.assert_array_equal(first.vectors, [[1, 2]])


STRUCTURES = {
    "no dict": (list(NAMES), r"must hold a dict .*; got list of length 3"),
    "an array": (VECTORS, r"must hold a dict .*; got float64 of shape \(3, 4\)"),
    "empty": ({}, "must hold a dict"),
    "numbers as names": ({1: VECTORS[0], "A": VECTORS[1]}, "1 of 2 names are no text: 'int 1'"),
    "widths": (
        {"A": [1.0, 2], "B": [3.0, 4], "C": [1.0], "D": [1.0, 2, 3]},
        r"2 of 4 vectors have another length than 2: 'C \(1\)', 'D \(3\)'",
    ),
    "no vectors": (
        {"A": [1.0], "meta": {"dim": 1}, "T": "text", "B": VECTORS, "N": np.array([]), "G": [True]},
        r"5 of 6 entries are no vectors .*: 'meta \(dict of length 1\)', 'T \(str of length 4\)', "
        r"'B \(float64 of shape \(3, 4\)\)', 'N \(.*\)', 'G \(list .*1\)'\. It has 'A', 'meta'",
    ),
    "text": ({"A": ["1", "2"], "B": [1.0, 2]}, r"1 of 2 .*: 'A \(list of length 2\)'"),
    "nested": ({"A": [[1.0, 2], [3.0, 4]]}, r"1 of 1 .*: 'A \(list of length 2\)'"),
    "complex": ({"A": np.array([1j])}, "NumPy type 'c16'"),
    "truth": ({"A": np.array([True])}, r"A \(bool of shape \(1,\)\)"),
    "huge": ({"A": [10**400, 1]}, r"1 of 1 .*: 'A "),
    "infinite": ({"A": [1.0, 2], "B": [1e39, 2]}, "infinite entries: 'B'"),
    "rows without names": (
        {"names": {"A": 0, "B": 2}, "embeddings": VECTORS},
        r"each of the 3 rows one name; it has 2 names, of rows such as 'int 0', 'int 2'",
    ),
    "names of another number": ({"names": ["A"], "embeddings": VECTORS}, "1 names need vectors"),
    "names of arrays": ({"names": VECTORS[0], "embeddings": VECTORS}, "4 of 4 names are no text"),
    "a name": ({"names": "TP53", "embeddings": VECTORS}, "'names' must be a list of names"),
    "a vector": ({"names": ["A"], "embeddings": VECTORS[0]}, "must be a matrix of numbers"),
    "GeneCompass": ({"gene_embeddings": VECTORS}, "must be dicts"),
}


@pytest.mark.parametrize("what", STRUCTURES)
def test_another_structure_is_explained(what, tmp_path):
    content, message = STRUCTURES[what]
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path / "x.pkl", pickle.dumps(content))
    assert "x.pkl" in str(caught.value)


@pytest.mark.parametrize("protocol", range(6))
def test_a_truncated_pickle_is_an_error_wherever_it_ends(protocol, tmp_path):
    whole = pickle.dumps({"A": VECTORS[0], "B": VECTORS[1].tolist()}, protocol)
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"x\.pkl cannot be read as a pickle"):
            read(tmp_path / "x.pkl", whole[:end])
