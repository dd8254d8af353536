"""Table 5: which gene programs move together under a perturbation, predicted and measured.

    python experiments/table5.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table5

The paper's M2 and M30 under CEBPE+ZC3HAV1 have a coactivation of 0.57, positive in all bootstrap
draws, and it does not say what controls have: they stand beside it. The page tells whether the
predicted change from the controls is the measured one.
"""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from tools.benchmark import Benchmark
from tools.pairs import told
from tools.recorded import record
from tools.timing import table
from tools.trained import once, strongest, trained

from scbig import analysis, cli, plotting

KEY = ["context", "condition", "one", "other"]
SIDES = ("predicted", "measured", "decoded")
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
    once(bench.measured)
    record(bench.measured.out, bench, {"model": bench.base})
    found = trained(bench, bench.base, "model")
    partition, names = found.model.pure.partition, strongest(found, bench.conditions)
    sides = {side: getattr(found, side) for side in SIDES}
    tables = {k: analysis.coactivation(side, partition, names) for k, side in sides.items()}
    whole = tables.pop("predicted")
    for side, own in tables.items():
        whole = whole.merge(own, on=KEY, suffixes=("", f", {side}"))
    whole = whole.rename(columns={own: f"{own}, predicted" for own in SHOWN})
    out = bench.measured.out
    whole.to_csv(out / "coactivation.csv", index=False)
    top: Any = whole.sort_values("coactivation, predicted", ascending=False)[: bench.most]
    programs = [f"M{row['one']} and M{row['other']}" for row in top.to_dict("records")]
    shown = [f"{own}, {side}" for side in SIDES for own in ("coactivation", "control", "above")]
    page = top.assign(programs=programs, perturbation=top["condition"])
    pairs = len(whole[["one", "other"]].drop_duplicates())
    said = [f"- {told(whole, side)}." for side in SIDES]
    text = (
        f"{pairs} pairs of programs under {len(names)} unseen conditions; `decoded` are measured "
        "cells through the autoencoder, as predicted ones are.\n\n" + "\n".join(said)
        + f"\n\nThe {len(top)} pairs of strongest predicted coactivation:\n\n"
        + table(page[["programs", "perturbation", *shown]].to_dict("records"))
    )  # fmt: skip
    what = "correlation of two programs over the cells of a condition"
    plotting.save(plotting.dots(drawn(page), xlabel=what), out / "coactivation.png")
    (out / "summary.md").write_text(text)
    print(f"\n{text}")
    return whole


def drawn(page: pd.DataFrame) -> pd.DataFrame:
    """What the figure shows of the page's pairs."""
    names = pd.Index(page["programs"] + ", " + page["perturbation"])
    sides: Any = page[[f"coactivation, {side}" for side in SIDES]].set_axis(names, axis=0)
    named = {"decoded": "measured, through the autoencoder"}
    return sides.set_axis([named.get(side, side) for side in SIDES], axis=1)


if __name__ == "__main__":
    main(cli.parse(Pairs, __doc__))
