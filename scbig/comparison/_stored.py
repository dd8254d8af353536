"""Cells that something else predicted, as a predictor: a released package, a run of one's own."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
from anndata import AnnData
from scipy import sparse

from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.baselines import AbstractRecipe, Predictor
from scbig.data import (
    CONTROL,
    Columns,
    LabelledCells,
    Screen,
    population,
    read_h5ad,
    record_columns,
)
from scbig.metrics import named
from scbig.splits import Split
from scbig.train import Priors


class StoredPredictions(AbstractRecipe):
    """Reads predicted cells from an h5ad file of each split.

    What they were trained on cannot be told from them: only an adapter that trains can refuse a
    leak.

    **Fields:** `path`, of the file, with `{split}` where the split's hash stands.
    """

    path: str
    draws: ClassVar[bool] = False

    def files(self, split: Split) -> tuple[pathlib.Path, ...]:
        """The file of the split."""
        return (pathlib.Path(self.path.format(split=split.hash)),)

    def cost(self, split: Split) -> dict[str, float]:
        """What the file says that its cells cost, as `experiments/peers` writes it.

        Of a file that says nothing all is NaN: to read it costs nothing that a table is about.
        """
        (path,) = self.files(split)
        try:
            told: Any = json.loads(read_h5ad(path).uns["peer"])
            seconds, memory = told["seconds"], float(told["peak_memory_gb"])
            spent = float(seconds["train"]), float(seconds["predict"])
        except (KeyError, TypeError, ValueError):
            spent, memory = (np.nan, np.nan), np.nan  # nothing of the kind, or the user's own
        return {"fit_seconds": spent[0], "predict_seconds": spent[1], "megabytes": 1024 * memory}

    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """Reads the file.

        **Raises:** a FileNotFoundError without it; a ValueError if it lacks a gene, or a test
            condition in a context in which it was measured, has NaN or another scale than log1p.
        """
        (path,) = self.files(split)
        cells = read_h5ad(path)
        contexts = () if screen.contexts == ("",) else screen.contexts
        columns = Columns(context="context" if contexts else None)
        read = LabelledCells.of(cells, columns, what="predicted")
        known = {name for own in read.populations.values() for name in own}
        lacking = sorted({*split.test} - known)
        if not lacking and contexts:
            tested = LabelledCells.of(split.cells(screen, "test"), what="observed").populations
            pairs = [(c, n) for c in split.test_contexts or contexts for n in tested[c]]
            own = read.populations
            lacking = [named(n, c) for c, n in pairs if n in split.test and n not in own.get(c, ())]
        if lacking:
            raise ValueError(f"{path} lacks {len(lacking)} conditions: {examples(lacking)}.")
        return Stored(read.ordered(screen.genes, what="predicted"))


class Stored(eqx.Module):
    """Predicted cells of some conditions, which do not depend on what they are asked to start from.

    **Fields:** `known`, the cells with their labels.
    """

    known: LabelledCells

    def predict(
        self,
        controls: AnnData,
        conditions: Sequence[str],
        *,
        columns: Columns = Columns(),
        key: PRNGKeyArray,
        cells: int | None = None,
    ) -> AnnData:
        """Predicted cells of each condition in the controls' contexts: all, or `cells` of them.

        Those are spread evenly over the file, which may be in some order.
        """
        parts, places = [], []
        asked = None if columns.context is None else {*controls.obs[columns.context].astype(str)}
        for context, own in self.known.populations.items():
            if asked is not None and context not in asked:
                continue
            for label in conditions:
                name = Columns().parse(label).name
                if name in own and name != CONTROL:
                    values = self.known.cells(name, context)
                    most = values.shape[0] if cells is None else min(cells, values.shape[0])
                    values = values[np.arange(most) * values.shape[0] // max(most, 1)]
                    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
                    parts.append((label, dense.astype(np.float32)))
                    places += [context] * len(dense)
        named = {} if columns.context is None else {"context": np.array(places)}
        found = population(parts, self.known.genes, obs=named)
        record_columns(found, "context" if named else None)
        return found
