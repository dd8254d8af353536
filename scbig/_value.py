"""Algorithms as values: numbers checked where they are defined, replaced in part, kept as JSON."""

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

from ._hints import field_types, fits, said
from ._json import (
    find_class as find_class,
    fingerprint as fingerprint,
    plain as plain,
    read as read,
)
from ._names import examples

T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")
_DOMAIN = "scbig"


@dataclasses.dataclass(frozen=True)
class _Domain:
    """The numbers that a field may hold."""

    whole: bool
    holds: Callable[[float], bool]
    text: str

    def has(self, value: Any) -> bool:
        """Whether a field may hold the value."""
        number = isinstance(value, int if self.whole else int | float)
        return number and not isinstance(value, bool) and self.holds(value)


def real(
    default: Any = dataclasses.MISSING,
    *,
    least: float | int = -math.inf,
    above: float | int = -math.inf,
    below: float | int = math.inf,
    most: float | int = math.inf,
) -> Any:
    """A field for a finite real number in these bounds; a field typed `| None` also holds `None`.

    **Arguments:** `default`; `least` and `most`, the closed bounds; `above` and `below`, open ones.
    """
    inside = lambda x: least <= x <= most and above < x < below and math.isfinite(x)
    bounds = {">=": least, ">": above, "<": below, "<=": most}
    told = [f"{sign} {bound:g}" for sign, bound in bounds.items() if math.isfinite(bound)]
    domain = _Domain(False, inside, " and ".join(["a finite number", *told]))
    return eqx.field(default=default, converter=_real, metadata={_DOMAIN: domain})


def whole(default: Any = dataclasses.MISSING, *, least: int = 1) -> Any:
    """A field for a whole number from `least` on; a field typed `| None` also holds `None`."""
    domain = _Domain(True, lambda x: x >= least, f"a whole number >= {least}")
    return eqx.field(default=default, converter=_integer, metadata={_DOMAIN: domain})


def _real(value: Any) -> Any:
    value = _unboxed(value)
    # One form for 1 and 1.0, so that equal values are equal as JSON too.
    plain = isinstance(value, int | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if plain else value


def _integer(value: Any) -> Any:
    value = _unboxed(value)
    return int(value) if isinstance(value, np.integer) else value


def _unboxed(value: Any) -> Any:
    """A number out of an array of one, if it has a value yet."""
    array = isinstance(value, jax.Array) and not isinstance(value, Tracer)
    return value.item() if array and value.ndim == 0 else value


class Value(eqx.Module):
    """An immutable value whose fields hold what they are for, and say so where it is made.

    `real` and `whole` fields hold only numbers of their domain, and a field typed by a class of
    values, or by a tuple of them, only such values; flags and texts are no numbers.

    A subclass says in `__check_init__` what fields must be together; each is then known to be
    good alone.

    **Raises:** `ValueError` naming the class, the field and what it got.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        # Equinox runs the checks of a subclass first, which would stumble over a wrong field.
        if own := cls.__dict__.get("__check_init__"):

            @functools.wraps(own)
            def check(self: Value) -> None:
                Value.__check_init__(self)
                own(self)

            cls.__check_init__ = check

    def __check_init__(self) -> None:
        hints = field_types(type(self))
        for field in dataclasses.fields(self):
            value, hint = getattr(self, field.name), hints.get(field.name, Any)
            domain = field.metadata.get(_DOMAIN)
            if domain is not None and isinstance(value, Tracer):
                continue  # a number of a compiled function: it has no value yet
            none = value is None and types.NoneType in typing.get_args(hint)
            held = fits(hint, value) if domain is None else none or domain.has(value)
            if not held:
                wanted = said(hint) if domain is None else domain.text
                require(False, self, f"{field.name} must be {wanted}; got {value!r}")


def require(ok: bool, owner: object, requirement: str) -> None:
    """Raises a `ValueError` that names the owner's class unless `ok`."""
    if not ok:
        raise ValueError(f"{type(owner).__name__}: {requirement}.")


class Weighted(Value, Generic[T_co]):
    """A part of a sum, and its weight.

    **Fields:** `term`, what is weighed; `weight`, at least 0.
    """

    term: T_co
    weight: float = real(1.0, least=0)


def label_of(value: object) -> str:
    """What a value is called in logs: its class attribute `label`, or its class's name."""
    return str(getattr(type(value), "label", type(value).__name__))


def walk(value: Any) -> Iterator[Any]:
    """A value and all values inside it, the outermost first, but for what has the weight 0."""
    if isinstance(value, Weighted) and value.weight == 0:
        return
    if isinstance(value, tuple | list):
        for part in value:
            yield from walk(part)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in dataclasses.fields(value):
            yield from walk(getattr(value, field.name))


def but(value: V, /, **changes: Any) -> V:
    """The same value with some parts replaced: `but(config, **{"flow.path": BrownianBridge(0.2)})`.

    **Arguments:** `changes`, by path: fields joined by dots. In a tuple a part is found by its
    place (`terms.0`) or by the name of its class (`terms.Consistency.weight`; below it both the
    weight and what is weighed are found: `terms.Consistency.period`). A path may also name a
    tuple whole.

    **Raises:** `ValueError` for a path that leads nowhere, with what is there.
    """
    return _replaced(value, {tuple(path.split(".")): new for path, new in changes.items()}, "")


def _replaced(value: Any, changes: dict[tuple[str, ...], Any], where: str) -> Any:
    # All changes of one value at once: each alone may be one that it refuses.
    by_name: dict[str, dict[tuple[str, ...], Any]] = {}
    for path, new in changes.items():
        by_name.setdefault(path[0], {})[path[1:]] = new
    if isinstance(value, tuple):
        parts = list(value)
        for name, inner in by_name.items():
            place = _place(parts, name, where)
            parts[place] = _inner(parts[place], inner, f"{where}.{name}")
        return tuple(parts)
    known = [field.name for field in dataclasses.fields(value)] if _is_value(value) else []
    if isinstance(value, Weighted):
        through = {name: by_name.pop(name) for name in [*by_name] if name not in known}
        for name, inner in through.items():
            for rest, new in inner.items():
                by_name.setdefault("term", {})[(name, *rest)] = new
    lost = [name for name in by_name if name not in known]
    if lost:
        raise ValueError(
            f"{where.lstrip('.') or type(value).__name__} has no part {examples(lost)}; it is a "
            f"{type(value).__name__} with {examples(known, most=30) or 'no parts'}."
        )
    new = {
        name: _inner(getattr(value, name), inner, f"{where}.{name}")
        for name, inner in by_name.items()
    }
    return dataclasses.replace(value, **new)


def _inner(value: Any, changes: dict[tuple[str, ...], Any], where: str) -> Any:
    # A part that is replaced whole, and has parts replaced too, is first the one, then the other.
    value = changes.get((), value)
    rest = {path: new for path, new in changes.items() if path}
    return _replaced(value, rest, where) if rest else value


def _place(parts: list[Any], name: str, where: str) -> int:
    inner = [part.term if isinstance(part, Weighted) else part for part in parts]
    names = [type(part).__name__ for part in inner]
    if name.isdecimal() and int(name) < len(parts):
        return int(name)
    if names.count(name) != 1:
        raise ValueError(
            f"{where.lstrip('.')} has {names.count(name)} parts {name!r}; it has "
            f"{examples(names, most=30)}, in this order, counted from 0."
        )
    return names.index(name)


def _is_value(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
