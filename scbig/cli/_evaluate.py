"""`scbig evaluate`: predicted cells against measured ones."""

import pathlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import tyro

from ._options import Labels

if TYPE_CHECKING:
    from anndata import AnnData

    from scbig.data import Screen


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare predicted with measured cells: a row of scores for each perturbation.

    Example: scbig evaluate --predicted predicted.h5ad --data prepared.h5ad --out scores.csv
    """

    predicted: pathlib.Path
    """What 'predict' wrote, or any h5ad file with the same genes and a column of conditions."""
    data: pathlib.Path
    """Measured, log-normalised cells with controls among them, as 'prepare' writes them."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The table to write, csv."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    ceiling: bool = True
    """Whether one half of the measured cells is also scored against the other half."""
    max_cells: int | None = 1000
    """Most cells of a population in an energy distance."""
    seed: int = 0
    """Of the halves and of the cells drawn."""

    def run(self) -> None:
        """Writes the scores and prints their averages."""
        import pandas as pd

        from scbig import metrics
        from scbig._files import atomic
        from scbig.data import Screen, read_h5ad

        predicted = _renamed(read_h5ad(self.predicted), self.labels)
        screen = Screen.open(self.data, self.labels.columns)
        context_key = None if screen.contexts == ("",) else "context"
        predicted, observed, unmeasured = _measured(predicted, screen, context_key)
        if unmeasured:
            print(f"Not measured, and left out: {', '.join(unmeasured)}.")
        options = {"control": "control", "context_key": context_key, "unbiased": True}
        options |= {"max_cells": self.max_cells, "seed": self.seed}
        tables = {"predicted": metrics.evaluate(predicted, observed, **options)}
        if self.ceiling:
            enough, few = _enough(observed, context_key)
            if few:
                print(f"Fewer than 4 measured cells, and without a ceiling: {', '.join(few)}.")
            tables["split-half"] = metrics.split_half(enough, **options)
        with atomic(self.out) as temporary:
            pd.concat(tables, names=["cells"]).to_csv(temporary)
        means = {name: metrics.summarise(table)["mean"] for name, table in tables.items()}
        print(pd.DataFrame(means).round(3).to_string())
        print(f"The score of each perturbation is in {self.out}.")


def _renamed(predicted: "AnnData", labels: Labels) -> "AnnData":
    """The user's columns under the names that a screen gives them."""
    import pandas as pd

    columns = {labels.condition_key: "condition", labels.context_key: "context"}
    known = {old: new for old, new in columns.items() if old in predicted.obs}
    predicted.obs = pd.DataFrame(predicted.obs).rename(
        columns={old: new for old, new in known.items() if new not in predicted.obs}
    )
    if "condition" not in predicted.obs:
        raise ValueError(
            f"The predicted cells have no column {labels.condition_key!r} or 'condition'. Name it: "
            "--condition-key."
        )
    return predicted


def _measured(
    predicted: "AnnData", screen: "Screen", context_key: str | None
) -> tuple["AnnData", "AnnData", list[str]]:
    """Predicted cells that have measured ones, those and their controls, and what has none."""
    from scbig.data import Condition

    names = [Condition.parse(str(label)).name for label in predicted.obs["condition"]]
    known = {condition.name for condition in screen.conditions} - {"control"}
    observed = screen.select(sorted(known.intersection(names))).to_anndata()
    contexts_of = lambda adata: (
        [""] * adata.n_obs if context_key is None else list(map(str, adata.obs[context_key]))
    )
    asked = list(zip(contexts_of(predicted), names, strict=True))
    there = list(zip(contexts_of(observed), map(str, observed.obs["condition"]), strict=True))
    have = {pair for pair in set(asked) & set(there) if pair[1] != "control"}
    if not have:
        raise ValueError("None of the predicted conditions is among the measured cells.")
    used = have | {(context, "control") for context, _ in have}
    lacking = sorted(pair for pair in set(asked) - used if pair[1] != "control")
    told = [f"{name} in {context}" if context else name for context, name in lacking]
    chosen = lambda adata, pairs, kept: adata[[pair in kept for pair in pairs]].copy()
    return chosen(predicted, asked, have), chosen(observed, there, used), told


def _enough(observed: "AnnData", context_key: str | None) -> tuple["AnnData", list[str]]:
    """Measured cells of conditions that can be split in two, and the others' names."""
    import pandas as pd

    keys = ["condition"] if context_key is None else [context_key, "condition"]
    table = pd.DataFrame(observed.obs)[keys].astype(str)
    small = table.groupby(keys)["condition"].transform("size").to_numpy() < 4
    small &= (table["condition"] != "control").to_numpy()
    few = sorted(set(table.loc[small, "condition"]))
    return observed[~small].copy(), few
