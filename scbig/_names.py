"""The first few of many names, as every message says them."""

from collections.abc import Iterable


def examples(names: Iterable[object], most: int = 5) -> str:
    """The first `most` names in quotes, and how many more there are, as text.

    **Arguments:** `names`, anything with a text; `most`, how many of them are shown.
    """
    shown = [str(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(repr(name) for name in shown[:most]) + more
