"""Embeddings of named things: drawn, or from a pretrained table."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Bool, Float, Int

from scbig._typing import Array, PRNGKeyArray
from scbig.data import Condition
from scbig.train import Priors

from ._cells import Facts
from ._training import Fixed


class GeneTable(eqx.Module):
    """An embedding of each gene: drawn and trained, or a table's, projected.

    **Fields:** `vectors`, `Fixed` if frozen; `project`, of a table's to the width of a token.
    """

    vectors: Float[Array, "genes features"] | Fixed
    project: eqx.nn.Linear | None

    @classmethod
    def of(
        cls,
        table: Float[np.ndarray, "genes features"] | None,
        genes: int,
        width: int,
        *,
        frozen: bool,
        key: PRNGKeyArray,
    ) -> "GeneTable":
        """Of a table, or drawn if there is none."""
        if table is None:
            return cls(drawn(key, genes, width), None)
        vectors = jnp.asarray(table)
        project = eqx.nn.Linear(table.shape[1], width, key=key)
        return cls(Fixed(vectors) if frozen else vectors, project)

    def __call__(self) -> Float[Array, "genes width"]:
        vectors = self.vectors.value if isinstance(self.vectors, Fixed) else self.vectors
        return vectors if self.project is None else jax.vmap(self.project)(vectors)


def table_of(
    owner: str, name: str | None, names: tuple[str, ...], priors: Priors
) -> Float[np.ndarray, "names features"] | None:
    """The vectors of some names in the priors' table of genes, or `None` if none is asked for.

    **Arguments:** `owner`, who asks; `name`, of the table that is asked for.

    **Raises:** a ValueError that names the table if there is none, or names that it lacks.
    """
    if name is None:
        return None
    if priors.genes is None:
        raise ValueError(
            f"{owner} on the gene embeddings of {name}: this table is missing. Give it as Priors "
            "genes= (scbig.priors.read_embeddings reads one), or take gene_embedding=None."
        )
    return priors.genes.align(names, missing=priors.missing).vectors


def bare_names(
    facts: Facts,
) -> tuple[tuple[str, ...], Int[np.ndarray, " labels"], Bool[np.ndarray, " names"]]:
    """The perturbations without their doses, each label's place among them, and which are seen."""
    bare = [Condition.parse(label).perturbations[0] for label in facts.perturbations]
    names = tuple(dict.fromkeys(bare))
    place = {name: row for row, name in enumerate(names)}
    places = np.array([place[name] for name in bare], np.int64)
    return names, places, np.bincount(places, facts.seen, minlength=len(names)) > 0


def drawn(key: PRNGKeyArray, rows: int, width: int) -> Float[Array, "rows width"]:
    """Vectors of about unit length."""
    return jr.normal(key, (rows, width)) / width**0.5


def normalised(x: Float[Array, "tokens width"]) -> Float[Array, "tokens width"]:
    """Layer norm of each token, without parameters."""
    return jax.vmap(eqx.nn.LayerNorm(x.shape[1], use_weight=False, use_bias=False))(x)
