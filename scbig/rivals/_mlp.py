"""A multi-layer perceptron with normalised hidden layers, of which most rivals are made."""

import equinox as eqx
import jax
import jax.random as jr

from scbig._typing import Array, Float, PRNGKeyArray


class Perceptron(eqx.Module):
    """Linear layers, with layer norm without parameters, ReLU and dropout between them.

    **Fields:** `layers`; `dropout`, share of the hidden entries.
    """

    layers: tuple[eqx.nn.Linear, ...]
    dropout: float = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        inputs: int,
        width: int,
        outputs: int,
        hidden: int,
        *,
        dropout: float = 0.0,
        key: PRNGKeyArray,
    ) -> "Perceptron":
        """Untrained, with `hidden` layers of `width` entries between inputs and outputs."""
        sizes = (inputs, *[width] * hidden, outputs)
        keys = jr.split(key, len(sizes) - 1)
        pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
        return cls(tuple(eqx.nn.Linear(a, b, key=own) for a, b, own in pairs), dropout)

    def __call__(
        self, x: Float[Array, " inputs"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, " outputs"]:
        """Dropout acts only if a key is given."""
        drop = eqx.nn.Dropout(self.dropout)
        for place, layer in enumerate(self.layers[:-1]):
            hidden = jax.nn.relu(_normalised(layer(x)))
            x = hidden if key is None else drop(hidden, key=jr.fold_in(key, place))
        return self.layers[-1](x)


def _normalised(x: Float[Array, " entries"]) -> Float[Array, " entries"]:
    return eqx.nn.LayerNorm(x.shape, use_weight=False, use_bias=False)(x)
