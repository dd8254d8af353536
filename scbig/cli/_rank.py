"""`scbig rank`: perturbations that were not done, by their predicted effect on a gene program."""

import itertools
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from ._options import TABLES, Labels, check_writes, read_screen

if TYPE_CHECKING:
    from scbig.data import Columns
    from scbig.service import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Rank:
    """Rank perturbations that were not done by what they are predicted to do to a gene program.

    Example: scbig rank --model runs/first/model.scbig runs/second/model.scbig --data prepared.h5ad
    --candidates genes.txt --program 3 --out ranks.csv
    """

    model: tuple[pathlib.Path, ...]
    """What 'fit' wrote, model.scbig: one, or several from other seeds, whose spread then says what
    is uncertain."""
    data: pathlib.Path
    """Log-normalised cells with controls among them, as 'prepare' writes them."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The table to write, csv."""
    candidates: pathlib.Path | None = None
    """A file with one perturbation in each line, no control and no combination, of which all pairs
    are ranked; by default all that was perturbed in --data."""
    singles: bool = False
    """Whether each candidate alone is ranked too."""
    program: int | None = None
    """The number of a gene program of the first model, as in its programs.csv."""
    genes: tuple[str, ...] = ()
    """In its place, the genes whose mean expression is ranked by."""
    down: bool = False
    """Whether the largest decrease comes first."""
    top: int = 20
    """How many are printed."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file with the log-normalised cells; by default X."""
    cells: int = 128
    """Control cells that every prediction starts from, in each context."""
    seed: int = 0
    """Of the draw of control cells."""

    def run(self) -> None:
        """Writes the table and prints its top."""
        import math

        import jax.random as jr
        from rich.progress import track

        from scbig import analysis
        from scbig._files import atomic
        from scbig.service import load

        check_writes(self.out, *self.model, self.data, self.candidates, suffixes=TABLES)
        if not self.model:
            raise ValueError("Nothing to rank with: give --model.")
        if (self.program is None) == (not self.genes):
            raise ValueError("Give what to rank by: either --program or --genes.")
        file = self.candidates
        names = () if file is None else _candidates(file, self.labels.columns)
        models = [load(path) for path in self.model]
        self._check(models, names)
        genes = self.genes or self._program(models[0])
        screen = read_screen(self.data, self.labels, on_disk=True, layer=self.layer)
        if file is None:
            names = screen.perturbations
            self._check(models, names)
        number = math.comb(len(names), 2) + len(names) * self.singles
        if not number:
            raise ValueError("Fewer than two candidates make no pair: give more, or --singles.")
        options: Any = {"cells": self.cells, "key": jr.key(self.seed)}
        wanted = analysis.pairs_of(names, singles=self.singles)
        found = analysis.predicted_effects(models, screen, wanted, genes, **options)
        parts = track(found, "ranking", total=-(-number // analysis.CHUNK))
        table = analysis.ranked(parts, up=not self.down)
        known = [c.name for c in screen.conditions]
        table["measured"] = table["condition"].isin(known)
        with atomic(self.out) as temporary:
            table.to_csv(temporary, index=False)
        print(table.head(self.top).round(4).to_string(index=False))
        print(
            f"{len(table)} rows by their predicted effect on the mean of {len(genes)} genes, of "
            f"{len(models)} model(s), are in {self.out}."
        )

    def _check(self, models: "Sequence[TrainedModel]", names: Sequence[str]) -> None:
        """Raises if a model could not read what is to be ranked: its chunk may be hours away."""
        from scbig.analysis import pairs_of

        asked = [*names, *itertools.islice(pairs_of(names), 1)]
        for path, model in zip(self.model, models, strict=True):
            try:
                model.names.readable(asked, model.config.max_tokens)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error

    def _program(self, model: "TrainedModel") -> tuple[str, ...]:
        """The genes of a program of a model."""
        import numpy as np

        shares = np.asarray(model.pure.partition.averaging())
        if self.program is None or not 0 <= self.program < len(shares.T):
            raise ValueError(
                f"The model has the gene programs 0 to {len(shares.T) - 1}; got {self.program}."
            )
        return tuple(
            g for g, w in zip(model.names.genes, shares[:, self.program], strict=True) if w
        )


def _candidates(path: pathlib.Path, columns: "Columns") -> tuple[str, ...]:
    """The perturbations of a file, one in each line that is not empty; each once.

    **Raises:** a ValueError with the number of a line that is something else, or has a perturbation
    at another dose than an earlier one: no pair has both.
    """
    from scbig._files import to_read

    there = to_read(path, "the candidates, a text with one perturbation in each line")
    try:
        lines = there.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as text in UTF-8: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            name, label = _single(line.strip(), columns)
            if found.setdefault(name, label) != label:
                raise ValueError(f"{label!r} is there as {found[name]!r} too: keep one dose.")
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
    return tuple(found.values())


def _single(line: str, columns: "Columns") -> tuple[str, str]:
    """The one perturbation that a line names, and its label, with its dose if it has one."""
    condition = columns.parse(line)
    if len(condition.perturbations) != 1:
        what = "a control" if condition.is_control else "a combination"
        raise ValueError(
            f"{line!r} is {what}, and a candidate is one perturbation: all pairs are made of them."
        )
    return condition.perturbations[0], condition.name
