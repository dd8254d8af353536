"""Unseen doubles of real cells: the flow as published, the flow on its anchor, and simple rules.

    python experiments/accuracy.py --data norman19_k562_3375x500.h5ad \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --out runs/accuracy

Every double of the screen is held out once, two at a time, and all are scored together, for every
seed. A run that was stopped goes on where it was. Some 4 minutes a fold and seed on 2 cores.
"""

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd

import scbig
from scbig import baselines, cli, data, plotting, priors

SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "mse", "acc", "e_distance")
PUBLISHED, ANCHORED = "scBIG, as published", "scBIG"


def preset() -> scbig.ScBIGConfig:
    """The small preset; for sparse, real cells a wider autoencoder that trains longer."""
    wide = {"width": 64, "mlp_width": 128}
    wider = {f"{part}.{name}": n for part in ("encoder", "decoder") for name, n in wide.items()}
    return scbig.but(scbig.cpu(), **wider, **{"programs.clusters": 20, "stage1.epochs": 400})


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Real cells and real priors."""

    data: pathlib.Path
    """Log-normalised h5ad with `obs["condition"]`: `control`, `A`, `A+B`."""
    embeddings: pathlib.Path
    """Gene embeddings: npz, csv, tsv, parquet or h5ad. A symbol with two rows gets their mean."""
    interactions: pathlib.Path
    """Gene pairs, two columns."""
    pathways: pathlib.Path
    """Gene sets, GMT."""
    out: pathlib.Path
    """Folder for the models, the tables and the figure."""
    model: scbig.ScBIGConfig = field(default_factory=preset)
    seeds: int = 3
    held: int = 2
    """Doubles of a fold."""


@dataclass(frozen=True)
class Folds:
    """Asks for each condition the predictor that has not seen it."""

    of: Mapping[str, Any]

    def predict(self, controls: Any, conditions: Sequence[str], **options: Any) -> ad.AnnData:
        parts = [self.of[name].predict(controls, [name], **options) for name in conditions]
        return ad.concat(parts, index_unique="-")


def trained(
    run: Accuracy, screen: data.Screen, known: scbig.Priors, out: pathlib.Path, seed: int
) -> dict[str, Any]:
    """Both models of a fold, on one autoencoder, and the rules that need no training."""
    table = known.genes
    assert table is not None
    own, other = jr.split(jr.key(seed))
    published = scbig.fit(screen, known, run.model, out=out / "published", key=own).model
    anchored = scbig.fit(
        screen,
        known,
        scbig.anchored(run.model),
        autoencoder=published,
        out=out / "anchored",
        key=other,
    )
    history = anchored.history
    steps = history.loc[history.stage == "refit", "step"].max()
    print(f"{out}: {0 if np.isnan(steps) else int(steps)} steps of the anchored flow")
    rules = {
        "control": baselines.Control.fit(screen),
        "perturbed mean": baselines.PerturbedMean.fit(screen),
        "matching mean": baselines.MatchingMean.fit(screen),
        "linear": baselines.LinearEmbedding.fit(screen, table),
        "additive": baselines.Additive.fit(screen, missing="perturbed_mean"),
        "additive x slope": baselines.ScaledAdditive.fit(screen, missing="perturbed_mean"),
        "residual transfer": baselines.ResidualTransfer.fit(screen, missing="perturbed_mean"),
        "mixed effects": baselines.MixedResponses.fit(screen),
        "anchor": baselines.MovedControls.fit(screen, pathways=known.pathways),
    }
    return {ANCHORED: anchored.model, PUBLISHED: published, **rules}


def main(run: Accuracy) -> pd.DataFrame:
    """Runs the experiment; returns the averages over doubles and seeds."""
    screen = data.Screen.from_anndata(data.read_h5ad(run.data))
    doubles = [c.name for c in screen.conditions if len(c.perturbations) == 2]
    known = scbig.Priors(
        genes=priors.read_embeddings(run.embeddings, duplicates="mean"),
        interactions=priors.read_interactions(run.interactions),
        pathways=priors.read_pathways(run.pathways),
        missing="mean",
    )
    for seed in range(run.seeds):
        path = run.out / f"scores-{seed}.csv"
        if not path.exists():
            one_seed(run, screen, known, doubles, seed).to_csv(path)
    tables = {
        seed: pd.read_csv(run.out / f"scores-{seed}.csv", index_col=["predictor", "condition"])
        for seed in range(run.seeds)
    }
    found = pd.concat(tables.values(), keys=tables, names=["seed"])
    found.to_csv(run.out / "scores.csv")
    averages = pd.DataFrame(found.groupby("predictor", sort=False)[[*SHOWN]].mean())
    averages.to_csv(run.out / "averages.csv")
    print(f"\n{len(doubles)} doubles, {run.seeds} seeds:\n{averages.round(3).to_string()}")
    (run.out / "accuracy.md").write_text(page(found, run))
    plotting.save(plotting.comparison(averages, metrics=SHOWN), run.out / "comparison.png")
    return averages


def page(found: pd.DataFrame, run: Accuracy) -> str:
    """The scores as a table in Markdown: means with intervals, and paired tests."""
    names = list(dict.fromkeys(found.index.get_level_values("predictor")))
    parts = {
        str(name): pd.DataFrame(
            found.xs(name, level="predictor").groupby("condition")[[*SHOWN]].mean()
        )
        for name in names
    }
    number = len(next(iter(parts.values())))
    lines = [
        f"{number} doubles, predicted by models that have not seen them; {run.seeds} seed(s). In",
        "brackets the 95 % interval of the mean over doubles (bootstrap, 2,000 draws). The last",
        "columns: Pearson delta less that of another one, and the p of a paired Wilcoxon test.",
        "",
        "| predictor | " + " | ".join(SHOWN) + " | less additive | less anchor |",
        "|---" * (len(SHOWN) + 3) + "|",
    ]
    for name, part in parts.items():
        cells = [str(baselines.interval(part[metric].to_numpy())) for metric in SHOWN]
        for other in OTHERS:
            apart = baselines.paired(found, name, other) if other != name else ""
            cells.append(str(apart))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


OTHERS = ("additive", "anchor")


def one_seed(
    run: Accuracy, screen: data.Screen, known: scbig.Priors, doubles: list[str], seed: int
) -> pd.DataFrame:
    """Scores of every double, by the models that have not seen it."""
    order = np.random.default_rng(seed).permutation(doubles).tolist()
    parts = [order[start : start + run.held] for start in range(0, len(order), run.held)]
    of: dict[str, dict[str, Any]] = {}
    for fold, test in enumerate(parts):
        out = run.out / f"seed{seed}-fold{fold}"
        for title, predictor in trained(run, screen.without(test), known, out, seed).items():
            of.setdefault(title, {}).update(dict.fromkeys(test, predictor))
    first = next(iter(of[PUBLISHED].values()))
    return baselines.compare(
        {title: Folds(own) for title, own in of.items()},
        screen,
        screen,
        doubles,
        key=jr.key(seed),
        reference=screen.without(doubles),
        unbiased=True,
        round_trip=first.round_trip,
    )


if __name__ == "__main__":
    main(cli.parse(Accuracy, __doc__))
