"""What every configuration is checked for when it is made."""

import typing
from typing import Any, Literal


def require(ok: bool, owner: object, requirement: str) -> None:
    if not ok:
        raise ValueError(f"{type(owner).__name__}: {requirement}; got {owner}.")


def check_choices(owner: Any) -> None:
    """Raises for a field of a few named choices that holds anything else."""
    for name, hint in typing.get_type_hints(type(owner)).items():
        if typing.get_origin(hint) is Literal and getattr(owner, name) not in hint.__args__:
            choices = ", ".join(map(repr, hint.__args__))
            require(False, owner, f"{name} must be one of {choices}")
