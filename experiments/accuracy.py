"""Unseen conditions: the flow as published, the flow on its anchor, and simple rules.

    python experiments/accuracy.py --data norman19_k562_3375x500.h5ad \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --out runs/accuracy

Every double of the screen is held out once, two at a time, and all are scored together, for every
seed. With `--unseen singles` three single perturbations are held out at a time, and with them every
double that has one of their genes. `additive` and `holdout` are the protocols of `scbig.splits`,
another split for each seed, from 1 on; of what they set aside to validate nothing is used. With
`--splits` and `--split` the test conditions of one split of a file are held out. A run that was
stopped goes on where it was. Some 4 minutes a fold and seed of Norman's subset on 2 cores.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd

import scbig
from scbig import baselines, cli, data, method, plotting, priors, splits
from scbig._compiled import forget_many

SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "mse", "acc", "e_distance")
CELLS = 1000
"""Most of a population whose distances are taken; means are of all."""
PUBLISHED, ANCHORED = "scBIG, as published", "scBIG"


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
    model: scbig.ScBIGConfig = field(default_factory=method.wide)
    seeds: int = 3
    unseen: Literal["doubles", "singles", "additive", "holdout"] = "doubles"
    held: int | None = None
    """Conditions of a fold; by default 2 doubles, or 3 singles."""
    splits: pathlib.Path | None = None
    """JSON: for each split the lists `train` and `test`."""
    split: str = "1"
    """Of that file, in place of folds."""


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
    given: dict[str, Any] = {}
    if run.unseen in ("singles", "holdout") and run.splits is None:
        # Chosen by what is to be predicted: single perturbations of which nothing else is known.
        kind = [c.name for c in screen.conditions if len(c.perturbations) == 1]
        drawn = np.random.default_rng(seed).permutation(kind)[:4].tolist()
        given["validation"] = drawn
        screen = screen.without([n for n in linked(screen, drawn) if n not in drawn])
    published = scbig.fit(screen, known, run.model, out=out / "published", key=own, **given).model
    anchored = scbig.fit(
        screen,
        known,
        scbig.anchored(run.model),
        autoencoder=published,
        out=out / "anchored",
        key=other,
        **given,
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


@dataclass(frozen=True)
class Fold:
    """The conditions that are tested, and those that do not train, these among them."""

    test: list[str]
    without: list[str]


def folds(run: Accuracy, screen: data.Screen, seed: int) -> list[Fold]:
    """Every condition of the kind is tested once; or what a split says."""
    if run.splits is not None:
        split = json.loads(run.splits.read_text())[run.split]
        parts = ({data.Condition.parse(n).name for n in split[p]} for p in ("train", "test"))
        train, test = parts
        names = [c.name for c in screen.conditions]
        kept = [name for name in names if name in test]
        if train & test or not kept:
            raise SystemExit(f"Split {run.split}: {sorted(train & test) or 'no test condition'}.")
        print(f"split {run.split}: {len(kept)} of {len(test)} test conditions are in the screen")
        return [Fold(kept, [n for n in names if n not in train | {"control"}])]
    if run.unseen == "additive":
        return [of_split(screen, splits.additive(screen, seed=seed + 1))]
    if run.unseen == "holdout":
        return [of_split(screen, splits.holdout(screen, seed=seed + 1, validation=0.0))]
    size = {"doubles": 2, "singles": 1}[run.unseen]
    kind = [c.name for c in screen.conditions if len(c.perturbations) == size]
    order = np.random.default_rng(seed).permutation(kind).tolist()
    held = run.held or {"doubles": 2, "singles": 3}[run.unseen]
    found = []
    for start in range(0, len(order), held):
        test = order[start : start + held]
        found.append(Fold(test, test if run.unseen == "doubles" else linked(screen, test)))
    return found


def of_split(screen: data.Screen, split: splits.Split) -> Fold:
    """Tests what the split tests, and trains on what it trains on."""
    return Fold([*split.test], [c.name for c in screen.conditions if c.name not in split.train])


def linked(screen: data.Screen, names: Sequence[str]) -> list[str]:
    """All conditions that have a perturbation of these, at whatever dose."""
    hidden = {own for name in names for own in data.Condition.parse(name).perturbations}
    return [c.name for c in screen.conditions if hidden & {*c.perturbations}]


def main(run: Accuracy) -> pd.DataFrame:
    """Runs the experiment; returns the averages over conditions and seeds."""
    known = scbig.Priors(
        genes=priors.read_embeddings(run.embeddings, duplicates="mean"),
        interactions=priors.read_interactions(run.interactions),
        pathways=priors.read_pathways(run.pathways),
        missing="mean",
    )
    screen = embedded(data.Screen.from_anndata(data.read_h5ad(run.data)), known)
    claim(run)
    for seed in range(run.seeds):
        path = run.out / f"scores-{seed}.csv"
        if not path.exists():
            one_seed(run, screen, known, seed).to_csv(path)
    tables = {
        seed: pd.read_csv(run.out / f"scores-{seed}.csv", index_col=["predictor", "condition"])
        for seed in range(run.seeds)
    }
    found = pd.concat(tables.values(), keys=tables, names=["seed"])
    found.to_csv(run.out / "scores.csv")
    averages = pd.DataFrame(found.groupby("predictor", sort=False)[[*SHOWN]].mean())
    averages.to_csv(run.out / "averages.csv")
    number = found.index.get_level_values("condition").nunique()
    print(f"\n{number} conditions, {run.seeds} seeds:\n{averages.round(3).to_string()}")
    (run.out / "accuracy.md").write_text(page(found, run))
    plotting.save(plotting.comparison(averages, metrics=SHOWN), run.out / "comparison.png")
    return averages


def embedded(screen: data.Screen, known: scbig.Priors) -> data.Screen:
    """Leaves out, and prints, the conditions of perturbations without an embedding."""
    assert known.genes is not None
    names = {name for c in screen.conditions for name in c.perturbations}
    lost = linked(screen, sorted(names - {*known.genes.names}))
    if lost:
        print(f"without an embedding: {len(lost)} conditions, {', '.join(lost)}")
    return screen.without(lost) if lost else screen


def claim(run: Accuracy) -> None:
    """Refuses a folder with the scores of another run, which would be taken for this one's."""
    told = repr(dataclasses.replace(run, seeds=1))
    path = run.out / "run.txt"
    known = path.read_text() if path.exists() else ""
    if known != told and (known or list(run.out.glob("scores-*.csv"))):
        raise SystemExit(f"{run.out} has the scores of another run: choose another folder.")
    run.out.mkdir(parents=True, exist_ok=True)
    path.write_text(told)


def page(found: pd.DataFrame, run: Accuracy) -> str:
    """A table for the tested conditions of each number of perturbations."""
    sizes = [
        len(data.Condition.parse(name).perturbations)
        for name in found.index.get_level_values("condition")
    ]
    parts = [section(pd.DataFrame(part), run) for _, part in found.groupby(sizes)]
    return "\n".join(parts)


def section(found: pd.DataFrame, run: Accuracy) -> str:
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
        f"{number} conditions, predicted by models that have not seen them; {run.seeds} seeds. In",
        "brackets the 95 % bootstrap interval of the mean over conditions. The last columns: the",
        "standard deviation over seeds of the average Pearson delta; Pearson delta less that of",
        "another predictor, with p of a paired Wilcoxon test.",
        "",
        "| predictor | " + " | ".join(SHOWN) + " | over seeds | less additive | less anchor |",
        "|---" * (len(SHOWN) + 4) + "|",
    ]
    for name, part in parts.items():
        cells = [str(baselines.interval(part[metric].to_numpy())) for metric in SHOWN]
        by_seed = found.xs(name, level="predictor")["pearson_delta"].groupby("seed").mean()
        over = by_seed.std()
        cells.append("" if np.isnan(over) else f"{over:.3f}")
        for other in OTHERS:
            apart = baselines.paired(found, name, other) if other != name else ""
            cells.append(str(apart))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


OTHERS = ("additive", "anchor")


def one_seed(run: Accuracy, screen: data.Screen, known: scbig.Priors, seed: int) -> pd.DataFrame:
    """Scores of every condition, by the models that have not seen it."""
    of: dict[str, dict[str, Any]] = {}
    tested: list[str] = []
    for number, fold in enumerate(folds(run, screen, seed)):
        out = run.out / f"seed{seed}-fold{number}"
        training = screen.without(fold.without)
        for title, predictor in trained(run, training, known, out, seed).items():
            of.setdefault(title, {}).update(dict.fromkeys(fold.test, predictor))
        tested += fold.test
        forget_many()
    first = next(iter(of[PUBLISHED].values()))
    return baselines.compare(
        {title: Folds(own) for title, own in of.items()},
        screen,
        screen,
        tested,
        key=jr.key(seed),
        reference=screen.without(tested),
        max_cells=CELLS,
        round_trip=first.round_trip,
    )


if __name__ == "__main__":
    main(cli.parse(Accuracy, __doc__))
