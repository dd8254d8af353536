"""Tables 11 and 12: how much scores vary over seeds of the training.

    python experiments/table11.py --data screen.h5ad --split additive --seeds 0 1 2 3 4 \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table11

Table 12 is the same with `--split holdout`. `seeds.csv` has the standard deviation over seeds of
each row's mean over conditions; `--split-seeds 1 2 3` draws splits anew too, and the page then
has the spread over those beside it. `calibration.csv` and `calibration.png` say whether seeds
that disagree are wrong: what they disagree on, held against the error of their mean.
"""

import pandas as pd
from tools import markdown
from tools.benchmark import Benchmark, Table, run
from tools.calibration import binned, calibration, over_seeds
from tools.measured import screen_of
from tools.methods import CELLFLOW, METRICS, OURS, PUBLISHED, methods
from tools.verdicts import spread

from scbig import cli, comparison, plotting

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
    calibrated(bench, [*found.index])
    return found


def calibrated(bench: Benchmark, rows: list[str]) -> None:
    """Holds the spread over seeds against the error of the mean over seeds."""
    screen, out, errors = screen_of(bench.measured), bench.measured.out, {}
    for row in rows:
        folders = sorted(out.glob(f"*/{comparison.folder_name(row)}"))
        seeds = bench.measured.seeds
        tables = {own.parent.name: over_seeds(screen, own, seeds) for own in folders}
        parts = [own.assign(part=f"{n} " + own["part"]) for n, own in tables.items() if len(own)]
        if parts:
            errors[row] = pd.concat(parts)
    if not errors:
        print("No fold has all seeds: nothing is said of their spread and the errors.")
        return
    told = pd.DataFrame({row: calibration(table, "seeds") for row, table in errors.items()}).T
    told.to_csv(out / "calibration.csv")
    bins = {row: binned(table, "seeds") for row, table in errors.items()}
    plotting.save(plotting.calibration(bins), out / "calibration.png")
    text = (
        "\nWhether seeds that disagree are wrong: rank correlation of their standard deviation "
        "with the error of their mean, over the genes of a condition and over conditions; how many "
        "errors are within 1.96 of it and the measured mean's noise together.\n\n"
    ) + markdown.rows(
        ["row", *told], [[n, *(f"{x:.3f}" for x in own)] for n, own in told.T.items()]
    )
    with (out / "summary.md").open("a") as file:
        file.write("\n" + text)
    print(text)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
