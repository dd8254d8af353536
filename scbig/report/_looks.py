"""What the predictions look like: whom they resemble, targets, pairs, the way along the flow."""

from typing import Any

import numpy as np
import pandas as pd

from scbig import analysis, plotting
from scbig._typing import PRNGKeyArray
from scbig.data import Condition, of_contexts

from . import _html as h
from ._judged import Judged
from ._run import Run

FEW = 12
"""Rows of a table and pairs of a map; a file has all."""
NEAREST = 5
"""Neighbours of each prediction."""
TIMES = 6
"""Of the flow, the first of which is its start."""
MOST_CELLS = 64
"""Cells that are followed along the flow."""
KEYS = ["context", "condition"]
SIDES = ("predicted", "measured")
BESIDE = (" predicted", " measured")
"""What is appended to the columns of the two sides in one table."""


def neighbours(scored: Judged) -> str:
    """The measured perturbations that each prediction is most like."""
    table: Any = analysis.nearest_measured(scored.predicted, scored.measured, most=NEAREST)
    own = table[table["same"]]
    first, found = int((own["rank"] == 1).sum()), len(own)
    ranks = ("nearest", "second", "third")
    said = table.assign(
        place=table["rank"].map(dict(enumerate(ranks, 1))),
        text=[
            f"{'itself' if same else name} ({cosine:.2f})"
            for name, cosine, same in zip(
                table["neighbour"], table["cosine"], table["same"], strict=True
            )
        ],
    ).dropna(subset="place")
    wide = said.pivot(index=KEYS, columns="place", values="text").fillna("")
    wide = wide[[name for name in ranks if name in wide]].reset_index()
    number = len(wide)
    return (
        h.paragraph(
            "The measured perturbations whose mean responses are most like the predicted one, with "
            "the cosine of the two. Responses of other perturbations can be alike, and a change "
            "that all have in common makes them so. Its own measurement, which the training did "
            f"not see, is the nearest to {first} of {number} predictions, and one of the {NEAREST} "
            f"nearest to {found}."
        )
        + beginning(wide, number)
        + h.download(table, "nearest.csv")
    )


def targets(scored: Judged) -> str:
    """What each prediction does to the perturbed gene itself, beside what was measured."""
    known = {*scored.predicted.genes}
    tested = [Condition.parse(name) for name in scored.tested]
    if not any(known & {*condition.perturbations} for condition in tested):
        return h.paragraph("No tested perturbation is named after a gene that was measured.")
    sides = [analysis.on_target(own) for own in (scored.predicted, scored.measured)]
    # Controls out of a decoder are not those that were measured.
    sides[0] = sides[0].drop(columns=["level", "genes"])
    table: Any = sides[0].merge(sides[1], on=[*KEYS, "gene"], suffixes=BESIDE)
    columns = [f"{what} {side}" for what in ("change", "rank") for side in SIDES]
    table = table[[*KEYS, "gene", "level", "genes", *columns]]
    table = table.sort_values("change measured", key=np.abs, ascending=False, kind="stable")
    agree = int((np.sign(table["change predicted"]) == np.sign(table["change measured"])).sum())
    shown = table.drop(columns="genes").rename(columns={"level": "in controls"})
    return (
        h.paragraph(
            "The change of the perturbed gene's own mean expression from the controls, in log "
            f"units, and its rank by size among the {table['genes'].iloc[0]} genes. A knock-down "
            "should lower its gene and an activation raise it; where the measured change has the "
            "other sign, or none, the perturbation may not have worked. Predicted and measured "
            f"change have the same sign in {agree} of {len(table)}."
        )
        + beginning(shown, len(table))
        + h.download(table, "on_target.csv")
    )


def interactions(scored: Judged) -> str:
    """What two perturbations do beyond the sum of the two, predicted beside measured."""
    doubles = [name for name in scored.tested if len(Condition.parse(name).labels) == 2]
    if not doubles:
        return h.paragraph("No tested condition is of two perturbations.")
    found = scored.measured.responses()
    places = zip(found.context_index, found.condition_index, strict=True)
    known = {(found.contexts[c], found.conditions[p].name) for c, p in places}
    alone = {name: Condition.parse(name).labels for name in doubles}
    whole = [
        name for name in doubles
        if any(all((c, part) in known for part in alone[name]) for c in found.contexts)
    ]  # fmt: skip
    if not whole:
        return h.paragraph("No tested double has both of its single perturbations among the cells.")
    singles = scored.measured.select([*{part for name in whole for part in alone[name]}])
    sides = [
        analysis.genetic_interactions(own.select(whole), singles)
        for own in (scored.predicted, scored.measured)
    ]
    table: Any = sides[0].merge(sides[1].drop(columns="redundancy"), on=KEYS, suffixes=BESIDE)
    far = (table["magnitude measured"] - 2**0.5).abs()
    table = table.loc[far.sort_values(ascending=False, kind="stable").index]
    columns = [f"{name} {side}" for name in ("magnitude", "beyond") for side in SIDES]
    return (
        h.paragraph(_said(table))
        + beginning(table[[*KEYS, *columns]], len(table))
        + _maps(table)
        + h.download(table, "interactions.csv")
    )


def _said(table: pd.DataFrame) -> str:
    one, other = (table[f"magnitude {side}"].to_numpy(np.float64) for side in SIDES)
    both = np.isfinite(one) & np.isfinite(other)
    varies = both.sum() > 2 and np.ptp(one[both]) > 0 and np.ptp(other[both]) > 0
    r = np.corrcoef(one[both], other[both])[0, 1] if varies else np.nan
    return (
        "A double's response is about a times that of one single and b times that of the other, as "
        "these were measured; the magnitude √(a² + b²) is 1.41 where the two add up, larger for "
        "synergy and smaller for buffering (Norman et al. 2019). Beyond is the length of what the "
        "double does beyond the sum, as a share of its response's; of few measured cells a part of "
        "it is noise."
        + (f" Over {both.sum()} doubles the two magnitudes correlate by {r:.2f}." if varies else "")
    )


def _maps(table: pd.DataFrame) -> str:
    """Predicted and measured magnitudes of the same pairs, on one scale."""
    context = str(table["context"].iloc[0])
    one: Any = table[table["context"] == context][:FEW]
    columns = [f"magnitude {side}" for side in SIDES]
    reach = float(np.nanmax(np.abs(one[columns].to_numpy(np.float64) - 2**0.5), initial=0.0))
    where = f" in {context}" if context else ""
    # Names of a map that is as wide as a phone could not be read.
    large = len({part for name in one["condition"] for part in Condition.parse(name).labels}) > 8
    drawn = []
    for side, column in zip(SIDES, columns, strict=True):
        own = one[KEYS].assign(magnitude=one[column])
        figure = plotting.interaction_map(own, bound=reach or None, title=side)
        about = f"Map of the {side} magnitude of each pair of perturbations{where}"
        drawn.append(h.picture(figure, about, f"{side}{where}", large=large))
    return "".join(drawn) if large else h.beside(drawn)


def course(run: Run, scored: Judged, *, cells: int, key: PRNGKeyArray) -> str:
    """How programs change along the flow, for the perturbation of strongest predicted effect.

    **Arguments:** `cells`, controls that are followed, of which there are at most 64; `key` draws
    them.
    """
    found = scored.predicted.responses()
    strongest = int(np.argmax(found.norms()))
    name = found.conditions[found.condition_index[strongest]].name
    context = found.contexts[found.context_index[strongest]]
    controls = of_contexts(scored.measured.select([]), [context] if context else [])
    given: Any = {"times": TIMES, "cells": min(cells, MOST_CELLS), "key": key}
    table = analysis.program_course(run.model, controls, [name], **given)
    where = f"{name} in {context}" if context else name
    start = "controls" if run.model.anchor is None else "controls that the anchor has moved"
    said = (
        f"Of the tested perturbations {where} is predicted to change expression most. The flow "
        f"starts from {start}: this is what it adds to them. Its times are none of an experiment."
        + (" Of the models that are averaged the first is followed." if run.model.others else "")
    )
    if float(table["response"].abs().max()) < 1e-6:
        whose = "" if run.model.anchor is None else ": that change is the anchor's"
        return h.paragraph(f"{said} It adds nothing to the mean of any program{whose}.")
    moving = table[table["time"] > 0]
    rows = moving.assign(condition=[f"flow time {time:.1f}" for time in moving["time"]])
    figure = plotting.program_heatmap(
        rows, conditions=[*dict.fromkeys(rows["condition"])], label="change from start, log"
    )
    return (
        h.paragraph(said)
        + h.picture(
            figure,
            f"Heat map of the change of each gene program along the flow under {where}",
            f"Change of programs' mean expression from the start of the flow under {where}. A dot: "
            "the 95 % interval over cells is without zero.",
            large=True,
        )
        + h.download(table, "course.csv")
    )


def beginning(table: pd.DataFrame, number: int) -> str:
    """A table's first rows, without a context where there is none, and how many there are more."""
    shown: Any = table[:FEW]
    if set(table["context"]) == {""}:
        shown = shown.drop(columns="context")
    more = f"The first {FEW} of {number}; all are in the file." if number > FEW else ""
    return h.table(shown) + (h.paragraph(more, note=True) if more else "")
