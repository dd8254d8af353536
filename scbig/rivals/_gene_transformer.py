"""Genes as tokens, with a flag on those that are perturbed: a transformer after scGPT."""

from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Bool, Expression, ExpressionBatch, Float, Int, PRNGKeyArray, Scalar
from scbig._value import require, whole
from scbig.nn import AttentionBlock, PostNorm
from scbig.objective import Adam, Metrics

from ._cells import Batch, Encoded, Facts
from ._gene_table import GeneTable, bare_names, normalised, table_of
from ._mlp import Perceptron
from ._network import AbstractNetwork, AbstractNetworkRecipe
from ._training import Training

_WEIGHTS = 2**22  # attention weights of a head that a prediction holds at once


class GeneTransformerNetwork(AbstractNetwork):
    """From a control's genes, of which some are flagged, to each gene's perturbed expression.

    **Fields:**

    - `names`: an embedding of every gene, and then of every perturbation that is not measured.
    - `values`: of a gene's expression; `flag`, what a perturbed gene's token has besides.
    - `blocks`: of the transformer.
    - `head`: from a token to slope and offset, by which its gene's expression is changed.
    - `rows`: of `names`, the one of each label.
    - `genes`: how many are measured; `sampled`, how many of these are read at once; `targets`,
        perturbations of a condition at most.
    """

    emits: ClassVar[Literal["cells", "mean"]] = "mean"
    anew: ClassVar[bool] = False
    names: GeneTable
    values: eqx.nn.MLP
    flag: Float[Array, " width"]
    blocks: tuple[AttentionBlock, ...]
    head: Perceptron
    rows: Int[Array, " labels"]
    genes: int = eqx.field(static=True)
    sampled: int = eqx.field(static=True)
    targets: int = eqx.field(static=True)

    def carry(
        self, controls: ExpressionBatch, condition: Encoded, *, key: PRNGKeyArray
    ) -> ExpressionBatch:
        names, dealt = normalised(self.names()), self._dealt()
        few = max(_WEIGHTS // (len(dealt) * (self.sampled + self.targets) ** 2), 1)
        each = jax.vmap(self._made, in_axes=(None, None, 0, None))

        def made(cell: Expression) -> Expression:
            found = each(cell, condition.counts, dealt, names)
            # What filled up the last ones counts where it was first.
            first = dealt.ravel()[: self.genes]
            return jnp.zeros_like(cell).at[first].set(found.ravel()[: self.genes])

        return jax.lax.map(made, controls, batch_size=min(few, len(controls)))

    def loss(self, batch: Batch, *, key: PRNGKeyArray) -> tuple[Scalar, Metrics]:
        """Mean squared error over some genes, drawn for the batch, of cells from controls."""
        chosen = jr.permutation(key, self.genes)[: self.sampled]
        names = normalised(self.names())
        of_group = jax.vmap(self._made, in_axes=(0, None, None, None))
        of_all = jax.vmap(of_group, in_axes=(0, 0, None, None))
        made = of_all(batch.controls, batch.condition.counts, chosen, names)
        return jnp.mean((made - batch.perturbed[:, :, chosen]) ** 2), {}

    def _dealt(self) -> Int[Array, "times sampled"]:
        """The genes that a prediction reads at once: as many as a step, all of them in turn.

        They are dealt at random, as in training, and the same for every cell; the last ones are
        filled up with some that were there before.
        """
        times = -(-self.genes // self.sampled)
        order = jr.permutation(jr.key(0), self.genes)
        return order[jnp.arange(times * self.sampled) % self.genes].reshape(times, self.sampled)

    def _made(
        self,
        cell: Expression,
        counts: Float[Array, " labels"],
        chosen: Int[Array, " chosen"],
        names: Float[Array, "names width"],
    ) -> Float[Array, " chosen"]:
        """Perturbed expression of the chosen genes, which see each other and what is perturbed."""
        present, labels = jax.lax.top_k(counts, self.targets)
        present = eqx.error_if(
            present,
            jnp.sum(counts > 0) > self.targets,
            f"A condition has more than {self.targets} perturbations: raise targets.",
        )
        own = self.rows[labels]
        flagged = jnp.zeros(len(names)).at[own].max(jnp.sign(present))
        # What is perturbed is always there: at its place if chosen, or else as a token more.
        more = (present > 0) & ~jnp.any(own[:, None] == chosen[None, :], axis=1)
        rows = jnp.concatenate([chosen, own])
        there = jnp.concatenate([jnp.ones(len(chosen), bool), more])
        expression = jnp.concatenate([cell, jnp.zeros(len(names) - self.genes)])[rows]
        tokens = names[rows] + normalised(jax.vmap(self.values)(expression[:, None]))
        tokens = tokens + flagged[rows, None] * self.flag[None, :]
        for block in self.blocks:
            tokens = block(tokens, there)
        slope, offset = jax.vmap(self.head)(tokens[: len(chosen)]).T
        return slope * expression[: len(chosen)] + offset


class GeneTransformer(AbstractNetworkRecipe):
    """A transformer over genes after scGPT (Cui et al. 2024), trained from scratch.

    A token is a gene: its embedding, that of its expression in a control, and a flag if it is
    perturbed; what is perturbed and not measured is a token more, of no expression. From the
    tokens come slope and offset of an affine map of the expression, as in scGPT's decoder for
    perturbations. The squared error is of a perturbed cell drawn at random, so what is made of a
    control is a mean, to which controls are moved.

    What differs from scGPT: it is not pretrained; layer norm has no parameters, there is no
    dropout and no token of a cell; the perturbed genes are there even where they are not among the
    genes that a step draws; genes that no cell of a batch expresses are predicted too; a prediction
    reads as many genes at once as a step, not all of them: attention over 2,000 takes hours of two
    cores. A perturbation that training has not is known by its flagged gene, if that is measured;
    of others there is only what a table says of them. Doses are not told apart. Published sizes:
    width 512, 8 heads, 12 layers, 1,536 genes a step, batches of 64, a rate of 1e-4.

    **Fields:** `width`, of a token, a multiple of `heads`; `layers`, with MLPs of `mlp_width`;
    `sampled`, genes that are read at once, at most; `targets`, perturbations of a condition, at
    most; `gene_embedding`, the name of the table that `Priors.genes` is, at which embeddings of
    genes and of what is perturbed then begin, projected, or `None`; `training`.
    """

    width: int = whole(64)
    heads: int = whole(4)
    layers: int = whole(2)
    mlp_width: int = whole(128)
    sampled: int = whole(200)
    targets: int = whole(4)
    gene_embedding: str | None = None
    training: Training = Training(optimiser=Adam(1e-3), groups=32, steps=400, validate_every=50)

    def __check_init__(self) -> None:
        require(self.width % self.heads == 0, self, "width must be a multiple of heads")

    def knows(self, facts: Facts) -> Bool[np.ndarray, " perturbations"]:
        bare, places, seen = bare_names(facts)
        known = list(facts.screen.genes)
        if self.gene_embedding is not None and facts.priors.genes is not None:
            known += facts.priors.genes.names
        return (seen | np.isin(bare, known))[places]

    def build(self, facts: Facts, *, key: PRNGKeyArray) -> GeneTransformerNetwork:
        most = max(len(c.perturbations) for c in facts.screen.conditions)
        require(most <= self.targets, self, f"targets must be at least {most}, as in training")
        genes, (bare, places, _) = facts.screen.genes, bare_names(facts)
        names = tuple(dict.fromkeys((*genes, *bare)))
        row = {name: place for place, name in enumerate(names)}
        table = table_of("GeneTransformer", self.gene_embedding, names, facts.priors)
        keys = jr.split(key, 5)
        return GeneTransformerNetwork(
            names=GeneTable.of(table, len(names), self.width, frozen=False, key=keys[0]),
            values=eqx.nn.MLP(1, self.width, self.width, 1, key=keys[1]),
            flag=jr.normal(keys[2], (self.width,)),
            blocks=tuple(
                AttentionBlock.of(self.width, self.heads, self.mlp_width, PostNorm(), key=own)
                for own in jr.split(keys[3], self.layers)
            ),
            head=Perceptron.of(self.width, self.width, 2, 1, key=keys[4]),
            rows=jnp.array([row[bare[place]] for place in places], jnp.int32),
            genes=len(genes),
            sampled=min(self.sampled, len(genes)),
            targets=min(self.targets, len(facts.perturbations)),
        )
