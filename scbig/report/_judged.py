"""How good a run is: its tested conditions scored beside simple rules and the ceiling."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from scbig import baselines, comparison
from scbig._typing import PRNGKeyArray
from scbig.data import Columns, Screen
from scbig.splits import Split

from ._run import Run

MODEL = "scBIG"
"""Its row, coloured as such."""
SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "mse", "e_distance")


@dataclasses.dataclass(frozen=True)
class Judged:
    """Scores of a run.

    **Fields:** `scores`, a row for each predictor, context and condition; `tested`, which
    conditions; `measured`, the cells that they were scored on, and `predicted`, cells of them, each
    with controls.
    """

    scores: pd.DataFrame
    tested: tuple[str, ...]
    measured: Screen
    predicted: Screen

    @property
    def shown(self) -> tuple[str, ...]:
        """The metrics that some condition has: PDS needs several."""
        return tuple(m for m in SHOWN if bool(np.isfinite(self.scores[m].to_numpy()).any()))

    @property
    def means(self) -> pd.DataFrame:
        """Of each row and metric the mean over conditions, with its interval, as text."""
        shown = self.shown
        found = comparison.summary(self.scores, shown)
        digits = {m: baselines.decimals([own[m] for own in found.values()]) for m in shown}
        rows = [
            {"row": name, **{m: own[m].told(digits[m]) for m in shown}}
            for name, own in found.items()
        ]
        return pd.DataFrame(rows)

    @property
    def by_condition(self) -> pd.DataFrame:
        """The model's rows, best first, with the Pearson delta of the simple rules beside."""
        wide = baselines.by_condition(
            self.scores, "pearson_delta", baselines.CONDITIONS
        ).reset_index()
        beside = [name for name in wide if name not in ("context", "condition", MODEL)]
        own = self.scores.xs(MODEL, level="predictor").reset_index()
        table = own[["context", "condition", *self.shown]].merge(
            wide[["context", "condition", *beside]], on=["context", "condition"], how="left"
        )
        table = table.rename(columns={name: f"{name}: pearson_delta" for name in beside})
        if set(table["context"]) == {""}:
            table = table.drop(columns="context")
        return table.sort_values("pearson_delta", ascending=False, kind="stable")


def judged(run: Run, screen: Screen, *, cells: int, key: PRNGKeyArray) -> Judged | None:
    """The scores of the conditions that a run's split tests, if these are among the cells.

    **Arguments:** `screen`, measured cells of training and test, of the run's genes; `cells`,
    predicted of each. Of a split of contexts those that it tests are scored.

    **Returns:** `None` without a split, and where no tested condition was measured in every
    context that is tested.
    """
    if run.split is None:
        return None
    measured = of_contexts(screen, run.split.test_contexts)
    there = [place for place in measured.contexts if place] or [None]
    names = {c.name for c in measured.conditions}
    tested = tuple(
        name
        for name in run.split.test
        if name in names and all(len(measured.rows(name, place)) for place in there)
    )
    if not tested:
        return None
    training = _training(screen, run.split)
    rules: dict[str, Any] = {
        "control": baselines.Control.fit(training),
        "perturbed mean": baselines.PerturbedMean.fit(training),
        "additive": baselines.Additive.fit(training, missing="perturbed_mean"),
    }
    scores = baselines.compare(
        {MODEL: run.model, **rules}, measured, measured, tested,
        key=key, cells=cells, reference=training,
    )  # fmt: skip
    levels = {"evaluation": "test", "seed": 0}
    if "context" not in scores.index.names:
        levels["context"] = ""
    found = scores.assign(**levels).set_index([*levels], append=True)
    return Judged(found, tested, measured, _predicted(run, measured, tested, cells, key))


def of_contexts(screen: Screen, contexts: Sequence[str]) -> Screen:
    """The cells of some contexts, of all if none is named."""
    if not contexts:
        return screen
    cells = screen.to_anndata()
    kept = cells[cells.obs["context"].isin([*contexts])].copy()
    return Screen.from_anndata(kept, Columns(context="context"))


def _training(screen: Screen, split: Split) -> Screen:
    return split.cells(screen, "train", *(["validation"] if split.validation else []))


def _predicted(
    run: Run, screen: Screen, tested: tuple[str, ...], cells: int, key: PRNGKeyArray
) -> Screen:
    """Predicted cells beside the controls that they started from."""
    guess = run.model.predict(screen, tested, cells=cells, key=key)
    context = guess.uns["scbig_columns"].get("context")
    controls = screen.select([]).to_anndata(context_key=context or "context")
    kept = ["condition", *([context] if context else [])]
    for part in (controls, guess):
        part.obs = part.obs[kept]
    whole = ad.concat([controls, guess], index_unique="-", keys=["control", "predicted"])
    return Screen.from_anndata(whole, Columns(context=context))
