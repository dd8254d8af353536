"""The names beside a model's arrays, and conditions in contexts resolved to numbers."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from scbig._names import examples
from scbig.data import Condition
from scbig.model import ConditionTokens, Dosing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """What a model's rows and columns are called.

    **Fields:** `genes`, the columns of expression; `perturbations`, the rows of the token table;
    `contexts`, the rows of the context table, none if the model does not tell contexts apart;
    `dosing`, how doses are read, `None` if no training condition had one.
    """

    genes: tuple[str, ...]
    perturbations: tuple[str, ...]
    contexts: tuple[str, ...] = ()
    dosing: Dosing | None = None

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Names":
        """The inverse of `dataclasses.asdict`, from JSON; files older than a field lack it."""
        dosing = data.get("dosing")
        return cls(
            genes=tuple(data["genes"]),
            perturbations=tuple(data["perturbations"]),
            contexts=tuple(data.get("contexts", ())),
            dosing=None if dosing is None else Dosing(**dosing),
        )

    @property
    def dose_features(self) -> int:
        """Features of a token's dose."""
        return 0 if self.dosing is None else 2

    def tokens(
        self,
        conditions: Sequence[str | Condition],
        max_tokens: int,
        *,
        contexts: Sequence[str] | None = None,
    ) -> ConditionTokens:
        """Each condition, in its context, as numbers.

        **Arguments:** `contexts`, one for each condition; a model without a context table needs
        none and ignores them.

        **Raises:** `ValueError` naming every perturbation or context that a table lacks, every
        condition of more than `max_tokens` perturbations, and doses that the model cannot read.
        """
        parsed = self.readable(conditions, max_tokens)
        row = {name: number for number, name in enumerate(self.perturbations)}
        index = np.zeros((len(parsed), max_tokens), np.int32)
        mask = np.zeros((len(parsed), max_tokens), bool)
        doses = np.zeros((len(parsed), max_tokens, self.dose_features), np.float32)
        for i, condition in enumerate(parsed):
            count = len(condition.perturbations)
            index[i, :count] = [row[name] for name in condition.perturbations]
            mask[i, :count] = True
            if self.dosing is not None and count:
                doses[i, :count] = [self.dosing.features(dose) for dose in condition.doses]
        return ConditionTokens(
            rows=jnp.asarray(index),
            mask=jnp.asarray(mask),
            doses=jnp.asarray(doses),
            context=jnp.asarray(self._context_rows(contexts, len(parsed))),
        )

    def readable(self, conditions: Sequence[str | Condition], max_tokens: int) -> list[Condition]:
        """The conditions, once it is known that the model reads every one, in whatever context.

        **Arguments:** `conditions`, parsed or as labels in the usual spelling; `max_tokens`, of the
        model's configuration.

        **Raises:** `ValueError` as `tokens` does, but for contexts.
        """
        parsed = [c if isinstance(c, Condition) else Condition.parse(c) for c in conditions]
        self._check(parsed, max_tokens)
        self._check_doses(parsed)
        return parsed

    def _context_rows(self, contexts: Sequence[str] | None, count: int) -> np.ndarray:
        if not self.contexts:
            return np.zeros(count, np.int32)
        if contexts is None:
            raise ValueError(
                "The model tells contexts apart: say in which context each condition is meant. It "
                f"knows {examples(self.contexts, most=10)}."
            )
        if len(contexts) != count:
            raise ValueError(f"There are {len(contexts)} contexts for {count} conditions.")
        row = {name: number for number, name in enumerate(self.contexts)}
        unknown = sorted(set(contexts) - set(row))
        if unknown == [""]:
            known = examples(self.contexts, most=10)
            raise ValueError(
                f"The cells have no contexts, but the model knows {known}. Read them with the "
                "column of those contexts."
            )
        if unknown:
            raise ValueError(
                f"{len(unknown)} context(s) without a vector: {examples(unknown)}. The model knows "
                f"{examples(self.contexts, most=10)}: see `model.names.contexts`. A new context "
                "needs a vector in the table of contexts before training."
            )
        return np.array([row[name] for name in contexts], np.int32)

    def _check(self, parsed: list[Condition], max_tokens: int) -> None:
        unknown = sorted({p for c in parsed for p in c.perturbations} - {*self.perturbations})
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.perturbations, n=3)
            hint = f" Close to {unknown[0]}: {', '.join(near)}." if near else ""
            raise ValueError(
                f"No embedding for {len(unknown)} perturbation(s): {examples(unknown)}."
                f"{hint} The model knows {len(self.perturbations)} names: see "
                "`model.names.perturbations`."
            )
        long = [c.name for c in parsed if len(c.perturbations) > max_tokens]
        if long:
            raise ValueError(
                f"{len(long)} condition(s) have more than max_tokens={max_tokens} perturbations: "
                f"{examples(long)}. Train with a larger `config.max_tokens`."
            )

    def _check_doses(self, parsed: list[Condition]) -> None:
        if self.dosing is None:
            dosed = [c.name for c in parsed if any(dose is not None for dose in c.doses)]
            if dosed:
                raise ValueError(
                    f"{len(dosed)} condition(s) have a dose, but no training condition had one: "
                    f"{examples(dosed)}. Leave the doses out, or train on cells with doses."
                )
        elif self.dosing.always:
            bare = [c.name for c in parsed if None in c.doses]
            if bare:
                raise ValueError(
                    f"{len(bare)} condition(s) have a perturbation without a dose, but in training "
                    f"all had one: {examples(bare)}. Write it as in `name@0.1`."
                )
