"""How much depends on the priors of interactions: their weight, their threshold, their truth.

    python experiments/sensitivity.py --data screen.h5ad --split additive --seeds 0 1 2 \
        --embeddings genes.npz --interactions pairs.tsv.gz --pathways sets.gmt --out runs/links

Thresholds need a score for each interaction; a file without scores has none. What such a file can
say is how much their number matters: "half of them" are drawn at random, and `--others` are further
files, another release for one. "shuffled" has as many interactions between the screen's genes, each
gene with as many, but with others than the file says. Embedding tables are varied by `figure5.py`
and `table6e.py`, numbers of programs and of inducing points by `figure6.py`, seeds and splits by
`table11.py`.
"""

from dataclasses import dataclass
from typing import Any

from tools.benchmark import Benchmark, Table, run
from tools.links import between, half, shuffled
from tools.measured import named, priors_of, screen_of
from tools.verdicts import Claim

import scbig
from scbig import baselines, cli, comparison, priors

WHOLE, SHUFFLED, HALF = "as given", "shuffled", "half of them"
CLAIMS = (
    Claim("what interacts matters, and not only how many do", WHOLE, SHUFFLED),
    Claim("all interactions are ahead of half of them", WHOLE, HALF),
)


@dataclass(frozen=True, kw_only=True)
class Sensitivity(Benchmark):
    """A benchmark over what is known of interactions."""

    weights: tuple[float, ...] = (0.0, 0.1, 10.0)
    """Of the interactions in Eq. 1, beside the preset's."""
    thresholds: tuple[int, ...] = ()
    """Least scores, times 1000, above that of the file: 800, 900 for STRING's."""
    others: tuple[str, ...] = ()
    """`name=FILE`: other interactions, read as `--interactions` is."""


def arms(bench: Sensitivity) -> dict[str, scbig.ScBIGConfig | baselines.AbstractRecipe]:
    """The preset under each weight, and on other interactions."""
    found: dict[str, Any] = {WHOLE: bench.base}
    for weight in bench.weights:
        found[f"weight {weight:g}"] = scbig.but(
            bench.base, **{"programs.interaction_weight": weight}
        )
    screen = screen_of(bench.measured)
    graph = priors_of(bench.measured, screen).interactions
    if graph is None:
        raise SystemExit("--interactions is needed: it is what is varied.")
    graphs = {f"above {t}": graph.above(t / 1000) for t in bench.thresholds}
    graphs |= {n: priors.read_interactions(path) for n, path in named("others", bench.others)}
    true = between(graph, screen.genes)
    graphs |= {HALF: half(true), SHUFFLED: shuffled(true)}
    for name, own in graphs.items():
        folder = bench.measured.out / "autoencoders" / name.replace(" ", "-")
        recipe = baselines.Arm(bench.base, folder)
        found[name] = comparison.WithPriors(recipe, interactions=own)
    return found


def main(bench: Sensitivity):
    """Runs the experiment; returns its scores."""
    made, genes = arms(bench), screen_of(bench.measured).genes
    counts = {
        name: len(between(arm.interactions, genes))
        for name, arm in made.items()
        if isinstance(arm, comparison.WithPriors) and arm.interactions is not None
    }
    said = ", ".join(f"{name} {number}" for name, number in counts.items())
    note = f"Interactions between the screen's genes: {said}."
    return run(bench, Table(arms=made, whole=WHOLE, claims=CLAIMS, note=note))


if __name__ == "__main__":
    main(cli.parse(Sensitivity, __doc__))
