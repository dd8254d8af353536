"""Which control cells a prediction starts from, and the AnnData that it ends in."""

import dataclasses
from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from scbig._typing import PRNGKeyArray
from scbig.data import Condition, contexts_of, population, record_columns
from scbig.sampling import start_rows

SOURCE = "source"
"""The column of predicted cells with the name of the control that each was."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Populations:
    """The populations to predict: each is a condition in a context, from some control cells.

    **Fields:** `conditions`, labels as they were given; `contexts`, `None` if none were asked for;
    `rows` of the control cells, for each population; `available`, those of each context.
    """

    conditions: tuple[str, ...]
    contexts: tuple[str, ...] | None
    rows: tuple[Int[np.ndarray, " _cells"], ...]
    available: dict[str, Int[np.ndarray, " _controls"]]

    @property
    def places(self) -> tuple[str, ...]:
        """The context of each, empty where there are none."""
        return self.contexts or ("",) * len(self.rows)

    @property
    def parsed(self) -> tuple[Condition, ...]:
        """The condition of each."""
        return tuple(Condition.parse(label) for label in self.conditions)

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
        """Every condition in every context of the controls, context after context.

        A condition that is spelt twice (`A+B`, `B+A`) is predicted once, as it was spelt first.
        """
        if "condition" in ((context_key,) if isinstance(context_key, str) else context_key or ()):
            raise ValueError("obs['condition'] gets the predicted labels: it cannot be a context.")
        contexts, index = contexts_of(controls, context_key)
        first = {Condition.parse(label): label for label in reversed(conditions)}
        labels = [label for label in conditions if first[Condition.parse(label)] == label]
        conditions = list(dict.fromkeys(labels))
        parsed = [Condition.parse(label) for label in conditions]
        rows, available = [], {}
        for place, context in enumerate(contexts):
            available[context] = own = np.flatnonzero(index == place)
            rows += [start_rows(own, condition, context, cells, key=key) for condition in parsed]
        return cls(
            conditions=tuple(conditions) * len(contexts),
            contexts=None
            if context_key is None
            else tuple(context for context in contexts for _ in conditions),
            rows=tuple(rows),
            available=available,
        )


def assemble(
    wanted: Populations,
    parts: Sequence[Float[np.ndarray, "_cells genes"]],
    genes: tuple[str, ...],
    controls: pd.DataFrame,
    steps: Sequence[tuple[int, int, bool]],
    context_key: str | Sequence[str] | None,
) -> ad.AnnData:
    """Predicted populations as one AnnData.

    **Arguments:** `controls`, the `obs` of the control cells; `steps`, the solver's steps,
    rejected steps and whether it reached the end, for each population; `context_key`, the column
    or columns of their contexts.
    """
    sources = controls.iloc[np.concatenate(wanted.rows)]
    # As they are stored: categories stay ordered, and what may be missing stays so.
    kept = {str(name): column.array for name, column in sources.items() if name != "condition"}
    if SOURCE in kept:
        kept[f"control_{SOURCE}"] = kept.pop(SOURCE)
    columns = {**kept, SOURCE: sources.index.to_numpy()}
    result = population(list(zip(wanted.conditions, parts, strict=True)), genes, obs=columns)
    record_columns(result, context_key)
    tried, rejected, solved = zip(*steps, strict=True)
    table = {"condition": list(wanted.conditions)}
    if wanted.contexts is not None:
        table["context"] = list(wanted.contexts)
    result.uns["transport"] = pd.DataFrame(
        {**table, "steps": tried, "rejected": rejected, "solved": solved}
    )
    return result
