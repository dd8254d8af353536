"""Sets of control cells that attend to one another, moved as a set: STATE's transition model."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._names import examples
from scbig._typing import Array, Bool, ExpressionBatch, Float, PRNGKeyArray, Scalar
from scbig._value import real, require, whole
from scbig.data import Condition
from scbig.nn import AttentionBlock, PreNorm
from scbig.objective import Adam, Metrics
from scbig.ot import squared_distances

from ._cells import Batch, Encoded, Facts
from ._mlp import Perceptron
from ._network import AbstractNetwork, AbstractNetworkRecipe
from ._training import Fixed, Training


class StateNetwork(AbstractNetwork):
    """A transformer over a set of cells.

    **Fields:** `vectors`, what is read of each perturbation, and `seen`, 1 for those that have an
    entry of their own besides; `control`, `perturbation` and `context`, whose sum is the token of a
    cell; `blocks`; `norm` and `out`, from a token to the change of its cell; `cells`, of a set.
    """

    emits: ClassVar[Literal["cells", "mean"]] = "cells"
    anew: ClassVar[bool] = False
    vectors: Fixed | None
    seen: Fixed | None
    control: eqx.nn.Linear
    perturbation: Perceptron
    context: eqx.nn.Linear
    blocks: tuple[AttentionBlock, ...]
    norm: eqx.nn.LayerNorm
    out: Perceptron
    cells: int = eqx.field(static=True)

    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        """Sets of as many cells as in training; the last is filled with cells from the start."""
        count = controls.shape[0]
        sets = -(-count // self.cells)
        rows = jnp.arange(sets * self.cells) % count
        given = controls[rows].reshape(sets, self.cells, -1)
        made = jax.lax.map(lambda own: self.moved(own, condition), given)
        return made.reshape(sets * self.cells, -1)[:count]

    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """Energy distance of what each set becomes from as many measured cells."""
        keys = jr.split(key, batch.controls.shape[0])
        made = jax.vmap(self.moved)(batch.controls, batch.condition, keys)
        return jnp.mean(jax.vmap(energy)(made, batch.perturbed)), {}

    def moved(
        self, controls: ExpressionBatch, condition: Encoded, key: PRNGKeyArray | None = None
    ) -> ExpressionBatch:
        """What one set of controls becomes; dropout acts only if a key is given."""
        keys = [None] * (len(self.blocks) + 2)
        keys = keys if key is None else list(jr.split(key, len(keys)))
        known = self.known(condition.counts)
        added = self.perturbation(known, key=keys[-1]) + self.context(condition.context)
        tokens = jax.vmap(self.control)(controls) + added[None, :]
        for block, own in zip(self.blocks, keys, strict=False):
            tokens = block(tokens, key=own)
        change = jax.vmap(lambda x: self.out(self.norm(x)))(tokens)
        # Of two equal values a maximum has half the slope of each, and relu has none at 0: a gene
        # that no control expresses, unchanged at first, would never be trained.
        return jnp.maximum(controls + change, 0.0)

    def known(self, counts: Float[Array, " perturbations"]) -> Float[Array, " features"]:
        """What is read of a condition: sums of vectors, and which of the seen are in it."""
        parts = [] if self.vectors is None else [counts @ self.vectors.value]
        parts += [] if self.seen is None else [counts * self.seen.value]
        return jnp.concatenate(parts)


class State(AbstractNetworkRecipe):
    """A set transformer with an energy loss: STATE's transition model (Adduri et al. 2025).

    A perturbation is read by its vector in `priors`, several by the sum: what is like one that
    training saw is expected to act like it, also where it was never seen. Beside it each that
    training saw has an entry of its own. The release has the one or, by default, the other; on
    doubles of seen genes both together did best here, on held-out conditions. Without `vectors`,
    what is predicted of a perturbation that training never saw says nothing.

    What differs from the release besides: the change is added to the cell and not to its token,
    from which a small network does not find the cell's own noise again; layer norms and GELU in
    place of Llama's blocks, a token for each cell alone. Sizes are for small screens. The published
    ones are sets of 128 cells, width 672, 8 heads and 4 blocks (small), or of 512 cells, 768, 12
    and 8, at a rate of 1e-4 for 400,000 steps.

    **Fields:** `width`, of a token, a multiple of `heads`; `layers`, attention blocks; `dropout`;
    `vectors` and `own`, whether perturbations are read by their vectors, and by entries of their
    own; `training`, whose `cells` are those of a set.
    """

    width: int = whole(64)
    heads: int = whole(4)
    layers: int = whole(1, least=0)
    dropout: float = real(0.1, least=0, below=1)
    vectors: bool = True
    own: bool = True
    training: Training = Training(
        optimiser=Adam(3e-4), groups=4, cells=64, steps=1000, validate_every=50
    )

    def __check_init__(self) -> None:
        require(self.width % self.heads == 0, self, "width must be a multiple of heads")
        require(self.vectors or self.own, self, "take vectors or own, or both")
        require(self.training.cells > 1, self, "a set needs training.cells >= 2")

    def knows(self, facts: Facts) -> Bool[np.ndarray, " perturbations"]:
        table = facts.priors.tokens.names
        have = [Condition.parse(x).perturbations[0] in table for x in facts.perturbations]
        return facts.seen | (self.vectors & np.array(have))

    def build(self, facts: Facts, *, key: PRNGKeyArray) -> StateNetwork:
        names, genes = facts.perturbations, facts.screen.num_genes
        vectors = perturbation_vectors(facts) if self.vectors else np.zeros((len(names), 0))
        features = vectors.shape[1] + self.own * len(names)
        control, perturbation, context, out, blocks = jr.split(key, 5)
        perceptron = lambda inputs, outputs, key: Perceptron.of(
            inputs, self.width, outputs, 1, dropout=self.dropout, key=key
        )
        linear = lambda inputs, key: eqx.nn.Linear(inputs, self.width, key=key)
        last = perceptron(self.width, genes, out)
        return StateNetwork(
            vectors=Fixed(jnp.asarray(vectors, jnp.float32)) if self.vectors else None,
            seen=Fixed(jnp.asarray(facts.seen, jnp.float32)) if self.own else None,
            control=linear(genes, control),
            perturbation=perceptron(features, self.width, perturbation),
            context=linear(len(facts.contexts), context),
            blocks=tuple(
                AttentionBlock.of(
                    self.width,
                    self.heads,
                    4 * self.width,
                    PreNorm(),
                    activation=jax.nn.gelu,
                    trained_norms=True,
                    dropout=self.dropout,
                    key=own,
                )
                for own in jr.split(blocks, self.layers)
            ),
            norm=eqx.nn.LayerNorm(self.width),
            # At first nothing changes: a set of controls is what training starts from.
            out=eqx.tree_at(lambda p: p.layers[-1], last, replace_fn=_still),
            cells=self.training.cells,
        )


def perturbation_vectors(facts: Facts) -> Float[np.ndarray, "perturbations features"]:
    """The vector of each perturbation, and the logarithm of one more than its dose, if it has one.

    **Raises:** a ValueError that names those without a vector, where the priors' `missing` is that.
    """
    parts = [Condition.parse(label) for label in facts.perturbations]
    names = [part.perturbations[0] for part in parts]
    table = facts.priors.filled(names).tokens
    place = {name: row for row, name in enumerate(table.names)}
    lacking = sorted(set(names) - place.keys())
    if lacking:
        raise ValueError(
            f"{len(lacking)} perturbations have no vector: {examples(lacking)}. Give Priors a "
            'table with them as perturbations= or genes=, or missing="mean", or take vectors=False.'
        )
    doses = np.log1p([[part.doses[0] or 0.0] for part in parts])
    return np.hstack([table.vectors[[place[name] for name in names]], doses])


def energy(x: Float[Array, "cells genes"], y: Float[Array, "others genes"]) -> Scalar:
    """The squared energy distance of two sets, with each cell's distance to itself in the means.

    As published, but for a factor of two: biased by what `scbig.metrics.energy_distance` leaves
    out by default.
    """
    centre = jnp.mean(y, axis=0)[None, :]
    x, y = x - centre, y - centre
    return 2 * _apart(x, y) - _apart(x, x) - _apart(y, y)


def _apart(x: Float[Array, "cells genes"], y: Float[Array, "others genes"]) -> Scalar:
    """Mean distance of the cells of two sets, without a slope between equal ones."""
    squares = squared_distances(x, y)
    size = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :]
    # What rounding leaves of equal cells is no distance, and its root would have any slope.
    far = squares > 1e-5 * size
    return jnp.mean(jnp.where(far, jnp.sqrt(jnp.where(far, squares, 1.0)), 0.0))


def _still(layer: eqx.nn.Linear) -> eqx.nn.Linear:
    return jax.tree.map(jnp.zeros_like, layer)
