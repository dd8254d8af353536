"""What the type of a field says of the values that it may hold."""

import dataclasses
import functools
import inspect
import math
import types
import typing
from typing import Any

import equinox as eqx
from jax.core import Tracer

from ._names import examples


def classes_of(hint: Any) -> tuple[list[type], dict[Any, Any]]:
    """The classes that a type allows, and what stands for the variables of a generic one."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = [classes_of(part) for part in typing.get_args(hint)]
        known = [base for bases, _ in parts for base in bases]
        return known, {name: h for _, found in parts for name, h in found.items()}
    if isinstance(origin, type) and issubclass(origin, eqx.Module):
        variables = getattr(origin, "__parameters__", ())
        return [origin], dict(zip(variables, typing.get_args(hint), strict=True))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return [hint], {}
    return [], {}


def fits(hint: Any, value: Any) -> bool:
    """Whether a value is what a field's type says, of the types that say what it may be."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(part, value) for part in arguments)
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return isinstance(value, tuple) and all(fits(arguments[0], part) for part in value)
    if origin is tuple and arguments:
        right = isinstance(value, tuple) and len(value) == len(arguments)
        return right and all(map(fits, arguments, value))
    if hint in (bool, str, types.NoneType):
        return isinstance(value, hint)
    if hint in (int, float):
        kinds = (int,) if hint is int else (int, float)
        number = isinstance(value, kinds) and not isinstance(value, bool)
        return isinstance(value, Tracer) or (number and math.isfinite(value))
    bases, variables = classes_of(hint)
    if not bases:
        return True  # an array, a function or anything
    inner = {name: variables[h] for name, h in field_types(bases[0]).items() if h in variables}
    return isinstance(value, tuple(bases)) and all(
        fits(h, getattr(value, name)) for name, h in inner.items()
    )


def said(hint: Any) -> str:
    """A field's type in words, with the classes that its values may be of."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        inside = [said(part) for part in arguments if part is not Ellipsis]
        return f"a tuple of {', '.join(inside)}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(said(part) for part in arguments)
    if origin is not None:
        return f"{origin.__name__}[{', '.join(said(part) for part in arguments)}]"
    if not inspect.isabstract(hint):
        return "None" if hint is types.NoneType else getattr(hint, "__name__", str(hint))
    made = sorted({sub.__name__ for sub in subclasses(hint) if not inspect.isabstract(sub)})
    return f"{hint.__name__} (made by {examples(made, most=8)})" if made else hint.__name__


@functools.cache
def field_types(cls: type) -> dict[str, Any]:
    """The type of each field of a class; none of them if they cannot be told."""
    try:
        return typing.get_type_hints(cls)
    except NameError:  # a foreign class that names types which it does not import
        return {}


def subclasses(cls: type) -> list[type]:
    """The imported subclasses of a class, in the order in which they were defined."""
    # A class is also the origin of the generic ones made of it.
    found, ahead = [], cls.__subclasses__()[::-1]
    while ahead:
        found.append(ahead.pop())
        ahead += found[-1].__subclasses__()[::-1]
    return found
