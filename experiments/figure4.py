"""Figure 4: which gene programs the encoder attends to more under a perturbation.

    python experiments/figure4.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/figure4

In measured cells of unseen conditions, those of strongest effect or `--conditions`, and in the
predicted ones. The largest shift of the paper is 29 %, of one program under NOL8 in RPE1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from tools.benchmark import Benchmark
from tools.recorded import record
from tools.trained import once, strongest, trained

from scbig import analysis, baselines, cli, plotting

KEY = ["context", "condition", "program"]


@dataclass(frozen=True, kw_only=True)
class Attention(Benchmark):
    """A benchmark whose first split is trained on, and what is shown."""

    conditions: tuple[str, ...] = ()
    """Tested conditions; by default four of strongest measured effect."""


def main(bench: Attention) -> pd.DataFrame:
    """Runs the experiment; returns a row for each condition and program."""
    once(bench.measured)
    record(bench.measured.out, bench, {"model": bench.base})
    found = trained(bench, bench.base, "model")
    names = bench.conditions or tuple(strongest(found, 4))
    sides = {"predicted": found.predicted, "measured": found.measured}
    tables = {k: analysis.attention_shift(found.model, s, names) for k, s in sides.items()}
    out = bench.measured.out
    for kind, own in tables.items():
        own.to_csv(out / f"{kind}.csv", index=False)
        one: Any = own[own["context"] == own["context"].iloc[0]]
        plotting.save(plotting.attention_shifts(one), out / f"{kind}.png")
    both = tables["predicted"].merge(tables["measured"], on=KEY, suffixes=("", ", measured"))
    populations: Any = [*both.groupby(["context", "condition"], sort=False)]
    lines = []
    for (context, name), own in populations:
        place = int(own["shift, measured"].abs().to_numpy().argmax())
        row = own.iloc[place]
        low, high = (100 * float(row[f"{end}, measured"]) for end in ("low", "high"))
        where = f"{name} in {context}" if context else name
        lines.append(
            f"- {where}: most by {100 * row['shift, measured']:+.1f} % [{low:.1f}, {high:.1f}], to "
            f"program {row['program']}; in predicted cells {100 * row['shift']:+.1f} %."
        )
    shifts = ["shift", "shift, measured"]
    rho = [own[shifts].corr(method="spearman").iloc[0, 1] for _, own in populations]
    sure = (both["low, measured"] > 0) | (both["high, measured"] < 0)
    text = (
        f"Attention to {both['program'].nunique()} programs in measured cells of {len(names)} "
        f"unseen conditions, against controls: {100 * sure.mean():.0f} % of the shifts have an "
        "interval without zero; rank correlation of predicted and measured shifts in a condition: "
        f"{baselines.interval(np.asarray(rho, np.float64))}.\n\n" + "\n".join(lines) + "\n"
    )
    (out / "summary.md").write_text(text)
    print(f"\n{text}")
    return both


if __name__ == "__main__":
    main(cli.parse(Attention, __doc__))
