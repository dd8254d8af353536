"""The table of metrics: predicted cells against measured cells, a row for each perturbation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float
from scipy import sparse

from ._aligned import (
    Cells,
    Matrix,
    Spelling,
    aligned_matrix,
    check_control_label,
    finite_rows,
    gene_names,
    mean_profile,
    read_cells,
)
from ._by_context import by_context, control_cells, matched_conditions
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
    context_key: str | Sequence[str] | None = None,
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
    With `context_key`, each context (a cell line, a stimulation) is evaluated by itself, from its
    own controls: its rows are those that its cells alone would get.

    **Arguments:**

    - `predicted`: predicted cells, log-normalised as `observed` is; any number for a condition.
    - `observed`: measured cells, with at least the conditions of `predicted`.
    - `control`: the label of the control cells in `observed`, or the control cells themselves.
    - `condition_key`: column of `obs` with the conditions, in `predicted` and `observed`.
    - `context_key`: column of `obs` with the contexts, in `predicted`, `observed` and a `control`
        of cells, or several, whose values are joined as `A549|IL6`; without it there are no
        contexts.
    - `reference`: cells on which the principal components are fitted, for instance the training
        cells, the same for all contexts; by default the controls and the measured cells of the
        evaluated perturbations, in each context its own.
    - `components`: principal components of the energy distance.
    - `top`: genes of the `_deg20` columns, by absolute true response.
    - `separator`: what stands between the perturbations of one condition.
    - `pds_denominator`: see `discrimination_scores`; PDS ranks among the evaluated perturbations
        of a context.
    - `unbiased`: of the energy distance, see `energy_distance`; needed, or an equal `max_cells`, to
        compare values from different numbers of cells.
    - `max_cells`: most cells of a population in an energy distance, drawn at random; None: all.
    - `seed`: of that draw.

    **Returns:** a row for each perturbation, by canonical name, with `context_key` for each context
    (index level `context`) and perturbation (`condition`); columns `pearson_delta`,
    `pearson_delta_deg20`, `acc`, `acc_deg20`, `l2`, `mse`, `mae`, `pds`, `discr_cos`, `e_distance`
    (the squared energy distance). NaN marks what is undefined: the correlation of a response that
    is zero or constant (a prediction of no change), PDS of one perturbation.

    **Raises:** a ValueError for genes that differ or repeat, a predicted condition or context that
    was not measured, NaN, no cell labelled `control`, a context without controls, no perturbation;
    it names them.
    """
    if min(components, top) < 1 or (max_cells is not None and max_cells < 1):
        raise ValueError(
            "components, top and max_cells must be positive: got "
            f"components={components}, top={top}, max_cells={max_cells}."
        )
    spelling = Spelling.of(control, separator)
    genes = gene_names(observed, "observed")
    guesses, truths = (
        by_context(
            read_cells(adata, genes, condition_key, what, spelling), adata, context_key, what
        )
        for adata, what in ((predicted, "predicted"), (observed, "observed"))
    )
    conditions = matched_conditions(guesses, truths)
    if isinstance(control, str):
        check_control_label(observed, condition_key, control, spelling)
    origins = control_cells(control, truths, [*conditions], genes, context_key)
    basis = None if reference is None else aligned_matrix(reference, genes, "reference")
    if basis is not None and not finite_rows(basis).all():
        raise ValueError("NaN or infinite expression in the reference cells.")
    projection = None if basis is None else fit_projection(basis, components)
    tables = {}
    for context, names in conditions.items():
        comparison = _Comparison(guesses[context], truths[context], origins[context], names)
        table = comparison.responses(top)
        table["pds"] = comparison.discrimination(pds_denominator)
        table["e_distance"] = comparison.energies(
            projection or fit_projection(comparison.measured(), components),
            unbiased,
            max_cells,
            np.random.default_rng(seed),
        )
        tables[context] = table.loc[:, list(COLUMNS)]
    return tables[None] if context_key is None else pd.concat(tables, names=["context"])


@dataclass(frozen=True, eq=False)
class _Comparison:
    predicted: Cells
    observed: Cells
    controls: Matrix
    conditions: list[str]

    def measured(self) -> Matrix:
        return _stack([self.controls, *(self.observed.of(name) for name in self.conditions)])

    def responses(self, top: int) -> pd.DataFrame:
        origin = mean_profile(self.controls)
        rows = [
            response_scores(self.predicted.mean(name), self.observed.mean(name), origin, top=top)
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
