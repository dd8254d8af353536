"""Which control cells a prediction starts from, and the AnnData that it ends in."""

import dataclasses
import zlib
from collections.abc import Sequence

import anndata as ad
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Key

from scbig._typing import Array, PRNGKeyArray
from scbig.data import Condition, contexts_of, population


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Populations:
    """The populations to predict: each is a condition in a context, from some control cells.

    **Fields:** `conditions`, labels as they were given; `contexts`, `None` if none were asked for;
    `rows` of the control cells, for each population.
    """

    conditions: tuple[str, ...]
    contexts: tuple[str, ...] | None
    rows: tuple[Int[np.ndarray, " _cells"], ...]

    @classmethod
    def of(
        cls,
        controls: ad.AnnData,
        conditions: Sequence[str],
        context_key: str | Sequence[str] | None,
        cells: int | None,
        *,
        key: PRNGKeyArray,
    ) -> "Populations":
        """Every condition in every context of the controls, context after context."""
        if "condition" in ((context_key,) if isinstance(context_key, str) else context_key or ()):
            raise ValueError("obs['condition'] gets the predicted labels: it cannot be a context.")
        contexts, index = contexts_of(controls, context_key)
        names = [Condition.parse(label).name for label in conditions]
        rows = []
        for place, context in enumerate(contexts):
            own = np.flatnonzero(index == place)
            # By name, so that a prediction does not depend on what else is predicted.
            parts = [zlib.crc32(f"{context}\n{name}".encode()) for name in names]
            keys = jnp.stack([jr.fold_in(key, part) for part in parts])
            drawn = source_rows(len(own), cells, keys)
            rows += [own[row] for row in drawn]
        return cls(
            conditions=tuple(conditions) * len(contexts),
            contexts=None
            if context_key is None
            else tuple(context for context in contexts for _ in conditions),
            rows=tuple(rows),
        )


def source_rows(
    available: int, cells: int | None, keys: Key[Array, " conditions"]
) -> Int[np.ndarray, "conditions cells"]:
    """Rows of the control cells to transport for each condition, which has a key of its own.

    All of them if `cells` is `None`; otherwise drawn, with replacement only if there are fewer.
    """
    if cells is None:
        return np.tile(np.arange(available), (len(keys), 1))
    draw = lambda k: jr.choice(k, available, (cells,), replace=cells > available)
    return np.asarray(jax.vmap(draw)(keys))


def assemble(
    wanted: Populations,
    parts: Sequence[Float[np.ndarray, "_cells genes"]],
    genes: tuple[str, ...],
    controls: pd.DataFrame,
    steps: Sequence[tuple[int, int]],
) -> ad.AnnData:
    """Predicted populations as one AnnData.

    **Arguments:** `controls`, the `obs` of the control cells; `steps`, the solver's steps and
    rejected steps for each population.
    """
    sources = controls.iloc[np.concatenate(wanted.rows)]
    kept = {str(name): column.to_numpy() for name, column in sources.items() if name != "condition"}
    columns = {**kept, "source": sources.index.to_numpy()}
    result = population(list(zip(wanted.conditions, parts, strict=True)), genes, obs=columns)
    counts = np.asarray(steps).reshape(-1, 2)
    table = {"condition": list(wanted.conditions)}
    if wanted.contexts is not None:
        table["context"] = list(wanted.contexts)
    result.uns["transport"] = pd.DataFrame(
        {**table, "steps": counts[:, 0], "rejected": counts[:, 1]}
    )
    return result
