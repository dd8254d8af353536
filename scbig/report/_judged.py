"""How good a run is: its tested conditions scored beside simple rules and the ceiling."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig import analysis, baselines, comparison
from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import Screen, of_contexts
from scbig.splits import Split

from . import _html as h
from ._run import Run

MODEL = "scBIG"
"""Its row, coloured as such."""
SHOWN = ("pearson_delta", "pearson_delta_deg20", "pds", "mse", "e_distance")
Place = tuple[str, str]
"""A context and a condition in it."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """Which conditions of a split's test can be scored on some cells.

    **Fields:** `measured`, the cells of the contexts that are tested; `tested`, the conditions that
    were measured in each of these; `absent`, those without cells there; `partial`, those with cells
    in some of them.
    """

    measured: Screen
    tested: tuple[str, ...]
    absent: tuple[str, ...]
    partial: tuple[str, ...]

    @classmethod
    def of(cls, split: Split, screen: Screen) -> "Asked":
        """Looks at the cells of a screen."""
        measured = of_contexts(screen, split.test_contexts)
        there = [place for place in measured.contexts if place] or [None]
        known = {c.name for c in measured.conditions}
        found: dict[str, list[str]] = {"tested": [], "absent": [], "partial": []}
        for name in split.test:
            has = [name in known and len(measured.rows(name, place)) > 0 for place in there]
            found["tested" if all(has) else "partial" if any(has) else "absent"].append(name)
        return cls(measured, **{kind: tuple(names) for kind, names in found.items()})

    @property
    def left_out(self) -> str:
        """Which conditions are not scored, and why; nothing if all are."""
        number = len(self.absent) + len(self.partial)
        if not number:
            return ""
        contexts = [place for place in self.measured.contexts if place]
        said = f"Left out: {number} of the test's {number + len(self.tested)} conditions."
        if self.absent:
            where = " in the tested contexts" if contexts else ""
            said += f" Without measured cells{where}: {examples(self.absent)}."
        if self.partial:
            several = f"in some, but not in each of the {len(contexts)} tested contexts"
            said += f" Measured {several}: {examples(self.partial)}."
        return said


@dataclasses.dataclass(frozen=True)
class Judged:
    """Scores of a run.

    **Fields:** `scores`, a row for each predictor, context and condition; `tested`, which
    conditions; `measured`, the cells that they were scored on, with their controls; `predicted`,
    cells of them beside the controls as the model has them; `left_out`, which tested conditions are
    not among them and why; `said`, for each context and condition the standard deviation that the
    model expects of each gene's predicted mean, if it says one.
    """

    scores: pd.DataFrame
    tested: tuple[str, ...]
    measured: Screen
    predicted: Screen
    left_out: str = ""
    said: Mapping[Place, Float[np.ndarray, " genes"]] = dataclasses.field(default_factory=dict)

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
            {"row": name, **{m: h.unbroken(own[m].told(digits[m])) for m in shown}}
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

    @property
    def ranked(self) -> list[Place]:
        """Where the model was scored, best Pearson delta first; without those that have none."""
        own: Any = self.scores.xs(MODEL, level="predictor")["pearson_delta"].dropna()
        order = own.sort_values(ascending=False, kind="stable").reset_index()
        return [*zip(order["context"], order["condition"], strict=True)]

    def strongest(self, most: int) -> list[Place]:
        """The tested conditions of largest measured change, each in its context."""
        found = self.measured.select(self.tested).responses()
        order = np.argsort(-found.norms(), kind="stable")[:most]
        return [
            (
                found.contexts[found.context_index[n]],
                found.conditions[found.condition_index[n]].name,
            )
            for n in order
        ]


def judged(run: Run, screen: Screen, *, cells: int, key: PRNGKeyArray) -> Judged | None:
    """The scores of the conditions that a run's split tests, if these are among the cells.

    **Arguments:** `screen`, measured cells of training and test, of the run's genes; `cells`,
    predicted of each. Of a split of contexts those that it tests are scored.

    **Returns:** `None` without a split, and where no tested condition was measured in every
    context that is tested.
    """
    if run.split is None:
        return None
    asked = Asked.of(run.split, screen)
    tested, measured = asked.tested, asked.measured
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
    guess = run.model.predict(measured, tested, cells=cells, key=key)
    beside = analysis.beside_controls(run.model, guess, measured)
    return Judged(found, tested, measured, beside, asked.left_out, _said(guess))


def _training(screen: Screen, split: Split) -> Screen:
    return split.cells(screen, "train", *(["validation"] if split.validation else []))


def _said(predicted: ad.AnnData) -> dict[Place, Float[np.ndarray, " genes"]]:
    """How sure a prediction says that it is of each mean, if it does."""
    if "response_sd" not in predicted.uns:
        return {}
    of = predicted.uns["transport"]
    contexts = of["context"] if "context" in of else [""] * len(of)
    places = zip(contexts, of["condition"], strict=True)
    return dict(zip(places, predicted.uns["response_sd"], strict=True))
