"""The four commands, one after another on one small screen, and what they say of bad input."""

import subprocess
import sys
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import tyro

from scbig.cli import Fit, main
from scbig.data import Screen
from scbig.model import load
from scbig.simulate import SimulationConfig, simulate_screen
from scbig.splits import Split

SIZES = SimulationConfig(
    genes=40, programs=4, perturbations=6, doubles=12, control_cells=60, cells_per_condition=16,
    features=6,
)  # fmt: skip

SMALL = (
    "programs.clusters=4", "programs.starts=2", "autoencoder.width=8", "autoencoder.mlp_width=8",
    "autoencoder.latent=4", "autoencoder.inducing=2", "condition.hidden=8", "condition.width=8",
    "velocity.hidden=8", "velocity.depth=1", "velocity.frequencies=2", "alignment.cells=4",
    "alignment.transport.solver=bosh3", "alignment.transport.max_steps=32", "stage1.epochs=2",
    "stage1.batch=32", "stage1.validate_every=1", "stage2.steps=4", "stage2.steps_per_call=2",
    "stage2.cells=8", "stage2.groups=2", "stage2.validation_cells=8", "transport.rtol=1e-2",
    "transport.atol=1e-2", "standardise_latents=False",
)  # fmt: skip


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


def words(folder, command: str, *more: str) -> list[str]:
    files = {
        "prepare": ("--counts", "counts.h5ad", "--out", "prepared.h5ad", "--min-genes", "1"),
        "fit": (
            *(
                "--data",
                "prepared.h5ad",
                "--embeddings",
                "genes.npz",
                "--interactions",
                "pairs.tsv",
            ),
            *("--pathways", "sets.gmt", "--out", "run"),
        ),
        "predict": ("--model", "run/model.scbig", "--data", "prepared.h5ad", "--out", "guess.h5ad"),
        "evaluate": ("--predicted", "guess.h5ad", "--data", "prepared.h5ad", "--out", "scores.csv"),
    }[command]
    named = [str(folder / word) if "." in word or word == "run" else word for word in files]
    return [command, *named, *more]


@pytest.mark.parametrize("on_disk", ["--no-on-disk", "--on-disk"])
def test_the_four_commands_lead_from_counts_to_scores(folder, capsys, on_disk):
    chosen = ("--min-cells", "2", "--variable-genes", "30", "--split", "additive", "--seed", "1")
    assert main(words(folder, "prepare", *chosen)) == 0
    assert "348 cells x" in capsys.readouterr().out  # 60 controls, 18 conditions of 16
    more = ("--split", str(folder / "prepared.split.json"), on_disk, "--set", *SMALL)
    run = words(folder, "fit", *more)
    run[run.index(str(folder / "run"))] = str(folder / f"run{on_disk}")
    assert main(run) == 0
    said = capsys.readouterr().out
    out = folder / f"run{on_disk}"
    split = Split.read(out / "split.json")
    assert f"{len(split.test)} test conditions" in said
    assert split.hash in said
    model = load(out / "model.scbig")
    assert model.config.stage1.epochs == 2
    assert model.config.standardise_latents is False
    assert (model.config.stage1.buffer is not None) == (on_disk == "--on-disk")
    screen = Screen.open(folder / "prepared.h5ad")
    assert model.names.genes == screen.genes
    guess = words(folder, "predict", "--split", str(out / "split.json"), "--cells", "5")
    guess[guess.index(str(folder / "run/model.scbig"))] = str(out / "model.scbig")
    assert main(guess) == 0
    predicted: Any = ad.read_h5ad(folder / "guess.h5ad")
    assert set(predicted.obs["condition"]) == set(split.test)
    assert predicted.n_obs == 5 * len(split.test)
    assert main(words(folder, "evaluate")) == 0
    scores = pd.read_csv(folder / "scores.csv")
    assert set(scores["condition"]) == set(split.test)
    assert set(scores["cells"]) == {"predicted", "split-half"}
    assert np.isfinite(scores["mse"]).all()
    assert "pearson_delta" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "more", "message"),
    [
        ("prepare", ("--screen", "norman2019"), "either --counts FILE or --screen NAME"),
        ("prepare", ("--condition-key", "nothing"), "no column 'nothing'"),
        ("prepare", ("--control", "mock"), "mock"),
        ("prepare", ("--min-genes", "1000"), "None of the"),
        ("prepare", ("--context-key", "nothing"), "no column 'nothing'"),
        ("prepare", ("--out", "screen.txt"), "to .h5ad or .zarr, not to 'screen.txt'"),
        ("fit", ("--set", "stage1.epochs"), "wants name=value"),
        ("fit", ("--set", "seed=3"), "--seed is an option of its own"),
        ("fit", ("--split", "nowhere.json"), "nowhere.json"),
        ("predict", (), "give --conditions or --split"),
        ("evaluate", ("--condition-key", "nothing"), "no column 'nothing'"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(folder, capsys, command, more, message):
    main(words(folder, "prepare"))
    capsys.readouterr()
    if command == "evaluate":
        ad.read_h5ad(folder / "prepared.h5ad")[:5].copy().write_h5ad(folder / "guess.h5ad")
    assert main(words(folder, command, *more)) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("scbig: ")
    assert "Traceback" not in errors


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
    failed = run(*words(folder, "evaluate", "--data", "nowhere.h5ad"))
    assert failed.returncode == 1
    assert "nowhere.h5ad" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_another_runs_split_stays_where_it_is(folder, capsys, tmp_path):
    main(words(folder, "prepare"))
    run = words(folder, "fit", "--split", "additive", "--set", *SMALL)
    run[run.index(str(folder / "run"))] = str(tmp_path)
    (tmp_path / "config.json").write_text('{"fingerprint": "another"}')
    (tmp_path / "split.json").write_text("another run's")
    assert main(run) == 1
    assert (tmp_path / "split.json").read_text() == "another run's"


def test_what_was_not_measured_is_left_out_of_the_scores(tmp_path, capsys):
    """Two contexts: one condition is measured in one only, another by three cells."""
    rng = np.random.default_rng(0)
    labels = [("control", "x"), ("control", "y"), ("A", "x"), ("A", "y"), ("B", "x")]
    pairs = [pair for pair in labels for _ in range(9)] + [("C", "x")] * 3 + [("C", "y")] * 9
    counts = rng.poisson(3.0, (len(pairs), 6)).astype(np.float32)
    adata: Any = ad.AnnData(np.log1p(counts * 1.3))
    adata.obs_names = [f"cell{i}" for i in range(len(pairs))]
    adata.obs["what"], adata.obs["line"] = zip(*pairs, strict=True)
    adata.write_h5ad(tmp_path / "screen.h5ad")
    guess = adata[adata.obs["what"] != "control"].copy()
    extra = guess[guess.obs["what"] == "B"].copy()
    extra.obs["line"] = "y"
    ad.concat([guess, extra], index_unique="-").write_h5ad(tmp_path / "guess.h5ad")
    files = ("--predicted", "guess.h5ad", "--data", "screen.h5ad", "--out", "scores.csv")
    named = [str(tmp_path / word) if "." in word else word for word in files]
    keys = ("--condition-key", "what", "--context-key", "line")
    assert main(["evaluate", *named, *keys]) == 0
    said = capsys.readouterr().out
    assert "left out: B in y" in said
    assert "without a ceiling: C" in said
    scores = pd.read_csv(tmp_path / "scores.csv").set_index(["cells", "context", "condition"])
    scored = {*scores.loc["predicted"].index}
    assert scored == {("x", "A"), ("y", "A"), ("x", "B"), ("x", "C"), ("y", "C")}
    assert {*scores.loc["split-half"].index} == scored - {("x", "C")}


def test_a_full_disk_leaves_nothing_and_is_said(folder, tmp_path):
    """A limit on the size of files stands for a disk without room."""
    main(words(folder, "prepare"))
    program = (
        "import resource, signal, scbig.cli;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000));"
        "scbig.cli.run()"
    )
    run = words(folder, "prepare", "--min-genes", "1")
    run[run.index(str(folder / "prepared.h5ad"))] = str(tmp_path / "prepared.h5ad")
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
    run = words(folder, "fit", "--set", *SMALL)
    run[run.index(str(folder / "genes.npz"))] = str(tmp_path / "genes.npz")
    run[run.index(str(folder / "run"))] = str(tmp_path / "run")
    capsys.readouterr()
    assert main(run) == 1
    assert gene in capsys.readouterr().err
    matched = [*run[: -len(SMALL) - 1], "--aliases", str(tmp_path / "aliases.tsv")]
    command = tyro.cli(Fit, args=matched[1:])
    priors = command.priors(screen)
    assert gene in priors.genes.names
    assert "1 by alias" in capsys.readouterr().out
