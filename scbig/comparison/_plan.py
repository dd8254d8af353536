"""What is compared: splits, predictors, seeds."""

import collections
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scbig._names import examples
from scbig.baselines import AbstractRecipe
from scbig.data import Screen
from scbig.splits import Split
from scbig.train import Priors


@dataclass(frozen=True)
class Evaluation:
    """Splits whose test conditions are scored together, once each is predicted by its own.

    A single split, or the folds of one.

    **Fields:** `name`; `splits`.
    """

    name: str
    splits: tuple[Split, ...]

    def __post_init__(self) -> None:
        if not self.splits:
            raise ValueError(f"The evaluation {self.name!r} has no split.")
        tested = [
            (context, name)
            for split in self.splits
            for context in split.test_contexts or ("",)
            for name in split.test
        ]
        times = collections.Counter(tested)
        twice = sorted({name for (_, name), number in times.items() if number > 1})
        if twice:
            raise ValueError(
                f"Two splits of {self.name!r} test {examples(twice)}: make an evaluation of each."
            )


@dataclass(frozen=True)
class Unit:
    """One training and its predictions.

    **Fields:** `evaluation`, by name; `fold`, the place of `split` in it; `predictor`, by name;
    `seed`.
    """

    evaluation: str
    fold: int
    split: Split
    predictor: str
    seed: int

    @property
    def path(self) -> pathlib.PurePath:
        """Where its files are, without a suffix."""
        parts = (self.evaluation, self.predictor)
        return pathlib.PurePath(*map(folder_name, parts)) / f"fold{self.fold}-seed{self.seed}"

    @property
    def number(self) -> int:
        """What its key is folded with: the same for all predictors."""
        return zlib.crc32(f"{self.evaluation}\n{self.fold}\n{self.seed}".encode())


def folder_name(name: str) -> str:
    """The name as that of a file or a folder."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Everything that a table comes from.

    **Fields:**

    - `screen`, `priors`: of all predictors.
    - `evaluations`, `recipes`: by the names that the table gives them.
    - `seeds`: of those that draw; those that do not are made once, with the first.
    - `cells`: predicted of each condition in each context; `None` for one from each control.
    - `held`: controls that are not in `screen`, from which measured responses are then measured, so
        that the noise of the controls is not in both: see `scbig.metrics.hold_controls`.
    - `out`: a folder for predictions and scores; what is in it is not made again.
    """

    screen: Screen
    priors: Priors
    evaluations: tuple[Evaluation, ...]
    recipes: Mapping[str, AbstractRecipe]
    out: pathlib.Path
    seeds: tuple[int, ...] = (0,)
    cells: int | None = None
    held: Screen | None = None

    def __post_init__(self) -> None:
        for what, names in {
            "evaluations": [e.name for e in self.evaluations], "predictors": [*self.recipes],
        }.items():  # fmt: skip
            files = {folder_name(name) for name in names}
            if not names or len(files) < len(names):
                raise ValueError(f"The {what} need names of their own: {examples(names, most=30)}.")
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise ValueError(f"Seeds must be distinct, at least one: got {self.seeds}.")

    def units(self) -> Iterator[Unit]:
        """Every training, predictor after predictor, so that what is quick is there early."""
        for name, recipe in self.recipes.items():
            for seed in self.seeds if recipe.draws else self.seeds[:1]:
                for evaluation in self.evaluations:
                    for fold, split in enumerate(evaluation.splits):
                        yield Unit(evaluation.name, fold, split, name, seed)

    def told(self, unit: Unit) -> str:
        """What a unit's files rest on, as 16 digits: other cells or settings are other files.

        The priors are told by their checksums, a recipe as it tells itself, files by their content.
        """
        recipe = self.recipes[unit.predictor]
        facts = {
            **self._given,
            "split": unit.split.hash,
            "recipe": recipe.told(),
            "files": [_digest(path) for path in recipe.files(unit.split)],
            "seed": unit.seed,
            "cells": self.cells,
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]

    @functools.cached_property
    def _given(self) -> dict[str, Any]:
        """What all units rest on: the cells with their labels, and all priors."""
        screen, own = self.screen, self.priors
        labels = hashlib.sha256()
        for places in (screen.condition_index, screen.context_index):
            labels.update(np.ascontiguousarray(places, np.int64).tobytes())
        tables = {f.name: getattr(own, f.name) for f in dataclasses.fields(own)}
        return {
            "screen": screen.checksum,
            "genes": screen.genes,
            "conditions": [condition.name for condition in screen.conditions],
            "contexts": screen.contexts,
            "labels": labels.hexdigest(),
            "priors": {name: getattr(x, "checksum", x) for name, x in tables.items()},
        }


def _digest(path: pathlib.Path) -> str | None:
    """Of a file's content; `None` if it is not there."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
