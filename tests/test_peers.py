"""The door of foreign models: what it refuses, and that their environments and scripts are run."""

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

import scbig

PEERS = pathlib.Path(__file__).parents[1] / "experiments" / "peers"
GENES = ["G1", "G2", "G3"]
LABELS = ["control", "A", "B", "C", "A+C"]


@pytest.fixture
def contract(monkeypatch):
    return module("contract", monkeypatch)


@pytest.fixture
def run(monkeypatch):
    return module("run", monkeypatch)


def module(name, monkeypatch) -> Any:
    """A script of the peers' folder, as a script beside it imports it."""
    monkeypatch.syspath_prepend(str(PEERS))
    for known in ("contract", "run", "export"):
        monkeypatch.delitem(sys.modules, known, raising=False)
    return __import__(name)


def cells(labels=LABELS, number=4, seed=0, genes=GENES):
    rng = np.random.default_rng(seed)
    names = [label for label in labels for _ in range(number)]
    values = np.log1p(rng.gamma(2.0, size=(len(names), len(genes)))).astype(np.float32)
    index = pd.Index([f"c{row}" for row in range(len(names))])
    var = pd.DataFrame(index=pd.Index(genes))
    return ad.AnnData(values, obs=pd.DataFrame({"condition": names}, index=index), var=var)


def folder_of(contract, path, *, train=None, test=("A+B",), **others):
    """A folder as export.py writes one."""
    path.mkdir(exist_ok=True)
    (path / "priors").mkdir(exist_ok=True)
    parts = {"train": cells() if train is None else train, "controls": cells(["control"])}
    for name, part in {**parts, **others}.items():
        contract.save(part, path / f"{name}.h5ad")
    (path / "conditions.json").write_text(json.dumps(list(test)))
    return contract.Folder(path, path / "out")


def written(contract, folder, prediction, **changes):
    said = {
        "peer": "fake",
        "package": "no package",
        "trained_on": ["A"],
        "clock": contract.Clock({"train": 1.0}),
        "options": {"steps": 3},
        **changes,
    }
    labels = list(prediction.obs["condition"])
    contract.write(folder, np.asarray(prediction.X), labels, **said)


@pytest.mark.parametrize(
    ("label", "same"),
    [("B+A", "A+B"), ("A+ctrl", "A"), ("ctrl", "control"), ("control+A", "A"), (" B + A", "A+B")],
)
def test_one_condition_has_one_spelling(contract, label, same):
    assert contract.canonical(label) == same


@pytest.mark.parametrize("leak", ["A+B", "B+A", "ctrl+B+A"])
def test_a_leak_is_refused_in_any_spelling(contract, tmp_path, leak):
    folder = folder_of(contract, tmp_path)
    assert folder.refuse_leak(["A", "B+ctrl", "ctrl"]) == ["A", "B", "control"]
    with pytest.raises(ValueError, match=r"A leak: A\+B"):
        folder.refuse_leak(["A", leak])
    leaky = folder_of(contract, tmp_path, train=cells([*LABELS, leak]))
    with pytest.raises(ValueError, match="A leak"):
        _ = leaky.train


def test_validation_cells_do_not_leak_either(contract, tmp_path):
    folder = folder_of(contract, tmp_path, validation=cells(["B+A"]))
    with pytest.raises(ValueError, match="A leak"):
        _ = folder.validation
    assert folder_of(contract, tmp_path / "none").validation is None


def test_a_folder_is_read_as_it_was_written(contract, tmp_path):
    folder = folder_of(contract, tmp_path, test=("B+A", "C+D"))
    assert folder.test == ["A+B", "C+D"]
    assert folder.trained == ["A", "A+C", "B", "C", "control"]
    assert folder.perturbed == ["A", "B", "C", "D"]
    np.testing.assert_array_equal(contract.dense(folder.train), cells().X)


def test_what_a_folder_lacks_is_named(contract, tmp_path):
    folder = folder_of(contract, tmp_path, train=cells(["A", "B"]))
    with pytest.raises(ValueError, match="no cell of the condition `control`"):
        _ = folder.train
    other = folder_of(contract, tmp_path / "other", controls=cells(["control"], genes=GENES[::-1]))
    with pytest.raises(ValueError, match="in another order"):
        _ = other.controls
    for wrong in ([], ["control"], {"test": ["A+B"]}):
        (tmp_path / "conditions.json").write_text(json.dumps(wrong))
        with pytest.raises(ValueError, match="must be a list of conditions"):
            _ = contract.Folder(tmp_path, tmp_path).test
    with pytest.raises(ValueError, match=r"export\.py writes"):
        _ = contract.Folder(tmp_path / "nowhere", tmp_path).train


def test_a_prior_that_knows_no_gene_is_refused(contract, tmp_path):
    folder = folder_of(contract, tmp_path)
    table = folder.prior("genes.npz")
    np.savez(table, names=np.array(["0\tA", "1\tB", "2\tB"]), embeddings=np.eye(3))
    vectors, lacking = folder.vectors(["A", "B", "C"])
    assert lacking == ["C"]
    stored = np.array([[1, 0, 0], [0, 0.5, 0.5]])
    expected = (np.array([*stored, [0.5, 0.25, 0.25]]) - stored.mean(0)) / stored.std(0)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    np.savez(table, names=np.array(["ENSG1", "ENSG2"]), embeddings=np.eye(2))
    with pytest.raises(ValueError, match=r"knows none of 3 genes \(A, B, C\); it has 'ENSG1'"):
        folder.vectors(["A", "B", "C"])


def test_go_terms_are_read_as_numbers(contract, tmp_path):
    folder = folder_of(contract, tmp_path)
    folder.prior("go.tsv").write_text("gene\tgo\nA\t3700;GO:0005515\nB\t1\n")
    terms = contract.read_go(folder.prior("go.tsv"))
    assert terms == {"A": {"GO:0003700", "GO:0005515"}, "B": {"GO:0000001"}}


def test_set_aside_are_combinations_whose_genes_stay(contract, tmp_path):
    labels = ["control", "A", "B", "C", "A+A9", "A+B", "C+A", "B+C"]
    folder = folder_of(contract, tmp_path, train=cells(labels), test=("A+A2",))
    train, held = folder.divided()
    assert held == ["A+B", "A+C"]  # A9 is nowhere else
    assert train == ["A", "A+A9", "B", "B+C", "C"]
    given = folder_of(contract, tmp_path, validation=cells(["A+B"]), test=("A+A2",))
    assert given.divided() == (["A", "A+C", "B", "C"], ["A+B"])


def test_a_learnt_code_serves_no_unseen_gene(contract, tmp_path):
    folder = folder_of(contract, tmp_path, test=("A+B", "A+Z"))
    with pytest.raises(ValueError, match="Z: not perturbed in training"):
        folder.refuse_unseen(folder.trained)


def test_a_mean_becomes_cells_by_moving_controls(contract, tmp_path):
    folder = folder_of(contract, tmp_path)
    mean = contract.dense(folder.controls).mean(0) + [1, 2, 0]
    values, labels = folder.shifted({"A+B": mean})
    assert labels == ["A+B"] * 4
    np.testing.assert_allclose(values, cells(["control"]).X + np.array([1, 2, 0]), rtol=1e-5)


def test_moved_cells_have_the_mean_that_was_asked_for(contract):
    rng = np.random.default_rng(0)
    sparse = rng.gamma(1.0, size=(50, 6)) * (rng.random((50, 6)) < 0.2)
    asked = np.array([0.0, 0.01, sparse[:, 2].mean(), 0.3, 2.0, -0.1])
    moved = contract.moved_to(sparse, asked)
    assert moved.min() >= 0
    np.testing.assert_allclose(moved.mean(0), np.maximum(asked, 0), atol=1e-9)
    for gene in (1, 3, 4):  # one number is added to each cell that stays above 0
        added = (moved - sparse)[moved[:, gene] > 0, gene]
        np.testing.assert_allclose(added, added[0], atol=1e-9)


def test_a_prediction_is_stamped(contract, tmp_path):
    folder = folder_of(contract, tmp_path)
    written(contract, folder, cells(["B+A"], seed=1), trained_on=folder.refuse_leak(["C+A"]))
    said = json.loads((folder.out / "result.json").read_text())
    assert said["trained_on"] == ["A+C"]
    assert (said["peer"], said["options"], said["seconds"]) == ("fake", {"steps": 3}, {"train": 1})
    assert said["peak_memory_gb"] > 0
    made = ad.read_h5ad(folder.out / "pred.h5ad")
    assert json.loads(made.uns["peer"]) == said
    assert set(made.obs["condition"]) == {"A+B"}
    assert {path.name for path in folder.out.iterdir()} == {"result.json", "pred.h5ad"}


def test_text_is_written_so_that_old_readers_read_it(contract, tmp_path):
    given = cells()
    given.obs["condition"] = given.obs["condition"].astype("category")
    contract.save(given, tmp_path / "cells.h5ad")
    file: Any
    with h5py.File(tmp_path / "cells.h5ad") as file:
        for frame, column in (("obs", "condition"), ("obs", "_index"), ("var", "_index")):
            assert file[frame][column].attrs["encoding-type"] == "string-array"
    assert contract.read_cells(tmp_path / "cells.h5ad").obs["condition"].dtype == object


def spoiled(how) -> Any:
    made: Any = cells(["A+B", "C+D"], seed=1)
    if how == "nan":
        made.X[0, 1] = np.nan
    elif how == "negative":
        made.X[1, 2] = -0.1
    elif how == "order":
        made = made[:, GENES[::-1]].copy()
    elif how == "genes":
        made.var_names = ["G1", "G2", "H"]
    elif how == "missing":
        made = made[made.obs["condition"] == "A+B"].copy()
    elif how == "more":
        made.obs["condition"] = ["A+B"] * 4 + ["C+D"] * 3 + ["E"]
    elif how == "copies":
        made.X[:4] = made.X[:4].mean(0)
    elif how == "one":
        made = made[3:].copy()
    return made


REFUSED = {
    "nan": "1 values are not finite, the first in gene G2",
    "negative": "1 values are negative, the first in gene G3",
    "order": "the genes in another order",
    "genes": "other genes: G3, H",
    "missing": r"lacks C\+D",
    "more": "has, though not asked for, E",
    "copies": r"of A\+B is one cell, 4 times over",
    "one": r"of A\+B is one cell, 1 times over",
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_prediction_that_cannot_be_scored_is_refused(contract, how):
    contract.check_prediction(spoiled(None), GENES, ["A+B", "C+D"])
    with pytest.raises(ValueError, match=REFUSED[how]):
        contract.check_prediction(spoiled(how), GENES, ["A+B", "C+D"])


def test_nothing_is_left_of_a_prediction_that_is_refused(contract, tmp_path):
    folder, broken = folder_of(contract, tmp_path), cells(["A+B"])
    broken.X = np.full(broken.shape, np.nan)
    with pytest.raises(ValueError, match="not finite"):
        written(contract, folder, broken)
    with pytest.raises(ValueError, match="A leak"):
        written(contract, folder, cells(["A+B"]), trained_on=["A+B"])
    assert not folder.out.exists() or not [*folder.out.iterdir()]


def test_an_asset_that_is_lacking_is_named_with_its_place(contract, tmp_path):
    told = {"what": "A checkpoint of X", "where": "the shelf", "option": "--weights"}
    (tmp_path / "one").write_text("")
    assert contract.require(tmp_path, ["one"], **told) == tmp_path
    for path, said in ((tmp_path, "lacks two"), ("", "--weights was not given")):
        with pytest.raises(ValueError, match=said) as found:
            contract.require(path, ["one", "two"], **told)
        assert all(words in str(found.value) for words in told.values())


FAKE = """
import pathlib, sys
sys.path.append({peers!r})
import numpy as np
import contract

folder, options = contract.arguments("A peer for a test.", steps=2, how="")
values = np.repeat(contract.dense(folder.controls), len(folder.test), 0)
labels = folder.test * folder.controls.n_obs
contract.write(
    folder, values, labels, peer="fake", package="numpy", trained_on=folder.trained,
    clock=contract.Clock(), options=vars(options),
)
if options.how == "late":
    cells = contract.read_cells(folder.out / "pred.h5ad")
    cells.X[0, 0] = -1
    contract.save(cells, folder.out / "pred.h5ad")
elif options.how == "flat":
    cells = contract.read_cells(folder.out / "pred.h5ad")
    cells.X[:] = cells.X.mean(0)
    contract.save(cells, folder.out / "pred.h5ad")
elif options.how == "silent":
    cells = contract.read_cells(folder.out / "pred.h5ad")
    cells.uns = {{}}
    contract.save(cells, folder.out / "pred.h5ad")
elif options.how == "nothing":
    (folder.out / "pred.h5ad").unlink()
elif options.how == "fails":
    raise SystemExit(3)
"""


@pytest.fixture
def fake(contract, run, tmp_path, monkeypatch):
    """Runs a peer of a few lines in an environment that is this Python."""
    where, peers = tmp_path / "environments", tmp_path / "peers"
    python = run.python_of(where, "fake")
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    # A link is not the environment that it points into: it is told where the packages are.
    monkeypatch.setenv("PYTHONPATH", ":".join(entry for entry in sys.path if entry))
    (peers / "fake").mkdir(parents=True)
    (peers / "fake" / "peer.py").write_text(FAKE.format(peers=str(PEERS)))
    folder = folder_of(contract, tmp_path / "folder")
    return lambda *options: run.run(
        "fake", where, folder.path, tmp_path / "result", options, peers=peers
    )


def test_a_peer_is_run_and_checked(fake, tmp_path):
    said = fake("--steps", "5")
    assert said["options"] == {"steps": 5, "how": ""}
    assert said["version"] == np.__version__
    assert said["trained_on"] == ["A", "A+C", "B", "C", "control"]
    made = ad.read_h5ad(tmp_path / "result" / "pred.h5ad")
    scores = scbig.evaluate(made, cells(["control", "A+B"]))
    assert scores.index.tolist() == ["A+B"]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("late", "negative"),
        ("flat", "is one cell"),
        ("silent", "what its peer was trained on"),
        ("nothing", "is missing"),
    ],
)
def test_what_a_peer_left_is_read_again(fake, how, said):
    with pytest.raises(ValueError, match=said):
        fake("--how", how)


def test_a_peer_that_fails_is_no_result(fake):
    with pytest.raises(subprocess.CalledProcessError):
        fake("--how", "fails")


def test_a_peer_that_is_not_installed_says_how(run, tmp_path):
    with pytest.raises(ValueError, match=r"run\.py install gears"):
        run.run("gears", tmp_path, tmp_path, tmp_path)
    with pytest.raises(SystemExit, match=r"run\.py install gears"):
        run.main(["run", "gears", *("--where", "x"), *("--folder", str(tmp_path)), *("--out", "y")])


def test_a_python_that_is_absent_is_named(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run.interpreter("{}.{}".format(*sys.version_info[:2])) == sys.executable
    with pytest.raises(ValueError, match=r"python2\.9 is not on the PATH"):
        run.interpreter("2.9")
    stand_in = tmp_path / "python2.9"
    stand_in.write_text("#!/bin/sh\nexit 127\n")
    stand_in.chmod(0o755)
    with pytest.raises(ValueError, match="or does not start"):
        run.interpreter("2.9")


def test_pins_come_first_torch_then_all_unresolved(run, tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("numpy==1.2\n# why\ntorch==3.4\nx-y==5\n")
    monkeypatch.setattr(run, "uv", lambda: None)
    version = "{}.{}".format(*sys.version_info[:2])
    home = tmp_path / "home"
    make, early, every = run.steps(run.Peer(version, first=("numpy",)), tmp_path, home)
    assert make == [sys.executable, "-m", "venv", str(home)]
    assert early[-2:] == ["numpy==1.2", "torch==3.4"]
    assert {"--no-deps", "--no-build-isolation"} < set(every)
    monkeypatch.setattr(run, "uv", lambda: ["uv"])
    assert run.steps(run.Peer(version), tmp_path, home)[0][:2] == ["uv", "venv"]
    (tmp_path / "requirements.txt").write_text("numpy>=1.2\n")
    with pytest.raises(ValueError, match="'numpy>=1.2' is no pin"):
        run.steps(run.Peer(version), tmp_path, home)


def test_an_environment_that_failed_does_not_stay(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "PEERS", {"fake": run.Peer("{}.{}".format(*sys.version_info[:2]))})
    home = tmp_path / "where" / "fake"
    fails = [sys.executable, "-c", f"import os; os.makedirs({str(home)!r}); raise SystemExit(1)"]
    monkeypatch.setattr(run, "steps", lambda *_: [fails])
    with pytest.raises(subprocess.CalledProcessError):
        run.install("fake", tmp_path / "where")
    assert not home.exists()
    home.mkdir()
    with pytest.raises(ValueError, match="is there already"):
        run.install("fake", tmp_path / "where")


def test_uv_looks_where_pip_looks(run):
    given = run.installing({"PIP_FIND_LINKS": "/a", "UV_DEFAULT_INDEX": "b", "PIP_INDEX_URL": "c"})
    assert (given["UV_FIND_LINKS"], given["UV_DEFAULT_INDEX"]) == ("/a", "b")


def test_every_peer_has_pins_and_a_script_that_leaves_scbig_alone(run):
    assert {path.parent.name for path in PEERS.glob("*/peer.py")} == set(run.PEERS)
    for name in run.PEERS:
        assert run.pins(PEERS / name / "requirements.txt")
        text = (PEERS / name / "peer.py").read_text()
        assert not re.search(r"\bimport scbig|from scbig", text)
        assert "refuse_leak(" in text
        assert len(text.splitlines()) < 200
    sources = (PEERS.parents[1] / "scbig").rglob("*.py")
    imports = re.compile(r"^\s*(from|import) (experiments|contract|peer)\b", re.MULTILINE)
    assert not [path for path in sources if imports.search(path.read_text())]


def test_a_folder_is_exported_from_a_screen(contract, monkeypatch, tmp_path):
    export = module("export", monkeypatch)
    cells([*LABELS, "A+B"]).write_h5ad(tmp_path / "screen.h5ad")
    np.savez(tmp_path / "table.npz", names=np.array(["A", "B", "Q"]), embeddings=np.eye(3))
    (tmp_path / "edges.tsv").write_text("gene1\tgene2\nA\tB\nA\tQ\nG1\tB\n")
    (tmp_path / "go.tsv").write_text("gene\tgo\nA\t3700;5515\nG3\t5515\nQ\t5515\n")
    asked = {"embeddings": "table.npz", "interactions": "edges.tsv", "go": "go.tsv"}
    given = {name: tmp_path / file for name, file in asked.items()}
    made = export.Export(
        data=tmp_path / "screen.h5ad",
        out=tmp_path / "folder",
        test=("B+A",),
        validation=("A+C",),
        **given,
    )
    split = export.main(made)
    folder = contract.Folder(tmp_path / "folder", tmp_path)
    assert folder.test == ["A+B"]
    assert folder.trained == ["A", "B", "C", "control"]
    assert set(folder.validation.obs["condition"]) == {"A+C"}
    assert set(folder.controls.obs["condition"]) == {"control"}
    assert set(contract.read_embeddings(folder.prior("genes.npz"))) == {"A", "B"}
    assert set(contract.read_pairs(folder.prior("interactions.tsv"))) == {("A", "B"), ("G1", "B")}
    assert set(contract.read_go(folder.prior("go.tsv"))) == {"A", "G3"}
    split.save(tmp_path / "split.json")
    again = export.Export(
        data=tmp_path / "screen.h5ad", out=tmp_path / "again", split=tmp_path / "split.json"
    )
    assert export.main(again) == split
    for wrong, said in (({}, "Give --split or --test"), ({"test": ("A+Q",)}, r"not measure A\+Q")):
        with pytest.raises(SystemExit, match=said):
            export.main(
                export.Export(data=tmp_path / "screen.h5ad", out=tmp_path / "none", **wrong)
            )
    np.savez(tmp_path / "table.npz", names=np.array(["Q", "G1"]), embeddings=np.eye(2))
    with pytest.raises(ValueError, match="knows none of"):
        export.main(made)
