"""Cells that something else predicted, as a predictor: a released package, a run of one's own."""

from collections.abc import Sequence
from typing import ClassVar

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

        **Raises:** a ValueError if it is not there, or lacks a test condition or a gene.
        """
        cells = read_h5ad(self.path.format(split=split.hash))
        contexts = () if screen.contexts == ("",) else screen.contexts
        columns = Columns(context="context" if contexts else None)
        read = LabelledCells.of(cells, columns, what="predicted")
        known = {name for own in read.populations.values() for name in own}
        lacking = sorted({*split.test} - known)
        if lacking:
            raise ValueError(f"{self.path} lacks {len(lacking)} conditions: {examples(lacking)}.")
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
        """All predicted cells of the conditions in every context, or the first `cells` of each."""
        parts, places = [], []
        for context, own in self.known.populations.items():
            for label in conditions:
                name = Columns().parse(label).name
                if name in own and name != CONTROL:
                    values = self.known.cells(name, context)[:cells]
                    dense = values.toarray() if sparse.issparse(values) else np.asarray(values)
                    parts.append((label, dense.astype(np.float32)))
                    places += [context] * len(dense)
        named = {} if columns.context is None else {"context": np.array(places)}
        found = population(parts, self.known.genes, obs=named)
        record_columns(found, "context" if named else None)
        return found
