"""Several predictors on the same held-out conditions, under the same metrics."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from anndata import AnnData

from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import CONTROL, Columns, LabelledCells, Screen, control_cells
from scbig.metrics import Scoring, Truth, few_controls, held_of, named, reference_of
from scbig.priors import EmbeddingTable

from ._anchors import by_condition
from ._ceilings import RoundTrip, ceilings
from ._emit import Predictor
from ._linear import LinearEmbedding
from ._mixed import MixedResponses
from ._moved import MovedControls
from ._residual import ResidualTransfer
from ._scaled import ScaledAdditive
from ._simple import Additive, Control, PerturbedMean
from ._uncertainty import CONDITIONS

MOST_BYTES = 2**30
"""Predicted expression of one predictor that is held at once, unless one condition needs more."""


def standard(screen: Screen, table: EmbeddingTable) -> dict[str, Predictor]:
    """The closed-form predictors that every comparison has, fitted to training cells.

    **Arguments:** `table`, embeddings of the perturbations, for the linear one.
    """
    return {
        "control": Control.fit(screen),
        "perturbed mean": PerturbedMean.fit(screen),
        "linear": LinearEmbedding.fit(screen, table),
        "additive": Additive.fit(screen),
        "additive x slope": ScaledAdditive.fit(screen),
        "residual transfer": ResidualTransfer.fit(screen),
        "mixed effects": MixedResponses.fit(screen),
        "anchor": MovedControls.fit(screen),
    }


def compare(
    predictors: Mapping[str, Predictor],
    controls: Screen | AnnData,
    observed: Screen | AnnData,
    conditions: Sequence[str],
    columns: Columns = Columns(),
    *,
    key: PRNGKeyArray,
    cells: int | None = None,
    held_controls: Screen | AnnData | None = None,
    reference: Screen | AnnData | None = None,
    round_trip: RoundTrip | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Metrics of every predictor for every condition, with the split-half ceiling beside them.

    Every condition is predicted in each context of the controls, from its own, and compared with
    what was measured there. A predictor is asked for some conditions at a time, so that its cells
    need never all be in memory.

    **Arguments:**

    - `predictors`: by the name that the table gives them; a trained model is one.
    - `controls`: the cells that each predictor starts from, and the origin of all responses: a
        screen or an AnnData, for its controls: of an AnnData without the column of conditions, all
        cells.
    - `observed`: measured cells of the conditions; those of other contexts play no part.
    - `conditions`: labels such as `"A+B"`, spelled as `columns` says.
    - `columns`: what the columns of `obs` mean, in an AnnData.
    - `key`: the same for every predictor, so that those of this library and a trained model start
        from the same control cells.
    - `cells`: cells that are predicted for each condition in each context; by default one for each
        control cell.
    - `held_controls`: other controls, of the same contexts, from which measured responses are then
        measured, so that predictions share no noise with them: `scbig.metrics.hold_controls`. The
        predictors must have been fitted without them.
    - `reference`: as for `scbig.metrics.evaluate`.
    - `round_trip`: of a model's autoencoder, `TrainedModel.round_trip`, for a row with what its
        latents can keep of a measurement.
    - `options`: further arguments of `scbig.metrics.evaluate`.

    **Returns:** a row for each predictor and condition, with contexts for each predictor, context
    and condition; the metrics in columns. The last predictor, `"split-half"`, is one half of the
    observed cells against the other; before it, with `round_trip`, `"autoencoder ceiling"` is the
    first of these halves, encoded and decoded, against the same other one.

    It warns of contexts with fewer than 300 controls; `scbig.metrics.support` counts cells too.

    **Raises:** a ValueError for a condition that was not measured in one of the contexts; it names
    them. Leave the condition out, or compare those contexts in a call of their own. Also for a
    round trip whose cells are not those it was given, or not finite.
    """
    scoring = Scoring(**{**options, "metrics": options.get("metrics") or {}})
    basis = reference_of(reference)
    origins = LabelledCells.of_controls(controls, columns)
    measured = LabelledCells.of(observed, columns, what="observed")
    if len(conditions) == 0 or isinstance(conditions, str):
        raise ValueError(f"A list of condition labels is needed: got {conditions!r}.")
    names = sorted({columns.parse(label).name for label in conditions} - {CONTROL})
    if not names or (cells is not None and cells < 1):
        raise ValueError(
            f"Nothing to compare: {examples(conditions)} with cells={cells}. A perturbed condition "
            "and at least one cell are needed."
        )
    wanted = dict.fromkeys(origins.populations, names)
    held = held_of(held_controls, columns)
    chosen: Any = {"controls": origins, "held": held, "reference": basis, "scoring": scoring}
    # The ceilings and the truth come first: bad arguments are found before a slow model predicts.
    truth = Truth.of(measured, wanted, **chosen)
    few = few_controls(truth.held, wanted)
    if few:
        warnings.warn(few, stacklevel=2)
    beside = ceilings(measured, wanted, round_trip=round_trip, **chosen)
    # A screen has read its columns, whatever those of the other cells are.
    known = Columns() if isinstance(controls, Screen) else columns
    start, context_key = control_cells(controls, known)
    asked = _Asked(start, Columns(context=context_key), wanted, measured.genes, cells, key)
    tables = {name: truth.table(asked.populations(p, name)) for name, p in predictors.items()}
    return pd.concat({**tables, **beside}, names=["predictor"])


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is asked of every predictor."""

    controls: AnnData
    columns: Columns
    wanted: dict[str, list[str]]
    genes: tuple[str, ...]
    cells: int | None
    key: PRNGKeyArray

    def populations(self, predictor: Predictor, title: str) -> Iterator[tuple[str, str, Any]]:
        """Each predicted population with its context and condition, some conditions at a time."""
        # A predictor that knows of no contexts, or of no number of cells, can still be compared
        # where there are none.
        options: dict[str, Any] = {"columns": self.columns, "cells": self.cells}
        usual = {"columns": Columns(), "cells": None}
        options = {name: value for name, value in options.items() if value != usual[name]}
        names = next(iter(self.wanted.values()))
        for start in range(0, len(names), self.at_once):
            part = names[start : start + self.at_once]
            predicted = predictor.predict(self.controls, part, key=self.key, **options)
            yield from self._read(predicted, part, title)

    @property
    def at_once(self) -> int:
        """How many conditions are predicted at once: as many as fit into `MOST_BYTES`."""
        every = self.controls.n_obs if self.cells is None else self.cells * len(self.wanted)
        return max(1, MOST_BYTES // (4 * every * len(self.genes)))

    def _read(
        self, predicted: AnnData, names: Sequence[str], title: str
    ) -> Iterator[tuple[str, str, Any]]:
        what = f"predicted ({title})"
        found = LabelledCells.of(predicted, self.columns, what=what)
        found = found.ordered(self.genes, what=what)
        pairs = [(context, name) for context in self.wanted for name in names]
        lacking = [named(n, c) for c, n in pairs if n not in found.populations.get(c, ())]
        if lacking:
            raise ValueError(
                f"The predictor {title!r} left out {len(lacking)} of the populations it was asked "
                f"for: {examples(lacking)}."
            )
        for context, name in pairs:
            yield context, name, found.cells(name, context)


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each metric over conditions, a row for each predictor, in the table's order.

    With contexts, each (context, condition) weighs the same. Conditions in which a metric is
    undefined for every predictor are left out of all its means; one that is undefined for a
    predictor in another condition is undefined on average, as its mean would be of other
    conditions than those beside it.
    """
    kept = {metric: by_condition(table, metric, CONDITIONS).index for metric in table}
    rows = {}
    for name, part in _parts(table).items():
        others = [level for level in part.index.names if level not in CONDITIONS]
        of = part.index.droplevel(others)
        own = {metric: of.isin(index) for metric, index in kept.items()}
        rows[name] = {metric: part.loc[own[metric], metric].mean(skipna=False) for metric in own}
    return pd.DataFrame(rows).T.rename_axis("predictor")


def margins(table: pd.DataFrame, predictor: str, metric: str = "pearson_delta") -> pd.DataFrame:
    """By how much one predictor is ahead of each other one, paired by condition.

    **Returns:** for each other predictor the mean difference of the metric, and the number of
    conditions in which `predictor` is ahead, of all in which both are defined.
    """
    parts = _parts(table)
    rows = {}
    for other in parts:
        if other != predictor:
            ahead = (parts[predictor][metric] - parts[other][metric]).dropna()
            rows[other] = {
                "mean": ahead.mean(),
                "ahead": int((ahead > 0).sum()),
                "conditions": len(ahead),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("predictor")


def _parts(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    names = dict.fromkeys(table.index.get_level_values("predictor"))
    return {str(name): table.xs(name, level="predictor") for name in names}
