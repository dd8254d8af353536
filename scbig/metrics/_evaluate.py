"""The table of metrics: predicted cells against measured cells, a row for each perturbation."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from scbig.data import Columns, LabelledCells, Screen, check_one_scale

from ._discrimination import Denominator, Distance
from ._ranksum import Correction
from ._scoring import Metric, Scoring
from ._truth import Truth
from ._wanted import wanted_of
from ._weights import Against


def evaluate(
    predicted: Screen | AnnData,
    observed: Screen | AnnData,
    columns: Columns = Columns(),
    *,
    controls: Screen | AnnData | None = None,
    held_controls: Screen | AnnData | None = None,
    reference: Screen | AnnData | None = None,
    components: int = 50,
    top: int = 20,
    pds_denominator: Denominator = "n-1",
    pds_distance: Distance = "l1",
    pds_leave_out: bool = False,
    origin: pd.DataFrame | None = None,
    changed: Correction | None = None,
    weighted: Against | None = None,
    singles: pd.DataFrame | None = None,
    wasserstein: bool = False,
    equal_cells: bool = False,
    unbiased: bool = True,
    max_cells: int | None = 1000,
    seed: int = 0,
    metrics: Mapping[str, Metric] | None = None,
) -> pd.DataFrame:
    """Scores the predicted cells of each perturbation against the measured cells (A.4.4).

    Conditions are unordered sets (`A+B` is `B+A`, `A+ctrl` is `A`) and genes are matched by name.
    Measured controls are the origin of every response; control cells in `predicted` are ignored.
    Each context (a cell line, a stimulation) is evaluated by itself, from its own controls: its
    rows are those that its cells alone would get.

    **Arguments:**

    - `predicted`: predicted cells, log-normalised as `observed` is; any number for a condition.
    - `observed`: measured cells, with at least the conditions of `predicted`. A stored screen is
        read one population at a time.
    - `columns`: what the columns of `obs` mean, of every AnnData here; a screen knows its labels,
        and what `predict` returns records its columns in `uns["scbig_columns"]`.
    - `controls`: a screen or an AnnData, for its controls: of an AnnData without the column of
        conditions, all cells; by default those among `observed`.
    - `held_controls`: other controls, from which the measured responses are then measured, and the
        predicted ones from `controls`, so that no noise is common to both: see `hold_controls`.
        That is so only if the predictor was fitted without them and started from `controls`, which
        no table can check. Metrics of one's own get these.
    - `reference`: cells on which the principal components are fitted, for instance the training
        cells, the same for all contexts; by default the controls and the measured cells of the
        evaluated perturbations, in each context its own.
    - `components`: principal components of the distances of populations.
    - `top`: genes of the `_deg20` columns, by absolute true response.
    - `pds_denominator` and `pds_distance`: see `discrimination_scores`; PDS ranks among the
        evaluated perturbations of a context.
    - `pds_leave_out`: whether PDS leaves out the genes that a condition perturbs.
    - `origin`: a profile for each context from which responses are measured, instead of the mean
        of its controls: see `mean_of_conditions`.
    - `changed`: whether the genes that a rank-sum test calls changed are scored too, and how it is
        corrected for their number: see `changed_scores`. A prediction needs dispersed cells for it.
    - `weighted`: whether there are columns `wmse` and `r2_delta` (`weighted_scores`), and what the
        measured cells of a condition are held against for the weights of its genes, the absolute t
        of Student's test: `"rest"`, the controls and the other evaluated conditions of the context,
        or `"controls"`.
    - `singles`: profiles of single perturbations, `single_profiles(training)`, for columns of
        doubles: what the prediction knows beyond their sum, see `interaction_scores`. NaN where a
        single was not measured, and of what is no double.
    - `wasserstein`: whether there is a column `wasserstein` too, the distance under an entropic
        plan in the same components, its entropy 0.02 of the mean distance. It is above zero for two
        samples of one population, the more so the fewer cells: look at its floor, `equal_cells`.
    - `equal_cells`: distances of `n` predicted cells to `n` measured ones, where `n` is the least
        of the predicted cells, half of the measured ones and `max_cells`; and columns
        `e_distance_floor` and `wasserstein_floor`, of `n` other measured cells to the same ones.
    - `unbiased`: of the energy distance, see `energy_distance`. Without it values from different
        numbers of cells do not compare.
    - `max_cells`: most cells of a population in a distance, drawn at random; None: all.
    - `seed`: of that draw.
    - `metrics`: of one's own, by the name of their column: functions of the predicted cells of a
        population, the measured ones and the controls of its context, each `cells` x `genes`.

    **Returns:** a row for each perturbation, by canonical name, with contexts for each context
    (index level `context`) and perturbation (`condition`); columns `pearson_delta`,
    `pearson_delta_deg20`, `acc`, `acc_deg20`, `l2`, `mse`, `mae`, `pds`, `discr_cos`, `e_distance`
    (the squared energy distance). NaN marks what is undefined: the correlation of a response that
    is zero or constant (a prediction of no change), PDS of one perturbation, the unbiased energy
    distance of one cell.

    **Raises:** a ValueError for genes that differ or repeat, a predicted condition or context that
    was not measured, NaN, a context without controls, no perturbation, expression on another scale
    than log1p or than the other side's; it names them.
    """
    measured = LabelledCells.of(observed, columns, what="observed")
    return scored(
        LabelledCells.of_predicted(predicted, measured, columns),
        measured,
        controls=None if controls is None else LabelledCells.of_controls(controls, columns),
        held=held_of(held_controls, columns),
        reference=reference_of(reference),
        scoring=Scoring(
            components=components,
            top=top,
            pds_denominator=pds_denominator,
            pds_distance=pds_distance,
            pds_leave_out=pds_leave_out,
            origin=origin,
            changed=changed,
            weighted=weighted,
            singles=singles,
            wasserstein=wasserstein,
            equal_cells=equal_cells,
            unbiased=unbiased,
            max_cells=max_cells,
            seed=seed,
            metrics=metrics or {},
        ),
    )


def reference_of(cells: Screen | AnnData | None) -> LabelledCells | None:
    """Reference cells, whose labels do not count."""
    if cells is None:
        return None
    if isinstance(cells, Screen):
        return LabelledCells.of(cells, what="reference")
    return LabelledCells.of_unlabelled(cells, what="reference")


def held_of(cells: Screen | AnnData | None, columns: Columns) -> LabelledCells | None:
    """Controls that no predictor knows, if there are any."""
    return None if cells is None else LabelledCells.of_controls(cells, columns, what="held control")


def scored(
    predicted: LabelledCells,
    observed: LabelledCells,
    *,
    controls: LabelledCells | None = None,
    held: LabelledCells | None = None,
    reference: LabelledCells | None = None,
    scoring: Scoring,
) -> pd.DataFrame:
    """`evaluate`, of cells whose labels have been read."""
    predicted = predicted.ordered(observed.genes, what="predicted")
    wanted = wanted_of(predicted)
    beside: Any = {"controls": controls, "held": held, "reference": reference}
    truth = Truth.of(observed, wanted, **beside, scoring=scoring)
    means: list[float] = []

    def populations() -> Iterator[tuple[str, str, Any]]:
        for context, names in wanted.items():
            for name in names:
                cells = predicted.cells(name, context)
                means.append(float(cells.mean(dtype=np.float64)))
                yield context, name, cells

    table = truth.table(populations())
    measured = float(np.mean([mean.mean() for mean in truth.means.values()]))
    found = float(np.mean(means))
    # Where few genes were measured they may all respond, and a prediction of no change is one.
    nearest = min(max(found, min(measured, truth.level)), max(measured, truth.level))
    check_one_scale(found, nearest, what="predicted", other="observed")
    return table


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, median and count of each metric over perturbations.

    **Arguments:**

    - `table`: what `evaluate` returns. With contexts, each (context, perturbation) weighs the same.

    **Returns:** a row for each metric. NaN entries are skipped, and `count` says how many were not;
    the standard deviation is that of a sample (`count - 1`).
    """
    defined = {metric: table[metric].dropna() for metric in table}
    rows = [
        {
            "mean": values.mean(),
            "std": values.std(),
            "median": values.median() if len(values) else np.nan,  # pandas warns of an empty one
            "count": len(values),
        }
        for values in defined.values()
    ]
    return pd.DataFrame(rows, index=pd.Index([*defined], name="metric"))
