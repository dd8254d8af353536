"""The term that keeps structure through encode, solve and decode (Eq. 7 to 9)."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig._value import Weighted, label_of, require, whole
from scbig.alignment import AbstractAlignment, CorrelationAlignment, PathwayAlignment
from scbig.flow import Transport, Transported, adaptive
from scbig.model import ScBIG
from scbig.nn import AbstractVelocity

from ._data import FlowData, Setting
from ._terms import AbstractTerm, Metrics


class Consistency(AbstractTerm):
    """Alignment losses of cells that were encoded, transported and decoded (Eq. 7 to 9).

    A solve that runs out of steps makes no loss: the term is skipped for that step, and counted.

    **Fields:** `losses`, with their weights; `transport`, the solve in training; `period`, steps
    between two evaluations; `groups`, conditions drawn for each; `cells`, transported for each of
    those.
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

    def __check_init__(self) -> None:
        weighed = any(part.weight > 0 for part in self.losses)
        require(weighed, self, "no loss has a weight: leave the term out instead")
        require(
            self.transport.trains,
            self,
            "transport.adjoint=ForwardMode() has no gradient for training; take "
            "RecursiveCheckpointAdjoint()",
        )

    def prepare(self, setting: Setting) -> tuple[Any, ...]:
        """The facts of each loss."""
        given = setting.screen, setting.index, setting.model.partition, setting.pathways
        return tuple(part.term.prepare(*given) for part in self.active)

    def __call__(
        self, model: ScBIG, data: FlowData, step: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        values = _now_and_then(lambda: self.evaluate(model, data, key=key), step, self.period)
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
        groups = data.index.draw_groups(self.groups, key=group_key)
        starts = data.draw_starts(model, groups, self.cells, key=control_key)
        conditions = data.conditions(model, groups, key=None)
        moved = _moved(self.transport, model.velocity, starts, conditions)
        # Where the solve failed, what it last had must not reach the losses.
        ends = jnp.where(moved.solved, moved.latents, jax.lax.stop_gradient(starts))
        losses = self._losses(model, data, groups, ends, key=cell_key)
        failed = jnp.zeros(data.index.num_groups).at[groups].add(jnp.where(moved.solved, 0.0, 1.0))
        return {
            **{name: jnp.where(moved.solved, value, 0.0) for name, value in losses.items()},
            "solver_steps": moved.steps.astype(jnp.float32),
            "consistency_unsolved": failed,
            "consistency_unsolved_share": jnp.where(moved.solved, 0.0, 1.0),
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
            losses = lambda rows: self._losses(
                model, data, groups, data.latents_of(model, rows), key=keys[2]
            )
            # One after the other, so that they are compiled once.
            found = jax.lax.map(losses, jnp.stack([controls, cells]))
            kinds = ("no_change", "noise_floor")
            return {f"{n}_{kind}": v[i] for n, v in found.items() for i, kind in enumerate(kinds)}

        found = jax.lax.map(both, jnp.arange(data.index.num_groups))
        return jax.tree.map(jnp.mean, found)

    def _losses(
        self,
        model: ScBIG,
        data: FlowData,
        groups: Int[Array, " groups"],
        latents: Float[Array, "groups cells latent"],
        *,
        key: PRNGKeyArray,
    ) -> dict[str, Scalar]:
        predicted = jax.vmap(jax.vmap(model.decode))(latents)
        parts = zip(self.names, self.active, data.own, strict=True)
        return {name: p.term(predicted, groups, facts, key=key) for name, p, facts in parts}


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


def _now_and_then(evaluate: Callable[[], Metrics], step: Int[Array, ""], period: int) -> Metrics:
    """What `evaluate` returns at every `period`-th step, and zeros, at no cost, at the others."""
    if period == 1:
        return evaluate()
    zeros = lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(evaluate))
    return jax.lax.cond(step % period == 0, evaluate, zeros)
