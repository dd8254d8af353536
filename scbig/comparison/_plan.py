"""What is compared: splits, predictors, seeds."""

import hashlib
import json
import pathlib
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

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
        twice = sorted({name for c, name in tested if tested.count((c, name)) > 1})
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
        return pathlib.PurePath(*map(_plain, parts)) / f"fold{self.fold}-seed{self.seed}"

    @property
    def number(self) -> int:
        """What its key is folded with: the same for all predictors."""
        return zlib.crc32(f"{self.evaluation}\n{self.fold}\n{self.seed}".encode())


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip("-")


@dataclass(frozen=True, eq=False, kw_only=True)
class Comparison:
    """Everything that a table comes from.

    **Fields:**

    - `screen`, `priors`: of all predictors.
    - `evaluations`, `recipes`: by the names that the table gives them.
    - `seeds`: of those that draw; those that do not are made once, with the first.
    - `cells`: predicted of each condition in each context; `None` for one from each control.
    - `out`: a folder for predictions and scores; what is in it is not made again.
    """

    screen: Screen
    priors: Priors
    evaluations: tuple[Evaluation, ...]
    recipes: Mapping[str, AbstractRecipe]
    out: pathlib.Path
    seeds: tuple[int, ...] = (0,)
    cells: int | None = None

    def __post_init__(self) -> None:
        for what, names in {
            "evaluations": [e.name for e in self.evaluations], "predictors": [*self.recipes],
        }.items():  # fmt: skip
            plain = [_plain(name) for name in names]
            if not names or len({*plain}) < len(names):
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

        The priors are told by their checksums, a recipe as it tells itself.
        """
        own = self.priors
        tables = own.genes, own.perturbations, own.interactions, own.perturbation_graph
        facts = {
            "screen": self.screen.checksum,
            "genes": self.screen.genes,
            "split": unit.split.hash,
            "recipe": self.recipes[unit.predictor].told(),
            "seed": unit.seed,
            "cells": self.cells,
            "priors": [None if table is None else table.checksum for table in tables],
        }
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
