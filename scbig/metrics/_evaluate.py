"""The table of metrics: predicted cells against measured cells, a row for each perturbation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float
from scipy import sparse

from ._cells import (
    Cells,
    Matrix,
    Spelling,
    aligned_matrix,
    check_control_label,
    condition_rows,
    finite_rows,
    gene_names,
    mean_profile,
    read_cells,
    shortlist,
)
from ._distribution import Projection, discrimination_scores, energy_distance, fit_projection
from ._response import response_scores

COLUMNS = (
    "pearson_delta",
    "pearson_delta_deg20",
    "acc",
    "acc_deg20",
    "l2",
    "mse",
    "mae",
    "pds",
    "discr_cos",
    "e_distance",
)


def evaluate(
    predicted: AnnData,
    observed: AnnData,
    *,
    control: str | AnnData,
    condition_key: str = "condition",
    reference: AnnData | None = None,
    components: int = 50,
    top: int = 20,
    separator: str = "+",
    pds_denominator: Literal["n-1", "n"] = "n-1",
    unbiased: bool = False,
    max_cells: int | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores the predicted cells of each perturbation against the measured cells (A.4.4).

    Conditions are unordered sets (`A+B` is `B+A`, `A+ctrl` is `A`) and genes are matched by name.
    Measured controls are the origin of every response; control cells in `predicted` are ignored.

    **Arguments:**

    - `predicted`: predicted cells, log-normalised as `observed` is; any number for a condition.
    - `observed`: measured cells, with at least the conditions of `predicted`.
    - `control`: the label of the control cells in `observed`, or the control cells themselves.
    - `condition_key`: column of `obs` with the conditions, in `predicted` and `observed`.
    - `reference`: cells on which the principal components are fitted, for instance the training
        cells; by default the controls and the measured cells of the evaluated perturbations.
    - `components`: principal components of the energy distance.
    - `top`: genes of the `_deg20` columns, by absolute true response.
    - `separator`: what stands between the perturbations of one condition.
    - `pds_denominator`: see `discrimination_scores`; PDS ranks among the evaluated perturbations.
    - `unbiased`: of the energy distance, see `energy_distance`; needed, or an equal `max_cells`, to
        compare values from different numbers of cells.
    - `max_cells`: most cells of a population in an energy distance, drawn at random; None: all.
    - `seed`: of that draw.

    **Returns:** a row for each perturbation, by canonical name; columns `pearson_delta`,
    `pearson_delta_deg20`, `acc`, `acc_deg20`, `l2`, `mse`, `mae`, `pds`, `discr_cos`, `e_distance`
    (the squared energy distance). NaN marks what is undefined: the correlation of a response that
    is zero or constant (a prediction of no change), PDS of one perturbation.

    **Raises:** a ValueError for genes that differ or repeat, a predicted condition that was not
    measured, NaN, no cell labelled `control`, no perturbation; it names them.
    """
    if min(components, top) < 1 or (max_cells is not None and max_cells < 1):
        raise ValueError(
            "components, top and max_cells must be positive: got "
            f"components={components}, top={top}, max_cells={max_cells}."
        )
    spelling = Spelling.of(control, separator)
    genes = gene_names(observed, "observed")
    guess = read_cells(predicted, genes, condition_key, "predicted", spelling)
    truth = read_cells(observed, genes, condition_key, "observed", spelling)
    conditions = _shared_conditions(guess, truth)
    if isinstance(control, str):
        check_control_label(observed, condition_key, control, spelling)
    origin = _control_values(control, truth, genes)
    basis = (
        _stack([origin, *(truth.of(name) for name in conditions)])
        if reference is None
        else aligned_matrix(reference, genes, "reference")
    )
    if not finite_rows(basis).all():
        raise ValueError("NaN or infinite expression in the reference cells.")
    comparison = _Comparison(guess, truth, mean_profile(origin), conditions)
    table = comparison.responses(top)
    table["pds"] = comparison.discrimination(pds_denominator)
    projection = fit_projection(basis, components)
    table["e_distance"] = comparison.energies(
        projection, unbiased, max_cells, np.random.default_rng(seed)
    )
    return table.loc[:, list(COLUMNS)]


@dataclass(frozen=True, eq=False)
class _Comparison:
    predicted: Cells
    observed: Cells
    control_mean: Float[np.ndarray, " genes"]
    conditions: list[str]

    def responses(self, top: int) -> pd.DataFrame:
        rows = [
            response_scores(
                self.predicted.mean(name), self.observed.mean(name), self.control_mean, top=top
            )
            for name in self.conditions
        ]
        return pd.DataFrame(rows, index=pd.Index(self.conditions, name="condition"))

    def discrimination(
        self, denominator: Literal["n-1", "n"]
    ) -> Float[np.ndarray, " perturbations"]:
        means = [
            np.stack([cells.mean(name) for name in self.conditions])
            for cells in (self.predicted, self.observed)
        ]
        return discrimination_scores(*means, denominator=denominator)

    def energies(
        self,
        projection: Projection,
        unbiased: bool,
        max_cells: int | None,
        rng: np.random.Generator,
    ) -> list[float]:
        return [
            energy_distance(
                projection(_subsample(self.predicted.of(name), max_cells, rng)),
                projection(_subsample(self.observed.of(name), max_cells, rng)),
                unbiased=unbiased,
            )
            for name in self.conditions
        ]


def _shared_conditions(predicted: Cells, observed: Cells) -> list[str]:
    conditions = [name for name in predicted.rows if name != "control"]
    if not conditions:
        raise ValueError("The predicted cells have no perturbation to evaluate, only controls.")
    unmeasured = [name for name in conditions if name not in observed.rows]
    if unmeasured:
        raise ValueError(
            f"Predicted conditions that are not among the observed cells: {shortlist(unmeasured)}. "
            "Drop them from the predictions, or check condition_key and separator."
        )
    return conditions


def _control_values(control: str | AnnData, observed: Cells, genes: list[str]) -> Matrix:
    if isinstance(control, AnnData):
        values = aligned_matrix(control, genes, "control")
        if not finite_rows(values).all():
            raise ValueError("NaN or infinite expression in the control cells.")
    else:
        values = observed.of("control")
    if values.shape[0] == 0:
        raise ValueError("There are no control cells: the AnnData given as control is empty.")
    return values


def _stack(parts: list[Matrix]) -> Matrix:
    if any(sparse.issparse(part) for part in parts):
        return sparse.csr_matrix(sparse.vstack([sparse.csr_matrix(part) for part in parts]))
    return np.concatenate(parts)


def _subsample(values: Matrix, most: int | None, rng: np.random.Generator) -> Matrix:
    if most is None or values.shape[0] <= most:
        return values
    return values[np.sort(rng.choice(values.shape[0], most, replace=False))]


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation, median and count of each metric over perturbations.

    **Arguments:**

    - `table`: what `evaluate` returns.

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


def split_half(
    observed: AnnData,
    *,
    control: str | AnnData,
    condition_key: str = "condition",
    conditions: Sequence[str] | None = None,
    separator: str = "+",
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """The ceiling: one random half of each perturbation's cells as a prediction of the other half.

    No model can be expected to do better than a replicate of the measurement. A half has half of
    the cells, so this ceiling is a little lower than that of all cells; its `e_distance` compares
    with a model's only if both are `unbiased` or have an equal `max_cells`.

    **Arguments:**

    - `observed`: measured cells.
    - `control`: as for `evaluate`; the same controls are the origin of both halves.
    - `condition_key`: column of `obs` with the conditions.
    - `conditions`: the perturbations to evaluate, in any spelling; by default all of them.
    - `separator`: what stands between the perturbations of one condition.
    - `seed`: of the split.
    - `options`: further arguments of `evaluate`.

    **Raises:** a ValueError for a perturbation with fewer than 4 cells, or one that was not
    measured.
    """
    spelling = Spelling.of(control, separator)
    rows = condition_rows(observed, condition_key, "observed", spelling)
    wanted = sorted(
        {spelling.canonical(c) for c in (rows if conditions is None else conditions)} - {"control"}
    )
    small = [name for name in wanted if len(rows.get(name, ())) < 4]
    if small:
        raise ValueError(
            f"Perturbations with fewer than 4 cells cannot be split: {shortlist(small)}."
        )
    if not wanted:
        raise ValueError("The observed cells have no perturbation to split, only controls.")
    rng = np.random.default_rng(seed)
    first, second = [], [rows.get("control", np.zeros(0, int))]
    for name in wanted:
        order = rng.permutation(rows[name])
        first.append(order[: len(order) // 2])
        second.append(order[len(order) // 2 :])
    halves = [observed[np.sort(np.concatenate(part))] for part in (first, second)]
    return evaluate(
        *halves,
        control=control,
        condition_key=condition_key,
        separator=separator,
        seed=seed,
        **options,
    )
