"""Several predictors on the same held-out conditions, under the same metrics."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from scbig._typing import PRNGKeyArray
from scbig.data import Screen, context_rows
from scbig.metrics import evaluate, split_half

from ._emit import Predictor
from ._linear import LinearEmbedding
from ._simple import Additive, Control, PerturbedMean

CEILING = "split-half"


def standard(
    screen: Screen, names: Sequence[str], vectors: Float[np.ndarray, "names features"]
) -> dict[str, Predictor]:
    """The closed-form predictors that every comparison has, fitted to training cells.

    **Arguments:** `names` and `vectors`, embeddings of the perturbations, for the linear one.
    """
    return {
        "control": Control.fit(screen),
        "perturbed mean": PerturbedMean.fit(screen),
        "linear": LinearEmbedding.fit(screen, names, vectors),
        "additive": Additive.fit(screen),
    }


def compare(
    predictors: Mapping[str, Predictor],
    controls: AnnData,
    observed: AnnData,
    conditions: Sequence[str],
    *,
    key: PRNGKeyArray,
    context_key: str | Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Metrics of every predictor for every condition, with the split-half ceiling beside them.

    **Arguments:**

    - `predictors`: by the name that the table gives them; a trained model is one.
    - `controls`: the cells that each predictor starts from, and the origin of all responses.
    - `observed`: measured cells of the conditions.
    - `key`: the same for every predictor.
    - `context_key`: column of `obs` with the contexts, or several, in `controls` and `observed`:
        every condition is predicted in each context of the controls, from its own, and compared
        with what was measured there. Measured cells of other contexts play no part.
    - `options`: further arguments of `scbig.metrics.evaluate`.

    **Returns:** a row for each predictor and condition, with `context_key` for each predictor,
    context and condition; the metrics in columns. The last predictor, `"split-half"`, is one half
    of the observed cells against the other.

    **Raises:** a ValueError for a condition that was not measured in one of the contexts; it names
    them. Leave the condition out, or compare those contexts in a call of their own.
    """
    # A predictor that knows of no contexts can still be compared where there are none.
    placed = {}
    if context_key is not None:
        placed = {"context_key": context_key}
        observed = _in_contexts(observed, context_rows(controls, context_key), context_key)
    # The ceiling comes first: bad arguments are found before a slow model predicts.
    ceiling = split_half(observed, control=controls, conditions=conditions, **placed, **options)
    tables = {
        name: evaluate(
            predictor.predict(controls, conditions, key=key, **placed),
            observed,
            control=controls,
            **placed,
            **options,
        )
        for name, predictor in predictors.items()
    }
    return pd.concat({**tables, CEILING: ceiling}, names=["predictor"])


def _in_contexts(
    observed: AnnData, contexts: Iterable[str], context_key: str | Sequence[str]
) -> AnnData:
    own = context_rows(observed, context_key)
    chosen = [own[context] for context in contexts if context in own]
    return observed[np.sort(np.concatenate([np.zeros(0, int), *chosen]))]


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each metric over conditions, a row for each predictor, in the table's order.

    With contexts, each (context, condition) weighs the same.
    A metric that is undefined for some of a predictor's conditions is undefined on average.
    """
    rows = {name: part.mean(skipna=False) for name, part in _parts(table).items()}
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
