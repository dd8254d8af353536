"""The shape vocabulary: one name for each axis, the same everywhere.

| axis | what it counts |
|---|---|
| `cells` | cells of a batch or a screen |
| `genes` | genes of the screen |
| `clusters` | gene programs, `K` |
| `slots` | places in a program, `C = ceil(genes / clusters)` |
| `width` | entries of a token |
| `latent` | entries of a cell's latent |
| `tokens` | perturbations of one condition, padded |
| `features` | entries of a pretrained embedding |
| `condition` | entries of an encoded condition |
| `pathways` | pathways of a membership |
| `groups` | (condition, context) pairs drawn together |
"""

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

Scalar = Float[Array, ""]
Expression = Float[Array, " genes"]
ExpressionBatch = Float[Array, "cells genes"]
Slots = Float[Array, "clusters slots"]
Latent = Float[Array, " latent"]
LatentBatch = Float[Array, "cells latent"]
TokenSet = Float[Array, "tokens features"]
TokenMask = Bool[Array, " tokens"]
ConditionVector = Float[Array, " condition"]

__all__ = [
    "Array",
    "Bool",
    "ConditionVector",
    "Expression",
    "ExpressionBatch",
    "Float",
    "Int",
    "Latent",
    "LatentBatch",
    "PRNGKeyArray",
    "Scalar",
    "Slots",
    "TokenMask",
    "TokenSet",
]
