"""Tables 11 and 12: how much scores vary over seeds of the training.

    python experiments/table11.py --data screen.h5ad --split additive --seeds 0 1 2 3 4 \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table11

Table 12 is the same with `--split holdout`. `seeds.csv` has the standard deviation over seeds of
each row's mean over conditions; `--split-seeds 1 2 3` draws splits anew too, and the page then
has the spread over those beside it.
"""

import pandas as pd
from tools import markdown
from tools.benchmark import Benchmark, Table, run
from tools.methods import CELLFLOW, METRICS, OURS, PUBLISHED, methods
from tools.verdicts import spread

from scbig import cli

PAPER = {"GEARS": 0.0055, "scGPT-style": 0.0006, CELLFLOW: 0.0035, PUBLISHED: 0.0026}
"""Standard deviation of Pearson delta over five seeds, additive split (Table 11)."""
ROWS = ("GEARS", "scGPT-style", CELLFLOW, PUBLISHED, OURS)


def main(bench: Benchmark) -> pd.DataFrame:
    """Runs the experiment; returns the spread of each row, by metric."""
    if len(bench.measured.seeds) < 2:
        raise SystemExit("A spread is over at least two --seeds.")
    known = methods(bench)
    arms = {name: known[name] for name in ROWS}
    scores = run(bench, Table(arms=arms, whole=PUBLISHED, shown=METRICS, scoring={"changed": "bh"}))
    found = spread(scores, METRICS).assign(paper=pd.Series(PAPER))
    found.to_csv(bench.measured.out / "seeds.csv")
    told = [["" if x != x else f"{x:.4f}" for x in row] for row in found.to_numpy(float)]
    text = (
        f"Standard deviation over {len(bench.measured.seeds)} seeds of the mean over conditions; "
        "`paper`, that of Pearson delta in Table 11.\n\n"
    ) + markdown.rows(
        ["row", *found], [[n, *own] for n, own in zip(found.index, told, strict=True)]
    )
    with (bench.measured.out / "summary.md").open("a") as file:
        file.write("\n" + text)
    print(f"\n{text}")
    return found


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
