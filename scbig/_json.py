"""Values as JSON, and back: classes are found by name among those that are imported."""

import dataclasses
import hashlib
import inspect
import json
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx
import numpy as np

from ._hints import classes_of, field_types, subclasses
from ._names import examples

V = TypeVar("V")

_ARRAY = "array"
"""The only key of what stands for an array: its place in a list of arrays."""


def plain(value: Any, where: str = "value", arrays: list[np.ndarray] | None = None) -> Any:
    """A value as JSON has it: `{"is": "BrownianBridge", "sigma": 0.1}`.

    Functions and the like have no name in JSON: they may stand only where they are a field's
    default, which is then left out.

    **Arguments:** `arrays`, a list that takes the arrays inside, whose places in it are then
    written; without one they cannot be.

    **Raises:** `ValueError` naming what cannot be written.
    """
    if isinstance(value, np.ndarray) and arrays is not None:
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.integer | np.floating):
        return value.item()
    if isinstance(value, tuple | list):
        return [plain(part, f"{where}[{place}]", arrays) for place, part in enumerate(value)]
    if isinstance(value, dict):
        return {
            str(name): plain(part, f"{where}[{name!r}]", arrays) for name, part in value.items()
        }
    if not (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        raise ValueError(
            f"{where} is a {type(value).__name__}, which has no form in JSON. Make it an "
            "Equinox module of plain numbers, with `__call__` if it is a function."
        )
    found: dict[str, Any] = {"is": type(value).__name__}
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        if part is field.default and not isinstance(part, bool | int | float | str | tuple | None):
            try:
                found[field.name] = plain(part, f"{where}.{field.name}", arrays)
            except ValueError:
                continue  # the class itself knows this part: it is not needed to read the value
        else:
            found[field.name] = plain(part, f"{where}.{field.name}", arrays)
    return found


def fingerprint(value: Any) -> str:
    """A short name for exactly this value, for instance for its folder."""
    blob = json.dumps(plain(value), sort_keys=True)
    return hashlib.sha256(blob.encode()).hexdigest()[:10]


def read(
    hint: Any, data: Any, where: str = "value", arrays: Sequence[np.ndarray] | None = None
) -> Any:
    """The inverse of `plain`, for a field of this type.

    A class is looked for by its name among those that are imported and belong into the field:
    nothing is imported because a file says so.

    **Arguments:** `arrays`, those that `plain` took out.

    **Raises:** `ValueError` naming a class that is not imported, an unknown field, or a number
    that its class refuses.
    """
    if isinstance(data, dict) and arrays is not None and set(data) == {_ARRAY}:
        return arrays[data[_ARRAY]]
    if isinstance(data, dict) and "is" in data:
        return _read_value(hint, data, where, arrays)
    if isinstance(data, dict):
        return {name: read(Any, part, f"{where}[{name!r}]", arrays) for name, part in data.items()}
    if isinstance(data, list):
        tuples = [h for h in (hint, *typing.get_args(hint)) if typing.get_origin(h) is tuple]
        inner = _parts(tuples[0] if tuples else tuple[Any, ...], len(data))
        return tuple(
            read(h, part, f"{where}[{i}]", arrays)
            for i, (h, part) in enumerate(zip(inner, data, strict=True))
        )
    return data


def _parts(hint: Any, count: int) -> tuple[Any, ...]:
    """The type of each part of a tuple."""
    arguments = typing.get_args(hint)
    if arguments[-1:] == (Ellipsis,):
        return arguments[:1] * count
    return arguments if len(arguments) == count else (Any,) * count


def _read_value(
    hint: Any, data: dict[str, Any], where: str, arrays: Sequence[np.ndarray] | None
) -> Any:
    bases, arguments = classes_of(hint)
    cls = _find(data["is"], bases, where)
    hints = field_types(cls)
    named = {field.name: field for field in dataclasses.fields(cls)}
    unknown = sorted(set(data) - {"is", *named})
    if unknown:
        raise ValueError(
            f"{where}: {cls.__name__} has no field {examples(unknown)}; it has "
            f"{examples(named, most=30)}."
        )
    wanted = {name: arguments.get(hints.get(name), hints.get(name, Any)) for name in data}
    given = {
        name: read(wanted[name], part, f"{where}.{name}", arrays)
        for name, part in data.items()
        if name != "is"
    }
    rest = [
        p.name
        for p in inspect.signature(cls.__init__).parameters.values()
        if p.kind is inspect.Parameter.VAR_KEYWORD
    ]
    for name in rest:  # diffrax.BacksolveAdjoint(**kwargs)
        given |= given.pop(name, {})
    try:
        return cls(**given)
    except TypeError as error:
        raise ValueError(f"{where}: {cls.__name__} cannot be made of {data}: {error}") from error


def find_class(name: str, base: type[V], where: str) -> type[V]:
    """The imported class of this name that is `base` or a subclass of it.

    **Raises:** `ValueError` naming it if there is none, or more than one.
    """
    return _find(name, [base], where)


def _find(name: str, bases: list[type], where: str) -> type:
    wanted = bases or [eqx.Module]
    known = {cls for base in wanted for cls in (base, *subclasses(base))}
    found = [cls for cls in known if cls.__name__ == name]
    # A class that was defined again, as in a notebook, is the one that its module has now.
    places = {(cls.__module__, cls.__qualname__): cls for cls in _by_age(found, wanted)}
    if len(places) != 1:
        kind = " or ".join(base.__name__ for base in wanted)
        among = sorted({cls.__name__ for cls in known if not inspect.isabstract(cls)})
        told = examples(sorted(".".join(place) for place in places))
        raise ValueError(
            f"{where}: {len(places)} imported classes called {name!r} are a {kind}"
            f"{': ' + told if places else ''}. "
            + (
                "Give one of them another name."
                if places
                else f"Import the module that defines it first. Known: {examples(among, most=12)}."
            )
        )
    return next(iter(places.values()))


def _by_age(found: list[type], bases: list[type]) -> list[type]:
    order = [cls for base in bases for cls in (base, *subclasses(base))]
    return sorted(found, key=order.index)
