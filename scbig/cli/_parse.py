"""Settings from words: a flag for every number of a configuration."""

import types
import typing
import warnings
from collections.abc import Sequence
from typing import Any, TypeVar

import tyro

V = TypeVar("V")


def parse(kind: type[V], description: str | None = None, args: Sequence[str] | None = None) -> V:
    """A dataclass from the words behind a script's name, each of its numbers being a flag.

    **Arguments:** `kind`, whose fields are the flags, also those of the values inside them
    (`--model.flow.coupling.epsilon 0.3`); `description`, what `--help` says; `args`, the words,
    those of the process by default.
    """
    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def number(info: tyro.constructors.PrimitiveTypeInfo) -> Any:
        # diffrax types a number as itself or an array, of which words can only make the first.
        parts = typing.get_args(info.type)
        if (
            typing.get_origin(info.type) not in (typing.Union, types.UnionType)
            or float not in parts
        ):
            return None
        if all(part in (bool, int, float, types.NoneType) for part in parts):
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="FLOAT",
            instance_from_str=lambda words: float(words[0]),
            is_instance=lambda value: isinstance(value, int | float),
            str_from_instance=lambda value: [str(value)],
        )

    with registry, warnings.catch_warnings():
        # Values are immutable, which tyro looks for in another place.
        warnings.filterwarnings("ignore", "Mutable type", UserWarning)
        # A part that may be left out, but is there, has flags like any other.
        options = (tyro.conf.AvoidSubcommands,)
        return tyro.cli(kind, description=description, args=args, config=options)
