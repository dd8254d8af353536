"""Recipes on other tables than the priors': what they find, and how they are told apart."""

from typing import ClassVar

import jax.random as jr
import numpy as np

import scbig
from scbig import baselines, comparison
from scbig.priors import EmbeddingTable, InteractionGraph

NAMES = ("g0", "g1")
LINKS = InteractionGraph(("g0",), ("g1",))


def table(value: float) -> EmbeddingTable:
    return EmbeddingTable(
        NAMES, np.full((2, 3), value, np.float32) + np.eye(2, 3, dtype=np.float32)
    )


class Kept(baselines.AbstractRecipe):
    """Keeps the priors that it is given."""

    seen: ClassVar[list[scbig.Priors]] = []

    def fit(self, screen, split, priors, *, progress=True, key):
        self.seen.append(priors)
        return baselines.Control.fit(baselines.known_cells(screen, split))


def test_the_tables_take_the_place_of_those_that_are_named(four_genes):
    split = scbig.Split.of(name="s", train=["g0", "g1"], test=["g0+g1"])
    given = scbig.Priors(genes=table(0), perturbations=table(1))
    other = table(2)
    for made in (
        comparison.WithPriors(Kept(), genes=other),
        comparison.WithPriors(Kept(), perturbations=other),
        comparison.WithPriors(Kept()),
        comparison.WithPriors(Kept(), interactions=LINKS),
    ):
        made.fit(four_genes, split, given, progress=False, key=jr.key(0))
    first, second, third, last = Kept.seen
    assert (last.interactions, last.genes) == (LINKS, given.genes)
    assert third.interactions is None
    assert (first.genes, first.perturbations) == (other, given.perturbations)
    assert (second.genes, second.perturbations) == (given.genes, other)
    assert (third.genes, third.perturbations) == (given.genes, given.perturbations)


def test_another_table_is_another_predictor():
    made = [
        comparison.WithPriors(Kept(), genes=table(0)),
        comparison.WithPriors(Kept(), genes=table(1)),
        comparison.WithPriors(Kept(), perturbations=table(0)),
        comparison.WithPriors(Kept()),
        comparison.WithPriors(Kept(), interactions=LINKS),
        Kept(),
    ]
    assert len({recipe.told() for recipe in made}) == len(made)
    assert made[0].told() == comparison.WithPriors(Kept(), genes=table(0)).told()
