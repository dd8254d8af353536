"""Strict numerics for every test; compilation as cheap as it gets, since it is most of the time."""

import functools
import gc
import importlib.metadata
import os
from collections.abc import Iterator

# Read when XLA starts: quick code generation in place of quick code. The fusion emitters alone
# take half of the time of a compilation; a second thread of it is a core that the other worker has;
# simplifying loops takes longer than loops of a few steps do.
# A flag that it does not know ends the process, and from 0.12 on it knows none for the emitters.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    + " --xla_cpu_parallel_codegen_split_count=1"
    + " --xla_disable_hlo_passes=simplify-while-loops,while-loop-invariant-code-motion"
    + ",while-loop-constant-sinking"
    + " --xla_cpu_use_fusion_emitters=false"
    * (tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2])) < (0, 11))
)

import jax
import pytest

# Traced programs are many objects that stay: the collector would go through them ever again.
gc.set_threshold(100_000, 20, 20)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Where each operation was written is looked up at every compilation; errors name it without.
jax.config.update("jax_traceback_in_locations_limit", 0)


def pytest_configure(config: pytest.Config) -> None:
    """Keeps compiled programs in pytest's cache, so that the same run is compiled once."""
    cache = getattr(config, "cache", None)  # absent under `-p no:cacheprovider`
    if cache is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache.mkdir("jax")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@pytest.fixture(autouse=True, scope="module")
def few_compiled_programs() -> Iterator[None]:
    """Forgets compiled programs after a file of tests, once there are very many."""
    yield
    from scbig._compiled import forget_many  # not before its types are checked

    forget_many()


# CPython (seen in 3.11) keeps frames in blocks of 16 KB, and maps and unmaps one at every call that
# crosses the end of the last: where that is in a loop, it is a sixth of a test's time. A frame of a
# third of a megabyte gets a larger block, in which all calls below it have room.
_ROOMY = "def roomy(call):\n    if call is None:\n        {} = None\n    return call()"
_space = {}
exec(_ROOMY.format(" = ".join(f"local_{i}" for i in range(40_000))), _space)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs every test below a frame that leaves it room."""
    for item in items:
        item.runtest = functools.partial(_space["roomy"], item.runtest)
