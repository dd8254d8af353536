"""A trained model with its names: AnnData in, AnnData out, and one file."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import anndata as ad
import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float32
from scipy.sparse import csr_matrix

from scbig._errors import NumericalFailure
from scbig._names import examples
from scbig._typing import ExpressionBatch, Float, LatentBatch, PRNGKeyArray
from scbig.anchor import (
    AbstractFittedAnchor,
    Moves,
    draw,
    move,
    nonnegative as without_negative,
)
from scbig.data import Columns, Screen, check_log_normalised, control_cells, expression_of
from scbig.flow import Transport, Transported
from scbig.method import ScBIGConfig
from scbig.model import AbstractEmission, ConditionTokens, ScBIG

from ._counts import as_counts, check_emit
from ._given import check_given, check_labelled
from ._names import Names
from ._populations import Populations, assemble

ROWS = 256
"""Cells that are padded to a multiple of, where every number of them would be compiled for."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrainedModel:
    """What a training makes: the pure model, what its rows are called, and how it was made.

    **Fields:** `pure`, the pytree of arrays and its pure functions; `names`; `config`; `anchor`,
    which moves the controls before the flow, if the configuration has one; `others`, further
    members of an ensemble, which differ from `pure` in their flows.
    """

    pure: ScBIG
    names: Names
    config: ScBIGConfig
    anchor: AbstractFittedAnchor | None = None
    others: tuple[ScBIG, ...] = ()

    def predict(
        self,
        controls: Screen | ad.AnnData,
        conditions: Sequence[str],
        columns: Columns = Columns(),
        *,
        key: PRNGKeyArray,
        cells: int | None = None,
        nonnegative: bool = True,
        extra: Literal["error", "ignore"] = "error",
        transport: Transport | None = None,
        throw: bool = True,
        emit: Literal["log1p", "counts"] = "log1p",
    ) -> ad.AnnData:
        """Predicts the population that each condition makes of the given control cells.

        With contexts, of the control cells of each context. Of an ensemble each cell is the mean of
        what its members make of the same control.

        **Arguments:**

        - `controls`: a screen or an AnnData of log-normalised cells, for its controls; with the
            model's genes in any order. Where an AnnData has the column of conditions, its controls
            are the cells that it calls so, and without that column all cells.
        - `conditions`: labels such as `"CEBPE+KLF1"` or `"Panobinostat@0.1"`, spelled as `columns`
            says; the order within a label does not matter.
            `"control"` gives the controls back, but where `config.emission` decodes the flow of an
            empty set, which no training cell has shown the model.
        - `columns`: what the columns of an AnnData's `obs` mean; a screen has read its own. With
            contexts, each condition is predicted in each context, from that context's controls
            alone; a model that was trained with vectors of contexts needs them.
        - `key`: draws the controls if `cells` is given.
        - `cells`: control cells to transport for each condition, in each context; all of them by
            default, drawn with replacement if there are fewer. The result is dense: choose a
            number where many conditions meet many controls.
        - `nonnegative`: whether predicted expression below zero becomes zero, and the rest of the
            gene less by as much, so that its mean stays (`scbig.anchor.nonnegative`).
        - `extra`: whether genes that the model does not have are an error or are left out.
        - `transport`: the solve; the configuration's by default.
        - `throw`: whether a solve that ran out of steps is an error, or only a flag of
            `uns["transport"]`.
        - `emit`: whether expression comes as log1p, or as whole counts at the controls' library
            sizes, of which `layers["counts"]` or their values tell: see `as_counts`, which takes
            those sizes too.

        **Returns:** an AnnData of predicted cells with the model's genes; `obs["condition"]` is
        the label (as given, if `columns` has the usual spelling), `obs["source"]` the control
        cell, whose other columns of `obs`, the context's among them, are kept (its own `source` as
        `control_source`), and
        `uns["transport"]` the solver's steps for each population; `uns["scbig_columns"]` names the
        columns of conditions and contexts, by which `scbig.evaluate` reads them. Of a model with an
        anchor, or of an ensemble, `uns["response_sd"]` is the standard deviation of the mean of
        each population and gene: of what the anchor expects, and between the members. One program
        is compiled for each number of cells, so with `cells` only one.

        **Raises:** `ValueError` naming unknown perturbations, unknown contexts or missing genes,
        saying why the controls are not log-normalised or not on the scale of the training, or
        which column says that not all of them are controls; `NumericalFailure` naming the
        population whose solve ran out of steps.
        """
        if isinstance(conditions, str):
            raise ValueError(f"conditions must be a list of labels; got the string {conditions!r}.")
        conditions = columns.spelled(conditions)
        if isinstance(controls, ad.AnnData):
            check_labelled(controls, columns, self.names)
        check_emit(emit, controls, columns)
        asked = controls
        controls, context_key = control_cells(controls, columns)
        if not conditions or not controls.n_obs or (cells is not None and cells < 1):
            raise ValueError(
                f"Nothing to predict: {len(conditions)} conditions, {controls.n_obs} controls, "
                f"cells={cells}; each must be at least one."
            )
        if self.pure.contexts is not None and context_key is None:
            raise ValueError(
                "The model tells contexts apart: pass columns=Columns(context=...), the column of "
                "obs with the context of each control. It knows "
                f"{examples(self.names.contexts, most=10)}."
            )
        wanted = Populations.of(controls, conditions, context_key, cells, key=key)
        tokens = self.names.tokens(
            wanted.conditions, self.config.max_tokens, contexts=wanted.contexts
        )
        expression = expression_of(controls, self.names.genes, extra=extra)
        check_given(controls, expression, np.asarray(self.pure.mean), self.names)
        solve = self.config.transport if transport is None else transport
        parts, steps, spread, sources = [], [], [], []
        for place, start in enumerate(self.starts(expression, wanted)):
            rows, *cells_of = start
            sources.append(rows)
            given: Any = (self.config.emission, *cells_of, tokens[place], nonnegative)
            carried = [_carry(member, solve, *given) for member in (self.pure, *self.others)]
            found, moved = zip(*carried, strict=True)
            if throw and not all(bool(own.solved) for own in moved):
                raise unsolved(wanted, place, solve)
            parts.append(np.asarray(functools.reduce(jnp.add, found) / len(found)))
            means = np.stack([np.asarray(jnp.mean(cells, axis=0)) for cells in found])
            spread.append(means.var(axis=0, ddof=1) if self.others else 0.0 * means[0])
            steps.append(_effort(moved))
        frame = pd.DataFrame(controls.obs)
        wanted = dataclasses.replace(wanted, rows=tuple(sources))
        result = assemble(wanted, parts, self.names.genes, frame, steps, context_key)
        if self.anchor is not None:
            expected = self.anchor.deviations(wanted.parsed, wanted.places)
            spread = [own + sd**2 for own, sd in zip(spread, expected, strict=True)]
        if self.anchor is not None or self.others:
            result.uns["response_sd"] = np.sqrt(spread).astype(np.float32)
        return result if emit == "log1p" else as_counts(result, asked, columns, key=key)

    def starts(
        self, expression: Float[np.ndarray, "controls genes"], wanted: Populations
    ) -> Iterator[tuple[np.ndarray, ExpressionBatch, LatentBatch, Moves | None]]:
        """Of each population its controls, cells without a flow, latents to start from, and moves.

        With an anchor the controls are drawn again in proportions that the condition has.
        """
        if self.anchor is None:
            # Many populations start from the same cells.
            known = self.pure.encode_cells(jnp.asarray(expression))
            for rows in wanted.rows:
                yield rows, jnp.asarray(expression[rows]), known[rows], None
            return
        contexts = wanted.places
        moves = self.anchor.moves(wanted.parsed, contexts)
        centres = {own: expression[rows].mean(axis=0) for own, rows in wanted.available.items()}
        for place, rows in enumerate(wanted.rows):
            centre, own = jnp.asarray(centres[contexts[place]]), moves[place]
            rows = rows[np.asarray(draw(own, jnp.asarray(expression[rows]), centre))]
            starts = move(own, jnp.asarray(expression[rows]), centre)
            # What a seen condition's own cells say comes in after the flow, as in training.
            latents = self.pure.encode_cells(starts - own.rest[None])
            yield rows, starts, latents, own

    def round_trip(
        self,
        cells: Float[np.ndarray, "cells genes"],
        genes: Sequence[str] | None = None,
        *,
        nonnegative: bool = True,
    ) -> Float32[np.ndarray, "cells genes"]:
        """What the autoencoder alone makes of cells: encoded and decoded, without any flow.

        Without dropout. Of measured cells of a condition it shows what the
        latents keep of the response: a flow adds errors of its own.

        **Arguments:**

        - `cells`: log-normalised expression, perturbed or not.
        - `genes`: the names of the columns: the model's in any order, and no others; by default
            those of the model in the model's order.
        - `nonnegative`: as for `predict`.

        **Returns:** as many cells, with the genes in the order of `cells`.

        **Raises:** `ValueError` naming missing or surplus genes, or saying why the cells are not
        log-normalised.
        """
        given = self.names.genes if genes is None else tuple(genes)
        if not len(cells) or cells.shape[1] != len(given):
            raise ValueError(
                f"Cells with a column for each of {len(given)} genes are needed; got "
                f"{cells.shape[0]} cells with {cells.shape[1]} columns."
            )
        named = ad.AnnData(cells, var=pd.DataFrame(index=pd.Index(given)))
        values = expression_of(named, self.names.genes)
        check_log_normalised(csr_matrix(values), self.names.genes)
        latents = self.pure.encode_cells(jnp.asarray(values))
        place = {name: column for column, name in enumerate(self.names.genes)}
        decoded = np.asarray(self.pure.decode_cells(latents))[:, [place[name] for name in given]]
        if not nonnegative:
            return decoded
        # Rows of zeros change no gene, and spare a compilation for every number of cells.
        rest = -len(decoded) % ROWS
        padded = jnp.asarray(np.pad(decoded, ((0, rest), (0, 0))))
        return np.asarray(without_negative(padded))[: len(decoded)]


@eqx.filter_jit
def _carry(
    model: ScBIG,
    transport: Transport,
    emission: AbstractEmission,
    starts: ExpressionBatch,
    latents: LatentBatch,
    moves: Moves | None,
    tokens: ConditionTokens,
    positive: bool,
) -> tuple[ExpressionBatch, Transported]:
    """Transports and decodes one population."""
    cells, found = model.predict(starts, latents, tokens, transport, emission, moves)
    return without_negative(cells) if positive else cells, found


def _effort(moved: Sequence[Transported]) -> tuple[int, int, bool]:
    """Steps and rejected steps of all members' solves, and whether all reached the end."""
    tried, rejected = (sum(int(getattr(m, name)) for m in moved) for name in ("steps", "rejected"))
    return tried, rejected, all(bool(own.solved) for own in moved)


def unsolved(wanted: Populations, place: int, solve: Transport) -> NumericalFailure:
    context = "" if wanted.contexts is None else f" in {wanted.contexts[place]}"
    return NumericalFailure(
        f"The solve for {wanted.conditions[place]}{context} ran out of {solve.max_steps} steps. "
        "Raise transport.max_steps or the tolerances of its controller, or pass throw=False."
    )
