"""The commands, one after another on one small screen, and what they say of bad input."""

import dataclasses
import pathlib
import subprocess
import sys
from typing import Any

import anndata as ad
import diffrax as dfx
import numpy as np
import pandas as pd
import pytest
import tyro
from scipy import sparse

from scbig.alignment import CorrelationAlignment
from scbig.cli import Fit, main
from scbig.cli._settings import changed
from scbig.data import GUIDE, Columns, Screen
from scbig.flow import BrownianBridge
from scbig.method import Weighted, but, cpu
from scbig.objective import Adam
from scbig.programs import GRC, KMeans
from scbig.service import load
from scbig.simulate import SimulationConfig, simulate_screen
from scbig.splits import Split

from ..experiments.small import FEW

SIZES = SimulationConfig(
    genes=40, programs=4, perturbations=6, doubles=12, control_cells=60, cells_per_condition=16,
    features=6,
)  # fmt: skip

SMALL = (
    *(f"{name}={value}" for name, value in FEW.items()),
    "stage1.batch=32", "stage1.optimiser=Adam(learning_rate=0.001)", "stage2.steps_per_call=2",
    "transport.solver=Bosh3()", "transport.controller.rtol=1e-2", "standardise_latents=False",
)  # fmt: skip

FILES = {
    "prepare": {"counts": "counts.h5ad", "out": "prepared.h5ad"},
    "fit": {
        "data": "prepared.h5ad", "embeddings": "genes.npz", "interactions": "pairs.tsv",
        "pathways": "sets.gmt", "out": "run",
    },
    "predict": {"model": "run/model.scbig", "data": "prepared.h5ad", "out": "guess.h5ad"},
    "evaluate": {"predicted": "guess.h5ad", "data": "prepared.h5ad", "out": "scores.csv"},
}  # fmt: skip


def words(folder, command: str, *more: str, **files: pathlib.Path | None) -> list[str]:
    """A command with the user's files, some replaced, some left out."""
    named = {name: folder / file for name, file in FILES[command].items()} | files
    given = [(f"--{name}", str(path)) for name, path in named.items() if path is not None]
    less = ("--min-genes", "1") if command == "prepare" else ()
    return [command, *(word for pair in given for word in pair), *less, *more]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that a user has."""
    folder = tmp_path_factory.mktemp("cli")
    simulated = simulate_screen(SIZES, seed=0)
    simulated.counts.write_h5ad(folder / "counts.h5ad")
    np.savez(folder / "genes.npz", names=list(simulated.genes), embeddings=simulated.embeddings)
    pairs = pd.DataFrame(dict(zip(("a", "b"), simulated.interactions, strict=True)))
    pairs.to_csv(folder / "pairs.tsv", sep="\t", index=False)
    lines = ["\t".join((name, "", *genes)) for name, genes in simulated.pathways.items()]
    (folder / "sets.gmt").write_text("\n".join(lines) + "\n")
    return folder


BARE = tuple(change for change in SMALL[2:] if not change.startswith("terms."))

# The second run leaves the cells on disk, has no interactions, which its programs do not read, and
# no alignment losses, which are most of what is compiled.
RUNS = {
    "in memory": (("--no-on-disk", "--set", *SMALL), {}, GRC),
    "on disk": (
        ("--on-disk", "--set", "programs=KMeans(clusters=4)", "terms=()", *BARE),
        {"interactions": None},
        KMeans,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", RUNS)
def test_the_four_commands_lead_from_counts_to_scores(folder, capsys, way):
    more, less, programs = RUNS[way]
    chosen = ("--min-cells", "2", "--variable-genes", "30", "--split", "additive", "--seed", "1")
    assert main(words(folder, "prepare", *chosen)) == 0
    assert "348 cells x" in capsys.readouterr().out  # 60 controls, 18 conditions of 16
    out = folder / way
    drawn = folder / "prepared.split.json"
    assert main(words(folder, "fit", *more, split=drawn, out=out, **less)) == 0
    said = capsys.readouterr().out
    split = Split.read(out / "split.json")
    assert f"{len(split.test)} test conditions" in said
    assert split.hash in said
    model = load(out / "model.scbig")
    assert model.config.stage1.epochs == 2
    assert model.config.stage1.optimiser == Adam(1e-3)
    assert model.config.standardise_latents is False
    assert isinstance(model.config.programs, programs)
    assert (model.config.stage1.buffer is not None) == (way == "on disk")
    screen = Screen.open(folder / "prepared.h5ad")
    assert model.names.genes == screen.genes
    files = {"model": out / "model.scbig", "split": out / "split.json"}
    assert main(words(folder, "predict", "--cells", "5", **files)) == 0
    predicted: Any = ad.read_h5ad(folder / "guess.h5ad")
    assert set(predicted.obs["condition"]) == set(split.test)
    assert predicted.n_obs == 5 * len(split.test)
    assert main(words(folder, "evaluate")) == 0
    scores = pd.read_csv(folder / "scores.csv")
    assert set(scores["condition"]) == set(split.test)
    assert set(scores["cells"]) == {"predicted", "control", "split-half"}
    assert np.isfinite(scores["mse"]).all()
    assert "pearson_delta" in capsys.readouterr().out
    if way == "in memory":
        counted = {"out": folder / "counted.h5ad", **files}
        assert main(words(folder, "predict", "--cells", "5", "--emit", "counts", **counted)) == 0
        counts: Any = ad.read_h5ad(folder / "counted.h5ad")
        assert "scbig_counts" in counts.uns
        assert counts.X.dtype == np.int32
        np.testing.assert_array_equal(counts.obs["source"], predicted.obs["source"])
        factors = counts.obs["size_factor"].to_numpy()[:, None]
        exact = np.expm1(predicted.X) * factors
        assert np.abs(counts.X.toarray() - exact).max() < 1 + 1e-3


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("prepare", ("--screen", "norman2019"), "either --counts FILE or --screen NAME"),
        ("prepare", ("--condition-key", "nothing"), "no column 'nothing'"),
        ("prepare", ("--control", "mock"), "mock"),
        ("prepare", ("--min-genes", "1000"), "None of the"),
        ("prepare", ("--context-key", "nothing"), "no column 'nothing'"),
        ("prepare", ("--out", "screen.txt"), "screen.txt must end in .h5ad or .zarr"),
        ("fit", ("--set", "stage1.epochs"), "wants name=value"),
        ("fit", ("--set", "seed=3"), "--seed is an option of its own"),
        ("fit", ("--set", "stage1.epoch=3"), "stage1 has no part 'epoch'"),
        ("fit", ("--set", "stage1.epochs=many"), "--set stage1.epochs: 'many' is neither a number"),
        ("fit", ("--set", "stage1.epochs=0"), "epochs must be a whole number >= 1; got 0"),
        ("fit", ("--set", "flow.path=Bridge()"), "0 imported classes called 'Bridge'"),
        ("fit", ("--set", "flow.path=BrownianBridge(width=1)"), "no field 'width'"),
        ("fit", ("--set", "programs.clusters=400"), "at least one gene: got 400"),
        # A computation that does not reach its end is no bug either.
        ("fit", ("--set", "programs.iterations=1"), "a plan missed its marginals"),
        ("fit", ("--split", "nowhere.json"), "nowhere.json"),
        ("predict", (), "give --conditions or --split"),
        ("evaluate", ("--condition-key", "nothing"), "no column 'nothing'"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(folder, tmp_path, capsys, command, more, message):
    main(words(folder, "prepare"))
    capsys.readouterr()
    if command == "evaluate":
        ad.read_h5ad(folder / "prepared.h5ad")[:5].copy().write_h5ad(folder / "guess.h5ad")
    own = {"out": tmp_path / "run"} if command == "fit" else {}
    assert main(words(folder, command, *more, **own)) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("scbig: ")
    assert errors.count("scbig: ") == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("embeddings", "Priors need a vector for each perturbation"),
        ("interactions", "reads interactions (GRC)"),
        ("pathways", "reads pathways (PathwayAlignment, ResponseAnchor)"),
    ],
)
def test_a_prior_that_the_settings_read_must_be_there(folder, capsys, lacking, message):
    main(words(folder, "prepare"))
    assert main(words(folder, "fit", **{lacking: None})) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", [ImportError, ModuleNotFoundError])
def test_a_package_that_is_not_installed_is_said_in_one_line(tmp_path, capsys, monkeypatch, kind):
    def lacking(self):
        raise kind("files of PyTorch are read with PyTorch, which is not installed")

    monkeypatch.setattr(Fit, "run", lacking)
    assert main(words(tmp_path, "fit")) == 1
    errors = capsys.readouterr().err
    assert errors == "scbig: files of PyTorch are read with PyTorch, which is not installed\n"


def test_settings_are_numbers_and_classes_of_any_part():
    changes = ("terms.Consistency.weight=0.5", "stage2.ema=None", "stage2.trains=('velocity',)")
    path = "flow.path=BrownianBridge(0.2)"
    command = tyro.cli(Fit, args=["--data", "a", "--out", "b", "--set", path, *changes])
    config: Any = command.config()
    assert config.flow.path == BrownianBridge(sigma=0.2)
    assert config.terms[0].weight == 0.5
    assert config.stage2.ema is None
    assert config.stage2.trains == ("velocity",)


def test_the_command_exits_as_a_shell_expects(folder):
    run = lambda *args: subprocess.run(
        [sys.executable, "-c", "import scbig.cli; scbig.cli.run()", *args],
        capture_output=True,
        text=True,
    )
    shown = run("--help")
    assert shown.returncode == 0
    for command in ("prepare", "fit", "predict", "evaluate"):
        assert command in shown.stdout
    assert run("fit", "--no-such-option").returncode == 2
    failed = run(*words(folder, "evaluate", data=pathlib.Path("nowhere.h5ad")))
    assert failed.returncode == 1
    assert "nowhere.h5ad" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_another_runs_split_stays_where_it_is(folder, tmp_path):
    main(words(folder, "prepare"))
    (tmp_path / "config.json").write_text('{"fingerprint": "another"}')
    (tmp_path / "split.json").write_text("another run's")
    run = words(folder, "fit", "--split", "additive", "--set", *SMALL, out=tmp_path)
    assert main(run) == 1
    assert (tmp_path / "split.json").read_text() == "another run's"


def test_a_full_disk_leaves_nothing_and_is_said(folder, tmp_path):
    """A limit on the size of files stands for a disk without room."""
    main(words(folder, "prepare"))
    program = (
        "import resource, signal, scbig.cli;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "scbig.cli.run()"
    )
    run = words(folder, "prepare", out=tmp_path / "prepared.h5ad")
    done = subprocess.run([sys.executable, "-c", program, *run], capture_output=True, text=True)
    assert done.returncode == 1
    assert "scbig: " in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_old_gene_names_are_matched_through_an_alias_table(folder, capsys, tmp_path):
    """The embeddings call one perturbed gene by a name that only the table knows."""
    main(words(folder, "prepare"))
    screen = Screen.open(folder / "prepared.h5ad")
    gene = screen.perturbations[0]
    with np.load(folder / "genes.npz") as table:
        names = np.where(table["names"] == gene, "OLDNAME", table["names"])
        np.savez(tmp_path / "genes.npz", names=names, embeddings=table["embeddings"])
    (tmp_path / "aliases.tsv").write_text(f"alias\tsymbol\nOLDNAME\t{gene}\n")
    files = {"embeddings": tmp_path / "genes.npz", "out": tmp_path / "run"}
    run = words(folder, "fit", **files)
    capsys.readouterr()
    assert main(run) == 1
    assert gene in capsys.readouterr().err
    command = tyro.cli(Fit, args=[*run[1:], "--aliases", str(tmp_path / "aliases.tsv")])
    priors: Any = command.priors(screen)
    assert gene in priors.genes.names
    assert "1 by alias" in capsys.readouterr().out


def test_genes_by_identifier_and_labels_by_symbol_both_find_their_priors(folder, capsys, tmp_path):
    main(words(folder, "prepare"))
    screen = Screen.open(folder / "prepared.h5ad")
    identifiers = tuple(f"ENSG{place:011d}" for place in range(screen.num_genes))
    lines = [f"{name}\t{gene}" for name, gene in zip(identifiers, screen.genes, strict=True)]
    (tmp_path / "aliases.tsv").write_text("\n".join(["alias\tsymbol", *lines]) + "\n")
    run = words(folder, "fit", out=tmp_path / "run")
    command = tyro.cli(Fit, args=[*run[1:], "--aliases", str(tmp_path / "aliases.tsv")])
    usual: Any = command.priors(screen)
    priors: Any = command.priors(dataclasses.replace(screen, genes=identifiers))
    np.testing.assert_array_equal(
        priors.genes.align(identifiers).vectors, usual.genes.align(screen.genes).vectors
    )
    np.testing.assert_array_equal(
        priors.perturbations.align(screen.perturbations).vectors,
        usual.genes.align(screen.perturbations).vectors,
    )
    edges = priors.interactions.align(identifiers), usual.interactions.align(screen.genes)
    np.testing.assert_array_equal(edges[0].source, edges[1].source)
    for names, expected in ((identifiers, screen.genes), (screen.perturbations,) * 2):
        found = priors.pathways.align(names, min_genes=1)
        wanted = usual.pathways.align(expected, min_genes=1)
        np.testing.assert_array_equal(found.matrix, wanted.matrix)


def test_a_class_is_looked_for_among_those_that_the_field_takes():
    """Two libraries have an adjoint of this name."""
    found = changed(cpu(), ["transport.adjoint=RecursiveCheckpointAdjoint(checkpoints=4)"])
    assert found == but(cpu(), **{"transport.adjoint": dfx.RecursiveCheckpointAdjoint(4)})
    losses = (Weighted(CorrelationAlignment(), 0.3),)
    (term,) = changed(cpu(), ["terms.0.losses=(Weighted(CorrelationAlignment(), 0.3),)"]).terms
    assert term == but(cpu(), **{"terms.0.losses": losses}).terms[0]
    with pytest.raises(ValueError, match="called 'Adam' are a AbstractProbabilityPath"):
        changed(cpu(), ["flow.path=Adam(1e-3)"])


def test_a_split_does_not_name_what_preparation_dropped(folder, tmp_path):
    """One double has three cells, and is left out; the split, drawn before, would test it."""
    adata: Any = ad.read_h5ad(folder / "counts.h5ad")
    doubles = sorted({str(label) for label in adata.obs["condition"] if "+" in str(label)})
    lost = np.isin(adata.obs["condition"], doubles[:6])
    few = lost & (adata.obs.groupby("condition", observed=True).cumcount().to_numpy() >= 3)
    adata[~few].copy().write_h5ad(tmp_path / "counts.h5ad")
    files = {"counts": tmp_path / "counts.h5ad", "out": tmp_path / "out.h5ad"}
    more = ("--split", "additive", "--min-condition-cells", "4")
    assert main(words(folder, "prepare", *more, **files)) == 0
    split = Split.read(tmp_path / "out.split.json")
    screen = Screen.open(tmp_path / "out.h5ad")
    assert set(doubles[:6]) <= set(split.dropped)
    left = {*split.train, *split.validation, *split.test}
    assert left == {condition.name for condition in screen.conditions}


OVERWRITING = [("prepare", "counts"), ("fit", "data"), ("fit", "embeddings"), ("predict", "data")]
OVERWRITING += [("predict", "model"), ("evaluate", "predicted"), ("evaluate", "data")]


@pytest.mark.parametrize("link", [False, True], ids=["same name", "link"])
@pytest.mark.parametrize(("command", "source"), OVERWRITING)
def test_no_command_writes_onto_an_input(command, source, link, tmp_path, capsys):
    path = tmp_path / "input.h5ad"
    path.write_text("precious")
    out = tmp_path / "other.h5ad" if link else tmp_path / "." / "input.h5ad"
    if link:
        out.symlink_to(path)
    assert main(words(tmp_path, command, **{source: path, "out": out})) == 1
    assert "is also an input, which would be lost" in capsys.readouterr().err
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("command", "name"),
    [("evaluate", "scores"), ("evaluate", "scores.h5ad"), ("predict", "x.csv"), ("prepare", "x")],
)
def test_the_name_of_an_output_says_what_it_is(command, name, tmp_path, capsys):
    assert main(words(tmp_path, command, out=tmp_path / name)) == 1
    assert f"{name} must end in ." in capsys.readouterr().err


def test_a_file_as_it_comes_is_prepared(folder, tmp_path, capsys):
    """Guides for labels, symbols in a column, counts by genes in a layer."""
    adata: Any = ad.read_h5ad(folder / "counts.h5ad")
    guide = lambda label, row: "+".join(f"{name}_{row % 3}" for name in label.split("+"))
    labels = [guide(str(label), row) for row, label in enumerate(adata.obs["condition"])]
    adata.obs = adata.obs.drop(columns="condition").assign(guide=labels)
    names = pd.Index([f"ENSG{i}" for i in range(adata.n_vars)])
    adata.var = pd.DataFrame({"symbol": adata.var_names}, names)
    adata.layers["raw"], adata.X = sparse.csc_matrix(adata.X), sparse.csc_matrix(adata.X) * 0.1
    adata.write_h5ad(tmp_path / "counts.h5ad")
    run = words(folder, "prepare", counts=tmp_path / "counts.h5ad", out=tmp_path / "out.h5ad")
    usual = words(folder, "prepare", out=tmp_path / "usual.h5ad")
    keys = ("--condition-key", "guide", "--guide-pattern", "usual", "--gene-key", "symbol")
    assert main([*run, *keys, "--layer", "raw"]) == 0
    said = capsys.readouterr().out
    assert main(usual) == 0
    assert capsys.readouterr().out.splitlines()[-1] == said.splitlines()[-1]
    columns = Columns(condition="guide", guide=GUIDE, gene="symbol")
    found = Screen.open(tmp_path / "out.h5ad", columns)
    expected = Screen.open(tmp_path / "usual.h5ad")
    assert found.conditions == expected.conditions
    assert found.genes == expected.genes
    np.testing.assert_array_equal(found.condition_index, expected.condition_index)
    # The cells keep their guides.
    assert set(ad.read_h5ad(tmp_path / "out.h5ad").obs["guide"]) <= set(labels)
