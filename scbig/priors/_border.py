"""What all priors do at the border: check names, open files, count what is known, sum up."""

import contextlib
import difflib
import gzip
import hashlib
import pathlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from jaxtyping import Int64, Shaped

from scbig._names import examples

_VERSION = re.compile(r"(?<=\d{11})\.\d+$")
_BEHIND = re.compile(r"[\s,;(|]")


def listed(names: Iterable[str], what: str) -> tuple[str, ...]:
    """The names, at least one.

    **Arguments:** `names`; `what` they are, for the message.

    **Raises:** `ValueError` for one text in place of several, for no names, and for a name that is
    empty or no text.
    """
    if isinstance(names, str):
        raise ValueError(f"{what} must be a sequence of names; got the text {names!r}.")
    given = tuple(names)
    if not given:
        raise ValueError(f"{what}: no names; at least one is needed.")
    wrong = [row for row, name in enumerate(given) if not isinstance(name, str) or not name.strip()]
    if wrong:
        raise ValueError(
            f"{what}: {len(wrong)} of {len(given)} names are empty or no text, the first "
            f"{given[wrong[0]]!r} at position {wrong[0]} (counted from 0)."
        )
    return given


def distinct(names: Iterable[str], what: str) -> tuple[str, ...]:
    """The names, at least one and none twice; see `listed`.

    **Raises:** `ValueError` that shows the culprits.
    """
    names = listed(names, what)
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(
            f"{what}: names must be unique; {len(repeated)} occur more than once: "
            f"{examples(repeated)}."
        )
    return names


def rows_of(wanted: Sequence[str], known: Sequence[str]) -> Int64[np.ndarray, " names"]:
    """The position in `known` of each wanted name; -1 where it is absent."""
    row = {name: position for position, name in enumerate(known)}
    return np.fromiter((row.get(name, -1) for name in wanted), np.int64, len(wanted))


def no_overlap(what: str, genes: Sequence[str], known: Sequence[str]) -> ValueError:
    """The error of a prior that knows none of the genes."""
    return ValueError(
        f"{what}: none of the {len(genes)} genes ({examples(genes)}) is among its {len(known)} "
        f"names ({examples(known)}). Both must use the same kind of name, for instance gene "
        "symbols (TP53) and not Ensembl identifiers (ENSG00000141510), of the same species."
        + but_for(genes, known)
    )


def but_for(names: Sequence[str], known: Sequence[str]) -> str:
    """A sentence, or nothing, on what stands between most names and those that a prior has."""
    ways: tuple[tuple[str, Callable[[str], str], str], ...] = (
        ("the version of their identifiers", _unversioned, "Take it off both."),
        ("upper and lower case", str.casefold, "A table of aliases may tell which is which."),
        ("what stands behind the name", _first_word, "Take that away."),
    )
    for what, plain, repair in ways:
        spelt = {plain(name): name for name in known}
        found = [(name, spelt[plain(name)]) for name in names if plain(name) in spelt]
        if 2 * len(found) > len(names):
            name, other = found[0]
            return f" But for {what} {len(found)} are: {name!r} is there as {other!r}. {repair}"
    return ""


def _unversioned(name: str) -> str:
    return _VERSION.sub("", name)


def _first_word(name: str) -> str:
    return _BEHIND.split(name, maxsplit=1)[0]


def format_of(path: pathlib.Path, formats: Sequence[str], what: str) -> str:
    """The file's suffix without `.gz`, after checking that it exists and is one of `formats`.

    **Arguments:** `path`; `formats`, suffixes with their dot; `what` it holds, for the message.

    **Raises:** `FileNotFoundError`; `ValueError` for another suffix.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{what}: no such file: {path}.")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    suffix = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    gzippable = suffix in (".csv", ".tsv", ".txt", ".gmt")
    if suffix not in formats or (packed and not gzippable):
        raise ValueError(
            f"{what}: {path} is in none of the formats that are read: {', '.join(formats)} "
            "(text also as .gz)."
        )
    return suffix


@contextlib.contextmanager
def open_text(path: pathlib.Path) -> Iterator[TextIO]:
    """Opens a text file, unpacked if it ends in `.gz`; what is not text is a `ValueError`."""
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            yield lines  # pyright: ignore[reportReturnType]
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise ValueError(f"{path} cannot be read as text: {error}") from error


@contextlib.contextmanager
def unpacking(path: pathlib.Path) -> Iterator[None]:
    """Turns pyarrow's error for a truncated or broken `.gz` into a `ValueError`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"{path} cannot be read to its end: {error}. Copy it again.") from error


@dataclass(frozen=True)
class Coverage:
    """How many genes a prior covers, and which it does not.

    **Arguments:** `what`, the prior's name in the report; `found`, the number of covered genes;
    `missing`, the others, in the order of the request.
    """

    what: str
    found: int
    missing: tuple[str, ...]

    @property
    def total(self) -> int:
        """Genes asked for."""
        return self.found + len(self.missing)

    @property
    def fraction(self) -> float:
        """Share of the genes that is covered, in [0, 1]; 0 if none was asked for."""
        return self.found / self.total if self.total else 0.0

    def summary(self) -> str:
        """One line: `gene embeddings: 18 of 20 genes (90.0 %); missing 2: 'A', 'B'`."""
        line = f"{self.what}: {self.found} of {self.total} genes ({100 * self.fraction:.1f} %)"
        some = f"; missing {len(self.missing)}: {examples(self.missing, most=3)}"
        return line + some if self.missing else line


def nearest(names: Sequence[str], known: Iterable[str], most: int = 3) -> str:
    """The first few names that a prior lacks, each with the name most like it that it has.

    **Arguments:** `known`, the prior's names; `most`, how many of `names` are shown.
    """
    folded = {name.casefold(): name for name in known}

    def shown(name: str) -> str:
        like = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.75)
        return f"{name!r} (near {folded[like[0]]!r})" if like else repr(name)

    # Looking for what is alike takes a while among 20,000 names: only for those that are shown.
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def content_checksum(
    kind: str,
    *,
    names: Sequence[Sequence[str]],
    values: Shaped[np.ndarray, "..."] | None = None,
) -> str:
    """SHA-256, in 64 hexadecimal digits, of lists of names and an array, in their order.

    **Arguments:** `kind`, which keeps a table apart from a graph of the same names; `names`, the
    lists; `values`, the array, of any shape.
    """
    digest = hashlib.sha256(f"scbig {kind} {len(names)}".encode())
    for one in names:
        # The lengths go in too: ("AB", "C") is not ("A", "BC").
        digest.update(np.asarray([len(one), *map(len, one)], "<i8").tobytes())
        digest.update("".join(one).encode("utf-8", "surrogatepass"))
    if values is not None:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{little.shape} {little.dtype.str}".encode() + little.tobytes())
    return digest.hexdigest()
