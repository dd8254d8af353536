"""Where cells are on the way from control to perturbed."""

import dataclasses
from collections.abc import Iterator, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Float32

from scbig._typing import Array, Bool, ExpressionBatch, LatentBatch, PRNGKeyArray
from scbig.anchor import Moves
from scbig.data import Screen, control_cells, expression_of
from scbig.flow import Transport
from scbig.model import AbstractEmission, ConditionTokens, Decoded, ScBIG

from ._given import check_given
from ._populations import Populations
from ._trained import TrainedModel, unsolved

BATCH = 256


@dataclasses.dataclass(frozen=True)
class Course:
    """One population at some flow times, of which the last is what is predicted.

    **Fields:** `context`, empty where a model tells none apart; `condition`; `times`; `latents`;
    `expression`, log-normalised, which may be negative; `sources`, the controls' names.
    """

    context: str
    condition: str
    times: Float32[np.ndarray, " times"]
    latents: Float32[np.ndarray, "times cells latent"]
    expression: Float32[np.ndarray, "times cells genes"]
    sources: tuple[str, ...]


def courses(
    model: TrainedModel,
    controls: Screen,
    conditions: Sequence[str],
    times: Sequence[float | int],
    *,
    cells: int = 64,
    key: PRNGKeyArray,
) -> Iterator[Course]:
    """The populations that each condition makes of some controls, on their way.

    Times are those of the flow, which is learned between two measurements: no time of an
    experiment. With an anchor the flow begins at controls that are moved already.

    **Arguments:** `controls`, a screen with the model's genes; `times`, increasing, from 0 to 1;
    `cells`, controls that are drawn for each condition in each context, by `key`. Of an ensemble
    the first member is followed.

    **Raises:** `ValueError` for times that do not increase within [0, 1], and as
    `TrainedModel.predict` does; `NumericalFailure` naming the population whose solve ran out of
    steps.
    """
    at = np.asarray(times, np.float32)
    if at.ndim != 1 or not len(at) or at[0] < 0 or at[-1] > 1 or (np.diff(at) <= 0).any():
        raise ValueError(f"Flow times increase from 0 to 1; got {[*map(float, at.ravel())]}.")
    if isinstance(conditions, str) or not len(conditions):
        raise ValueError(f"conditions must be a list of labels; got {conditions!r}.")
    given, context_key = control_cells(controls)
    wanted = Populations.of(given, list(conditions), context_key, cells, key=key)
    tokens = model.names.tokens(
        wanted.conditions, model.config.max_tokens, contexts=wanted.contexts
    )
    expression = expression_of(given, model.names.genes, extra="ignore")
    check_given(given, expression, np.asarray(model.pure.mean), model.names)
    for place, (rows, starts, latents, moves) in enumerate(model.starts(expression, wanted)):
        emission = model.config.emission
        asked = starts, latents, tokens[place], model.config.transport, emission, moves
        found, made, solved = _carried(model.pure, *asked, jnp.asarray(at))
        if not bool(solved):
            raise unsolved(wanted, place, model.config.transport)
        yield Course(
            wanted.places[place], wanted.parsed[place].name, at, np.asarray(found),
            np.asarray(made), tuple(given.obs_names[rows]),
        )  # fmt: skip


@eqx.filter_jit
def _carried(
    model: ScBIG,
    starts: ExpressionBatch,
    latents: LatentBatch,
    tokens: ConditionTokens,
    transport: Transport,
    emission: AbstractEmission,
    moves: Moves | None,
    times: Float[Array, " times"],
) -> tuple[Float[Array, "times cells latent"], Float[Array, "times cells genes"], Bool[Array, ""]]:
    """One population at the times: latents, cells as a prediction has them, whether it ended."""
    condition = model.condition(tokens)
    ways, solved = transport.course(model.velocity, latents[None], condition[None], times)
    moved = ways[:, 0]
    decode = lambda x: jax.lax.map(model.decode, x, batch_size=min(BATCH, x.shape[0]))
    before = None if isinstance(emission, Decoded) else decode(latents)
    share = jnp.ones(()) if moves is None else moves.open

    def made(own: LatentBatch) -> ExpressionBatch:
        after = decode(own)
        origin = after if before is None else before
        return emission(starts, origin, after, jnp.any(tokens.mask), share)

    return moved, jax.lax.map(made, moved), solved
