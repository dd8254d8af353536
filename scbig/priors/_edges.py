"""Edges as integers: each pair of nodes once."""

import numpy as np
from jaxtyping import Float32, Int, Int64


def pairs_once(
    first: Int[np.ndarray, " edges"],
    second: Int[np.ndarray, " edges"],
    weight: Float32[np.ndarray, " edges"],
    *,
    nodes: int,
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Float32[np.ndarray, " pairs"]]:
    """Each unordered pair once: its smaller end, its larger end, the largest of its weights.

    **Arguments:** `first` and `second`, ends in 0 to `nodes` - 1; `weight` of each edge.

    **Returns:** the pairs sorted by smaller end, then by larger end.
    """
    # One integer for each pair, so that sorting is one call: about 20,000 nodes, far below 2^31.
    code = np.minimum(first, second).astype(np.int64) * nodes + np.maximum(first, second)
    order = np.argsort(code)
    code = code[order]
    begins = np.flatnonzero(np.diff(code, prepend=-1))
    low, high = np.divmod(code[begins], nodes)
    return low, high, np.maximum.reduceat(weight[order], begins)
