"""Measured cells need no JAX."""

import subprocess
import sys

CODE = "import scbig.data, sys; print({'jax', 'equinox', 'scanpy'}.intersection(sys.modules))"


def test_importing_the_room_starts_neither_jax_nor_scanpy():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
