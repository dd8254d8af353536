"""The names beside a model's arrays, and conditions resolved to token numbers."""

import dataclasses
import difflib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int

from scbig.data import Condition


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """What a model's rows and columns are called.

    **Fields:** `genes`, the columns of expression; `perturbations`, the rows of the token table.
    """

    genes: tuple[str, ...]
    perturbations: tuple[str, ...]

    def tokens(
        self, conditions: Sequence[str | Condition], max_tokens: int
    ) -> tuple[
        Int[np.ndarray, "conditions {max_tokens}"], Bool[np.ndarray, "conditions {max_tokens}"]
    ]:
        """Rows of the token table for each condition, padded, and a mask of the real ones.

        **Raises:** `ValueError` naming every perturbation that the table lacks, or every condition
        of more than `max_tokens` perturbations.
        """
        parsed = [c if isinstance(c, Condition) else Condition.parse(c) for c in conditions]
        row = {name: number for number, name in enumerate(self.perturbations)}
        self._check(parsed, row, max_tokens)
        index = np.zeros((len(parsed), max_tokens), np.int32)
        mask = np.zeros((len(parsed), max_tokens), bool)
        for i, condition in enumerate(parsed):
            count = len(condition.perturbations)
            index[i, :count] = [row[name] for name in condition.perturbations]
            mask[i, :count] = True
        return index, mask

    def _check(self, parsed: list[Condition], row: dict[str, int], max_tokens: int) -> None:
        unknown = sorted({p for c in parsed for p in c.perturbations if p not in row})
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.perturbations, n=3)
            hint = f" Close to {unknown[0]}: {', '.join(near)}." if near else ""
            raise ValueError(
                f"No embedding for {len(unknown)} perturbed gene(s): {', '.join(unknown[:5])}."
                f"{hint} The model knows {len(self.perturbations)} names: see "
                "`model.names.perturbations`."
            )
        long = [c.name for c in parsed if len(c.perturbations) > max_tokens]
        if long:
            raise ValueError(
                f"{len(long)} condition(s) have more than max_tokens={max_tokens} perturbations: "
                f"{', '.join(long[:5])}. Train with a larger `config.max_tokens`."
            )
