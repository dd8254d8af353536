"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def rows(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table: its heads, and a line of as many cells for each row."""
    every = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in every) + "\n"
