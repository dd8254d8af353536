"""Runs every script of the paper's tables and figures, and writes one page of what they show.

    python experiments/all.py --preset cpu --effects norman19_effects_234x2000.npz \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --annotations go_annotations_human.tsv.gz --out runs/all

Without `--data` on a screen drawn around the effects of `--effects`, whose genes are those of
Figures 3, 9 and 10 too; without `--drugs` the drug screen is generated. `--lines FILE.h5ad` is a
screen of several cell lines, for Table 18. What a file is lacking for is left out, and named.
Each script is a process of its own and goes on where it was stopped; one that fails is named in the
page, and so is this command's exit status. `cpu` takes some twelve hours of a core, `smoke` is for
a look at the scripts, `paper` for a GPU and the paper's screen.
"""

import dataclasses
import pathlib
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import jax
import numpy as np
import pandas as pd
import tyro
from tools import markdown, verdicts
from tools.plans import PLANS, Plan

import scbig
from scbig import cli, data, simulate
from scbig._files import atomic

HERE = pathlib.Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class All:
    """Cells, priors, how large, where to."""

    out: pathlib.Path
    preset: Literal["smoke", "cpu", "paper"] = "cpu"
    data: pathlib.Path | None = None
    """Log-normalised h5ad of a screen with combinations; by default one drawn around --effects."""
    effects: pathlib.Path | None = None
    """npz of `simulate.read_effects`."""
    files: tyro.conf.OmitArgPrefixes[cli.PriorFiles] = field(
        default_factory=lambda: cli.PriorFiles(missing="mean")
    )
    annotations: pathlib.Path | None = None
    """Gene Ontology, for GEARS and for its embeddings."""
    scripts: tuple[str, ...] = ()
    """Names of scripts, without suffix; by default all."""
    genes: int = 600
    """Of the drawn screen, those of most varied effects."""
    cells: int = 60
    """Of the drawn screen, for each condition."""
    controls: int = 1200
    combinations: Literal["additive", "doubles"] = "additive"
    """How unseen combinations are held out: in the paper's one split, or every double once, in
    folds, where a screen has few."""
    epochs: int | None = None
    """Passes over the cells of the screen in stage 1: the 20 of `cpu` are enough for the drawn
    screen's 15,000 cells, and too few updates for some thousand."""
    lines: pathlib.Path | None = None
    """Log-normalised h5ad of several cell lines."""
    line_key: str = "cell_type"
    """The column of --lines that tells them apart."""
    singles: pathlib.Path | None = None
    """Log-normalised h5ad of single perturbations for Table 3, the paper's RPE1 for one; by default
    the screen of the others."""
    drugs: pathlib.Path | None = None
    """Log-normalised h5ad of a drug screen that is split as ComboSciPlex is, for Table 4."""
    drug_vectors: pathlib.Path | None = None
    """Of --drugs, as `drug_embeddings.py` writes them."""
    other_interactions: pathlib.Path | None = None
    """Another file of interactions, another release for one, for the sensitivity to them."""


def main(run: All) -> str:
    """Runs the scripts; returns the page."""
    unknown = sorted({*run.scripts} - {plan.script for plan in PLANS})
    if unknown:
        known = ", ".join(dict.fromkeys(plan.script for plan in PLANS))
        raise SystemExit(f"No script {unknown[0]!r}; there are {known}.")
    chosen = [plan for plan in PLANS if not run.scripts or plan.script in run.scripts]
    own = {"lines": run.lines, "effects": run.effects}
    lacking = [plan for plan in chosen if plan.reads in own and own[plan.reads] is None]
    if lacking and run.scripts:
        raise SystemExit(f"{lacking[0].script} needs --{lacking[0].reads}: see --help.")
    chosen = [plan for plan in chosen if plan not in lacking]
    if run.data is None and run.effects is None:
        raise SystemExit("Give --data, or --effects to draw a screen around.")
    if (run.drugs is None) != (run.drug_vectors is None):
        raise SystemExit("--drugs and --drug-vectors are given together.")
    claim(run)
    screen = run.data or drawn(run)
    failed = []
    for plan in chosen:
        folder = run.out / plan.name
        folder.mkdir(exist_ok=True)
        begun = time.perf_counter()
        given = arguments(plan, run, screen)
        if not ended(folder, given):
            print(f"{plan.name}: {plan.title} ...", flush=True)
            code = run_script(plan.script, given, folder / "log.txt")
            if code:
                failed.append(plan.name)
                print(f"{plan.name}: failed, see {folder / 'log.txt'}")
                continue
            seconds = time.perf_counter() - begun
            (folder / "done").write_text(f"{seconds:.0f}\n{shlex.join(given)}\n")
        print(f"{plan.name}: {time_of(folder)}")
    text = page(run, screen, chosen, failed)
    (run.out / "page.md").write_text(text)
    print(f"\n{run.out / 'page.md'}")
    if failed:
        raise SystemExit(f"{len(failed)} failed: {', '.join(failed)}.")
    return text


def ended(folder: pathlib.Path, given: Sequence[str]) -> bool:
    """Whether a script ended there that was given the same; of other files it is run again."""
    path = folder / "done"
    return path.exists() and path.read_text().splitlines()[1:] == [shlex.join(given)]


def claim(run: All) -> None:
    """Refuses a folder with what other cells or another preset made, which is not made again."""
    # What one table alone reads may come later: see `ended`.
    late = dict.fromkeys(("lines", "singles", "drugs", "drug_vectors", "other_interactions"))
    told, path = repr(dataclasses.replace(run, scripts=(), **late)), run.out / "run.txt"
    if path.exists() and path.read_text() != told:
        raise SystemExit(f"{run.out} has the tables of other arguments: choose another folder.")
    run.out.mkdir(parents=True, exist_ok=True)
    path.write_text(told)


def drawn(run: All) -> pathlib.Path:
    """A screen around given effects, of the genes that vary most and those that are perturbed."""
    path = run.out / "screen.h5ad"
    if path.exists():
        return path
    assert run.effects is not None
    given = simulate.read_effects(run.effects)
    config = simulate.SemiSyntheticConfig(
        cells_per_condition=run.cells, control_cells=run.controls, log_normalise=True
    )
    cells = simulate.semi_synthetic_screen(given, config, seed=0)
    perturbed = {name for c in given.conditions for name in c.perturbations}
    order = np.argsort(-given.changes.std(axis=0), kind="stable")[: run.genes]
    kept = [g for place, g in enumerate(given.genes) if place in {*order} or g in perturbed]
    with atomic(path) as partial:
        cells[:, kept].copy().write_h5ad(partial)
    return path


def options(plan: Plan, run: All) -> list[str]:
    """What a script is told beside files and sizes."""
    given = plan.options(run.preset)
    if plan.reads == "lines":
        given = [*given, "--context-key", run.line_key]
    if plan.reads == "drugs":
        given = [*given, "--split", "file" if run.drugs is None else "combosciplex"]
    if plan.script == "sensitivity" and run.other_interactions is not None:
        given = [*given, "--others", f"other={run.other_interactions}"]
    if plan.reads in ("screen", "singles") and run.epochs is not None:
        given = [*given, "--epochs", str(run.epochs)]  # the last one counts
    place = given.index("--split") + 1 if "--split" in given else 0
    if place and given[place] == "additive":
        given[place] = run.combinations
    return given


def arguments(plan: Plan, run: All, screen: pathlib.Path) -> list[str]:
    """The command line of a script."""
    sizes = [] if plan.reads == "effects" else ["--preset", run.preset]
    own = [*sizes, "--out", str(run.out / plan.name), *options(plan, run)]
    if not plan.reads:
        return own
    if plan.reads == "drugs" and run.drugs is None:
        return [*own, *generated_drugs(run)]
    cells = {"lines": run.lines, "singles": run.singles, "drugs": run.drugs}.get(plan.reads)
    priors: dict[str, pathlib.Path | None] = {
        name: getattr(run.files, name) for name in ("embeddings", "interactions", "pathways")
    }
    if plan.reads == "effects":
        return [*own, *options_of({"effects": run.effects, **priors})]
    given = {
        "data": cells or screen, **priors, "annotations": run.annotations,
        "perturbations": run.drug_vectors if plan.reads == "drugs" else None,
        "aliases": run.files.aliases, "shared": run.out / "shared",
    }  # fmt: skip
    return [*own, *options_of(given)]


def options_of(files: Mapping[str, pathlib.Path | None]) -> list[str]:
    """Files as options; those that are not given are left out."""
    given = ((f"--{name}", str(path)) for name, path in files.items() if path is not None)
    return [part for pair in given for part in pair]


def generated_drugs(run: All) -> list[str]:
    """The files of a generated drug screen, which is made unless it is there."""
    folder = run.out / "drugs"
    if not (folder / "split.json").exists():
        few = ["--genes", "60", "--cells", "12"] if run.preset == "smoke" else []
        folder.mkdir(parents=True, exist_ok=True)
        code = run_script("drug_screen", ["--out", str(folder), *few], folder / "log.txt")
        if code:
            raise SystemExit(f"No drug screen, see {folder / 'log.txt'}.")
    names = {
        "data": "screen.h5ad", "split-files": "split.json", "perturbations": "drugs.npz",
        "embeddings": "genes.npz", "interactions": "pairs.csv", "pathways": "sets.gmt",
    }  # fmt: skip
    return options_of({name: folder / file for name, file in names.items()})


def run_script(name: str, given: Sequence[str], path: pathlib.Path) -> int:
    """Runs one script with its output in a file; returns its exit status."""
    command = [sys.executable, str(HERE / f"{name}.py"), *given]
    with path.open("w") as log:
        log.write(" ".join(command) + "\n")
        log.flush()
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT).returncode


def page(run: All, screen: pathlib.Path, plans: Sequence[Plan], failed: Sequence[str]) -> str:
    """What all scripts show, in Markdown: first the claims, then each table."""
    cells = data.Screen.from_anndata(data.read_h5ad(screen))
    parts = [
        f"scBIG {scbig.__version__}, JAX {jax.__version__}, Python {platform.python_version()}, "
        f"{jax.devices()[0].device_kind}; preset `{run.preset}`. "
        f"{cells.num_cells} cells x {cells.num_genes} genes, {len(cells.conditions)} conditions."
    ]
    left = [plan.name for plan in PLANS if plan not in plans]
    if left:
        parts.append(f"Not run: {', '.join(left)}.")
    files = {"lines": run.lines, "singles": run.singles, "drugs": run.drugs}
    own = {plan.title: files.get(plan.reads) for plan in plans}
    parts += [f"{title} is of {path.name}." for title, path in own.items() if path is not None]
    claims = []
    for plan in plans:
        path = run.out / plan.name / "claims.csv"
        found = pd.read_csv(path) if path.exists() else pd.DataFrame()
        if len(found):
            claims.append(found.assign(table=plan.title))
    if claims:
        parts += ["## The paper's claims on these cells", claimed(pd.concat(claims))]
    for plan in plans:
        parts.append(f"## {plan.title}")
        folder = run.out / plan.name
        if plan.name in failed:
            last = (folder / "log.txt").read_text().strip().splitlines()[-1:]
            parts.append(f"Failed: `{' '.join(last)}`")
        elif (folder / "summary.md").exists():
            parts.append(f"`{plan.script}.py {shlex.join(options(plan, run))}`, {time_of(folder)}.")
            parts.append((folder / "summary.md").read_text().strip())
            figures = sorted(folder.glob("*.png"))
            parts += [f"![{plan.title}, {own.stem}]({plan.name}/{own.name})" for own in figures]
    return "\n\n".join(parts) + "\n"


def time_of(folder: pathlib.Path) -> str:
    """How long a table took: its trainings, if it says, whose clock a halt does not begin anew."""
    path, columns = folder / "costs.csv", ["fit_seconds", "predict_seconds"]
    costs = pd.read_csv(path) if path.exists() else pd.DataFrame()
    if {*columns} <= {*costs}:  # that of Table 7 has times of steps
        return f"{costs[columns].to_numpy().sum():.0f} s of trainings and predictions"
    return f"{(folder / 'done').read_text().splitlines()[0]} s"


def claimed(found: pd.DataFrame) -> str:
    """How many claims hold, and every one, as Markdown."""
    numbers = ", ".join(f"{name} {n}" for name, n in found["verdict"].value_counts().items())
    said = f"{len(found)} claims, whose p are not corrected for their number: {numbers}.\n\n"
    heads = ["table", "claim", "here", "metric", "difference", "p", "conditions", "seeds, p"]
    lines = []
    for row in found.fillna({"part": ""}).to_dict("records"):
        where = f"{row['table']}{', ' if row['part'] else ''}{row['part']}"
        own = (row[name] for name in ("claim", "verdict", "metric"))
        numbers = ("", "", "", "")
        if row["verdict"] != verdicts.BROKEN:
            seeds = (
                f"{row['seeds']:.0f}, {verdicts.probability(row['p_seeds'])}"
                if row["seeds"] > 1
                else "1"
            )
            n = f"{row['conditions']:.0f}"
            numbers = (verdicts.difference(row), verdicts.probability(row["p"]), n, seeds)
        lines.append([where, *own, *numbers])
    return said + markdown.rows(heads, lines).strip()


if __name__ == "__main__":
    main(cli.parse(All, __doc__))
