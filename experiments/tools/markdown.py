"""Tables in Markdown."""

from collections.abc import Iterable, Sequence

import pandas as pd


def rows(heads: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table: its heads, and a line of as many cells for each row."""
    every = [heads, ["---"] * len(heads), *lines]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in every) + "\n"


def frame(table: pd.DataFrame) -> str:
    """The same of a table of numbers, by its index; what is not there is empty."""
    told = ([name, *("" if x != x else f"{x:g}" for x in own)] for name, own in table.T.items())
    return rows([str(table.index.name or ""), *table], told)
