"""Several predictors on the same held-out conditions, under the same metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Float

from scbig._typing import PRNGKeyArray
from scbig.data import PerturbationScreen
from scbig.metrics import evaluate, split_half

from ._emit import Predictor
from ._linear import LinearEmbedding
from ._simple import Additive, Control, PerturbedMean

CEILING = "split-half"


def standard(
    screen: PerturbationScreen, names: Sequence[str], vectors: Float[np.ndarray, "names features"]
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
    **options: Any,
) -> pd.DataFrame:
    """Metrics of every predictor for every condition, with the split-half ceiling beside them.

    **Arguments:**

    - `predictors`: by the name that the table gives them; a trained model is one.
    - `controls`: the cells that each predictor starts from, and the origin of all responses.
    - `observed`: measured cells of the conditions.
    - `key`: the same for every predictor.
    - `options`: further arguments of `scbig.metrics.evaluate`.

    **Returns:** a row for each predictor and condition, the metrics in columns. The last
    predictor, `"split-half"`, is one half of the observed cells against the other.
    """
    tables = {
        name: evaluate(
            predictor.predict(controls, conditions, key=key), observed, control=controls, **options
        )
        for name, predictor in predictors.items()
    }
    tables[CEILING] = split_half(observed, control=controls, conditions=conditions, **options)
    return pd.concat(tables, names=["predictor"])


def averages(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of each metric over conditions, a row for each predictor, in the table's order.

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
