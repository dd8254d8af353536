"""`scbig predict`: the cells that perturbations make of control cells."""

import pathlib
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from ._options import CELLS, Labels, check_writes, read_screen


@dataclass(frozen=True, kw_only=True)
class Predict:
    """Predict the cells of perturbations, from the control cells of a file.

    Example: scbig predict --model runs/first/model.scbig --data prepared.h5ad
    --conditions KLF1+MAP2K6 CEBPE --out predicted.h5ad
    """

    model: pathlib.Path
    """What 'fit' wrote: model.scbig."""
    data: pathlib.Path
    """Log-normalised cells with controls among them, as 'prepare' writes them."""
    conditions: tuple[str, ...] = ()
    """The perturbations: A, A+B, drug@dose, spelled as in the file."""
    split: pathlib.Path | None = None
    """A split (JSON), whose test conditions are predicted, besides those named."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The h5ad file to write."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file with the log-normalised cells; by default X."""
    cells: int = 256
    """Cells to predict for each perturbation, in each context."""
    emit: Literal["log1p", "counts"] = "log1p"
    """Log-normalised cells, or whole counts at the library sizes of the controls."""
    seed: int = 0
    """Of the draw of control cells, and of the rounding to counts."""

    def run(self) -> None:
        """Predicts and writes the file."""
        import anndata as ad
        import jax.random as jr
        import pandas as pd
        from rich.progress import track

        from scbig._files import atomic
        from scbig.data import Columns, record_columns, write_store
        from scbig.service import COUNTED, load
        from scbig.splits import Split

        check_writes(self.out, self.model, self.data, self.split, suffixes=CELLS)
        split = None if self.split is None else Split.read(self.split)
        # By canonical name: a condition that is spelt in two ways is predicted once.
        parsed = [self.labels.columns.parse(label).name for label in self.conditions]
        wanted = list(dict.fromkeys([*parsed, *(() if split is None else split.test)]))
        if not wanted:
            raise ValueError("Nothing to predict: give --conditions or --split.")
        model = load(self.model)
        model.names.readable(wanted, model.config.max_tokens)  # the last of them too, and now
        screen = read_screen(self.data, self.labels, on_disk=True, layer=self.layer)
        controls = screen.select([]).to_anndata()
        context_key = None if screen.contexts == ("",) else "context"
        if split is not None and split.test_contexts:
            if context_key is None:
                raise ValueError("The split tests some contexts only: name their --context-key.")
            controls = controls[controls.obs["context"].isin(split.test_contexts)].copy()
        options = {
            "cells": self.cells,
            "columns": Columns(context=context_key),
            "emit": self.emit,
        }
        parts = [
            model.predict(controls, some, key=jr.key(self.seed), extra="ignore", **options)
            for some in track([wanted[i : i + 32] for i in range(0, len(wanted), 32)], "predicting")
        ]
        predicted = ad.concat(parts, index_unique="-")
        # Joining parts drops what is beside their cells.
        record_columns(predicted, context_key)
        if self.emit == "counts":
            predicted.uns[COUNTED] = parts[0].uns[COUNTED]
        predicted.uns["transport"] = pd.concat([part.uns["transport"] for part in parts])
        with atomic(self.out) as temporary:
            write_store(temporary, predicted)
        print(f"{predicted.n_obs} cells of {len(wanted)} conditions are in {self.out}.")
