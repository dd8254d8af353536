"""Settings from words of the form `name=value`."""

import ast
import dataclasses
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx

from scbig._hints import classes_of, field_types
from scbig._value import Weighted, but, find_class, read

V = TypeVar("V")


def changed(base: V, changes: Sequence[str]) -> V:
    """A value with changes such as `stage2.steps=500` or `flow.path=BrownianBridge(sigma=0.2)`.

    **Arguments:** `changes`, the path of `but`, then a plain value, or a call of an imported class
    with plain values.

    **Raises:** `ValueError` naming a change that cannot be read, a path that leads nowhere, or a
    value that its class refuses.
    """
    found = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name:
            raise ValueError(
                "--set wants name=value, such as stage1.epochs=50 or "
                f"flow.path=BrownianBridge(sigma=0.2); got {change!r}."
            )
        path = name.replace("-", "_")
        found[path] = _value(text, name, _type_at(base, path.split(".")))
    return but(base, **found)


def _type_at(value: Any, path: Sequence[str]) -> Any:
    """The type of the field that a path leads to, as far as it can be told."""
    hint: Any = Any
    for name in path:
        if isinstance(value, tuple):
            arguments = typing.get_args(hint)
            hint = arguments[0] if arguments else Any
            parts = [(str(i), part) for i, part in enumerate(value)]
            parts += [(type(getattr(p, "term", p)).__name__, p) for p in value]
            value = dict(parts).get(name)
            continue
        if isinstance(value, Weighted) and name not in ("term", "weight"):
            value = value.term
        hint = field_types(type(value)).get(name, Any)
        value = getattr(value, name, None)
    return hint


def _value(text: str, where: str, hint: Any) -> Any:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"--set {where}: {text!r} is no value: {error.msg}.") from error
    return read(hint, _plain(tree, text, where, hint), where)


def _plain(node: ast.expr, text: str, where: str, hint: Any) -> Any:
    """An expression of literals and calls, as `scbig.method.read` takes it."""
    again = lambda part, of: _plain(part, text, where, of)
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            (base, *_) = classes_of(hint)[0] or [eqx.Module]
            cls = find_class(name, base, where)
            types = field_types(cls)
            fields = [field.name for field in dataclasses.fields(cls)]
            if len(args) > len(fields) or any(keyword.arg is None for keyword in keywords):
                raise ValueError(f"--set {where}: {name} takes {', '.join(fields) or 'nothing'}.")
            given = dict(zip(fields, args, strict=False))
            given |= {str(keyword.arg): keyword.value for keyword in keywords}
            found = {field: again(part, types.get(field, Any)) for field, part in given.items()}
            return {"is": name, **found}
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            inside = (typing.get_args(hint) or (Any,))[0]
            return [again(part, inside) for part in parts]
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(
            f"--set {where}: {text!r} is neither a number, a text in quotes, True, False or None, "
            "nor a class with such values in brackets."
        ) from error
