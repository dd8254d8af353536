"""The one place that relaxes strict promotion, for libraries that rely on the implicit kind."""

import contextlib
from collections.abc import Iterator

import jax


@contextlib.contextmanager
def lenient_promotion() -> Iterator[None]:
    """Wraps calls into optax and ott, which rely on implicit rank and dtype promotion."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield
