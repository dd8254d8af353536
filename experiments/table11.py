"""Tables 11 and 12: how much scores vary over seeds of the training, and over splits.

    python experiments/table11.py --data screen.h5ad --split additive --seeds 0 1 2 3 4 \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/table11

Table 12 is the same with `--split holdout`. `seeds.csv` has the standard deviation of each row's
mean over conditions: over `--seeds`, and over splits with `--split-seeds 1 2 3 4 5`.
`calibration.csv` and `calibration.png` say whether seeds that disagree are wrong: what they
disagree on, held against the error of their mean.
"""

import pandas as pd
from tools import markdown
from tools.benchmark import Benchmark, Table, run
from tools.calibration import binned, calibration, of_the_draw, over_seeds
from tools.measured import screen_of
from tools.methods import CELLFLOW, METRICS, OURS, PUBLISHED, kind, methods
from tools.verdicts import spread

from scbig import cli, comparison, plotting

PAPER = {
    "additive": {"GEARS": 0.0055, "scGPT-style": 0.0006, CELLFLOW: 0.0035, PUBLISHED: 0.0026},
    "holdout": {"GEARS": 0.0072, "scGPT-style": 0.0008, CELLFLOW: 0.0026, PUBLISHED: 0.0016},
}
"""Standard deviation of Pearson delta over five seeds: Table 11, and Table 12."""
ROWS = ("GEARS", "scGPT-style", CELLFLOW, PUBLISHED, OURS)


def main(bench: Benchmark) -> pd.DataFrame:
    """Runs the experiment; returns the spread of each row, by metric."""
    given = bench.measured
    if max(len(given.seeds), len(given.split_seeds)) < 2:
        raise SystemExit("A spread is over at least two --seeds, or two --split-seeds.")
    known = methods(bench)
    arms = {name: known[name] for name in ROWS}
    parts = kind if given.split == "holdout" else None
    table = Table(arms=arms, whole=PUBLISHED, shown=METRICS, scoring={"changed": "bh"}, kind=parts)
    found = spread(run(bench, table), METRICS)
    paper = PAPER.get(given.split, {})
    found["paper"] = [paper.get(row) if over == "seeds" else None for row, over in found.index]
    found.to_csv(given.out / "seeds.csv")
    numbers = found.astype(float).to_numpy()
    told = [["" if x != x else f"{x:.4f}" for x in row] for row in numbers]
    text = (
        f"Standard deviation of the mean over conditions: over {len(given.seeds)} seed(s) of "
        "the training and of the controls that predictions start from, and over "
        f"{len(given.split_seeds)} split(s). `paper`, that of Pearson delta over seeds.\n\n"
    ) + markdown.rows(
        ["row", "over", *found],
        [[*names, *own] for names, own in zip(found.index, told, strict=True)],
    )
    with (given.out / "summary.md").open("a") as file:
        file.write("\n" + text)
    print(f"\n{text}")
    if len(given.seeds) > 1:
        calibrated(bench, [*dict.fromkeys(row for row, over in found.index if over == "seeds")])
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
        "errors are within 1.96 of it and the measured mean's noise together. Every seed starts "
        "from other controls, which alone moves a gene's mean by "
        f"{of_the_draw(screen, bench.measured.cells):.4f} (root mean square).\n\n"
    ) + markdown.rows(
        ["row", *told], [[n, *(f"{x:.3f}" for x in own)] for n, own in told.T.items()]
    )
    with (out / "summary.md").open("a") as file:
        file.write("\n" + text)
    print(text)


if __name__ == "__main__":
    main(cli.parse(Benchmark, __doc__))
