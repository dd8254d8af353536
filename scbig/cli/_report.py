"""`scbig report`: a run folder as one page."""

import pathlib
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from ._options import Labels, check_writes, read_screen


@dataclass(frozen=True, kw_only=True)
class Report:
    """Turn the folder of a run into one page that opens without network.

    Example: scbig report runs/first --data prepared.h5ad --pathways reactome.gmt
    """

    run_folder: Annotated[pathlib.Path, tyro.conf.Positional]
    """What 'fit' wrote with --out."""
    data: pathlib.Path | None = None
    """The file that 'fit' read, with the test cells; without it nothing is scored."""
    pathways: pathlib.Path | None = None
    """Gene sets, GMT, by which gene programs are named."""
    out: Annotated[pathlib.Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The page to write; by default report.html in the folder."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file with the log-normalised cells; by default X."""
    cells: int = 200
    """Cells to predict for each tested perturbation, in each context."""
    seed: int = 0
    """Of the draw of control cells."""

    def run(self) -> None:
        """Writes the page."""
        import jax.random as jr

        from scbig import priors
        from scbig.report import Run, write_report

        out = self.run_folder / "report.html" if self.out is None else self.out
        check_writes(out, self.data, self.pathways, suffixes=(".html",))
        found = Run.read(self.run_folder)
        screen = None
        if self.data is not None:
            screen = read_screen(self.data, self.labels, on_disk=False, layer=self.layer)
        library = None if self.pathways is None else priors.read_pathways(self.pathways)
        given = {"screen": screen, "pathways": library, "cells": self.cells}
        path = write_report(found, out, **given, key=jr.key(self.seed))
        print(f"The page is {path}.")
