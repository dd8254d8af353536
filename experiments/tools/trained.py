"""A model trained on one split, what it predicts of the test, and what was measured there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd

import scbig
from scbig import baselines, data, model as networks, service

from .benchmark import Benchmark
from .measured import evaluations, priors_of, screen_of

CELLS = 300
"""Predicted of each condition where the command does not say how many."""


@dataclass(frozen=True)
class Trained:
    """One training, and the populations of the test conditions.

    **Fields:** `model`; `screen`, all measured cells; `test`, the conditions; `predicted`, their
    predicted cells beside controls as the model has them: through the autoencoder, if predicted
    cells are.
    """

    model: service.TrainedModel
    screen: data.Screen
    test: tuple[str, ...]
    predicted: data.Screen

    @property
    def measured(self) -> data.Screen:
        """The test conditions' measured cells, with the controls."""
        return self.screen.select(["control", *self.test])

    @property
    def decoded(self) -> data.Screen:
        """The same through the autoencoder, which leaves out much of what single cells do alone."""
        cells = self.measured.to_anndata()
        cells.X = self.model.round_trip(self.measured.dense(), self.measured.genes)
        return data.Screen.from_anndata(cells)


def trained(bench: Benchmark, config: scbig.ScBIGConfig, name: str) -> Trained:
    """Trains on the first split of the protocol, or reads what the folder has.

    **Arguments:** `name`, of the folder of the run within `--out`.
    """
    given = bench.measured
    given.out.mkdir(parents=True, exist_ok=True)
    screen = screen_of(given)
    split = next(iter(evaluations(given, screen))).splits[0]
    cells = baselines.known_cells(screen, split)
    known = baselines.filled_priors(cells, split, priors_of(given, screen))
    fit_key, predict_key = jr.split(jr.key(given.seeds[0]))
    out = bench.folder / "models" / name
    options: Any = {"validation": split.validation, "out": out, "key": fit_key}
    model = scbig.fit(cells, known, config, **options).model
    test = tuple(c.name for c in screen.conditions if c.name in split.test)
    controls = screen.select(["control"])
    predicted = model.predict(controls, test, cells=given.cells or CELLS, key=predict_key)
    return Trained(model, screen, test, beside_controls(model, predicted, controls))


def beside_controls(
    model: service.TrainedModel, predicted: ad.AnnData, controls: data.Screen
) -> data.Screen:
    """Predicted cells and the controls that they are to be held against, as one screen."""
    own = controls.to_anndata()
    if isinstance(model.config.emission, networks.Decoded):
        own.X = model.round_trip(controls.dense(), controls.genes)
    own.obs_names = [f"control-{name}" for name in own.obs_names]
    key = predicted.uns["scbig_columns"].get("context")
    columns = data.Columns(condition="condition", context=key)
    keep = ["condition", *([key] if key else [])]
    parts = [own, predicted]
    for part in parts:
        part.obs = part.obs[keep]
    whole = ad.concat(parts, index_unique=None)
    whole.obs_names_make_unique()
    return data.Screen.from_anndata(whole, columns)


def strongest(trained: Trained, most: int) -> Sequence[str]:
    """The test conditions of largest measured effect."""
    effects: Any = baselines.effect_norms(trained.measured).groupby("condition").mean()
    return [str(name) for name in effects.sort_values(ascending=False).index[:most]]


def together(made: Mapping[str, Trained], names: Sequence[str]) -> tuple[np.ndarray, pd.DataFrame]:
    """Cells of every population, as many of each as there are of the fewest, with their labels."""
    first, rng = next(iter(made.values())), np.random.default_rng(0)
    sides = {"measured": first.measured, **{name: own.predicted for name, own in made.items()}}
    parts = [first.screen.select(["control"]).dense()]
    kinds = [("control", "control")]
    for name in names:
        own = {kind: side.dense(side.rows(name)) for kind, side in sides.items()}
        fewest = min(map(len, own.values()))
        for kind, rows in own.items():
            parts.append(rows[rng.permutation(len(rows))[:fewest]])
            kinds.append((name, kind))
    most = max(len(part) for part in parts[1:])
    parts[0] = parts[0][rng.permutation(len(parts[0]))[: 2 * most]]
    labels = [pair for pair, part in zip(kinds, parts, strict=True) for _ in part]
    return np.concatenate(parts), pd.DataFrame(
        labels, columns=pd.Index(["condition", "population"])
    )
