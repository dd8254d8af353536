"""Entropic optimal transport between populations whose proportions differ."""

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp


def unbalanced_plan(
    cost: Float[np.ndarray, "rows columns"],
    *,
    epsilon: float,
    relaxation: tuple[float, float],
    iterations: int,
) -> Float[np.ndarray, "rows columns"]:
    r"""The plan of least cost whose marginals have a price and need not be kept.

    $\langle T, C\rangle + \epsilon KL(T|ab) + \rho KL(T1|a) + \sigma KL(T'1|b)$ is least, with $a$
    and $b$ uniform. The marginals differ from these where mass would have far to go: cells
    of a type that became rarer are matched less, and not with other types. In double precision on
    the host, for clouds of some hundred points.

    **Arguments:** `cost`, of sending mass from a row to a column; `epsilon`, the regularisation,
    and `relaxation`, the prices $\rho$ and $\sigma$ of other marginals, in its units, infinite for
    one that is kept; `iterations`, all of them.

    Chizat, Peyre, Schmitzer and Vialard, Scaling algorithms for unbalanced optimal transport
    problems (2018).
    """
    rows, columns = cost.shape
    powers = [1.0 if np.isinf(price) else price / (price + epsilon) for price in relaxation]
    # By rows and columns first, in logarithms: then the kernel has entries near one, and the
    # iterations are products of matrices.
    inner = -cost / epsilon
    f = -logsumexp(inner, axis=1)
    g = -logsumexp(inner + f[:, None], axis=0)
    kernel = np.exp(inner + f[:, None] + g[None])
    left, right = np.ones(rows), np.ones(columns)

    def update(
        sums: Float[np.ndarray, " n"], known: Float[np.ndarray, " n"], power: float
    ) -> Float[np.ndarray, " n"]:
        # The whole potential is `known` and the logarithm of what is returned.
        logs = np.log(np.maximum(sums, np.finfo(float).tiny))
        return np.exp(-power * (logs - known) - known)

    for _ in range(iterations):
        left = update(kernel @ right / columns, f, powers[0])
        right = update(kernel.T @ left / rows, g, powers[1])
    return left[:, None] * kernel * right[None] / (rows * columns)
