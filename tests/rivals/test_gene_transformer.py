"""The transformer over genes: what it sees, what it ignores, and its layers written out."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig import rivals
from scbig.data import Condition
from scbig.priors import EmbeddingTable
from scbig.rivals._cells import Encoded, Facts, TrainingCells
from scbig.rivals._gene_table import normalised

from .test_gears import screen

OWN = screen(names=("a", "p", "q", "a+p", "p@3"))
FACTS = Facts.of(
    OWN,
    [Condition.parse("a+p+q")],
    scbig.Priors(genes=EmbeddingTable(("x",), np.ones((1, 2), np.float32))),
)
SMALL = rivals.GeneTransformer(width=8, heads=2, layers=2, mlp_width=6, sampled=3)
NETWORK = SMALL.build(FACTS, key=jr.key(0))
CELL = jnp.array([0.5, 1.0, 0.0, 2.0, 0.3, 0.0])


def code(name: str) -> Encoded:
    found = FACTS.encode([Condition.parse(name)], [""])
    return Encoded(found.counts[0], found.context[0])


@eqx.filter_jit
def carried(network: Any, cells: Any, condition: Encoded) -> Any:
    return network.carry(cells, condition, key=jr.key(0))


@eqx.filter_jit
def of_some(network: Any, cell: Any, counts: Any, chosen: Any) -> Any:
    return network._made(cell, counts, chosen, normalised(network.names()))


def made(name: str, network: Any = NETWORK) -> np.ndarray:
    return np.asarray(carried(network, CELL[None], code(name))[0])


def part(name: str, chosen: list[int], cell: Any = CELL) -> np.ndarray:
    return np.asarray(of_some(NETWORK, cell, code(name).counts, jnp.array(chosen)))


def norm(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)


def apply(layer: Any, x: np.ndarray) -> np.ndarray:
    bias = 0.0 if layer.bias is None else np.asarray(layer.bias)
    return x @ np.asarray(layer.weight).T + bias


def attend(attention: Any, x: np.ndarray, heads: int) -> np.ndarray:
    q, k, v = (apply(getattr(attention, f"{kind}_proj"), x) for kind in ("query", "key", "value"))
    parts = []
    for q1, k1, v1 in zip(*(np.split(m, heads, axis=1) for m in (q, k, v)), strict=True):
        score = q1 @ k1.T / np.sqrt(q1.shape[1])
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        parts.append(weight / weight.sum(axis=1, keepdims=True) @ v1)
    return apply(attention.output_proj, np.hstack(parts))


def test_the_layers_written_out():
    net = NETWORK
    # Genes a to f, and p, which is not measured, as a token more; a is flagged where it stands.
    assert np.asarray(net.rows).tolist() == [0, 6, 6, 7]
    assert FACTS.perturbations == ("a", "p", "p@3", "q")
    rows, flags = [0, 1, 2, 3, 4, 5, 6], np.array([1, 0, 0, 0, 0, 0, 1])
    values = np.concatenate([np.asarray(CELL), [0.0]])[:, None]
    values = norm(apply(net.values.layers[1], np.maximum(apply(net.values.layers[0], values), 0)))
    tokens = norm(np.asarray(net.names()))[rows] + values + flags[:, None] * np.asarray(net.flag)
    for block in net.blocks:
        tokens = norm(tokens + attend(block.attends, tokens, 2))
        hidden = np.maximum(apply(block.mlp.layers[0], tokens), 0)
        tokens = norm(tokens + apply(block.mlp.layers[1], hidden))
    first, last = net.head.layers
    slope, offset = apply(last, np.maximum(norm(apply(first, tokens[:6])), 0)).T
    by_hand = slope * np.asarray(CELL) + offset
    np.testing.assert_allclose(part("a+p", [*range(6)]), by_hand, atol=1e-4)
    whole = dataclasses.replace(SMALL, sampled=6).build(FACTS, key=jr.key(0))
    np.testing.assert_allclose(made("a+p", whole), by_hand, atol=1e-4)


@pytest.mark.parametrize("sampled", [1, 3, 4, 5])
def test_a_prediction_reads_as_many_genes_at_once_as_a_step(sampled):
    network = dataclasses.replace(SMALL, sampled=sampled).build(FACTS, key=jr.key(0))
    dealt = np.asarray(network._dealt())
    assert dealt.shape == (-(-6 // sampled), sampled)
    assert all(len({*row}) == sampled for row in dealt.tolist())
    by_hand = {}
    for row in dealt.tolist():
        found = np.asarray(of_some(network, CELL, code("a+p").counts, jnp.array(row)))
        for gene, value in zip(row, found, strict=True):
            by_hand.setdefault(gene, value)
    assert {*by_hand} == {*range(6)}
    expected = [by_hand[gene] for gene in range(6)]
    np.testing.assert_allclose(made("a+p", network), expected, atol=1e-5)


def test_a_perturbation_is_seen_measured_or_not():
    found = [made(name) for name in ("a", "p", "q", "a+p", "a+p+q")]
    for one in range(5):
        for other in range(one):
            assert np.abs(found[one] - found[other]).max() > 1e-4
    np.testing.assert_array_equal(made("p@3"), made("p"))


def test_in_training_what_is_perturbed_is_there_whatever_is_drawn():
    # The target a is not among the genes that are drawn, and is seen with its expression.
    assert np.abs(part("a", [1, 2, 3]) - part("p", [1, 2, 3])).max() > 1e-4
    other = part("a", [1, 2, 3], CELL.at[0].add(1.0))
    assert np.abs(part("a", [1, 2, 3]) - other).max() > 1e-5
    # Among them it is there once: a token more would change what the others make of it.
    np.testing.assert_allclose(part("a", [0, 1, 2]), part("a", [2, 0, 1])[[1, 2, 0]], atol=1e-5)
    np.testing.assert_allclose(part("a", [1, 2, 3, 0])[:3], part("a", [1, 2, 3]), atol=1e-5)


def test_the_loss_is_of_the_genes_that_are_drawn():
    batch = TrainingCells.of(OWN, FACTS).draw(4, 2, key=jr.key(1))
    chosen = jr.permutation(jr.key(2), 6)[:3]
    total = 0.0
    for group in range(4):
        for cell in range(2):
            given = batch.controls[group, cell], batch.condition.counts[group], chosen
            truth = np.asarray(batch.perturbed[group, cell])[np.asarray(chosen)]
            total += np.mean((np.asarray(of_some(NETWORK, *given)) - truth) ** 2) / 8
    loss, _ = eqx.filter_jit(NETWORK.loss)(batch, key=jr.key(2))
    assert float(loss) == pytest.approx(total, rel=1e-4)


def test_a_table_is_where_embeddings_begin_and_they_are_trained():
    table = EmbeddingTable(("a", "b", "c", "d", "e", "f", "p", "q"), np.eye(8, 3, dtype=np.float32))
    recipe = dataclasses.replace(SMALL, gene_embedding="scGPT")
    facts = dataclasses.replace(FACTS, priors=scbig.Priors(genes=table))
    start = recipe.build(facts, key=jr.key(0))
    assert not isinstance(start.names.vectors, rivals.Fixed)
    np.testing.assert_array_equal(np.asarray(start.names.vectors), table.vectors)
    tokens = apply(start.names.project, table.vectors)
    np.testing.assert_allclose(np.asarray(start.names()), tokens, atol=1e-5)
    absent = dataclasses.replace(FACTS, priors=scbig.Priors(perturbations=table))
    with pytest.raises(ValueError, match="embeddings of scGPT: this table is missing"):
        recipe.build(absent, key=jr.key(0))


def test_more_perturbations_than_targets_are_refused():
    one = dataclasses.replace(SMALL, targets=1)
    with pytest.raises(ValueError, match="targets must be at least 2"):
        one.build(FACTS, key=jr.key(0))
    two = dataclasses.replace(SMALL, targets=2).build(FACTS, key=jr.key(0))
    with pytest.raises(Exception, match="more than 2 perturbations: raise targets"):
        made("a+p+q", two)
    with pytest.raises(ValueError, match="multiple of heads"):
        rivals.GeneTransformer(width=10, heads=4)


def test_many_genes_are_predicted_a_few_cells_at_a_time(monkeypatch):
    cells = jnp.stack([CELL, 2 * CELL, CELL + 1])
    whole = np.stack([carried(NETWORK, cell[None], code("p"))[0] for cell in cells])
    monkeypatch.setattr("scbig.rivals._gene_transformer._WEIGHTS", 200)
    few = np.asarray(carried(NETWORK, cells, code("p")))
    np.testing.assert_allclose(few, whole, atol=1e-5)
