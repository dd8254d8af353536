"""Sections of what a model has learned: genes, how sure it is, pairs of programs, attention."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scbig import analysis, plotting
from scbig.data import Screen, of_contexts
from scbig.model import Decoded

from . import _html as h
from ._judged import Judged, Place
from ._looks import BESIDE, FEW, KEYS, SIDES, beginning
from ._run import Run

DRAWS = 200
"""Of cells with replacement, for intervals."""
MOST = 6
"""Conditions whose programs are looked at pair by pair, and by attention."""
MOST_CELLS = 1000
"""Of a population, for these."""
LOOKED = f" Of each population at most {MOST_CELLS} cells are looked at."
GENES = 8
"""Of a condition's table; a file has all."""
SHIFT = ("shift", "low", "high")
MOST_ROWS = 40_000
"""Of that file, which has the more conditions the fewer genes there are."""


def origin(run: Run) -> str:
    """A sentence that says from which controls changes are."""
    if isinstance(run.model.config.emission, Decoded):
        return (
            "Here and below predicted changes are from the controls as the autoencoder gives them "
            "back, since predicted cells come out of it too; scores are from the measured controls."
        )
    return "Here and below, as in the scores, all changes are from the measured controls."


def genes(scored: Judged) -> str:
    """The change of single genes in the best and worst predicted conditions, and how sure."""
    ranked = scored.ranked
    if not ranked:
        return h.paragraph("Without a Pearson delta none is best or worst.")
    most = min(FEW, max(2, MOST_ROWS // scored.predicted.num_genes))
    places = _ends(ranked, most)
    make = lambda own, names: analysis.gene_response(own, names, draws=DRAWS)
    table = _sides(scored, places, make, keys=["gene"])
    table = table.drop(
        columns=[f"{what}{side}" for what in ("cells", "controls") for side in BESIDE]
    )
    if scored.said:
        table = table.merge(_said(scored), on=[*KEYS, "gene"], how="left")
    parts = [h.paragraph(_of_genes(table, len(places), len(ranked)))]
    for head, place in [("best", places[0]), ("worst", places[-1])][: len(places)]:
        where = f"{place[1]} in {place[0]}" if place[0] else place[1]
        parts += [
            f"<h3>{h.text(f'{head} predicted: {where}')}</h3>",
            h.table(_largest(table, place)),
        ]
    return "".join(parts) + h.download(table, "gene_responses.csv", digits=4)


def _said(scored: Judged) -> pd.DataFrame:
    """How sure the model says that it is of each gene's mean."""
    tables = [
        pd.DataFrame({"context": context, "condition": name, "gene": scored.predicted.genes})
        .assign(**{"sd said": own})
        for (context, name), own in scored.said.items()
    ]  # fmt: skip
    return pd.concat(tables)


def _ends(ranked: Sequence[Place], most: int) -> list[Place]:
    """The best and the worst, as many of each, all if there are no more."""
    if len(ranked) <= most:
        return [*ranked]
    return [*ranked[: -(-most // 2)], *ranked[len(ranked) - most // 2 :]]


def _of_genes(table: pd.DataFrame, shown: int, number: int) -> str:
    said = (
        "How each gene's mean expression changes from the controls, in log units: of the best and "
        f"the worst predicted condition the {GENES} genes of largest change, predicted or "
        "measured. In brackets the 95 % bootstrap interval over cells; that of predicted cells "
        "does not say whether the model is right."
    )
    if "sd said" in table:
        apart = (table["response predicted"] - table["response measured"]).abs()
        share = float((apart <= 2 * table["sd said"]).mean())
        said += (
            " Sd said is how far off the model itself expects its predicted mean to be, as a "
            f"standard deviation. Of the measured changes in the file {100 * share:.0f} % are "
            "within two of them; 95 % would be, if it knew, and measured means had no noise."
        )
    else:
        said += " This model does not say how sure it is."
    whose = f"the {shown} best and worst of {number}" if shown < number else f"all {number}"
    return f"{said} The file has all genes of {whose} conditions."


def _largest(table: pd.DataFrame, place: Place) -> pd.DataFrame:
    """The genes of largest change, on either side, with intervals as text."""
    own: Any = table[(table["context"] == place[0]) & (table["condition"] == place[1])]
    sizes = own[[f"response{side}" for side in BESIDE]].abs().max(axis=1)
    own = own.loc[sizes.sort_values(ascending=False, kind="stable").index[:GENES]]
    shown = {"gene": own["gene"]}
    for side in SIDES:
        shown[side] = _told(own, "response", side, digits=3)
    if "sd said" in own:
        shown["sd said"] = own["sd said"]
    return pd.DataFrame(shown)


def _told(table: pd.DataFrame, what: str, side: str, *, digits: int) -> list[str]:
    """Numbers of one side with their intervals, as text."""
    numbers = table[[f"{name} {side}" for name in (what, "low", "high")]].to_numpy(np.float64)
    said = [f"{n:+.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]" for n, low, high in numbers]
    return [*map(h.unbroken, said)]


def pairs(run: Run, scored: Judged) -> str:
    """Which programs move together over the cells of a condition, predicted beside measured."""
    partition = run.model.pure.partition
    if partition.clusters < 2:
        return h.paragraph("There is one program alone, and so no pair of them.")
    make = lambda own, names: analysis.coactivation(own, partition, names, draws=DRAWS)
    table = _sides(scored, scored.strongest(MOST), make, keys=["one", "other"], most=MOST_CELLS)
    programs = np.array(run.programs.names)
    table = table.assign(**{side: programs[table[side]] for side in ("one", "other")})
    change: dict[str, Any] = {
        side: table[f"coactivation {side}"] - table[f"control {side}"] for side in SIDES
    }
    far = change["predicted"].abs().sort_values(ascending=False, kind="stable").index
    shown = table.loc[far, KEYS].assign(programs=table["one"] + ", " + table["other"])
    for side in SIDES:
        shown[side] = table[f"coactivation {side}"]
        shown[f"{side}, controls"] = table[f"control {side}"]
    shown["measured above"] = table["above measured"]
    more = (
        " Cells out of a decoder lack much of what measured cells do alone: compare each side with "
        "its own controls."
        if isinstance(run.model.config.emission, Decoded)
        else ""
    )
    return (
        h.paragraph(
            "Coactivation is the correlation of two programs' mean expression over the cells of a "
            "condition. Where cells differ in depth it is high in controls too, which stand "
            "beside. Shown are the pairs whose coactivation is predicted to differ most from that "
            f"of the controls, of the {_populations(table)} tested conditions of largest measured "
            "change. Measured above is the share of bootstrap draws in which the measured "
            f"coactivation is above that of the controls.{more}{_agreement(table, change)}{LOOKED}"
        )
        + beginning(shown, len(table))
        + h.download(table, "coactivation.csv", digits=4)
    )


def attention(run: Run, scored: Judged) -> str:
    """Which programs the encoder attends to more than in the controls, predicted and measured."""
    if not analysis.attends(run.model):
        kind = type(run.model.pure.encoder).__name__
        return h.paragraph(f"The encoder has no layer that attends to programs: {kind}.")
    make = lambda own, names: analysis.attention_shift(run.model, own, names, draws=DRAWS)
    table = _sides(scored, scored.strongest(MOST), make, keys=["program"], most=MOST_CELLS)
    table["program"] = np.array(run.programs.names)[table["program"]]
    largest = table.groupby(KEYS, sort=False)["shift measured"].apply(_place)
    percent = table[[*KEYS, "program"]].assign(
        **{f"{what} {side}": 100 * table[f"{what} {side}"] for side in SIDES for what in SHIFT}
    )
    own: Any = percent.loc[largest]
    shown = own[[*KEYS, "program"]].assign(
        **{f"{side}, %": _told(own, "shift", side, digits=1) for side in SIDES}
    )
    change: dict[str, Any] = {side: table[f"shift {side}"] for side in SIDES}
    return (
        h.paragraph(
            "How much more of the encoder's attention a program gets in cells of a condition than "
            "in controls, in percent of the latter, with the 95 % bootstrap interval. Shown is the "
            f"program of largest measured shift, of the {_populations(table)} tested conditions of "
            "largest measured change. Attention says what is read, not what comes of it."
            f"{_agreement(table, change)}{LOOKED}"
        )
        + beginning(shown, len(shown))
        + _drawn(table)
        + h.download(table, "attention.csv", digits=4)
    )


def _place(shifts: pd.Series) -> Any:
    return shifts.abs().idxmax()


def _drawn(table: pd.DataFrame) -> str:
    """The shifts of the first two conditions, each side in a figure."""
    context, names = table["context"].iloc[0], [*dict.fromkeys(table["condition"])]
    one: Any = table[table["context"] == context]
    shown = [name for name in names if name in {*one["condition"]}][:2]
    where = f" in {context}" if context else ""
    figures = []
    for side in SIDES:
        ends = {f"{what} {side}": what for what in (*SHIFT, "cells")}
        own = one[["context", "condition", "program", *ends]].rename(columns=ends)
        figures.append(
            h.picture(
                plotting.attention_shifts(own, conditions=shown, most=GENES),
                f"Shifts of attention to programs in {side} cells of {' and '.join(shown)}{where}",
                f"The {GENES} largest shifts in {side} cells{where}.",
                large=True,
            )
        )
    return "".join(figures)


def _sides(
    scored: Judged,
    places: Sequence[Place],
    make: Callable[[Screen, list[str]], pd.DataFrame],
    *,
    keys: list[str],
    most: int | None = None,
) -> pd.DataFrame:
    """A table of some populations, predicted beside measured; of at most so many cells of each."""
    tables = []
    for context in dict.fromkeys(context for context, _ in places):
        names = [name for where, name in places if where == context]
        sides = [
            make(_cells(side, names, context, most), names)
            for side in (scored.predicted, scored.measured)
        ]
        tables.append(sides[0].merge(sides[1], on=[*KEYS, *keys], suffixes=BESIDE))
    return pd.concat(tables, ignore_index=True)


def _cells(screen: Screen, names: list[str], context: str, most: int | None) -> Screen:
    """Cells of some conditions and of the controls, in a context, at most so many of each."""
    own = of_contexts(screen.select(names), [context] if context else [])
    rng, rows = np.random.default_rng(0), []
    for name in ("control", *names):
        rows.append(np.sort(rng.permutation(own.rows(name))[:most]))
    return own.take(np.concatenate(rows))


def _populations(table: pd.DataFrame) -> int:
    return len(table[KEYS].drop_duplicates())


def _agreement(table: pd.DataFrame, change: dict[str, Any]) -> str:
    """The mean rank correlation of the two sides, within populations."""
    both: Any = table[KEYS].assign(**change).groupby(KEYS)
    rho = [own[[*SIDES]].corr(method="spearman").iloc[0, 1] for _, own in both]
    known = [value for value in rho if np.isfinite(value)]
    if not known:
        return ""
    mean = float(np.mean(known))
    return (
        " Predicted and measured differences from the controls have a rank correlation of "
        f"{mean:.2f}, the mean over {len(known)} conditions."
    )
