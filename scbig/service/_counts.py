"""Predictions as whole counts, as sparse as measured cells are."""

from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import (
    Columns,
    Condition,
    Library,
    Screen,
    contexts_of,
    control_cells,
    expression_matrix,
    read_csr,
    recorded_columns,
    size_factors,
)
from scbig.sampling import population_key

from ._populations import SOURCE

FACTOR = "size_factor"
"""The column of `obs` with what the counts of a cell are divided by before the log1p."""
COUNTED = "scbig_counts"
"""The entry of `uns` that says that `X` is counts."""
BLOCK = 1024
"""Cells that are dense at a time."""
_ROUNDING = 1e-4
"""Relative distance to a whole count that comes from storing the logarithm as float32."""


def as_counts(
    predicted: ad.AnnData,
    controls: Screen | ad.AnnData,
    columns: Columns = Columns(),
    *,
    key: PRNGKeyArray,
    library: Library | None = None,
    target_sum: float = 10_000.0,
) -> ad.AnnData:
    """The same predicted cells as whole counts, at the library sizes of the controls they were.

    Each value becomes the whole count below or above it, at random: see `rounded_counts`. What was
    not moved keeps its counts, small shifts of zeros become a few ones, and the mean of log1p over
    cells stays as predicted. That holds of any predictor, whether it moves measured cells or
    decodes smooth ones.

    **Arguments:**

    - `predicted`: what any `predict` here returns: log-normalised cells with
        `obs["condition"]` and, in `obs["source"]`, the name of a control.
    - `controls`: those that it was predicted from.
    - `columns`: what the columns of `obs` mean, unless the prediction records it.
    - `key`: of the rounding, with the condition and the context: what else was predicted plays no
        part.
    - `library`: the number of counts of each of `controls` over all genes, a column of `obs` or
        numbers; by default their `layers["counts"]` tell it, or the values, if all of a cell are
        whole multiples of its smallest.
    - `target_sum`: what the counts of a cell were brought to; plays a part with `library` only.

    **Returns:** a new AnnData, `X` a CSR matrix of int32, everything else as it was;
    `obs["size_factor"]` is that of the source: `log1p(X / size_factor)` is on the scale of the
    controls; `uns["scbig_counts"]` says so.

    **Raises:** a ValueError if the sources are not among the controls, or nothing tells how many
    counts they had: see `scbig.data.size_factors`.
    """
    if COUNTED in predicted.uns:
        raise ValueError("These are counts already: uns['scbig_counts'] says so.")
    known = _factors_of_controls(controls, columns, library, target_sum)
    factors = _factors_of_sources(predicted, known)
    logs = read_csr(expression_matrix(predicted, layer=None))
    parts, places = [], []
    for condition, context, rows in _populations(predicted, columns):
        seed = jr.key_data(jr.fold_in(population_key(key, condition, context), 1))
        rng = np.random.default_rng(np.asarray(seed).ravel().tolist())
        for some in (rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)):
            counts = rounded_counts(logs[some].toarray(), factors[some], rng=rng)
            parts.append(sparse.csr_matrix(counts))
            places.append(some)
    stacked: Any = sparse.vstack(parts, format="csr")
    return ad.AnnData(
        stacked[np.argsort(np.concatenate(places))],
        obs=pd.DataFrame(predicted.obs).assign(**{FACTOR: factors}),
        var=pd.DataFrame(predicted.var),
        uns={**predicted.uns, COUNTED: {"rounded": "log1p", "size_factor": FACTOR}},
    )


def check_emit(emit: str, controls: Screen | ad.AnnData, columns: Columns) -> None:
    """Raises unless `emit` is known, and counts of the controls are, where they are asked for."""
    if emit not in ("log1p", "counts"):
        raise ValueError(f"emit must be 'log1p' or 'counts'; got {emit!r}.")
    if emit == "counts":
        _factors_of_controls(controls, columns)


def rounded_counts(
    logs: Float[np.ndarray, "cells genes"],
    factors: Float[np.ndarray, " cells"],
    *,
    rng: np.random.Generator,
) -> Int[np.ndarray, "cells genes"]:
    r"""Whole counts at random, of which the mean of the log1p is the one given.

    A value is $\log(1 + x / f)$ of a count $x$ that need not be whole. Of the whole ones around
    it, $n$ and $n + 1$, the larger is drawn with probability $\log\frac{f + x}{f + n} /
    \log\frac{f + n + 1}{f + n}$. A whole $x$ stays as it is.

    **Arguments:** `logs`, where what is below zero is zero; `factors`, $f$ of each cell.
    """
    size = np.asarray(factors, np.float64)[:, None]
    counts = np.expm1(np.maximum(np.asarray(logs, np.float64), 0.0)) * size
    near = np.rint(counts)
    counts = np.where(np.abs(counts - near) <= _ROUNDING * near, near, counts)
    below = np.floor(counts)
    share = np.log((size + counts) / (size + below)) / np.log1p(1 / (size + below))
    return (below + (rng.random(counts.shape) < share)).astype(np.int32)


def _factors_of_sources(predicted: ad.AnnData, known: pd.Series) -> Float[np.ndarray, " cells"]:
    """The size factor of the control that each predicted cell was."""
    if SOURCE not in predicted.obs:
        raise ValueError(f"obs has no column {SOURCE!r}, which names the control of each cell.")
    sources = pd.Index(predicted.obs[SOURCE].astype(str))
    place = known.index.get_indexer(sources)
    if (place < 0).any():
        missing = dict.fromkeys(map(str, sources[place < 0]))
        raise ValueError(
            f"{len(missing)} cells of obs[{SOURCE!r}] are not among the controls: "
            f"{examples(list(missing))}. Pass those that the prediction was made from."
        )
    return known.to_numpy(np.float64)[place]


def _factors_of_controls(
    controls: Screen | ad.AnnData,
    columns: Columns,
    library: Library | None = None,
    target_sum: float = 10_000.0,
) -> pd.Series:
    """The size factor of each control, by its name."""
    chosen = control_cells(controls, columns)[0]
    names = pd.Index(chosen.obs_names.astype(str))
    if not names.is_unique:
        repeated = dict.fromkeys(map(str, names[names.duplicated()]))
        raise ValueError(
            f"Names of controls repeat: {examples(list(repeated))}. "
            "Call adata.obs_names_make_unique() before predicting."
        )
    if not isinstance(controls, Screen):
        among = np.flatnonzero(pd.Index(controls.obs_names).isin(chosen.obs_names))
        if library is not None and not isinstance(library, str):
            if len(library) != controls.n_obs:
                raise ValueError(f"library has {len(library)} entries for {controls.n_obs} cells.")
            library = np.asarray(library)[among]
        # With all layers and columns, which the chosen cells need not have.
        chosen = controls[among].to_memory() if controls.isbacked else controls[among]
        names = pd.Index(chosen.obs_names.astype(str))
    return pd.Series(size_factors(chosen, library, target_sum=target_sum), index=names)


def _populations(
    predicted: ad.AnnData, columns: Columns
) -> list[tuple[Condition, str, Int[np.ndarray, " _rows"]]]:
    """Each condition, as it is spelt, in each context, and its rows."""
    columns = recorded_columns(predicted, columns)
    contexts, context = contexts_of(predicted, columns.context)
    grouped = pd.DataFrame(
        {"label": predicted.obs[columns.condition].astype(str).to_numpy(), "context": context}
    )
    found: Any = grouped.groupby(["label", "context"]).indices
    return [
        (columns.parse(str(label)), contexts[place], np.asarray(rows))
        for (label, place), rows in found.items()
    ]
