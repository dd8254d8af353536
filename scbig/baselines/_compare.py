"""Several predictors on the same held-out conditions, under the same metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from anndata import AnnData

from scbig._typing import PRNGKeyArray
from scbig.metrics import evaluate, split_half

from ._emit import Predictor

CEILING = "split-half"


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
    return table.groupby("predictor", sort=False).agg(lambda column: column.mean(skipna=False))


def margins(table: pd.DataFrame, predictor: str, metric: str = "pearson_delta") -> pd.DataFrame:
    """By how much one predictor is ahead of each other one, paired by condition.

    **Returns:** for each other predictor the mean difference of the metric, and the number of
    conditions in which `predictor` is ahead, of all in which both are defined.
    """
    wide = table[metric].unstack("predictor")[list(dict.fromkeys(table.index.get_level_values(0)))]
    ahead = wide[[predictor]].to_numpy() - wide.drop(columns=predictor)
    return pd.DataFrame(
        {"mean": ahead.mean(), "ahead": (ahead > 0).sum(), "conditions": ahead.notna().sum()}
    )
