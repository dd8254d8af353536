"""From a set of perturbations, and the context that they meet, to one condition vector."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr

from scbig._typing import Array, ConditionVector, Float, PRNGKeyArray, TokenMask, TokenSet

from ._pooling import AbstractPooling, make_pooling


class ConditionEncoder(eqx.Module):
    """A shared MLP on each token, a masked pooling, an MLP: the tokens' order does not matter.

    An empty set (control) pools to zero. With a context, an MLP of its own reads the context's
    vector, and the last MLP reads both: a perturbation may act differently in each context.
    """

    token: eqx.nn.MLP
    pooling: AbstractPooling
    context: eqx.nn.MLP | None
    out: eqx.nn.MLP
    dropout: eqx.nn.Dropout

    def __init__(
        self,
        features: int,
        *,
        hidden: int,
        width: int,
        dropout: float,
        pooling: Literal["attention", "mean", "sum"],
        context: int | None = None,
        key: PRNGKeyArray,
    ):
        token, pool, out = jr.split(key, 3)
        mlp = lambda inputs, outputs, k: eqx.nn.MLP(
            inputs, outputs, hidden, 1, activation=jax.nn.silu, key=k
        )
        self.token = mlp(features, hidden, token)
        self.pooling = make_pooling(pooling, hidden, 1, key=pool)
        # Folded, not split: without contexts the other keys stay what they were.
        self.context = None if context is None else mlp(context, hidden, jr.fold_in(key, 3))
        self.out = mlp(hidden if context is None else 2 * hidden, width, out)
        self.dropout = eqx.nn.Dropout(dropout)

    def __call__(
        self,
        tokens: TokenSet,
        mask: TokenMask,
        context: Float[Array, " context_features"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> ConditionVector:
        """Returns the encoded condition; dropout acts only if a key is given.

        **Arguments:** `tokens`, one vector for each perturbation, padded: its pretrained embedding,
        and its dose where there are doses; `mask`, true where a token is real; `context`, the
        vector of the cells' context, for an encoder that was made with contexts.
        """
        pooled = self.pooling(jax.vmap(self.token)(tokens), mask)
        if self.context is not None and context is not None:
            pooled = jnp.concatenate([pooled, self.context(context)])
        elif self.context is not None or context is not None:
            raise ValueError(
                "An encoder needs a context if it was made with contexts, and only then."
            )
        return self.dropout(self.out(pooled), key=key, inference=key is None)
