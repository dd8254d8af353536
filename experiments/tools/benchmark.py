"""What the scripts of tables share: arms in, one folder of results out."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import tyro

import scbig
from scbig import baselines, comparison, method, metrics, plotting

from .measured import Measured, evaluations, priors_of, screen_of

SHOWN = (*comparison.SHOWN, "acc", "acc_deg20")
SMOKE = {
    "programs.clusters": 4,
    "programs.start.tries": 1,
    **{f"{part}.{name}": 8 for part in ("encoder", "decoder") for name in ("width", "mlp_width")},
    "encoder.latent": 4,
    "velocity.hidden": 8,
    "terms.Consistency.cells": 8,
    "stage1.epochs": 2,
    "flow.groups": 2,
    "flow.cells": 8,
    "stage2.steps": 4,
    "stage2.steps_per_call": 4,
    "stage2.criterion.cells": 8,
}
"""Just enough to see numbers move."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Measured cells, priors, splits, and how large the networks are."""

    measured: tyro.conf.OmitArgPrefixes[Measured]
    preset: Literal["smoke", "cpu", "wide", "paper"] = "wide"
    """Sizes of the networks and of their training: `cpu` and `wide` for two cores, `paper` for a
    GPU, `smoke` for a look at the script."""
    epochs: int | None = None
    """Passes over the cells in stage 1, in place of the preset's."""
    only: tuple[str, ...] = ()
    """Names of arms to run; by default all."""

    @property
    def base(self) -> scbig.ScBIGConfig:
        """scBIG as published, in the sizes of the preset."""
        presets = {"cpu": scbig.cpu, "wide": method.wide, "paper": scbig.paper}
        small = lambda: scbig.but(scbig.cpu(), **SMOKE)
        found = presets.get(self.preset, small)()
        return found if self.epochs is None else scbig.but(found, **{"stage1.epochs": self.epochs})


def run(
    bench: Benchmark,
    arms: Mapping[str, scbig.ScBIGConfig | baselines.AbstractRecipe],
    *,
    whole: str,
    published: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Trains, predicts and scores every arm; what the folder has is not made again.

    Configurations share programs and autoencoders wherever these are the same.

    **Arguments:** `arms`, by the names of their rows; `whole`, the one that the others are held
    against; `published`, the paper's Pearson delta of each row that has one.

    **Returns:** the scores: a row for each split, arm, seed and condition. In the folder are
    `scores.csv`, `costs.csv`, `config.json`, `comparison.png` and the page, `table.md`.
    """
    unknown = sorted({*bench.only} - {*arms})
    if unknown:
        raise SystemExit(f"No arm {unknown[0]!r}; there are {', '.join(arms)}.")
    arms = {name: arm for name, arm in arms.items() if not bench.only or name in bench.only}
    given = bench.measured
    screen, out = screen_of(given), given.out
    recipes = {name: _recipe(arm, out / "autoencoders") for name, arm in arms.items()}
    rules = {
        name: baselines.Rule(comparison.RULES[name]) for name in ("perturbed mean", "additive")
    }
    plan = comparison.Comparison(
        screen=screen,
        priors=priors_of(given, screen),
        evaluations=tuple(evaluations(given, screen)),
        recipes={**rules, **recipes},
        seeds=given.seeds,
        cells=given.cells,
        out=out,
    )
    out.mkdir(parents=True, exist_ok=True)
    configs = {n: arm for n, arm in arms.items() if isinstance(arm, scbig.ScBIGConfig)}
    told = {name: config.to_dict() for name, config in configs.items()}
    (out / "config.json").write_text(json.dumps(told, indent=1) + "\n")
    failed = comparison.predict_all(plan)
    scores = comparison.score_all(plan)
    costs = comparison.costs(plan)
    costs.to_csv(out / "costs.csv", index=False)
    effects = metrics.support(screen).assign(effect=baselines.effect_norms(screen))
    options: dict[str, Any] = {"metrics": SHOWN, "failed": failed, "published": published or {}}
    text = apart(scores, [*arms], whole) + "\n" + comparison.page(scores, costs, effects, **options)
    (out / "table.md").write_text(text)
    plotting.save(plotting.standing(comparison.summary(scores, SHOWN)), out / "comparison.png")
    print(f"\n{text}\nTables, figure and predicted cells: {out}")
    return scores


def _recipe(
    arm: scbig.ScBIGConfig | baselines.AbstractRecipe, shared: pathlib.Path
) -> baselines.AbstractRecipe:
    """On a shared autoencoder, but where programs learn from a flow."""
    if isinstance(arm, baselines.AbstractRecipe):
        return arm
    return baselines.Method(arm) if arm.programs.updates else baselines.Arm(arm, shared)


def apart(scores: pd.DataFrame, arms: Sequence[str], whole: str) -> str:
    """By how much each arm is behind or ahead of the whole, paired by condition, as Markdown."""
    shown = ("pearson_delta", "pearson_delta_deg20", "acc", "e_distance")
    lines = [
        f"Less `{whole}`, paired by condition: 95 % bootstrap intervals, p of a Wilcoxon test, not",
        "corrected for the number of arms.",
        "",
        "| arm | conditions | " + " | ".join(shown) + " |",
        "| --- " * (len(shown) + 2) + "|",
    ]
    made = {str(name) for name in scores.index.get_level_values("predictor")}
    for name in arms:
        if name == whole or not {name, whole} <= made:
            continue
        found = [baselines.paired(scores, name, whole, metric) for metric in shown]
        lines.append(f"| {name} | {found[0].number} | " + " | ".join(map(str, found)) + " |")
    return "\n".join(lines) + "\n"
