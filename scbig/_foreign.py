"""The one place that relaxes strict promotion, for libraries that rely on the implicit kind."""

import contextlib
import importlib.metadata
from collections.abc import Iterator
from typing import Any

import jax

# From 0.12 on XLA knows no such option, and refuses to compile.
_JAXLIB = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))


@contextlib.contextmanager
def lenient_promotion() -> Iterator[None]:
    """Wraps calls into optax and ott, which rely on implicit rank and dtype promotion."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


COMPILED_QUICKLY: Any = {
    "compiler_options": {
        "xla_backend_optimization_level": 0,
        "xla_llvm_disable_expensive_passes": True,
        **({"xla_cpu_use_fusion_emitters": False} if _JAXLIB < (0, 11) else {}),
    }
}
"""For `jit` of what runs so seldom that compiling it is most of its time."""
