"""The one place that relaxes strict promotion, for libraries that rely on the implicit kind."""

import contextlib
from collections.abc import Iterator
from typing import Any

import jax


@contextlib.contextmanager
def lenient_promotion() -> Iterator[None]:
    """Wraps calls into optax and ott, which rely on implicit rank and dtype promotion."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


COMPILED_QUICKLY: Any = {
    "compiler_options": {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
        "xla_cpu_use_fusion_emitters": False,
    }
}
"""For `jit` of what runs so seldom that compiling it is most of its time."""
