"""The solve that carries control latents along the flow, from time 0 to time 1."""

import math
from typing import Any

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp

from scbig._typing import Array, Bool, Float, Int, Scalar
from scbig._value import Value, real, require, whole
from scbig.nn import AbstractVelocity


class Transported(eqx.Module):
    """Latents at flow time 1, and what the solve cost.

    **Fields:** `latents`; `steps`, solver steps tried, of which `rejected` were repeated with a
    smaller size; `solved`, whether the end was reached: otherwise the latents are what the solver
    last had.
    """

    latents: Float[Array, "groups cells latent"]
    steps: Int[Array, ""]
    rejected: Int[Array, ""]
    solved: Bool[Array, ""]


class WorstCellNorm(eqx.Module):
    """Root mean square over the latent axis, then the maximum over cells."""

    def __call__(self, error: Float[Array, "groups cells latent"]) -> Scalar:
        return jnp.sqrt(jnp.max(jnp.mean(error**2, axis=-1)))


def _is_number(value: Any, *, positive: bool) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and (not positive or value > 0)


class Transport(Value):
    """`dz/dt = v(t, z, c)` from 0 to 1 for many cells in one solve, by any solver of diffrax.

    All cells share the solver's steps, so the time and condition streams are computed once for all
    of them and the parameters get one cotangent, not one a cell; with `WorstCellNorm` the steps
    are those of the hardest cell, and every cell meets the tolerances. `adaptive` and `fixed` make
    the usual ones.

    **Fields:** `solver`, `controller` and `adjoint`, of diffrax; `first_step`, which a constant
    step size needs; `max_steps`, the most steps tried.
    """

    solver: dfx.AbstractSolver = eqx.field(default_factory=dfx.Tsit5)
    controller: dfx.AbstractStepSizeController = eqx.field(
        default_factory=lambda: dfx.PIDController(1e-5, 1e-5, norm=WorstCellNorm())
    )
    adjoint: dfx.AbstractAdjoint = eqx.field(default_factory=dfx.RecursiveCheckpointAdjoint)
    first_step: float | None = real(None, above=0, most=1)
    max_steps: int = whole(1024)

    def __check_init__(self) -> None:
        constant = isinstance(self.controller, dfx.ConstantStepSize)
        require(
            not constant or self.first_step is not None,
            self,
            "ConstantStepSize needs first_step, the size of each step",
        )
        require(
            constant or isinstance(self.solver, dfx.AbstractAdaptiveSolver),
            self,
            f"{type(self.solver).__name__} has no estimate of its error, which an adaptive "
            "controller needs; make it with scbig.flow.fixed(steps, solver)",
        )
        require(
            not constant or (self.first_step or 1) * self.max_steps > 1 - 1e-6,
            self,
            f"{self.max_steps} steps of {self.first_step} do not reach the end, flow time 1",
        )
        require(
            self.solver.term_structure in (dfx.AbstractTerm, dfx.ODETerm),
            self,
            f"{type(self.solver).__name__} solves sums of several terms, and the flow is one term; "
            "take a solver of ordinary differential equations such as Tsit5 or Kvaerno3",
        )
        require(
            not isinstance(self.adjoint, dfx.ImplicitAdjoint),
            self,
            "ImplicitAdjoint differentiates a steady state, and the flow ends at time 1 in none: "
            "take RecursiveCheckpointAdjoint",
        )
        for name in ("rtol", "atol", "dtmin", "dtmax", "pcoeff", "icoeff", "dcoeff", "safety"):
            number = getattr(self.controller, name, None)
            tolerance = name in ("rtol", "atol") and hasattr(self.controller, name)
            known = isinstance(number, Array) or _is_number(number, positive=tolerance)
            require(
                known or (number is None and not tolerance),
                self,
                f"controller.{name} must be a {'positive ' if tolerance else ''}number; got "
                f"{number!r}",
            )

    @property
    def trains(self) -> bool:
        """Whether the solve has a gradient by reverse mode, which training takes."""
        return not isinstance(self.adjoint, dfx.ForwardMode)

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

        solution = self._solved(velocity, latents, conditions, dfx.SaveAt(t1=True), throw=throw)
        assert solution.ys is not None
        stats = solution.stats
        return Transported(
            solution.ys[0],
            jnp.asarray(stats["num_steps"], jnp.int32),
            jnp.asarray(stats["num_rejected_steps"], jnp.int32),
            solution.result == dfx.RESULTS.successful,
        )

    def course(
        self,
        velocity: AbstractVelocity,
        latents: Float[Array, "groups cells latent"],
        conditions: Float[Array, "groups condition"],
        times: Float[Array, " times"],
    ) -> tuple[Float[Array, "times groups cells latent"], Bool[Array, ""]]:
        """The latents at some flow times on the way, and whether the solve reached its end.

        Between the solver's steps they are interpolated, as accurately as the solver does.

        **Arguments:** as for a call; `times`, from 0 to 1 and increasing.
        """
        saveat = dfx.SaveAt(ts=times)
        solution = self._solved(velocity, latents, conditions, saveat, throw=False)
        assert solution.ys is not None
        return solution.ys, solution.result == dfx.RESULTS.successful

    def _solved(
        self,
        velocity: AbstractVelocity,
        latents: Float[Array, "groups cells latent"],
        conditions: Float[Array, "groups condition"],
        saveat: dfx.SaveAt,
        *,
        throw: bool,
    ) -> dfx.Solution:
        # The field's arrays go in as arguments: an adjoint that solves backwards in time does not
        # see what a function closes over.
        arrays, rest = eqx.partition(velocity, eqx.is_inexact_array)

        def field(t, y, args):
            arrays, conditions = args
            over_cells = jax.vmap(eqx.combine(arrays, rest), (None, 0, None))
            return jax.vmap(over_cells, (None, 0, 0))(jnp.asarray(t, y.dtype), y, conditions)

        return dfx.diffeqsolve(
            dfx.ODETerm(field),
            self.solver,
            t0=0.0,
            t1=1.0,
            dt0=self.first_step,
            y0=latents,
            args=(arrays, conditions),
            saveat=saveat,
            stepsize_controller=self.controller,
            adjoint=self.adjoint,
            max_steps=self.max_steps,
            throw=throw,
        )


def adaptive(
    rtol: float = 1e-5,
    atol: float = 1e-5,
    *,
    solver: dfx.AbstractSolver | None = None,
    max_steps: int = 1024,
    adjoint: dfx.AbstractAdjoint | None = None,
) -> Transport:
    """A transport that every cell of the population meets the tolerances on.

    **Arguments:** `rtol` and `atol`, relative and absolute tolerance of a cell's latent; `solver`,
    with an error estimate, Tsit5 by default; `max_steps`, the most steps tried; `adjoint`,
    recursive checkpointing by default. `BacksolveAdjoint` needs a step size controller of its own
    (`stepsize_controller=diffrax.PIDController(rtol, atol)`): its backward solve carries cotangents
    too, which no norm over cells has the shape of. It keeps them in a dictionary, so that a
    transport with it can be compared, trained with and saved, but not hashed.
    """
    return Transport(
        dfx.Tsit5() if solver is None else solver,
        dfx.PIDController(rtol, atol, norm=WorstCellNorm()),
        dfx.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        max_steps=max_steps,
    )


def fixed(
    steps: int,
    solver: dfx.AbstractSolver | None = None,
    *,
    adjoint: dfx.AbstractAdjoint | None = None,
) -> Transport:
    """A transport of a number of equal steps, of Euler's method by default."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise ValueError(f"fixed: steps must be a whole number >= 1; got {steps!r}.")
    return Transport(
        dfx.Euler() if solver is None else solver,
        dfx.ConstantStepSize(),
        dfx.RecursiveCheckpointAdjoint() if adjoint is None else adjoint,
        1.0 / steps,
        # One step more than asked for, in case rounding leaves a sliver before t = 1.
        steps + 1,
    )
