"""Table 5: which gene programs move together under a perturbation, predicted and measured.

    python experiments/table5.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table5

The paper's M2 and M30 under CEBPE+ZC3HAV1 have a coactivation of 0.57, positive in all bootstrap
draws, and it does not say what controls have: they stand beside it. The page tells whether the
predicted change from the controls is the measured one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from tools.benchmark import Benchmark
from tools.timing import table
from tools.trained import strongest, trained

from scbig import analysis, baselines, cli

KEY = ["context", "condition", "one", "other"]
SHOWN = ("coactivation", "control", "positive", "above")


@dataclass(frozen=True, kw_only=True)
class Pairs(Benchmark):
    """A benchmark whose first split is trained on, and what is shown."""

    most: int = 10
    """Pairs of programs in the page, those of strongest predicted coactivation."""
    conditions: int = 8
    """Tested conditions, those of strongest measured effect."""


def main(bench: Pairs) -> pd.DataFrame:
    """Runs the experiment; returns a row for each condition and pair of programs."""
    found = trained(bench, bench.base, "model")
    partition, names = found.model.pure.partition, strongest(found, bench.conditions)
    sides = {"predicted": found.predicted, "measured": found.measured}
    tables = {k: analysis.coactivation(s, partition, names) for k, s in sides.items()}
    whole = tables["predicted"].merge(tables["measured"], on=KEY, suffixes=("", ", measured"))
    out = bench.measured.out
    whole.to_csv(out / "coactivation.csv", index=False)
    agree = [
        spearmanr(
            own["coactivation"] - own["control"],
            own["coactivation, measured"] - own["control, measured"],
        )[0]
        for _, own in whole.groupby("condition")
    ]
    rho = baselines.interval(np.asarray(agree, np.float64))
    top: Any = whole.sort_values("coactivation", ascending=False)[: bench.most]
    rows = [
        {
            "programs": f"M{row['one']} and M{row['other']}", "perturbation": row["condition"],
            **{name: float(row[name]) for name in SHOWN},
            **{f"{name}, measured": float(row[f"{name}, measured"]) for name in SHOWN},
        }
        for row in top.to_dict("records")
    ]  # fmt: skip
    pairs = len(whole) // max(len(names), 1)
    text = (
        f"{pairs} pairs of programs under {len(names)} unseen conditions. Rank correlation of the "
        "predicted and the measured change of coactivation from the controls, within a condition: "
        f"{rho}. Positive in 97.5 % of draws: {_share(whole, 'positive')} of predicted pairs, "
        f"{_share(whole, 'positive, measured')} of measured ones; above the controls in 97.5 %: "
        f"{_share(whole, 'above')} and {_share(whole, 'above, measured')}.\n\n{table(rows)}"
    )
    (out / "summary.md").write_text(text)
    print(f"\n{text}")
    return whole


def _share(whole: pd.DataFrame, column: str) -> str:
    return f"{100 * (whole[column] >= 0.975).mean():.0f} %"


if __name__ == "__main__":
    main(cli.parse(Pairs, __doc__))
