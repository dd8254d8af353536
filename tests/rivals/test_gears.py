"""GEARS: its graphs, its loss and its network, against definitions written out."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import sparse

import scbig
from scbig import rivals
from scbig.data import Condition, Screen
from scbig.priors import EmbeddingTable, InteractionGraph
from scbig.rivals._cells import Facts, TrainingCells
from scbig.rivals._gears import gears_loss
from scbig.rivals._graph import Edges, coexpression_edges, perturbation_edges

GENES = ("a", "b", "c", "d", "e", "f")
TABLE = EmbeddingTable(GENES, np.eye(6, 4, dtype=np.float32))
LINKS = InteractionGraph(
    ("p", "q", "p", "x"), ("q", "r", "x", "y"), np.array([1, 0.5, 0.2, 0.3], np.float32)
)
"""p and q, q and r, p and x, x and y; s has no edge."""


def screen(names=("p", "q", "p+q"), cells=30, contexts=("",)) -> Screen:
    """Sparse expression, in which e follows d, and f never is expressed; q silences c."""
    rng = np.random.default_rng(0)
    conditions = tuple(sorted((Condition(), *map(Condition.parse, names)), key=lambda c: c.name))
    group = np.repeat(np.arange(len(conditions)), cells * len(contexts))
    values = rng.poisson(1.0, (len(group), 6)).astype(np.float32)
    values[:, 4] = 2 * values[:, 3] + rng.poisson(0.1, len(group))
    values[:, 5] = 0.0
    silent = np.array(["q" in c.perturbations for c in conditions])[group]
    values[silent, 2] = 0.0
    return Screen(
        expression=sparse.csr_matrix(np.log1p(values)),
        genes=GENES,
        cells=tuple(map(str, range(len(group)))),
        conditions=conditions,
        condition_index=group.astype(np.int32),
        context_index=np.tile(np.arange(len(contexts)), len(group) // len(contexts)).astype(
            np.int32
        ),
        contexts=contexts,
    )


def facts(of: Screen, asked=(), **priors) -> Facts:
    given = scbig.Priors(**{"genes": TABLE, "perturbation_graph": LINKS, **priors})
    return Facts.of(of, [Condition.parse(name) for name in asked], given)


def dense(edges: Edges, nodes: int) -> np.ndarray:
    return np.asarray(edges(jnp.eye(nodes)))


def test_a_convolution_is_the_normalised_matrix():
    rng = np.random.default_rng(1)
    weight = np.where(rng.random((7, 7)) < 0.4, rng.random((7, 7)), 0.0)
    np.fill_diagonal(weight, 0.0)
    target, source = np.nonzero(weight)
    edges = Edges.normalised(source, target, weight[target, source], nodes=7)
    full = weight + np.eye(7)
    scale = np.diag(full.sum(axis=1) ** -0.5)
    x = rng.normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(edges(jnp.asarray(x))), scale @ full @ scale @ x, atol=1e-5
    )
    few, kept = edges.into(3)
    np.testing.assert_allclose(
        np.asarray(few(jnp.asarray(x[kept]))), (scale @ full @ scale @ x)[:3], atol=1e-5
    )
    assert set(kept) == set(range(3)) | {
        int(s) for s, t in zip(source, target, strict=True) if t < 3
    }


def test_genes_are_linked_with_those_that_they_correlate_with():
    own = screen()
    edges = coexpression_edges(own, neighbours=2, above=0.15)
    singles = np.concatenate([own.rows(name) for name in ("control", "p", "q")])
    with np.errstate(invalid="ignore"):
        size = np.nan_to_num(np.abs(np.corrcoef(own.dense(singles).astype(np.float64).T)))
    np.fill_diagonal(size, 0.0)
    weight = np.zeros((6, 6))
    for gene in range(6):
        for other in sorted(range(6), key=lambda g: -size[gene, g])[:2]:
            weight[gene, other] = size[gene, other] * (size[gene, other] > 0.15)
    assert weight[3, 4] > 0.9
    assert 2 < np.count_nonzero(weight) < 12
    full = weight + np.eye(6)
    scale = np.diag(full.sum(axis=1) ** -0.5)
    np.testing.assert_allclose(dense(edges, 6), scale @ full @ scale, atol=1e-5)


def test_perturbations_are_reached_through_their_neighbours_in_the_whole_graph():
    edges, nodes = perturbation_edges(LINKS, ("p", "r", "s"), np.array([True, False, True]))
    assert nodes == 5  # with q and x; y is two edges away
    place = {name: i for i, name in enumerate("prsqxy")}
    full = np.eye(6)
    for one, two, w in (("p", "q", 1.0), ("q", "r", 0.5), ("p", "x", 0.2), ("x", "y", 0.3)):
        full[place[one], place[two]] = full[place[two], place[one]] = w
    scale = np.diag(full.sum(axis=1) ** -0.5)
    # The graph is read in the order of its ends, p q x r y, of which the perturbations come first.
    np.testing.assert_allclose(dense(edges, 5), (scale @ full @ scale)[:3, :5], atol=1e-6)


def test_a_perturbation_that_nothing_leads_to_is_named():
    with pytest.raises(ValueError, match="1 perturbations are in no training condition.*'s'"):
        perturbation_edges(LINKS, ("p", "r", "s"), np.array([True, True, False]))
    with pytest.raises(ValueError, match="1 perturbations are in no training.*'y'"):
        perturbation_edges(LINKS, ("r", "y"), np.array([True, False]))
    with pytest.raises(ValueError, match="names none of the 2 perturbations, such as 'TP53'"):
        perturbation_edges(LINKS, ("TP53", "KLF1"), np.array([True, True]))


def test_the_loss_is_of_the_fourth_power_and_of_signs():
    rng = np.random.default_rng(2)
    made, truth = (rng.normal(size=(3, 4, 5)).astype(np.float32) for _ in range(2))
    origins = rng.normal(size=(3, 5)).astype(np.float32)
    counted = np.array([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], np.float32)
    total = 0.0
    for group in range(3):
        kept = np.flatnonzero(counted[group])
        for cell in range(4):
            for gene in kept:
                y, z, o = truth[group, cell, gene], made[group, cell, gene], origins[group, gene]
                part = abs(y - z) ** 4 + 0.3 * (np.sign(y - o) - np.sign(z - o)) ** 2
                total += part / (3 * 4 * len(kept))
    given = (jnp.asarray(x) for x in (made, truth))
    options = {"origins": jnp.asarray(origins), "counted": jnp.asarray(counted)}
    loss, parts = gears_loss(*given, **options, exponent=4.0, direction=0.3)
    np.testing.assert_allclose(float(loss), total, rtol=1e-5)
    np.testing.assert_allclose(float(parts["error"] + 0.3 * parts["direction"]), total, rtol=1e-5)


def test_only_genes_that_a_group_expresses_count_and_origins_are_of_its_context():
    own = screen(contexts=("one", "two"))
    network = rivals.GEARS(width=4).build(facts(own), key=jr.key(0))
    cells = TrainingCells.of(own, facts(own))
    for group, (row, context) in enumerate(
        zip(cells.index.condition, cells.index.context, strict=True)
    ):
        name, place = own.conditions[int(row)].name, own.contexts[int(context)]
        found = own.dense(own.rows(name, place)).mean(axis=0) != 0
        np.testing.assert_array_equal(np.asarray(network.nonzero.value[group]), found)
        mean = own.dense(own.rows("control", place)).mean(axis=0)
        code = cells.condition.context[group]
        np.testing.assert_allclose(np.asarray(code @ network.origins.value), mean, rtol=1e-5)
    assert np.asarray(network.nonzero.value).mean(axis=0)[5] == 0
    batch = cells.draw(6, 3, key=jr.key(1))
    np.testing.assert_array_equal(
        np.asarray(batch.condition.counts), np.asarray(cells.condition.counts[batch.group])
    )
    loss = eqx.filter_jit(lambda given: network.loss(given, key=jr.key(2))[0])
    hidden = dataclasses.replace(batch, perturbed=batch.perturbed.at[:, :, 5].add(9.0))
    assert float(loss(hidden)) == pytest.approx(float(loss(batch)))
    shown = dataclasses.replace(batch, perturbed=batch.perturbed.at[:, :, 4].add(9.0))
    assert float(loss(shown)) > float(loss(batch)) + 1


def test_every_control_gets_the_change_of_its_condition():
    own = screen()
    known = facts(own, asked=("r",))
    network = rivals.GEARS(width=4).build(known, key=jr.key(0))
    controls = jnp.asarray(own.controls.dense())
    code = known.encode([Condition.parse(n) for n in ("p", "q", "p+q")], [""] * 3)
    carry = eqx.filter_jit(lambda one: network.carry(controls, one, key=jr.key(1)))
    changes = []
    for row in range(3):
        one = type(code)(code.counts[row], code.context[row])
        change = np.asarray(carry(one) - controls)
        np.testing.assert_allclose(change, np.broadcast_to(change[:1], change.shape), atol=1e-5)
        changes.append(change[0])
    assert np.abs(changes[0] - changes[1]).max() > 1e-4
    assert np.abs(changes[0] + changes[1] - changes[2]).max() > 1e-5


def test_the_change_is_what_the_layers_written_out_make():
    own = screen()
    known = facts(own)
    net = rivals.GEARS(width=4).build(known, key=jr.key(0))
    normal = lambda x: (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    apply = lambda layer, x: x @ np.asarray(layer.weight).T + np.asarray(layer.bias)
    both = lambda mlp, x: apply(mlp.layers[1], np.maximum(normal(apply(mlp.layers[0], x)), 0))
    own_vectors = np.maximum(normal(np.asarray(net.genes.vectors)), 0)
    near = apply(net.near_map, dense(net.near, 6) @ np.asarray(net.positions))
    tokens = both(net.base, own_vectors + 0.2 * near)
    nodes = len(net.perturbations)
    vectors = apply(net.related_map, dense(net.related, nodes) @ np.asarray(net.perturbations))
    counts = np.ones(2, np.float32)  # p+q
    moved = tokens + both(net.fuse, (counts @ vectors)[None])
    hidden = both(net.shared, np.maximum(normal(moved), 0))
    first = (hidden * np.asarray(net.heads.weight)).sum(1) + np.asarray(net.heads.bias)
    code = np.tile(both(net.across, first[None]), (6, 1))
    last = (np.hstack([first[:, None], code]) * np.asarray(net.last.weight)).sum(1)
    condition = known.encode([Condition.parse("p+q")], [""])
    one = type(condition)(condition.counts[0], condition.context[0])
    found = net.carry(jnp.zeros((1, 6)), one, key=jr.key(0))
    np.testing.assert_allclose(np.asarray(found[0]), last, atol=1e-5)


def test_a_frozen_table_is_projected_and_not_trained():
    own = screen()
    quick = rivals.Training(groups=4, cells=2, steps=20, validate_every=10)
    recipe = rivals.GEARS(width=4, gene_embedding="scFoundation", training=quick)
    split = scbig.Split.of(name="all", train=["p", "q"], test=["p+q"])
    priors = scbig.Priors(genes=TABLE, interactions=LINKS)
    found: Any = recipe.fit(own, split, priors, progress=False, key=jr.key(0)).network
    np.testing.assert_array_equal(np.asarray(found.genes.vectors.value), TABLE.vectors)
    start: Any = recipe.build(facts(own.without(["p+q"])), key=jr.split(jr.key(0), 3)[0])
    assert not np.allclose(found.genes.project.weight, start.genes.project.weight)
    other = dataclasses.replace(start.genes.vectors, value=start.genes.vectors.value[::-1])
    moved = dataclasses.replace(start, genes=dataclasses.replace(start.genes, vectors=other))
    code = facts(own).encode([Condition.parse("p")], [""])
    one = type(code)(code.counts[0], code.context[0])
    made = [net.carry(jnp.zeros((1, 6)), one, key=jr.key(0)) for net in (start, moved)]
    assert not np.allclose(made[0], made[1])


def test_what_is_missing_is_named():
    alone = scbig.Priors(perturbations=TABLE, perturbation_graph=LINKS)
    own = Facts.of(screen(), [], alone)
    with pytest.raises(ValueError, match="embeddings of CellFM: this table is missing"):
        rivals.GEARS(gene_embedding="CellFM").build(own, key=jr.key(0))
    bare = Facts.of(screen(), [], scbig.Priors(genes=TABLE))
    with pytest.raises(ValueError, match=r"perturbation_graph=.*read_annotations"):
        rivals.GEARS().build(bare, key=jr.key(0))


def test_a_graph_of_perturbations_goes_before_interactions_and_doses_share_a_node():
    dosed = screen(names=("p@1", "p@2", "q"))
    known = facts(dosed, interactions=InteractionGraph(("z",), ("w",)))
    network = rivals.GEARS(width=4).build(known, key=jr.key(0))
    assert known.perturbations == ("p@1", "p@2", "q")
    assert np.asarray(network.nodes).tolist() == [0, 0, 1]
