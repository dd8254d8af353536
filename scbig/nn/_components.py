"""Principal components in the place of an encoder and a decoder."""

from typing import Any

import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, Float, Latent, PRNGKeyArray, Slots
from scbig._value import whole

from ._facts import ProgramFacts, ProgramSlots
from ._specs import (
    AbstractDecoder,
    AbstractDecoderSpec,
    AbstractEncoder,
    AbstractEncoderSpec,
    Sizes,
)


class PCAEncoderSpec(AbstractEncoderSpec):
    """A cell's scores on principal components, which stage 1 fits and does not train.

    Programs play no part in it: any of them give the same latents.

    **Fields:** `latent`, how many components.
    """

    latent: int = whole(50)

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "PCAEncoder":
        return PCAEncoder(_unfitted(sizes, key=key))

    def prepare(
        self, programs: ProgramSlots, embeddings: Float[Array, "genes features"] | None
    ) -> Any:
        return None


class PCAEncoder(AbstractEncoder):
    """What `PCAEncoderSpec` builds: of random axes until it is fitted."""

    axes: Float[Array, "latent clusters slots"]

    def __call__(
        self, slots: Slots, facts: ProgramFacts, *, key: PRNGKeyArray | None = None
    ) -> Latent:
        return jnp.einsum("lks,ks->l", self.axes, slots)

    def fitted(self, axes: Float[Array, "latent clusters slots"]) -> "PCAEncoder":
        """The encoder of these components."""
        return PCAEncoder(axes)


class PCADecoderSpec(AbstractDecoderSpec):
    """A cell from its scores on principal components: the mirror of `PCAEncoderSpec`."""

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "PCADecoder":
        return PCADecoder(_unfitted(sizes, key=key))


class PCADecoder(AbstractDecoder):
    """What `PCADecoderSpec` builds: of random axes until it is fitted."""

    axes: Float[Array, "latent clusters slots"]

    def __call__(
        self, latent: Latent, facts: ProgramFacts, *, key: PRNGKeyArray | None = None
    ) -> Slots:
        return jnp.einsum("lks,l->ks", self.axes, latent)

    def fitted(self, axes: Float[Array, "latent clusters slots"]) -> "PCADecoder":
        """The decoder of these components."""
        return PCADecoder(axes)


def _unfitted(sizes: Sizes, *, key: PRNGKeyArray) -> Float[Array, "latent clusters slots"]:
    """Axes of length one or so."""
    shape = (sizes.latent, sizes.programs, sizes.slots)
    return jr.normal(key, shape) / (sizes.programs * sizes.slots) ** 0.5
