"""Tables of PyTorch: the published form of ESM2's, and files that want more than their weights."""

import os
import subprocess
import sys

import numpy as np
import pytest

from scbig.priors import read_embeddings

VECTORS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
NAMES = ("TP53", "KLF1", "MYC")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def rows(torch, dtype=None) -> dict:
    tensors = [torch.tensor(row, dtype=dtype or torch.float32) for row in VECTORS]
    return dict(zip(NAMES, tensors, strict=True))


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_symbols_to_vectors_of_any_precision(dtype, suffix, torch, tmp_path):
    torch.save(rows(torch, getattr(torch, dtype)), tmp_path / f"esm{suffix}")
    found = read_embeddings(tmp_path / f"esm{suffix}")
    assert found.names == NAMES
    assert found.vectors.dtype == np.float32
    tolerance = {"bfloat16": 1e-2, "float16": 1e-3}.get(dtype, 1e-6)
    np.testing.assert_allclose(found.vectors, VECTORS, rtol=tolerance)


def test_other_forms(torch, tmp_path):
    forms = {
        "old": rows(torch),
        "trained": {name: torch.nn.Parameter(row) for name, row in rows(torch).items()},
        "matrix": {"names": list(NAMES), "embeddings": torch.tensor(VECTORS)},
        "transposed": {"names": list(NAMES), "embeddings": torch.tensor(VECTORS.T.copy()).T},
        "rows": {"names": {"MYC": 2, "TP53": 0, "KLF1": 1}, "embeddings": torch.tensor(VECTORS)},
        "lists": {name: row.tolist() for name, row in rows(torch).items()},
        "symbols": {"gene_symbol_embeddings": rows(torch), "embedding_dim": 4},
    }
    for form, content in forms.items():
        path = tmp_path / f"{form}.pt"
        torch.save(content, path, _use_new_zipfile_serialization=form != "old")
        found = read_embeddings(path)
        assert found.names == NAMES
        np.testing.assert_array_equal(found.vectors, VECTORS)


def test_repeated_names_follow_the_policy(torch, tmp_path):
    content = {"names": ["A", "B", "A"], "embeddings": torch.tensor([[1, 2], [3, 4], [5, 0]])}
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"1 occur more than once: 'A'\. Or choose"):
        read_embeddings(tmp_path / "x.pt")
    mean = read_embeddings(tmp_path / "x.pt", duplicates="mean")
    np.testing.assert_array_equal(mean.vectors, [[3, 1], [3, 4]])


class Touch:
    """Runs a command where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_something_is_refused_by_name(zipped, torch, tmp_path):
    path, mark = tmp_path / "x.pt", tmp_path / "ran"
    torch.save({"A": Touch(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"x\.pt cannot be .*: it asks for (posix|nt)\.system"):
        read_embeddings(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # it would have
    assert mark.exists()


def test_files_that_are_no_tables_are_explained(torch, tmp_path):
    contents = {
        "a module": (torch.nn.Linear(2, 2), r"it asks for torch\.nn\.modules\.linear\.Linear"),
        "an array": ({"A": VECTORS[0]}, r"it asks for numpy.*_reconstruct.*or as npz"),
        "a tensor": (torch.ones(2, 2), r"must hold a dict .*; got float32 of shape \(2, 2\)"),
        "numbers": ({1: torch.ones(2)}, "1 of 1 names are no text: 'int 1'"),
        "widths": (
            {"A": torch.ones(2), "B": torch.ones(3), "C": torch.ones(2)},
            r"1 of 3 vectors have another length than 2: 'B \(3\)'",
        ),
        "tensors": (
            {
                "A": torch.ones(2),
                "complex": torch.ones(2, dtype=torch.complex64),
                "truth": torch.tensor([True, False]),
                "nowhere": torch.ones(2, device="meta"),
                "sparse": torch.ones(2).to_sparse(),
                "wide": torch.ones(1, 2),
            },
            r"5 of 6 entries are no vectors .*complex \(torch.complex64 of shape \(2,\)\)', 'truth",
        ),
        "NaN": ({"A": torch.tensor([1.0, float("nan")])}, "NaN or infinite entries: 'A'"),
    }
    for name, (content, message) in contents.items():
        torch.save(content, tmp_path / f"{name}.pt")
        with pytest.raises(ValueError, match=message) as caught:
            read_embeddings(tmp_path / f"{name}.pt")
        assert f"{name}.pt" in str(caught.value)


def test_broken_files_are_explained(torch, tmp_path):
    torch.save(rows(torch), tmp_path / "x.pt")
    whole = (tmp_path / "x.pt").read_bytes()
    for broken in (b"", b"hello", whole[: len(whole) // 2], whole[:-9]):
        (tmp_path / "x.pt").write_bytes(broken)
        with pytest.raises(ValueError, match=r"x\.pt cannot be read by PyTorch as weights only"):
            read_embeddings(tmp_path / "x.pt")
    with pytest.raises(FileNotFoundError, match=r"absent\.pt"):
        read_embeddings(tmp_path / "absent.pt")


def test_without_pytorch_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.pt").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"x\.pt: .*Install 'scbig-jax\[torch\]'"):
        read_embeddings(tmp_path / "x.pt")


def test_a_pytorch_whose_weights_only_load_is_not_safe_is_refused(torch, tmp_path, monkeypatch):
    torch.save(rows(torch), tmp_path / "x.pt")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(ImportError, match=r"PyTorch 2\.5\.1\+cpu .*2\.6 or newer"):
        read_embeddings(tmp_path / "x.pt")


def test_pytorch_is_imported_only_for_its_files(tmp_path):
    np.savez(tmp_path / "x.npz", names=np.array(NAMES), embeddings=VECTORS)
    code = (
        "import sys; from scbig.priors import read_embeddings; "
        f"read_embeddings({str(tmp_path / 'x.npz')!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
