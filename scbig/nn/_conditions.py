"""From a set of perturbations to one condition vector."""

from typing import Literal

import equinox as eqx
import jax
import jax.random as jr

from scbig._typing import ConditionVector, PRNGKeyArray, TokenMask, TokenSet

from ._pooling import AbstractPooling, make_pooling


class ConditionEncoder(eqx.Module):
    """A shared MLP on each token, a masked pooling, an MLP: the tokens' order does not matter.

    An empty set (control) pools to zero.
    """

    token: eqx.nn.MLP
    pooling: AbstractPooling
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
        key: PRNGKeyArray,
    ):
        token, pool, out = jr.split(key, 3)
        mlp = lambda inputs, outputs, k: eqx.nn.MLP(
            inputs, outputs, hidden, 1, activation=jax.nn.silu, key=k
        )
        self.token = mlp(features, hidden, token)
        self.pooling = make_pooling(pooling, hidden, 1, key=pool)
        self.out = mlp(hidden, width, out)
        self.dropout = eqx.nn.Dropout(dropout)

    def __call__(
        self, tokens: TokenSet, mask: TokenMask, *, key: PRNGKeyArray | None = None
    ) -> ConditionVector:
        """Returns the encoded condition; dropout acts only if a key is given.

        **Arguments:** `tokens`, one pretrained embedding for each perturbation, padded; `mask`,
        true where a token is real.
        """
        pooled = self.pooling(jax.vmap(self.token)(tokens), mask)
        return self.dropout(self.out(pooled), key=key, inference=key is None)
