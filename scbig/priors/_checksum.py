"""What a prior holds as one short text, wherever it was read from."""

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped


def content_checksum(
    kind: str,
    *,
    names: Sequence[Sequence[str]],
    values: Shaped[np.ndarray, "..."] | None = None,
) -> str:
    """SHA-256, in 64 hexadecimal digits, of lists of names and an array, in their order.

    `kind` keeps a table apart from a graph of the same names.
    """
    digest = hashlib.sha256(f"scbig {kind} {len(names)}".encode())
    for one in names:
        # The lengths go in too: ("AB", "C") is not ("A", "BC").
        digest.update(np.asarray([len(one), *map(len, one)], "<i8").tobytes())
        digest.update("".join(one).encode("utf-8", "surrogatepass"))
    if values is not None:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{little.shape} {little.dtype.str}".encode() + little.tobytes())
    return digest.hexdigest()
