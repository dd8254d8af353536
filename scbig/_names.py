"""Names as they are compared, and the first few of many, as every message says them."""

import unicodedata
from collections.abc import Iterable

# What looks like a hyphen or a blank, and what cannot be seen: soft hyphens, zero-width characters,
# byte-order marks. Spreadsheets and web pages leave them in names.
_ALIKE: dict[int, str | None] = {
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"), "-"),
    **dict.fromkeys(map(ord, "\u00a0\u2000\u2001\u2002\u2003\u2007\u2009\u202f\u3000"), " "),
    **dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"), None),
}


def alike(text: str) -> str:
    """A text in the one spelling of what looks the same: NFC, one hyphen, one blank."""
    return text if text.isascii() else unicodedata.normalize("NFC", text.translate(_ALIKE))


def tidy(name: str) -> str:
    """A name as it is compared: `alike`, and without blanks around it."""
    return alike(name).strip()


def tidied(names: tuple[str, ...]) -> tuple[str, ...]:
    """All of them tidy: the same tuple if they are."""
    new = {name: tidy(name) for name in set(names)}
    changed = any(name != own for name, own in new.items())
    return tuple(new[name] for name in names) if changed else names


def examples(names: Iterable[object], most: int = 5) -> str:
    """The first `most` names in quotes, and how many more there are, as text.

    **Arguments:** `names`, anything with a text; `most`, how many of them are shown.
    """
    shown = [str(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(repr(name) for name in shown[:most]) + more
