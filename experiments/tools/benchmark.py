"""What the scripts of tables share: arms in, one folder of results out."""

import dataclasses
import pathlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import tyro

import scbig
from scbig import baselines, comparison, method, metrics, nn, plotting

from . import markdown
from .measured import Measured, evaluations, priors_of, screen_of
from .recorded import record
from .verdicts import APART, Claim, apart, judged, means, sentences

SHOWN = (*comparison.SHOWN, "acc", "acc_deg20")
SIMPLE = ("perturbed mean", "additive")
SMOKE = {
    "programs.clusters": 4,
    "programs.start.tries": 1,
    **{f"{part}.{name}": 8 for part in ("encoder", "decoder") for name in ("width", "mlp_width")},
    "encoder.latent": 4,
    "velocity.hidden": 8,
    "terms": (),
    "stage1.epochs": 2,
    "flow.groups": 2,
    "flow.cells": 8,
    "stage2.steps": 4,
    "stage2.steps_per_call": 4,
    "stage2.criterion.cells": 8,
}
"""Just enough to see numbers move, without what takes a minute to compile."""
_LOSSES = scbig.but(
    scbig.cpu(),
    **{"terms.Consistency.cells": 8, "terms.Consistency.losses.PathwayAlignment.iterations": 10},
).terms


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measured cells, priors, splits, and how large the networks are."""

    measured: tyro.conf.OmitArgPrefixes[Measured]
    preset: Literal["smoke", "cpu", "wide", "paper"] = "wide"
    """Sizes of the networks and of their training: `cpu` and `wide` for two cores, `paper` for a
    GPU, `smoke` for a look at the script."""
    epochs: int | None = None
    """Passes over the cells in stage 1, in place of the preset's."""
    shared: pathlib.Path | None = None
    """Folder of autoencoders and models that several scripts may use; by default in --out."""
    only: tuple[str, ...] = ()
    """Names of arms to run; by default all."""

    @property
    def base(self) -> scbig.ScBIGConfig:
        """scBIG as published, in the sizes of the preset."""
        found = base_of(self.preset)
        return found if self.epochs is None else scbig.but(found, **{"stage1.epochs": self.epochs})

    @property
    def aligned(self) -> scbig.ScBIGConfig:
        """The same, with the alignment losses that `smoke` leaves out."""
        return self.base if self.base.terms else scbig.but(self.base, terms=_LOSSES)

    @property
    def folder(self) -> pathlib.Path:
        """Where autoencoders and models are."""
        return self.measured.out if self.shared is None else self.shared

    @property
    def cellflow(self) -> scbig.ScBIGConfig:
        """The same flow between principal components, without programs and alignment."""
        found = method.cellflow_like(self.base)
        return scbig.but(found, **{"encoder.latent": 4}) if self.preset == "smoke" else found


def base_of(preset: str) -> scbig.ScBIGConfig:
    """scBIG as published, in the sizes of a preset."""
    presets = {"cpu": scbig.cpu, "wide": method.wide, "paper": scbig.paper}
    small = lambda: scbig.but(scbig.cpu(), **SMOKE)
    return presets.get(preset, small)()


@dataclass(frozen=True, kw_only=True)
class Table:
    """What one table shows.

    **Fields:** `arms`, by the names of their rows; `whole`, the one that the others are held
    against; `published`, the paper's Pearson delta of each row that has one, where `paper`, its
    whole tables, does not say it by these names; `claims` of the paper; `shown`, its metrics, and
    `apart`, those of the differences; `scoring`, options of `scbig.evaluate`; `kind`, which part of
    the table a condition is in, by default one for all; `of_kind`, the paper's values of each part;
    `note`, a sentence above all.
    """

    arms: Mapping[str, scbig.ScBIGConfig | baselines.AbstractRecipe]
    whole: str
    published: Mapping[str, float] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    shown: tuple[str, ...] = SHOWN
    apart: tuple[str, ...] = APART
    scoring: Mapping[str, Any] = field(default_factory=dict)
    kind: Callable[[str], str] | None = None
    of_kind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    paper: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    note: str = ""

    @property
    def values(self) -> Mapping[str, float]:
        """The paper's Pearson delta by row: `published`, or what its one table has."""
        if self.published or self.of_kind or len(self.paper) != 1:
            return self.published
        (own,) = self.paper.values()
        return {str(name): float(x) for name, x in own["pearson_delta"].dropna().items()}


def chosen(bench: Benchmark, arms: Mapping[str, Any]) -> dict[str, Any]:
    """The arms of `--only`, by default all."""
    unknown = sorted({*bench.only} - {*arms})
    if unknown:
        raise SystemExit(f"No arm {unknown[0]!r}; there are {', '.join(arms)}.")
    return {name: arm for name, arm in arms.items() if not bench.only or name in bench.only}


def run(bench: Benchmark, table: Table) -> pd.DataFrame:
    """Trains, predicts and scores every arm; what the folder has is not made again.

    Configurations share programs and autoencoders wherever these are the same.

    **Returns:** the scores: a row for each split, arm, seed and condition. In the folder are
    `scores.csv`, `costs.csv`, `config.json`, `claims.csv`, `comparison.png`, the whole page,
    `table.md`, and its first part alone, `summary.md`.
    """
    arms = chosen(bench, table.arms)
    given = bench.measured
    screen, out = screen_of(given), given.out
    whole = comparison.Comparison(
        screen=screen,
        priors=priors_of(given, screen),
        evaluations=tuple(evaluations(given, screen)),
        recipes=recipes(table.arms, bench.folder / "autoencoders"),
        seeds=given.seeds,
        cells=given.cells,
        out=out,
    )
    plan = of_arms(whole, arms)
    record(out, bench, {name: arm for name, arm in table.arms.items() if name in plan.recipes})
    failed = comparison.predict_all(plan)
    scores = comparison.score_all(plan, **table.scoring)
    costs = comparison.costs(plan)
    costs.to_csv(out / "costs.csv", index=False)
    effects = metrics.support(screen).assign(effect=baselines.effect_norms(screen))
    shown = tuple(metric for metric in table.shown if metric in scores)
    still = {name for name, recipe in plan.recipes.items() if not recipe.draws}
    broken = {unit.predictor for unit in plan.units() if str(unit.path) in failed}
    first = summary(scores, table, shown, out, still=still, broken=broken)
    first += "".join(f"\nNot made, {path}: {why}\n" for path, why in failed.items())
    (out / "summary.md").write_text(first)
    options: dict[str, Any] = {
        "metrics": shown, "failed": failed, "published": table.values,
        "published_split": "the paper",
    }  # fmt: skip
    text = first + "\n" + comparison.page(scores, costs, effects, **options)
    (out / "table.md").write_text(text)
    plotting.save(plotting.standing(comparison.summary(scores, shown)), out / "comparison.png")
    print(f"\n{text}\nTables, figure and predicted cells: {out}")
    return scores


def recipes(
    arms: Mapping[str, scbig.ScBIGConfig | baselines.AbstractRecipe], shared: pathlib.Path
) -> dict[str, baselines.AbstractRecipe]:
    """How each row is made; the mean effect and the sum of single effects are in every table."""
    rules = {name: baselines.Rule(comparison.RULES[name]) for name in SIMPLE if name not in arms}
    return {**rules, **{name: _recipe(arm, shared) for name, arm in arms.items()}}


def of_arms(whole: comparison.Comparison, arms: Collection[str]) -> comparison.Comparison:
    """Some arms, with those that the folder has already, so that no row of a table is lost.

    **Raises:** a ValueError for a folder with predictions of other cells or settings.
    """
    absent = comparison.missing(whole)
    begun = {unit.predictor for unit in whole.units() if str(unit.path) in absent}
    kept = {n: r for n, r in whole.recipes.items() if n in {*arms, *SIMPLE} or n not in begun}
    return dataclasses.replace(whole, recipes=kept)


def summary(
    scores: pd.DataFrame,
    table: Table,
    shown: Sequence[str],
    out: pathlib.Path,
    *,
    still: Collection[str] = (),
    broken: Collection[str] = (),
) -> str:
    """Claims, means and differences of each part, in Markdown; the claims as csv too.

    **Arguments:** `still`, rows that draw nothing; `broken`, those of which a training failed.
    """
    names = scores.index.get_level_values("condition")
    kinds = [""] * len(names) if table.kind is None else [table.kind(name) for name in names]
    parts, claims = [table.note] * bool(table.note), []
    for kind, part in scores.groupby(np.array(kinds, object)):
        found = judged(part, table.claims, still=still, broken=broken)
        claims.append(found.assign(part=kind))
        said = sentences(found)
        parts += [
            *([f"#### {kind}"] if kind else []),
            *([said] if said else []),
            means(part, shown, table.of_kind.get(str(kind), table.values)),
            apart(part, [*table.arms], table.whole, table.apart),
        ]
    for title, own in table.paper.items():
        parts.append(f"In the paper, on its own cells ({title}):\n\n{markdown.frame(own)}")
    pd.concat(claims).to_csv(out / "claims.csv", index=False)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _recipe(
    arm: scbig.ScBIGConfig | baselines.AbstractRecipe, shared: pathlib.Path
) -> baselines.AbstractRecipe:
    """On a shared autoencoder, but where programs learn from a flow, or there is none to train."""
    if isinstance(arm, baselines.AbstractRecipe):
        return arm
    closed = isinstance(arm.encoder, nn.PCAEncoderSpec)
    return baselines.Method(arm) if arm.programs.updates or closed else baselines.Arm(arm, shared)
