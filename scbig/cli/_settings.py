"""Settings from words of the form `name=value`."""

import ast
import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import equinox as eqx

from scbig._value import but, find_class, read

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
        found[name.replace("-", "_")] = _value(text, name)
    return but(base, **found)


def _value(text: str, where: str) -> Any:
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"--set {where}: {text!r} is no value: {error.msg}.") from error
    return read(Any, _plain(tree, text, where), where)


def _plain(node: ast.expr, text: str, where: str) -> Any:
    """An expression of literals and calls, as `scbig.method.read` takes it."""
    again = lambda part: _plain(part, text, where)
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            cls = find_class(name, eqx.Module, where)
            fields = [field.name for field in dataclasses.fields(cls)]
            if len(args) > len(fields) or any(keyword.arg is None for keyword in keywords):
                raise ValueError(f"--set {where}: {name} takes {', '.join(fields) or 'nothing'}.")
            given = dict(zip(fields, map(again, args), strict=False))
            named = {str(keyword.arg): again(keyword.value) for keyword in keywords}
            return {"is": name, **given, **named}
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [again(part) for part in parts]
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(
            f"--set {where}: {text!r} is neither a number, a text in quotes, True, False or None, "
            "nor a class with such values in brackets."
        ) from error
