"""What each part of the anchored flow brings: one part changed at a time, on unseen doubles.

    python experiments/ablation.py --out runs/ablation

On simulated screens, another for each seed, of which some doubles are scored and neither trained
nor selected on. Defaults are chosen here, and none of these screens is that of the quick start. A
run that was stopped goes on where it was. Some 20 minutes a screen on 2 cores.
"""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd

import scbig
from scbig import baselines, cli, plotting, priors, simulate
from scbig._compiled import forget_many
from scbig.anchor import ResponseAnchor
from scbig.objective import FlowMatching
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.programs import RandomPrograms

SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "mse", "acc", "e_distance")
DEFAULT = "scBIG"
Change = Callable[[scbig.ScBIGConfig], scbig.ScBIGConfig]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """Simulated screens, and the small preset."""

    out: pathlib.Path
    """Folder for the tables and the page."""
    simulation: simulate.SimulationConfig = field(default_factory=simulate.SimulationConfig)
    preprocess: PreprocessConfig = PreprocessConfig(min_genes=20, min_cells=10)
    model: scbig.ScBIGConfig = field(default_factory=scbig.cpu)
    screens: tuple[int, ...] = (11, 12, 13)
    """Seeds of the screens, of the draws of doubles and of the trainings."""
    scored: int = 12
    """Doubles that are scored."""
    only: tuple[str, ...] = ()
    """Names of arms to run; by default all."""


def with_(**changes: Any) -> Change:
    """Some parts of the configuration replaced; `__` stands for the point between names."""
    parts = {name.replace("__", "."): value for name, value in changes.items()}
    return lambda config: scbig.but(config, **parts)


def in_terms(**changes: Any) -> Change:
    """The same in the term that keeps structure."""
    return with_(**{f"terms__0__term__{name}": value for name, value in changes.items()})


def small_batches(config: scbig.ScBIGConfig) -> scbig.ScBIGConfig:
    """Pairs within each batch, as published, in place of one plan."""
    flow: Any = config.flow
    matching = FlowMatching(
        path=flow.path, coupling=flow.coupling, groups=flow.groups, cells=flow.cells
    )
    return scbig.but(config, flow=matching)


def one_loss(place: int) -> Change:
    """Only one of the two alignment losses."""

    def changed(config: scbig.ScBIGConfig) -> scbig.ScBIGConfig:
        term: Any = config.terms[0].term
        return scbig.but(config, **{"terms.0.term.losses": (term.losses[place],)})

    return changed


def random_programs(config: scbig.ScBIGConfig) -> scbig.ScBIGConfig:
    """As many programs, of random genes."""
    method: Any = config.programs
    return scbig.but(config, programs=RandomPrograms(method.clusters))


# Each with the same programs and the same autoencoder.
ARMS: dict[str, Change] = {
    DEFAULT: with_(),
    "no paired-effect terms": with_(anchor__effects__together=(0.0,), anchor__effects__pair=(0.0,)),
    "no residuals of other combinations": with_(anchor__effects__transfer=False),
    "shift, no change of shape": with_(anchor__shape=False),
    "no pathways in the anchor": with_(anchor__related=False),
    "mean closed to the flow": with_(emission__mean=0.0),
    "ends at the starts' mean": with_(flow__centred=True),
    "pairs within batches": small_batches,
    "no path noise": with_(flow__path__sigma=0.0),
    "learned vectors": with_(identity=16),
    "targets' expression": with_(targets=True),
    "learned vectors and targets' expression": with_(identity=16, targets=True),
    "no alignment losses": with_(terms=()),
    "correlation alone": one_loss(0),
    "pathways alone": one_loss(1),
    "alignment against raw cells": in_terms(denoised=False, relative=False),
    "alignment, three times the weight": with_(terms__0__weight=0.9),
    "anchor alone made anew": with_(stage2__refit="anchor"),
    "nothing made anew": with_(stage2__refit="nothing"),
}
# With programs, and an autoencoder, of their own.
PROGRAMS: dict[str, Change] = {
    "random programs": random_programs,
    "one program": with_(programs__clusters=1),
}


def main(run: Ablation) -> pd.DataFrame:
    """Runs the experiment; returns the averages over doubles and screens."""
    unknown = sorted({*run.only} - {*ARMS, *PROGRAMS})
    if unknown:
        raise SystemExit(f"No arm {unknown[0]!r}; there are {', '.join([*ARMS, *PROGRAMS])}.")
    tables = {seed: one_screen(run, seed) for seed in run.screens}
    scores = pd.concat(tables.values(), keys=tables, names=["screen"])
    scores.to_csv(run.out / "scores.csv")
    names = scores.index.get_level_values("predictor").unique()
    parts = {str(n): scores.xs(n, level="predictor")[[*SHOWN]] for n in names}
    rows = {name: part.mean(skipna=False) for name, part in parts.items()}
    averages = pd.DataFrame.from_dict(rows, orient="index").rename_axis("predictor")
    averages.to_csv(run.out / "averages.csv")
    print(averages.round(4).to_string())
    (run.out / "ablation.md").write_text(page(scores, run))
    plotting.save(plotting.comparison(averages, metrics=SHOWN), run.out / "comparison.png")
    return averages


def one_screen(run: Ablation, seed: int) -> pd.DataFrame:
    """Scores of all arms on one screen."""
    truth = simulate.simulate_screen(run.simulation, seed=seed)
    screen = scbig.Screen.from_anndata(preprocess(truth.counts, run.preprocess))
    doubles = [c.name for c in screen.conditions if len(c.perturbations) == 2]
    test = np.random.default_rng(seed).permutation(doubles)[: run.scored].tolist()
    training = screen.without(test)
    table = priors.EmbeddingTable(truth.genes, truth.embeddings)
    known = scbig.Priors(
        genes=table,
        interactions=priors.InteractionGraph(*truth.interactions),
        pathways=priors.PathwayLibrary(truth.pathways),
    )
    folder = run.out / f"screen{seed}"
    given: dict[str, Any] = {"key": jr.key(seed), "progress": False}
    published = scbig.fit(training, known, run.model, out=folder / "published", **given).model
    rules: dict[str, Any] = {
        "scBIG, as published": published,
        "additive": baselines.Additive.fit(training),
        "shift alone": baselines.MovedControls.fit(training, ResponseAnchor(shape=False)),
        "anchor alone": baselines.MovedControls.fit(training, pathways=known.pathways),
    }
    options: dict[str, Any] = {"reference": training, "key": jr.key(seed)}
    path = folder / "rules.csv"
    if not path.exists():
        baselines.compare(rules, screen, screen, test, **options).to_csv(path)
    paths = [path]
    for name, change in {**ARMS, **PROGRAMS}.items():
        path = folder / f"{name.replace(' ', '_').replace(',', '')}.csv"
        if run.only and name not in (DEFAULT, *run.only) and not path.exists():
            continue
        paths.append(path)
        if not path.exists():
            config = change(scbig.anchored(run.model))
            own = {"autoencoder": published} if name in ARMS else {}
            fit = scbig.fit(training, known, config, **own, **given)
            scores = baselines.compare({name: fit.model}, screen, screen, test, **options)
            last = fit.history[fit.history.stage == "refit"].step.max()
            forget_many()
            scores.drop(baselines.CEILING).assign(steps=np.nan_to_num(last)).to_csv(path)
            print(f"screen {seed}, {name}: {scores.loc[name].pearson_delta.mean():.4f}", flush=True)
    return pd.concat([pd.read_csv(own, index_col=["predictor", "condition"]) for own in paths])


def page(scores: pd.DataFrame, run: Ablation) -> str:
    """All arms as a table in Markdown, with what each is ahead of the default by."""
    names = list(dict.fromkeys(scores.index.get_level_values("predictor")))
    number = scores.xs(DEFAULT, level="predictor").shape[0]
    lines = [
        f"{number} unseen doubles of {len(run.screens)} simulated screens, one training of each.",
        "In brackets the 95 % bootstrap interval over doubles, then p of a paired Wilcoxon test,",
        "both of other doubles under these trainings; p is not corrected for the number of arms.",
        "",
        "| arm | Pearson delta | PDS | E-distance | Pearson delta, less scBIG | E-distance, less |",
        "|---|---|---|---|---|---|",
    ]
    for name in names:
        own = scores.xs(name, level="predictor")
        means = [f"{own[metric].mean():.3f}" for metric in ("pearson_delta", "pds", "e_distance")]
        apart = [
            "" if name == DEFAULT else str(baselines.paired(scores, name, DEFAULT, metric, over=BY))
            for metric in ("pearson_delta", "e_distance")
        ]
        lines.append(f"| {name} | " + " | ".join([*means, *apart]) + " |")
    return "\n".join(lines) + "\n"


BY = ("screen", "condition")
"""What tells the conditions of several screens apart."""

if __name__ == "__main__":
    main(cli.parse(Ablation, __doc__))
