"""Genes' and perturbations' embeddings, each through a graph, to a change of every gene: GEARS."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Bool, Expression, ExpressionBatch, Float, Int, PRNGKeyArray, Scalar
from scbig._value import real, whole
from scbig.objective import Adam, Metrics
from scbig.priors import InteractionGraph
from scbig.sampling import CellIndex

from ._cells import Batch, Encoded, Facts
from ._gene_table import GeneTable, bare_names, drawn, normalised, table_of
from ._graph import Edges, coexpression_edges, perturbation_edges, reached
from ._mlp import Perceptron
from ._network import AbstractNetwork, AbstractNetworkRecipe
from ._training import Fixed, Training

_SHARE = 0.2  # of the co-expression graph in a gene's embedding


class OwnHeads(eqx.Module):
    """A linear map to one number for each gene, with weights of its own."""

    weight: Float[Array, "genes inputs"]
    bias: Float[Array, " genes"]

    @classmethod
    def of(cls, genes: int, inputs: int, scale: float, *, key: PRNGKeyArray) -> "OwnHeads":
        """Untrained, with weights of a standard deviation."""
        return cls(scale * jr.normal(key, (genes, inputs)), jnp.zeros(genes))

    def __call__(self, x: Float[Array, "genes inputs"]) -> Float[Array, " genes"]:
        return jnp.sum(x * self.weight, axis=1) + self.bias


class GEARSNetwork(AbstractNetwork):
    """The change of every gene under a condition, which is added to a control cell.

    **Fields:**

    - `genes`, `positions`: embeddings of genes; the second ones go through `near`, the graph of
        co-expression, and `near_map`.
    - `base`: of the sum of both, to tokens.
    - `perturbations`: an embedding of each node of `related`, the graph of perturbations, through
        which they go and then through `related_map`; `nodes`, the node of each label.
    - `fuse`: of the sum over a condition, added to the tokens.
    - `shared`, `heads`: from a token to a first number for its gene.
    - `across`, `last`: of all first numbers, to a code; of number and code, to the change.
    - `nonzero`: genes that a training group expresses; `origins`, mean control of each context.
    - `exponent`, `direction`: of the loss.
    """

    emits: ClassVar[Literal["cells", "mean"]] = "mean"
    anew: ClassVar[bool] = False
    genes: GeneTable
    positions: Float[Array, "genes width"]
    near: Edges
    near_map: eqx.nn.Linear
    base: Perceptron
    perturbations: Float[Array, "nodes width"]
    related: Edges
    related_map: eqx.nn.Linear
    nodes: Int[Array, " labels"]
    fuse: Perceptron
    shared: Perceptron
    heads: OwnHeads
    across: Perceptron
    last: OwnHeads
    nonzero: Fixed
    origins: Fixed
    exponent: float = eqx.field(static=True)
    direction: float = eqx.field(static=True)

    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        change = self._change(condition.counts, *self._embedded())
        return controls + change[None, :]

    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """Errors of cells from changed controls, by the genes that a group expresses."""
        of_group = jax.vmap(self._change, in_axes=(0, None, None))
        # The change is of the condition alone: once for a group, and the graphs once for all.
        changes = of_group(batch.condition.counts, *self._embedded())
        return gears_loss(
            batch.controls + changes[:, None, :],
            batch.perturbed,
            origins=batch.condition.context @ self.origins.value,
            counted=self.nonzero.value[batch.group],
            exponent=self.exponent,
            direction=self.direction,
        )

    def _embedded(self) -> tuple[Float[Array, "genes width"], Float[Array, "labels width"]]:
        """Tokens of genes, and embeddings of perturbations, both through their graphs."""
        positions = jax.vmap(self.near_map)(self.near(self.positions))
        own = jax.nn.relu(normalised(self.genes()))
        tokens = jax.vmap(self.base)(own + _SHARE * positions)
        return tokens, jax.vmap(self.related_map)(self.related(self.perturbations))[self.nodes]

    def _change(
        self,
        counts: Float[Array, " labels"],
        tokens: Float[Array, "genes width"],
        perturbations: Float[Array, "labels width"],
    ) -> Expression:
        moved = tokens + self.fuse(counts @ perturbations)[None, :]
        first = self.heads(jax.vmap(self.shared)(jax.nn.relu(normalised(moved))))
        code = self.across(first)
        code = jnp.broadcast_to(code[None, :], (first.shape[0], code.shape[0]))
        return self.last(jnp.concatenate([first[:, None], code], axis=1))


def gears_loss(
    made: Float[Array, "drawn cells genes"],
    perturbed: Float[Array, "drawn cells genes"],
    *,
    origins: Float[Array, "drawn genes"],
    counted: Float[Array, "drawn genes"],
    exponent: float,
    direction: float,
) -> tuple[Scalar, Metrics]:
    """The mean over groups of a power of the error, and of wrong signs of the change.

    **Arguments:** `origins`, the mean control of each group; `counted`, 1 for genes that count in a
    group, else 0; `direction`, weight of the squared difference of signs.
    """
    share = (counted / jnp.maximum(jnp.sum(counted, axis=1, keepdims=True), 1.0))[:, None, :]
    mean = lambda x: jnp.mean(jnp.sum(share * x, axis=2))
    error = mean(jnp.abs(made - perturbed) ** exponent)
    signs = [jnp.sign(x - origins[:, None, :]) for x in (perturbed, made)]
    wrong = mean((signs[0] - signs[1]) ** 2)
    return error + direction * wrong, {"error": error, "direction": wrong}


class GEARS(AbstractNetworkRecipe):
    """GEARS (Roohani et al. 2023), and GEARS on frozen gene embeddings.

    The graph of perturbations is `Priors.perturbation_graph`, or else `Priors.interactions`; the
    published one is `scbig.priors.read_annotations(...).graph(names)`, of shared GO terms. A
    perturbation that training has not is reached through its neighbours; doses are not told apart.
    The graph of genes is of the training cells themselves. The change does not depend on the
    control cell that it is added to: the published cells are controls shifted by one vector, so
    here only the mean of them counts, to which controls are moved without turning negative.

    The fourth power of errors is least at no mean: on the Norman subset even its exact minimum for
    each training condition is a response that correlates with the measured one at 0.73 only.
    `gamma=0` is squared error.

    What differs. Layer norm stands where GEARS has batch norm: a prediction then depends on nothing
    else in its batch, and no running means are kept. Every cell of a batch reads the graph of
    genes; in the released code only the first one of a batch does. Edges between perturbations have
    no direction. Controls are not trained to be kept. Weight decay is decoupled. As published, the
    loss of direction is of signs, whose derivative is zero: it is reported and moves nothing.

    The width and the rate are the published ones; these go with batches of 32 cells of any
    conditions, for 20 epochs, of which each halves the rate. Here a batch is several cells of each
    of some conditions, which costs no more, as a change is made once for a condition; the rate is
    constant, and the validation conditions choose.

    **Fields:** `width`, of a token; `neighbours` and `correlation`, at most and at least, of a gene
    in the graph of genes; `gene_embedding`, the name of the table that `Priors.genes` is, which
    then is frozen and projected in place of learned embeddings of genes (with tables of
    scFoundation, GeneCompass or CellFM these are the paper's rows of those names), or `None`;
    `gamma`, of the error's exponent 2 + gamma; `direction`, weight of the loss of direction;
    `training`.
    """

    width: int = whole(64)
    neighbours: int = whole(20)
    correlation: float = real(0.4, least=0, below=1)
    gene_embedding: str | None = None
    gamma: float = real(2.0, least=0)
    direction: float = real(0.1, least=0)
    training: Training = Training(
        optimiser=Adam(1e-3, weight_decay=5e-4), groups=16, cells=8, steps=1000
    )

    def knows(self, facts: Facts) -> Bool[np.ndarray, " perturbations"]:
        names, nodes, seen = bare_names(facts)
        return reached(self._graph(facts), names, seen)[nodes]

    def build(self, facts: Facts, *, key: PRNGKeyArray) -> GEARSNetwork:
        genes, width = facts.screen.num_genes, self.width
        names, nodes, seen = bare_names(facts)
        related, many = perturbation_edges(self._graph(facts), names, seen)
        table = table_of("GEARS", self.gene_embedding, facts.screen.genes, facts.priors)
        near = coexpression_edges(facts.screen, neighbours=self.neighbours, above=self.correlation)
        keys = iter(jr.split(key, 11))
        make = lambda inputs, hidden, outputs: Perceptron.of(
            inputs, hidden, outputs, 1, key=next(keys)
        )
        return GEARSNetwork(
            genes=GeneTable.of(table, genes, width, frozen=True, key=next(keys)),
            positions=drawn(next(keys), genes, width),
            near=near,
            near_map=eqx.nn.Linear(width, width, key=next(keys)),
            base=make(width, width, width),
            perturbations=drawn(next(keys), many, width),
            related=related,
            related_map=eqx.nn.Linear(width, width, key=next(keys)),
            nodes=jnp.asarray(nodes, jnp.int32),
            fuse=make(width, width, width),
            shared=make(width, 2 * width, width),
            heads=OwnHeads.of(genes, width, (2 / (genes + width)) ** 0.5, key=next(keys)),
            across=make(genes, width, width),
            # So small, as published, that training begins at almost no change.
            last=OwnHeads.of(genes, width + 1, (2 / genes / (width + 1)) ** 0.5, key=next(keys)),
            nonzero=Fixed(jnp.asarray(_expressed(facts))),
            origins=Fixed(jnp.asarray(_origins(facts))),
            exponent=2.0 + self.gamma,
            direction=self.direction,
        )

    def _graph(self, facts: Facts) -> InteractionGraph:
        graph = facts.priors.perturbation_graph or facts.priors.interactions
        if graph is None:
            raise ValueError(
                "GEARS reads a graph between perturbations, and the priors have none: give Priors "
                "perturbation_graph=, such as scbig.priors.read_annotations(...).graph(names) of "
                "GO terms, or interactions=."
            )
        return graph


def _expressed(facts: Facts) -> Float[np.ndarray, "groups genes"]:
    """1 for genes of which a cell of a group, in the index's order, has any; else 0."""
    screen, index = facts.screen, CellIndex.from_screen(facts.screen)
    number = np.full(screen.num_cells, -1)
    number[np.asarray(index.order)] = np.repeat(np.arange(index.num_groups), np.asarray(index.size))
    return (screen.means(number, index.num_groups) != 0).astype(np.float32)


def _origins(facts: Facts) -> Float[np.ndarray, "contexts genes"]:
    screen, place = facts.screen, {name: n for n, name in enumerate(facts.contexts)}
    number = np.array([place.get(name, -1) for name in screen.contexts])[screen.context_index]
    return screen.means(np.where(screen.is_control, number, -1), len(facts.contexts))
