"""A model trained on one split, what it predicts of the test, and what was measured there."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd
from scipy import sparse

import scbig
from scbig import analysis, baselines, data, service

from .benchmark import Benchmark
from .measured import Measured, evaluations, priors_of, screen_of

CELLS = 300
"""Predicted of each condition where the command does not say how many."""


@dataclass(frozen=True)
class Trained:
    """One training, and the populations of the test conditions.

    **Fields:** `model`; `screen`, all measured cells of the contexts that are tested; `test`, the
    conditions; `predicted`, their predicted cells beside controls as the model has them: through
    the autoencoder, if predicted cells are.
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
        own = self.measured
        cells = self.model.round_trip(own.dense(), own.genes)
        return dataclasses.replace(own, expression=sparse.csr_matrix(cells))


def trained(bench: Benchmark, config: scbig.ScBIGConfig, name: str) -> Trained:
    """Trains on the first split of the protocol, or reads what the folder has.

    **Arguments:** `name`, of the folder of the run within `--out`.
    """
    given = bench.measured
    once(given)
    given.out.mkdir(parents=True, exist_ok=True)
    screen = screen_of(given)
    split = next(iter(evaluations(given, screen))).splits[0]
    cells = baselines.known_cells(screen, split)
    known = baselines.filled_priors(cells, split, priors_of(given, screen))
    fit_key, predict_key = jr.split(jr.key(given.seeds[0]))
    out = bench.folder / "models" / name
    options: Any = {"validation": split.validation, "out": out, "key": fit_key}
    model = scbig.fit(cells, known, config, **options).model
    # A condition of a split of contexts was trained on in the others.
    own = data.of_contexts(screen, split.test_contexts)
    test = tuple(c.name for c in own.conditions if c.name in split.test)
    asked: Any = {"cells": given.cells or CELLS, "key": predict_key}
    return Trained(model, own, test, analysis.predicted_screen(model, own, test, **asked))


def once(given: Measured) -> None:
    """Refuses what would be several trainings, of which only the first would be made."""
    several = {
        "seeds": given.seeds,
        "split-seeds": given.split_seeds,
        "split-files": given.split_files if given.split == "file" else (),
    }
    for option, values in several.items():
        if len(values) > 1:
            raise SystemExit(
                f"This script trains once: give one of --{option}; got "
                f"{' '.join(map(str, values))}."
            )


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
