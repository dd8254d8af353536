"""What a learned predictor is told: contexts, perturbations that it can know, and which judge."""

import itertools
from typing import Any

import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig import rivals
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable, InteractionGraph
from scbig.rivals._gears import _origins
from scbig.rivals._network import able
from scbig.train import hold_out_conditions

from .test_gears import GENES, LINKS, TABLE, screen

ACROSS = scbig.Split.of(
    name="across",
    train=["p", "q"],
    test=["p+q"],
    train_contexts=["b", "c"],
    test_contexts=["a"],
)
PRIORS = scbig.Priors(genes=TABLE)
ONCE = rivals.Training(steps=2, groups=2, cells=2, validate_every=1)


def across() -> Screen:
    return ACROSS.cells(screen(cells=4, contexts=("a", "b", "c")), "train")


def test_a_context_that_has_only_controls_is_none_of_the_training() -> None:
    cells = across()
    assert cells.contexts == ("a", "b", "c")
    facts = rivals.Facts.of(cells, [Condition.parse("p+q")], PRIORS)
    assert facts.contexts == ("b", "c")
    code = facts.encode([Condition.parse("p")] * 2, ["a", "c"]).context
    np.testing.assert_array_equal(code, [[0, 0], [0, 1]])
    wanted = [cells.dense(cells.rows("control", name)).mean(axis=0) for name in "bc"]
    np.testing.assert_allclose(_origins(facts), wanted, rtol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "known"),
    [
        (rivals.LatentAdditive(), ["p@1", "q"]),
        (rivals.SamsVAE(), ["p@1", "q"]),
        # What shares a code, a node, a token or a vector with a seen dose, and what a table or a
        # graph knows: no table has s, whose vector is then the mean, as of all that it lacks.
        (rivals.CPA(), ["p@1", "p@9", "q"]),
        (rivals.GEARS(), ["p@1", "p@9", "q", "r"]),
        (rivals.State(), ["a", "p@1", "p@9", "q", "r"]),
        (rivals.State(vectors=False), ["p@1", "q"]),
        (rivals.GeneTransformer(), ["a", "p@1", "p@9", "q"]),
        (rivals.GeneTransformer(gene_embedding="any"), ["a", "p@1", "p@9", "q", "r"]),
    ],
)
def test_what_can_be_known_of_a_perturbation(recipe: Any, known: list[str]) -> None:
    table = EmbeddingTable((*GENES, "p", "q", "r"), np.eye(9, 4, dtype=np.float32))
    priors = scbig.Priors(genes=table, perturbation_graph=LINKS, missing="mean")
    asked = [Condition.parse(name) for name in ("p@9+r", "s", "a")]
    facts = rivals.Facts.of(screen(names=("p@1", "q"), cells=2), asked, priors)
    assert [*itertools.compress(facts.perturbations, recipe.knows(facts))] == known
    combined = able(facts, recipe.knows(facts), ["p@1+q", "p@9+q", "r", "q+s"])
    assert combined == tuple(
        name
        for name, parts in {
            "p@1+q": {"p@1", "q"},
            "p@9+q": {"p@9", "q"},
            "r": {"r"},
            "q+s": {"q", "s"},
        }.items()
        if parts <= {*known}
    )


def test_what_cannot_be_known_is_trained_on_and_not_held_out() -> None:
    names = tuple(f"n{n}" for n in range(12))
    cells = screen(names=names, cells=2, contexts=("a", "b"))
    split = scbig.Split.of(
        name="s",
        train=[n for n in names if n != "n0"],
        test=["n0"],
        train_contexts=["b"],
        test_contexts=["a"],
    )
    ring = InteractionGraph(names[:7], (*names[1:7], "n0"), np.ones(7, np.float32))
    priors = scbig.Priors(genes=TABLE, perturbation_graph=ring)
    # Without a neighbour, n7 to n11 would be an error if they were held out of the training.
    recipe = rivals.GEARS(width=4, training=ONCE)
    drawn = hold_out_conditions(split.cells(cells, "train"), 0.15, key=jr.split(jr.key(0), 3)[2])
    assert {*drawn} & {*names[7:]}
    model = recipe.fit(cells, split, priors, progress=False, key=jr.key(0))
    assert model.perturbations == tuple(sorted(names))
    assert model.contexts == ("b",)
    assert model.predict(cells.controls, ["n0"], key=jr.key(1)).n_obs == 4
