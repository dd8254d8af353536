"""What a term of the objective is; flow matching and reconstruction."""

import abc
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import (
    Array,
    ConditionVector,
    ExpressionBatch,
    Float,
    Int,
    Latent,
    PRNGKeyArray,
    Scalar,
)
from scbig._value import Value, whole
from scbig.flow import (
    AbstractProbabilityPath,
    LinearPath,
    flow_matching_loss,
)
from scbig.model import ScBIG
from scbig.nn import AbstractVelocity
from scbig.ot import AbstractCoupling, SinkhornCoupling

from ._data import FlowData, Setting

Metrics = dict[str, Scalar | Float[Array, " all_groups"]]
"""Numbers to log, by name: a scalar is averaged over the steps of a compiled call. A name that ends
in `_unsolved` holds, for every group, how many of its solves ran out of steps, and is summed; the
same name with `_share`, a scalar, is the share of solves that did: a run in which it stays 1 ends.
"""


class AbstractTerm(Value):
    """A part of the objective of stage 2.

    Class attributes, all optional: `label`, what its loss is called in logs; `reads`, the priors
    that it needs; `holds_autoencoder`, true for a term that holds the autoencoder to what it has
    learned, where that trains; `weighs_gradient`, true (it may be a field) for one whose weight is
    the length of its gradient as a multiple of the flow term's, step by step, whatever the size of
    its loss. A method `references` makes it one that `HasReferences`, and `shares` one that
    `HasShares`.
    """

    holds_autoencoder = False
    weighs_gradient = False

    @property
    def every(self) -> int:
        """Steps between two evaluations, over which what it logs is averaged."""
        return 1

    @abc.abstractmethod
    def prepare(self, setting: Setting) -> Any:
        """What the term reads besides the cells, made once on the host; found as `data.own`."""

    @abc.abstractmethod
    def __call__(
        self, model: ScBIG, data: FlowData, step: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Returns the loss and what to log of it; runs inside the compiled step.

        **Arguments:** `model`, with the parameters as they are; `data`, the training cells;
        `step`, the number of the step, from 0; `key`, of this term in this step.
        """


@runtime_checkable
class HasReferences(Protocol):
    """A term that can say what its loss would be without a model, and with a perfect one."""

    def references(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> dict[str, Scalar]:
        """Values to hold its loss against, by name: `no_change`, `noise_floor`."""
        ...


@runtime_checkable
class HasShares(Protocol):
    """A term of several losses that can say how much each of them pulls."""

    def shares(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> dict[str, Scalar]:
        """For each loss, by its name and `_share`, its share of the length of their gradients."""
        ...


class _Still(AbstractVelocity):
    """Nothing moves."""

    def __call__(
        self, t: Scalar, z: Latent, c: ConditionVector, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        return jnp.zeros_like(z)


class FlowMatching(AbstractTerm):
    """Flow-matching loss on freshly drawn, paired cells and controls (Eq. 6).

    **Fields:** `path`, between a pair; `coupling`, who is paired; `groups`, conditions drawn for
    each step; `cells`, cells drawn for each of those, and as many controls of its context.
    """

    label = "flow"

    path: AbstractProbabilityPath = LinearPath()
    coupling: AbstractCoupling = SinkhornCoupling()
    groups: int = whole(1)
    cells: int = whole(1024)

    def prepare(self, setting: Setting) -> None:
        """Nothing: the cells are all it reads."""

    def __call__(
        self, model: ScBIG, data: FlowData, step: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        group_key, match_key = jr.split(key)
        groups = data.index.draw_groups(self.groups, key=group_key)
        return self.on_groups(model, data, groups, key=match_key)

    def on_groups(
        self,
        model: ScBIG,
        data: FlowData,
        groups: Int[Array, " groups"],
        *,
        key: PRNGKeyArray,
        dropout: bool = True,
    ) -> tuple[Scalar, Metrics]:
        """The loss of given groups; a criterion asks for it without dropout."""
        cell_key, control_key, pair_key, condition_key, loss_key = jr.split(key, 5)
        starts, ends, paired = self._pairs(model, data, groups, cell_key, control_key, pair_key)
        conditions = data.conditions(model, groups, key=condition_key if dropout else None)
        loss = flow_matching_loss(
            model.velocity, self.path, starts, ends, conditions, key=loss_key, dropout=dropout
        )
        return loss, {"flow": loss, "paired": paired}

    def references(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> dict[str, Scalar]:
        """The loss of a field that stands still, over all groups, on this path."""
        keys = tuple(jr.split(key, 3))
        unread = jnp.zeros((1, 0))

        def still(group: Int[Array, ""]) -> Scalar:
            own = [jr.fold_in(k, group) for k in keys]
            starts, ends, _ = self._pairs(model, data, group[None], *own)
            draw = jr.fold_in(key, group)
            return flow_matching_loss(_Still(), self.path, starts, ends, unread, key=draw)

        return {"no_change": jnp.mean(jax.lax.map(still, jnp.arange(data.index.num_groups)))}

    def _pairs(
        self,
        model: ScBIG,
        data: FlowData,
        groups: Int[Array, " groups"],
        cell_key: PRNGKeyArray,
        control_key: PRNGKeyArray,
        pair_key: PRNGKeyArray,
    ) -> tuple[Float[Array, "groups cells latent"], Float[Array, "groups cells latent"], Scalar]:
        """Paired control and perturbed latents, and the share of plans that converged."""
        rows = data.index.draw_cells(groups, self.cells, key=cell_key)
        starts = data.draw_starts(model, groups, self.cells, key=control_key)
        ends = data.latents_of(model, rows)
        pairing = jax.vmap(lambda a, b, k: self.coupling(a, b, key=k))(
            jax.lax.stop_gradient(starts),
            jax.lax.stop_gradient(ends),
            jr.split(pair_key, groups.shape[0]),
        )
        ends = jnp.take_along_axis(ends, pairing.partner[:, :, None], axis=1)
        return starts, ends, jnp.mean(pairing.converged.astype(ends.dtype))


class Reconstruction(AbstractTerm):
    """Reconstruction of random training cells (Eq. 5), where the decoder or the encoder trains.

    Without it nothing would hold them to what stage 1 learned.

    **Fields:** `batch`, cells of a step.
    """

    label = "reconstruction"
    holds_autoencoder = True

    batch: int = whole(256)

    def prepare(self, setting: Setting) -> None:
        """Nothing: the cells are all it reads."""

    def __call__(
        self, model: ScBIG, data: FlowData, step: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        assert data.expression is not None
        rows = jr.randint(key, (self.batch,), 0, data.expression.shape[0])
        loss = reconstruction_loss(model, data.expression[rows])
        return loss, {"reconstruction": loss}


def reconstruction_loss(
    model: ScBIG, expression: ExpressionBatch, *, key: PRNGKeyArray | None = None
) -> Scalar:
    """Mean squared error of reconstructed cells, over cells and genes (Eq. 5)."""
    if key is None:
        rebuilt = jax.vmap(lambda x: model.decode(model.encode(x)))(expression)
    else:
        keys = jr.split(key, (expression.shape[0], 2))
        round_trip = lambda x, k: model.decode(model.encode(x, key=k[0]), key=k[1])
        rebuilt = jax.vmap(round_trip)(expression, keys)
    return jnp.mean((rebuilt - expression) ** 2)
