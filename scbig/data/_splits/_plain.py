"""Plain values that cannot change: what JSON knows, as tuples and read-only mappings."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any


def freeze(value: Any, where: str) -> Any:
    """A read-only copy of a plain value.

    **Raises:** a ValueError for what JSON does not know: arrays, sets, NaN, keys that are no text.
    """
    if isinstance(value, Mapping):
        wrong = [key for key in value if not isinstance(key, str)]
        if wrong:
            raise ValueError(f"`{where}` has keys that are not text: {wrong[:5]}.")
        return MappingProxyType({str(k): freeze(v, f"{where}.{k}") for k, v in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(item, where) for item in value)
    if value is None or isinstance(value, bool):
        return value
    # NumPy's texts and doubles are among them, and become plain.
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise ValueError(f"`{where}` must be a plain value, not {value!r} ({type(value).__name__}).")


def thaw(value: Any) -> Any:
    """The same as dictionaries and lists, for JSON."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [thaw(item) for item in value]
    return value
