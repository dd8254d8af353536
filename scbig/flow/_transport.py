"""The solve that carries control latents along the flow, from time 0 to time 1."""

from functools import partial
from typing import Literal

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, Float, Int, Scalar
from scbig.nn import AbstractVelocity


class Transported(eqx.Module):
    """Latents at flow time 1, and what the solve cost.

    **Fields:** `latents`; `steps`, solver steps tried, of which `rejected` were repeated with a
    smaller size.
    """

    latents: Float[Array, "groups cells latent"]
    steps: Int[Array, ""]
    rejected: Int[Array, ""]


class Transport(eqx.Module):
    """`dz/dt = v(t, z, c)` from 0 to 1 for many cells in one solve.

    All cells share the solver's steps, so the time and condition streams are computed once for all
    of them and the parameters get one cotangent, not one a cell; with `worst_cell_norm` the steps
    are those of the hardest cell, and every cell meets the tolerances.
    """

    solver: dfx.AbstractSolver
    controller: dfx.AbstractStepSizeController
    adjoint: dfx.AbstractAdjoint
    first_step: float | None = None
    max_steps: int = 1024

    def __call__(
        self,
        velocity: AbstractVelocity,
        latents: Float[Array, "groups cells latent"],
        conditions: Float[Array, "groups condition"],
        *,
        throw: bool = True,
    ) -> Transported:
        """Returns the transported latents.

        **Arguments:** `latents`, control cells by group; `conditions`, one encoded condition a
        group; `throw`, whether a solve that ran out of steps is an error (otherwise its cells are
        what the solver last had).
        """

        # The field's arrays go in as arguments: an adjoint that solves backwards in time does not
        # see what a function closes over.
        arrays, rest = eqx.partition(velocity, eqx.is_inexact_array)

        def field(t, y, args):
            arrays, conditions = args
            over_cells = jax.vmap(eqx.combine(arrays, rest), (None, 0, None))
            return jax.vmap(over_cells, (None, 0, 0))(jnp.asarray(t, y.dtype), y, conditions)

        solution = dfx.diffeqsolve(
            dfx.ODETerm(field),
            self.solver,
            t0=0.0,
            t1=1.0,
            dt0=self.first_step,
            y0=latents,
            args=(arrays, conditions),
            saveat=dfx.SaveAt(t1=True),
            stepsize_controller=self.controller,
            adjoint=self.adjoint,
            max_steps=self.max_steps,
            throw=throw,
        )
        assert solution.ys is not None
        stats = solution.stats
        return Transported(
            solution.ys[0],
            jnp.asarray(stats["num_steps"], jnp.int32),
            jnp.asarray(stats["num_rejected_steps"], jnp.int32),
        )


def worst_cell_norm(error: Float[Array, "groups cells latent"]) -> Scalar:
    """Root mean square over the latent axis, then the maximum over cells."""
    return jnp.sqrt(jnp.max(jnp.mean(error**2, axis=-1)))


def make_transport(
    *,
    solver: Literal["tsit5", "dopri5", "bosh3", "heun", "midpoint", "euler"] = "tsit5",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    steps: int | None = None,
    max_steps: int = 1024,
    adjoint: Literal["recursive_checkpoint", "direct", "backsolve"] = "recursive_checkpoint",
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
) -> Transport:
    """The transport that a configuration names.

    **Arguments:** `steps`, a number of equal steps; `None` for an adaptive controller with
    tolerances `rtol` and `atol`, which every cell meets. `max_steps` bounds the adaptive solve;
    `pcoeff`, `icoeff`, `dcoeff` are its controller's coefficients.
    """
    solvers = {
        "tsit5": dfx.Tsit5,
        "dopri5": dfx.Dopri5,
        "bosh3": dfx.Bosh3,
        "heun": dfx.Heun,
        "midpoint": dfx.Midpoint,
        "euler": dfx.Euler,
    }
    pid = partial(dfx.PIDController, rtol, atol, pcoeff=pcoeff, icoeff=icoeff, dcoeff=dcoeff)
    adjoints = {
        "recursive_checkpoint": dfx.RecursiveCheckpointAdjoint,
        "direct": dfx.DirectAdjoint,
        # The backward solve carries cotangents too: no norm over cells has their shape.
        "backsolve": partial(dfx.BacksolveAdjoint, stepsize_controller=pid()),
    }
    if steps is None:
        controller = pid(norm=worst_cell_norm)
        return Transport(solvers[solver](), controller, adjoints[adjoint](), None, max_steps)
    # One step more than asked for, in case rounding leaves a sliver before t = 1.
    controller = dfx.ConstantStepSize()
    return Transport(solvers[solver](), controller, adjoints[adjoint](), 1.0 / steps, steps + 1)
