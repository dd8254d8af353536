"""What compiled programs cost a process that trains many models, one after another."""

import pathlib

import jax

MOST_MAPS = 30_000
"""Every compiled program maps some memory, and where a process runs out of maps (65,530 on Linux)
the next compilation crashes it."""


def forget_many(most: int = MOST_MAPS) -> bool:
    """Forgets all compiled programs once the process has very many maps of memory.

    Fewer are kept: the next training of the same sizes need not compile them again. Where maps
    cannot be counted nothing is known of a limit either, and all are forgotten.

    **Arguments:** `most`, maps.

    **Returns:** whether they were forgotten.
    """
    maps = pathlib.Path("/proc/self/maps")
    many = not maps.exists() or len(maps.read_bytes().splitlines()) > most
    if many:
        jax.clear_caches()
    return many
