"""Flow matching on pairs from one plan over each condition's whole population."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array, Bool, Float, Int, Latent, PRNGKeyArray, Scalar
from scbig._value import whole
from scbig.flow import AbstractProbabilityPath, LinearPath, flow_matching_loss
from scbig.model import ScBIG
from scbig.ot import AbstractCoupling, SinkhornCoupling

from ._data import FlowData, Setting
from ._terms import AbstractTerm, Metrics


class Pairs(eqx.Module):
    """What `PlannedMatching` caches.

    **Fields:** `ends`, rows of each group's perturbed cells in the plan; `partners`, for each
    start some places among them, drawn from the plan; `shift`, which is added to latents of the
    ends; `converged`, whether each plan met its marginals.
    """

    ends: Int[Array, "all_groups ends"]
    partners: Int[Array, "all_groups starts draws"]
    shift: Float[Array, "all_groups latent"]
    converged: Bool[Array, " all_groups"]


class PlannedMatching(AbstractTerm):
    """Flow-matching loss on pairs that were drawn once, from a plan over the whole population.

    A plan between a few dozen cells pairs each with who happens to be near; that between all pairs
    it with its counterpart. The plan is made for one group after the other, between the cells that
    its flow may start from, at most 1,024 controls, and at most `most` perturbed ones.

    **Fields:** `path`, between a pair; `coupling`, who is paired; `groups`, conditions drawn for
    each step; `cells`, pairs drawn for each of those; `most`, perturbed cells in a plan; `draws`,
    partners kept of each start; `centred`, whether the ends are moved to the mean of the starts,
    so that the flow learns differences between cells and leaves the mean alone.
    """

    label = "flow"
    reads_latents = True

    path: AbstractProbabilityPath = LinearPath()
    coupling: AbstractCoupling = SinkhornCoupling()
    groups: int = whole(1)
    cells: int = whole(1024)
    most: int = whole(1024)
    draws: int = whole(8)
    centred: bool = True

    def prepare(self, setting: Setting) -> Pairs:
        """Makes the plans."""
        assert setting.starts is not None
        assert setting.latents is not None
        index = setting.index
        size, start = np.asarray(index.size), np.asarray(index.start)
        number = min(self.most, int(size.max()))
        # Spread evenly over a larger group; a smaller one comes again and again.
        places = [
            np.arange(number) * n // number if n > number else np.arange(number) % n for n in size
        ]
        order = np.asarray(index.order)
        ends = np.stack([order[s + own] for s, own in zip(start, places, strict=True)])
        ends = jnp.asarray(ends, jnp.int32)
        # One after the other, by one program for any number of groups.
        given = zip(setting.starts, ends, jr.split(jr.key(0), len(ends)), strict=True)
        found = [_plan(self, start, setting.latents[rows], key) for start, rows, key in given]
        partners, shift, converged = map(jnp.stack, zip(*found, strict=True))
        return Pairs(ends, partners, shift, converged)

    def __call__(
        self, model: ScBIG, data: FlowData, step: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        group_key, start_key, draw_key, condition_key, loss_key = jr.split(key, 5)
        pairs: Pairs = data.own
        assert data.starts is not None
        groups = data.index.draw_groups(self.groups, key=group_key)
        shape = (self.groups, self.cells)
        places = jr.randint(start_key, shape, 0, pairs.partners.shape[1])
        draws = jr.randint(draw_key, shape, 0, pairs.partners.shape[2])
        rows = groups[:, None]
        ends = data.latents[pairs.ends[rows, pairs.partners[rows, places, draws]]]
        ends = ends + pairs.shift[groups][:, None]
        starts = data.starts[rows, places]
        conditions = data.conditions(model, groups, key=condition_key)
        loss = flow_matching_loss(model.velocity, self.path, starts, ends, conditions, key=loss_key)
        return loss, {"flow": loss, "paired": jnp.mean(pairs.converged.astype(loss.dtype))}

    def references(self, model: ScBIG, data: FlowData, *, key: PRNGKeyArray) -> dict[str, Scalar]:
        """The loss of a field that stands still, over all pairs, but for the path's noise."""
        pairs: Pairs = data.own
        starts = data.starts
        assert starts is not None

        def still(group: Int[Array, ""]) -> Scalar:
            ends = data.latents[pairs.ends[group]] + pairs.shift[group][None]
            return jnp.mean((ends[pairs.partners[group, :, 0]] - starts[group]) ** 2)

        return {"no_change": jnp.mean(jax.lax.map(still, jnp.arange(pairs.ends.shape[0])))}


@eqx.filter_jit
def _plan(
    term: PlannedMatching,
    start: Float[Array, "starts latent"],
    end: Float[Array, "ends latent"],
    key: PRNGKeyArray,
) -> tuple[Int[Array, "starts draws"], Latent, Bool[Array, ""]]:
    """One plan: the partners that are drawn of each start, the shift, and whether it converged."""
    shift = jnp.mean(start, axis=0) - jnp.mean(end, axis=0) if term.centred else 0.0 * start[0]
    # The same plan for every draw: the compiler makes it once.
    keys = jr.split(key, term.draws)
    found = jax.vmap(lambda k: term.coupling(start, end + shift[None], key=k))(keys)
    return found.partner.T, shift, jnp.all(found.converged)
