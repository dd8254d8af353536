"""The term that keeps structure through encode, solve and decode (Eq. 7 to 9)."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._foreign import COMPILED_QUICKLY
from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig._value import Weighted, label_of, require, whole
from scbig.alignment import AbstractAlignment, CorrelationAlignment, PathwayAlignment
from scbig.flow import Transport, Transported, adaptive
from scbig.model import ScBIG
from scbig.nn import AbstractVelocity

from ._data import FlowData, Setting
from ._denoised import DenoisedCells, control_latents
from ._terms import AbstractTerm, Metrics

Moved = Float[Array, "groups cells latent"]
Predicted = Float[Array, "groups cells genes"]

DRAWS = 8
"""Draws of conditions that `shares` is the mean of."""


class ConsistencyFacts(eqx.Module):
    """What `Consistency` caches.

    **Fields:** `of_losses`, the facts of each loss; `no_change`, what each is divided by, `None`
    for nothing.
    """

    of_losses: tuple[Any, ...]
    no_change: tuple[Scalar, ...] | None = None


class Consistency(AbstractTerm):
    """Alignment losses of cells that were encoded, transported and decoded (Eq. 7 to 9).

    A solve that runs out of steps makes no loss: the term is skipped for that step, and counted.

    **Fields:**

    - `losses`: with their weights.
    - `transport`: the solve in training.
    - `period`: steps between two evaluations.
    - `groups`: conditions drawn for each.
    - `cells`: transported for each of those, and as many measured ones drawn by a loss that draws.
        Flow matching has a number of its own: a loss that cannot tell a condition from the control
        may have more here.
    - `denoised`: whether the measured cells go through the autoencoder first, as stage 1 left it;
        predictions are its outputs, and have no more noise than these.
    - `relative`: whether each loss is divided by what it is without any change, so that 1 is as bad
        as the control; the mean over the training groups, measured once, after stage 1.
    - `weighs_gradient`: whether the term's weight is that of its gradient, see `AbstractTerm`.
    """

    label = "consistency"

    losses: tuple[Weighted[AbstractAlignment], ...] = (
        Weighted(CorrelationAlignment(), 0.1),
        Weighted(PathwayAlignment(), 0.1),
    )
    transport: Transport = adaptive(1e-3, 1e-3, max_steps=256)
    period: int = whole(1)
    groups: int = whole(3)
    cells: int = whole(64, least=2)
    denoised: bool = False
    relative: bool = False
    weighs_gradient: bool = False

    def __check_init__(self) -> None:
        weighed = any(part.weight > 0 for part in self.losses)
        require(weighed, self, "no loss has a weight: leave the term out instead")
        require(
            self.transport.trains,
            self,
            "transport.adjoint=ForwardMode() has no gradient for training; take "
            "RecursiveCheckpointAdjoint()",
        )

    def prepare(self, setting: Setting) -> ConsistencyFacts:
        """The facts of each loss, and what it is without any change."""
        model, screen, index = setting.model, setting.screen, setting.index
        measured = DenoisedCells(model, screen) if self.denoised else screen
        given = measured, index, model.partition, setting.pathways
        facts = ConsistencyFacts(tuple(part.term.prepare(*given) for part in self.active))
        if not self.relative:
            return facts
        latents, controls = control_latents(model, screen, index)
        still = FlowData(controls, setting.tokens, latents, None, own=facts)
        return ConsistencyFacts(facts.of_losses, _no_change(self, model, still))

    def __call__(
        self, model: ScBIG, data: FlowData, step: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        evaluate = lambda: self.evaluate(model, data, key=key)
        values = _now_and_then(evaluate, step, self.period, self._nothing(data))
        loss = jnp.zeros(())
        for part, name in zip(self.active, self.names, strict=True):
            loss = loss + part.weight * values[name]
        # Zero between evaluations: times the period, their mean over a call is a loss's own mean.
        counted = {name: v for name, v in values.items() if name.endswith("_unsolved")}
        scaled = {name: self.period * v for name, v in values.items() if name not in counted}
        return loss, {**scaled, **counted}

    @property
    def every(self) -> int:
        """Steps between two evaluations."""
        return self.period

    @property
    def active(self) -> tuple[Weighted[AbstractAlignment], ...]:
        """The losses that have a weight: no prior of another is needed."""
        return tuple(part for part in self.losses if part.weight > 0)

    @property
    def names(self) -> tuple[str, ...]:
        """What each of them is called in logs: its label, and a number from the second of it on."""
        labels = [label_of(part.term) for part in self.active]
        nth = [labels[: place + 1].count(label) for place, label in enumerate(labels)]
        return tuple(x if n == 1 else f"{x}_{n}" for x, n in zip(labels, nth, strict=True))

    def evaluate(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> Metrics:
        """The losses of freshly drawn conditions, through the solve and the decoder."""
        group_key, cell_key, control_key = jr.split(key, 3)
        groups, ends, moved = self._transported(model, data, group_key, control_key)
        predicted = jax.vmap(jax.vmap(model.decode))(ends)
        losses = self._functions(data.own, groups, key=cell_key)
        found = {name: loss(predicted) for name, loss in losses.items()}
        failed = jnp.zeros(data.index.num_groups).at[groups].add(jnp.where(moved.solved, 0.0, 1.0))
        return {
            **{name: jnp.where(moved.solved, value, 0.0) for name, value in found.items()},
            "solver_steps": moved.steps.astype(jnp.float32),
            "consistency_unsolved": failed,
            "consistency_unsolved_share": jnp.where(moved.solved, 0.0, 1.0),
        }

    def _nothing(self, data: FlowData) -> Metrics:
        """What `evaluate` returns, at the steps without it."""
        scalars = (*self.names, "solver_steps", "consistency_unsolved_share")
        return {
            **dict.fromkeys(scalars, jnp.zeros(())),
            "consistency_unsolved": jnp.zeros(data.index.num_groups),
        }

    def references(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> dict[str, Scalar]:
        """Each loss for controls as they are, and for other measured cells of the condition.

        Both are encoded and decoded, as the flow's cells are: the second is what a perfect flow
        would reach.
        """

        def both(group: Int[Array, ""]) -> dict[str, Scalar]:
            keys = jr.split(jr.fold_in(key, group), 3)
            groups = group[None]
            controls = data.index.draw_controls(groups, self.cells, key=keys[0])
            cells = data.index.draw_cells(groups, self.cells, key=keys[1])
            losses = lambda rows: self._untransported(model, data, groups, rows, key=keys[2])
            # One after the other, so that they are compiled once.
            found = jax.lax.map(losses, jnp.stack([controls, cells]))
            kinds = ("no_change", "noise_floor")
            return {f"{n}_{kind}": v[i] for n, v in found.items() for i, kind in enumerate(kinds)}

        found = jax.lax.map(both, jnp.arange(data.index.num_groups))
        return jax.tree.map(jnp.mean, found)

    def shares(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> dict[str, Scalar]:
        """Of several losses, each one's share of the summed lengths of their weighted gradients.

        With respect to the transported latents, before which all of them take the same way; with
        respect to the cells it would count what the decoder cannot follow. The mean over some
        draws of conditions, of which one that is not solved counts as zeros.
        """
        if len(self.active) == 1:
            return {}
        decode = jax.vmap(jax.vmap(model.decode))
        weights = jnp.array([part.weight for part in self.active])

        def drawn(key: PRNGKeyArray) -> Float[Array, " losses"]:
            group_key, cell_key, control_key = jr.split(key, 3)
            groups, ends, moved = self._transported(model, data, group_key, control_key)
            predicted, pull = jax.vjp(decode, ends)
            losses = self._functions(data.own, groups, key=cell_key).values()
            gradients = [pull(jax.grad(loss)(predicted))[0] for loss in losses]
            lengths = weights * jnp.stack([jnp.linalg.norm(jnp.ravel(g)) for g in gradients])
            total = jnp.maximum(jnp.sum(lengths), jnp.finfo(lengths.dtype).tiny)
            return jnp.where(moved.solved, lengths / total, 0.0)

        found = jnp.mean(jax.lax.map(drawn, jr.split(key, DRAWS)), axis=0)
        return {f"{name}_share": found[place] for place, name in enumerate(self.names)}

    def without_change(
        self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray
    ) -> tuple[Scalar, ...]:
        """Each loss for controls as they are, the mean over all groups."""

        def still(group: Int[Array, ""]) -> dict[str, Scalar]:
            row_key, loss_key = jr.split(jr.fold_in(key, group))
            rows = data.index.draw_controls(group[None], self.cells, key=row_key)
            return self._untransported(model, data, group[None], rows, key=loss_key)

        found = jax.lax.map(still, jnp.arange(data.index.num_groups))
        return tuple(jnp.mean(found[name]) for name in self.names)

    def _transported(
        self,
        model: ScBIG,
        data: FlowData,
        group_key: PRNGKeyArray,
        control_key: PRNGKeyArray,
    ) -> tuple[Int[Array, " groups"], Moved, Transported]:
        """Drawn conditions, and the latents of controls that were carried to each."""
        groups = data.index.draw_groups(self.groups, key=group_key)
        starts = data.draw_starts(model, groups, self.cells, key=control_key)
        conditions = data.conditions(model, groups, key=None)
        moved = _moved(self.transport, model.velocity, starts, conditions)
        # Where the solve failed, what it last had must not reach the losses.
        ends = jnp.where(moved.solved, moved.latents, jax.lax.stop_gradient(starts))
        return groups, ends, moved

    def _untransported(
        self,
        model: ScBIG,
        data: FlowData,
        groups: Int[Array, " groups"],
        rows: Int[Array, "groups cells"],
        *,
        key: PRNGKeyArray,
    ) -> dict[str, Scalar]:
        """The losses of measured cells that were encoded and decoded."""
        decoded = jax.vmap(jax.vmap(model.decode))(data.latents_of(model, rows))
        losses = self._functions(data.own, groups, key=key)
        return {name: loss(decoded) for name, loss in losses.items()}

    def _functions(
        self, own: ConsistencyFacts, groups: Int[Array, " groups"], *, key: PRNGKeyArray
    ) -> dict[str, Callable[[Predicted], Scalar]]:
        """The losses, by name, as functions of the predicted cells."""

        def loss(place: int, predicted: Predicted) -> Scalar:
            part, facts = self.active[place], own.of_losses[place]
            value = part.term(predicted, groups, facts, key=key)
            return value if own.no_change is None else value / own.no_change[place]

        return {name: functools.partial(loss, place) for place, name in enumerate(self.names)}


@eqx.filter_jit(**COMPILED_QUICKLY)
def _no_change(term: Consistency, model: ScBIG, data: FlowData) -> tuple[Scalar, ...]:
    """What each loss is divided by; one that is not above rounding is left as it is."""
    floor = jnp.finfo(jnp.float32).eps
    found = term.without_change(model, data, key=jr.key(0))
    return tuple(jnp.where(value > floor, value, 1.0) for value in found)


def _moved(
    transport: Transport,
    velocity: AbstractVelocity,
    starts: Float[Array, "groups cells latent"],
    conditions: Float[Array, "groups condition"],
) -> Transported:
    """Transported latents; a solve that failed has no gradient, where its own might be infinite."""
    arrays, rest = eqx.partition((velocity, starts, conditions), eqx.is_inexact_array)

    def solve(arrays: Any) -> tuple[Float[Array, "groups cells latent"], Transported]:
        moved = transport(*eqx.combine(arrays, rest), throw=False)
        return moved.latents, moved

    @jax.custom_gradient
    def run(arrays: Any) -> Any:
        _, pull, moved = jax.vjp(solve, arrays, has_aux=True)

        def back(cotangent: Any) -> Any:
            (found,) = pull(cotangent.latents)
            return (jax.tree.map(lambda g: jnp.where(moved.solved, g, jnp.zeros_like(g)), found),)

        return moved, back

    return run(arrays)


def _now_and_then(
    evaluate: Callable[[], Metrics], step: Int[Array, ""], period: int, nothing: Metrics
) -> Metrics:
    """What `evaluate` returns at every `period`-th step, and zeros, at no cost, at the others."""
    if period == 1:
        return evaluate()
    return jax.lax.cond(step % period == 0, evaluate, lambda: nothing)
