"""From a set of perturbations, and the context that they meet, to one condition vector."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, ConditionVector, Float, PRNGKeyArray, TokenMask, TokenSet
from scbig._value import real, whole

from ._pooling import AbstractPool, AbstractPooling, AttentionPooling
from ._specs import AbstractConditionEncoder, AbstractConditionSpec, Sizes


class ConditionEncoderSpec(AbstractConditionSpec):
    """A set of perturbations to one vector, whatever their order (section 3.3).

    **Fields:** `hidden`, width of the MLPs; `width`, entries of the encoded condition; `dropout`
    of the encoded condition, drawn for each condition; `pooling`, how a set becomes one vector.
    """

    hidden: int = whole(256)
    width: int = whole(256)
    dropout: float = real(0.0, least=0, below=1)
    pooling: AbstractPooling = AttentionPooling()

    def build(self, sizes: Sizes, *, key: PRNGKeyArray) -> "ConditionEncoder":
        return ConditionEncoder(self, sizes.token, sizes.context, key=key)


class ConditionEncoder(AbstractConditionEncoder):
    """A shared MLP on each token, a masked pooling, an MLP: the tokens' order does not matter.

    An empty set (control) pools to zero. With a context, an MLP of its own reads the context's
    vector, and the last MLP reads both: a perturbation may act differently in each context.
    """

    token: eqx.nn.MLP
    pooling: AbstractPool
    context: eqx.nn.MLP | None
    out: eqx.nn.MLP
    dropout: eqx.nn.Dropout

    def __init__(
        self, spec: ConditionEncoderSpec, features: int, context: int | None, *, key: PRNGKeyArray
    ):
        token, pool, out = jr.split(key, 3)
        hidden = spec.hidden
        mlp = lambda inputs, outputs, k: eqx.nn.MLP(
            inputs, outputs, hidden, 1, activation=jax.nn.silu, key=k
        )
        self.token = mlp(features, hidden, token)
        self.pooling = spec.pooling.build(hidden, key=pool)
        # Folded, not split: without contexts the other keys stay what they were.
        self.context = None if context is None else mlp(context, hidden, jr.fold_in(key, 3))
        self.out = mlp(hidden if context is None else 2 * hidden, spec.width, out)
        self.dropout = eqx.nn.Dropout(spec.dropout)

    def __call__(
        self,
        tokens: TokenSet,
        mask: TokenMask,
        context: Float[Array, " context_features"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> ConditionVector:
        pooled = self.pooling(jax.vmap(self.token)(tokens), mask)
        if self.context is not None and context is not None:
            pooled = jnp.concatenate([pooled, self.context(context)])
        elif self.context is not None or context is not None:
            raise ValueError(
                "An encoder needs a context if it was made with contexts, and only then."
            )
        return self.dropout(self.out(pooled), key=key, inference=key is None)
