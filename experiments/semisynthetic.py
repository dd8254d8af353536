"""The standard benchmark: a screen of the paper's size, drawn around real effects of Norman 2019.

    python experiments/semisynthetic.py --effects norman19_effects_234x2000.npz \
        --splits norman19_additive_seeds1-5.json --out runs/semisynthetic

Writes `screen.h5ad`, and prints what simple rules score under the additive split on the given
effects, on the true ones and on cells, with the ceilings. A million cells, of which none is scored:
add `--screen.cells-per-condition 4240 --screen.values counts --no-score`.
"""

import json
import pathlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd

from scbig import baselines, cli, data, simulate

SHOWN = ["pearson_delta", "pearson_delta_deg20", "acc", "mse", "pds", "e_distance"]


@dataclass(frozen=True, kw_only=True)
class SemiSynthetic:
    """Effects in, a benchmark out."""

    effects: pathlib.Path
    """npz: `genes`, `single_conditions`, `single_lfc`, `double_conditions`, `double_lfc`."""
    splits: pathlib.Path
    """JSON of the additive protocol: for each split the lists `train` and `test`."""
    split: str = "1"
    out: pathlib.Path
    """Folder for the screen and the table."""
    screen: simulate.SemiSyntheticConfig = field(
        default_factory=lambda: simulate.SemiSyntheticConfig(log_normalise=True)
    )
    score: bool = True
    cells: int = 400
    """Cells that each rule predicts for a condition."""
    seed: int = 0


class LookUp(baselines.AbstractEffects):
    """A predictor with a table of its effects."""

    genes: tuple[str, ...]
    control_mean: np.ndarray
    changes: dict[str, np.ndarray]

    def effects(self, conditions: Sequence[data.Condition]) -> np.ndarray:
        return np.stack([self.changes[c.name] for c in conditions]).astype(np.float32)


def rules(known: dict[str, np.ndarray], train: list[str], test: list[str]) -> dict[str, Any]:
    """For test doubles: sum and mean of the two singles, mean of all training conditions."""
    sums = {name: sum(known[single] for single in name.split("+")) for name in test}
    mean = np.mean([known[name] for name in train], axis=0)
    halves = {name: total / 2 for name, total in sums.items()}
    return {"additive": sums, "matching mean": halves, "perturbed mean": dict.fromkeys(test, mean)}


def anchors(known: dict[str, np.ndarray], train: list[str], test: list[str]) -> pd.DataFrame:
    """Pearson delta and mean squared error of each rule over genes, averaged over test doubles."""
    rows = {}
    for rule, guess in rules(known, train, test).items():
        pearson = [np.corrcoef(guess[name], known[name])[0, 1] for name in test]
        errors = [np.mean((guess[name] - known[name]) ** 2) for name in test]
        rows[rule] = {"pearson_delta": np.mean(pearson), "mse": np.mean(errors)}
    return pd.DataFrame.from_dict(rows, orient="index")


def main(run: SemiSynthetic) -> dict[str, pd.DataFrame]:
    """Runs the experiment; returns its tables."""
    begun = time.perf_counter()
    given = simulate.read_effects(run.effects)
    names = [c.name for c in given.conditions]
    split = json.loads(run.splits.read_text())[run.split]
    train, test = ([data.Condition.parse(c).name for c in split[k]] for k in ("train", "test"))
    train = [name for name in train if name in names]
    test = [name for name in test if {name, *name.split("+")} <= {*names}]
    print(f"split {run.split}: effects of {len(train)} training and {len(test)} test conditions")
    model = simulate.count_model(given, run.screen)
    # The true effects on the scale of the given ones, pseudocount and all.
    means = given.scale * model.rates + given.pseudocount
    true = np.log(means[1:] / means[0])
    tables = {}
    for kind, changes in {"given": given.changes, "true": true}.items():
        title = f"{kind} effects, standard deviation {changes.std():.3f}"
        tables[title] = anchors(dict(zip(names, changes, strict=True)), train, test)
    started = time.perf_counter()
    simulate.write_semi_synthetic(run.out / "screen.h5ad", model, seed=run.seed)
    speed = model.num_cells / (time.perf_counter() - started)
    print(f"{run.out / 'screen.h5ad'}: {model.num_cells} cells, {speed:.0f} a second")
    if run.score:
        tables["cells"] = score(run, model, train, test)
        tables["cells"].to_csv(run.out / "averages.csv")
    for name, table in tables.items():
        print(f"\n{name}:\n{table.round(4).to_string()}")
    print(f"\n{time.perf_counter() - begun:.0f} s")
    return tables


def score(
    run: SemiSynthetic, model: simulate.CountModel, train: list[str], test: list[str]
) -> pd.DataFrame:
    """Averages over test doubles: of rules, of the truth itself, of half the cells."""
    screen = data.Screen.from_anndata(data.read_h5ad(run.out / "screen.h5ad"))
    training, observed = screen.select(train), screen.select(test)
    effects, expected = training.responses(), simulate.expected_means(model)
    pairs = zip(effects.perturbed, effects.by_condition(), strict=True)
    measured = {condition.name: change for condition, change in pairs}
    truth = dict(zip(model.names[1:], expected[1:] - expected[0], strict=True))
    tables = rules(measured, train, test) | {"truth": truth}
    control = baselines.Control.fit(training)
    predictors = {name: LookUp(model.genes, control.control_mean, t) for name, t in tables.items()}
    options: Any = {"reference": training, "key": jr.key(run.seed)}
    asked = {"control": control} | predictors, observed, observed, test
    scores = baselines.compare(*asked, cells=run.cells, **options)
    return baselines.averages(scores).filter(SHOWN)


if __name__ == "__main__":
    main(cli.parse(SemiSynthetic, __doc__))
