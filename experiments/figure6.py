"""Figure 6: how many programs, and how many inducing points.

    python experiments/figure6.py --data screen.h5ad --split additive \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/figure6

Half, one and two or four times the preset's numbers. `sweep.png` shows the scores over programs, a
line for each number of inducing points.
"""

from dataclasses import dataclass
from typing import Any

from tools.benchmark import Benchmark, Table, run
from tools.verdicts import Claim

import scbig
from scbig import cli, comparison, nn, plotting

SHOWN = ("pearson_delta", "pearson_delta_deg20", "acc", "e_distance")


@dataclass(frozen=True, kw_only=True)
class Sweep(Benchmark):
    """A benchmark over sizes."""

    clusters: tuple[int, ...] = ()
    """Numbers of programs; by default half, one and four times the preset's. The paper has 16 to
    128 around 32."""
    points: tuple[int, ...] = ()
    """Numbers of inducing points; by default half, one and two times the preset's. The paper's
    preset has 8."""


def sizes(bench: Sweep) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The numbers of programs, and those of inducing points."""
    base: Any = bench.base
    clusters, points = base.programs.clusters, base.encoder.mixing.points
    return (
        bench.clusters or (max(clusters // 2, 2), clusters, 4 * clusters),
        bench.points or (max(points // 2, 1), points, 2 * points),
    )


def name_of(clusters: int, points: int) -> str:
    """The row of two sizes."""
    return f"{clusters} programs, {points} points"


def arms(bench: Sweep) -> dict[str, scbig.ScBIGConfig]:
    """The preset at each pair of sizes."""
    found = {}
    for clusters in sizes(bench)[0]:
        for points in sizes(bench)[1]:
            mixing = nn.InducingPoints(points)
            changes: dict[str, Any] = {
                "programs.clusters": clusters, "encoder.mixing": mixing, "decoder.mixing": mixing,
            }  # fmt: skip
            found[name_of(clusters, points)] = scbig.but(bench.base, **changes)
    return found


def main(bench: Sweep):
    """Runs the experiment; returns its scores."""
    base: Any = bench.base
    made = arms(bench)
    clusters, points = base.programs.clusters, base.encoder.mixing.points
    if name_of(clusters, points) not in made:
        clusters, points = (own[0] for own in sizes(bench))
    preset = name_of(clusters, points)
    claims = tuple(
        Claim(f"the preset's {what} are ahead of {how}", preset, name_of(*other))
        for what, how, other in (
            ("programs", "fewest", (min(sizes(bench)[0]), points)),
            ("programs", "most", (max(sizes(bench)[0]), points)),
            ("inducing points", "fewest", (clusters, min(sizes(bench)[1]))),
            ("inducing points", "most", (clusters, max(sizes(bench)[1]))),
        )
    )
    claims = tuple(claim for claim in claims if claim.ahead != claim.behind)
    scores = run(bench, Table(arms=made, whole=preset, claims=claims))
    found = comparison.summary(scores, SHOWN)
    rows = {
        f"{points} points": {
            clusters: found[name_of(clusters, points)]
            for clusters in sizes(bench)[0]
            if name_of(clusters, points) in found
        }
        for points in sizes(bench)[1]
    }
    lines = {name: own for name, own in rows.items() if own}
    figure = plotting.sweep(lines, xlabel="gene programs", metrics=SHOWN)
    plotting.save(figure, bench.measured.out / "sweep.png")
    return scores


if __name__ == "__main__":
    main(cli.parse(Sweep, __doc__))
