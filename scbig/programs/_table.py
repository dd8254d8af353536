"""Gene programs as a plain table: gene, program, slot; made here or brought by the user."""

import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from scbig._files import atomic
from scbig._names import examples, tidy

from ._partition import AbstractPartition, GenePartition
from ._soft import SoftPartition

_HEADER = "# scBIG gene programs "
_REST = "unassigned"


@dataclasses.dataclass(frozen=True, eq=False)
class ProgramTable:
    """Programs of named genes.

    **Arguments:** `genes`, a name for each gene of the partition; `partition`; `names`, one for
    each program; `provenance`, what they were made with: any plain values, such as the
    configuration and the priors' checksums.
    """

    genes: tuple[str, ...]
    partition: AbstractPartition
    names: tuple[str, ...]
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = self.partition.num_genes, self.partition.clusters
        if (len(self.genes), len(self.names)) != wanted:
            raise ValueError(
                f"gene programs: the partition has {wanted[0]} genes in {wanted[1]} programs, but "
                f"there are {len(self.genes)} gene and {len(self.names)} program names."
            )
        _require_distinct(self.genes, "gene")
        _require_distinct(self.names, "program")

    @staticmethod
    def of(
        genes: Sequence[str],
        partition: AbstractPartition,
        provenance: dict[str, Any] | None = None,
    ) -> "ProgramTable":
        """The table of a partition whose programs are called P0, P1 and so on."""
        names = tuple(f"P{program}" for program in range(partition.clusters))
        return ProgramTable(tuple(genes), partition, names, provenance or {})

    def to_frame(self) -> pd.DataFrame:
        """One row for each gene in each of its slots: gene, program, slot; `share` if soft."""
        partition = self.partition
        program, slot = np.nonzero(np.asarray(partition.mask))
        gene = np.asarray(partition.members)[program, slot]
        table = pd.DataFrame(
            {
                "gene": np.asarray(self.genes, object)[gene],
                "program": np.asarray(self.names, object)[program],
                "slot": slot,
            }
        )
        if isinstance(partition, SoftPartition):
            table["share"] = np.asarray(partition.held)[program, slot]
        return table

    def align(
        self,
        genes: Sequence[str],
        *,
        missing: Literal["error", "together"] = "error",
        extra: Literal["error", "drop"] = "error",
    ) -> "ProgramTable":
        """The same programs for exactly these genes, in their order.

        **Arguments:** `missing`, what becomes of genes that the table does not have: an error, or
        one more program, called `unassigned`, for all of them; `extra`, whether genes of the table
        that are not asked for are an error or are dropped.

        **Raises:** `ValueError` naming the genes that only one side has.
        """
        _require_distinct(genes, "gene")
        here = set(self.genes)
        absent = [gene for gene in genes if gene not in here]
        surplus = sorted(here.difference(genes))
        if len(absent) == len(genes):
            raise ValueError(
                f"gene programs: none of the {len(genes)} genes ({examples(genes)}) is among the "
                f"table's {len(here)} ({examples(self.genes)}). Both must use the same "
                "kind of name."
            )
        if absent and missing == "error":
            raise ValueError(
                f"gene programs: {len(absent)} of {len(genes)} genes are in no program: "
                f"{examples(absent)}. Add them to the table, drop them from the data, or choose "
                f"missing='together' (one more program, {_REST!r})."
            )
        if surplus and extra == "error":
            raise ValueError(
                f"gene programs: {len(surplus)} genes of the table are not among the "
                f"{len(genes)} genes asked for: {examples(surplus)}. Choose extra='drop' to drop "
                "them."
            )
        frame = self.to_frame()
        frame = frame.take(np.flatnonzero(frame["gene"].isin(list(genes))))
        if absent:
            rest = pd.DataFrame({"gene": absent, "program": _REST, "slot": 0, "share": 1.0})
            frame = pd.concat([frame, rest.reindex(columns=frame.columns)])
        names = [*self.names, *([_REST] if absent and _REST not in self.names else [])]
        return _from_frame(frame, genes, names, self.provenance)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a csv, atomically: a line of JSON behind `#`, then `to_frame`."""
        header = {"programs": list(self.names), "provenance": self.provenance}
        with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(_HEADER + json.dumps(header) + "\n")
            self.to_frame().to_csv(file, index=False)


def read_programs(path: str | os.PathLike[str]) -> ProgramTable:
    """Reads a csv of gene programs: one that `ProgramTable.save` wrote, or one's own.

    One's own has the columns `gene` and `program`, a row for each gene; programs of any names and
    sizes; commas, semicolons, tabs or bars between them. With a column `share` a gene may be in
    several programs (scaled to sum to one). A column `slot` is not needed: a program's genes are in
    the order of the genes.

    **Raises:** `FileNotFoundError`; `ValueError` for missing columns or values, a gene that is
    there twice, or no rows.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"gene programs: no such file: {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} cannot be read as text in UTF-8: {error}") from error
    ours = text.startswith(_HEADER)
    first, rest = text.split("\n", 1) if ours else ("", text)
    try:
        frame = _own_frame(rest)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ValueError(f"{path} cannot be read as csv: {error}") from error
    header = _header(path, first) if ours else {}
    try:
        _check_frame(frame)
        genes = list(dict.fromkeys(frame["gene"]))
        names = header.get("programs") or list(dict.fromkeys(frame["program"]))
        return _from_frame(frame, genes, names, header.get("provenance", {}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _own_frame(text: str) -> pd.DataFrame:
    """The table, whatever stands between its cells, with tidy names."""
    head = next((line for line in text.splitlines() if line.strip()), "")
    divides = lambda sign: {"gene", "program"} <= {tidy(c).strip('"') for c in head.split(sign)}
    comma = next(filter(divides, ",;\t|"), ",")
    frame = pd.read_csv(
        io.StringIO(text), sep=comma, dtype=str, keep_default_na=False, na_values=[""]
    )
    frame = frame.rename(columns=tidy)
    for column in frame.columns.intersection(["gene", "program"]):
        frame[column] = frame[column].map(tidy, na_action="ignore").replace("", None)
    if "share" in frame:
        points = frame["share"] if comma == "," else frame["share"].str.replace(",", ".")
        frame["share"] = pd.to_numeric(points, errors="coerce")
    return frame


def _header(path: pathlib.Path, line: str) -> dict[str, Any]:
    try:
        return json.loads(line.removeprefix(_HEADER))
    except ValueError as error:
        raise ValueError(
            f"{path}: its first line is damaged: {error}. Delete that line."
        ) from error


def _check_frame(frame: pd.DataFrame) -> None:
    lacking = [column for column in ("gene", "program") if column not in frame]
    if lacking or frame.empty:
        raise ValueError(
            "gene programs: a row for each gene is needed, with the columns 'gene' and 'program'; "
            f"got {len(frame)} rows with {examples(frame.columns, most=20) or 'no columns'}."
        )
    columns = ["gene", "program", *(["share"] if "share" in frame else [])]
    empty = frame[columns].isna().to_numpy().any(axis=1)
    if "share" in frame:
        empty = empty | np.isnan(np.asarray(frame["share"], float))
    blank = np.flatnonzero(empty)
    if blank.size:
        raise ValueError(
            f"gene programs: {blank.size} rows lack one of {columns}, or a share is no number; the "
            f"first, counted from 1 under the column names: {(blank[:5] + 1).tolist()}."
        )
    keys = ["gene", "program"] if "share" in frame else ["gene"]
    twice = frame.loc[frame.duplicated(keys), "gene"].unique().tolist()
    if twice:
        hint = "" if "share" in frame else " A gene in several programs needs a column `share`."
        raise ValueError(
            f"gene programs: {len(twice)} genes are there more than once: {examples(twice)}.{hint}"
        )


def _from_frame(
    frame: pd.DataFrame, genes: Sequence[str], names: Sequence[str], provenance: dict[str, Any]
) -> ProgramTable:
    row = pd.Index(list(genes)).get_indexer(frame["gene"])
    program = pd.Index(list(names)).get_indexer(frame["program"])
    if (program < 0).any():
        unknown = sorted(set(frame.loc[program < 0, "program"]))
        raise ValueError(f"gene programs: the first line does not name {examples(unknown)}.")
    if "share" in frame:
        partition = _soft(row, program, frame["share"].to_numpy(float), len(genes), len(names))
    else:
        labels = np.zeros(len(genes), np.int32)
        labels[row] = program
        partition = GenePartition.from_labels(labels, len(names))
    return ProgramTable(tuple(genes), partition, tuple(names), provenance)


def _soft(
    row: np.ndarray, program: np.ndarray, share: np.ndarray, genes: int, clusters: int
) -> SoftPartition:
    order = np.lexsort((program, -share, row))
    row, program, share = row[order], program[order], share[order]
    place = np.arange(row.size) - np.searchsorted(row, row)
    shape = genes, int(place.max()) + 1
    programs, shares = np.zeros(shape, np.int64), np.zeros(shape)
    programs[row, place], shares[row, place] = program, share
    return SoftPartition.from_shares(programs, shares, clusters)


def _require_distinct(names: Sequence[str], what: str) -> None:
    seen = pd.Index(list(names))
    twice = seen[seen.duplicated()].unique().tolist()
    blank = [name for name in names if not name.strip()]
    if twice or blank:
        raise ValueError(
            f"gene programs: {what} names must be distinct and not empty; {len(twice)} occur more "
            f"than once: {examples(twice)}; {len(blank)} are empty."
        )
