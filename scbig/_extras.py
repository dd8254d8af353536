"""Packages that a room needs and a lean installation does not have."""

import importlib.util


def need(package: str, *, extra: str) -> None:
    """Raises where a package is not installed, with the command that installs it.

    **Arguments:** `package`, as it is imported; `extra`, the name of this project's extra that has
    it.

    **Raises:** `ModuleNotFoundError`.
    """
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(
            f"This part of scBIG needs {package}, which is not installed: "
            f"python -m pip install 'scbig-jax[{extra}]' (or -e '.[{extra}]' in the repository)."
        )
