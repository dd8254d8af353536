"""Options that several commands share."""

import contextlib
import pathlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scbig.data import Columns, Screen
    from scbig.splits import Split

TABLES = (".csv",)
"""How a table's name ends."""
CELLS = (".h5ad", ".zarr")
"""How the name of a file of cells ends."""

SplitName = str
"""`none`, a protocol's name, or a file."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What the columns of the file mean. Give every command the same."""

    condition_key: str = "condition"
    """The column that says how each cell was perturbed: A, A+B, or a control."""
    control: tuple[str, ...] = ()
    """What the column says of cells that were not perturbed, in place of the usual names: control,
    non-targeting, NT, DMSO and the like, also numbered."""
    separator: str = "+"
    """What stands between the perturbations of one cell."""
    context_key: str | None = None
    """The column with cell lines, stimulations or batches. Each has its own controls."""
    dose_key: str | None = None
    """The column with the doses of drugs, if the condition column does not say them (A@0.1)."""

    guide_pattern: str | None = None
    """What the name of a guide looks like, if the condition column names guides: a regular
    expression whose first group is the gene, or 'usual' for KLF1_2, KLF1-sg2 and the like. Guides
    of one gene are then one perturbation."""
    gene_key: str | None = None
    """The column of var with the names of genes, if var_names are others (Ensembl, say)."""

    @property
    def columns(self) -> "Columns":
        """The same, as the library takes it."""
        from scbig.data import GUIDE, Columns

        return Columns(
            condition=self.condition_key,
            control=self.control,
            separator=self.separator,
            context=self.context_key,
            dose=self.dose_key,
            guide=GUIDE if self.guide_pattern == "usual" else self.guide_pattern,
            gene=self.gene_key,
        )


def read_screen(
    path: pathlib.Path, labels: Labels, *, on_disk: bool, layer: str | None = None
) -> "Screen":
    """A prepared screen, in memory or on disk."""
    from scbig.data import Screen

    screen = Screen.open(path, labels.columns, layer=layer)
    return screen if on_disk else screen.in_memory()


@contextlib.contextmanager
def reported() -> Iterator[None]:
    """Where a screen is opened of which a report follows, which says what warnings would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def check_writes(
    out: pathlib.Path, *inputs: pathlib.Path | None, suffixes: tuple[str, ...]
) -> None:
    """Raises if what is written would replace an input, or has a name for something else.

    **Arguments:** `suffixes`, ends of names that may be written; none for a folder.
    """
    for path in inputs:
        same = path is not None and (
            path.resolve() == out.resolve()
            or (path.exists() and out.exists() and path.samefile(out))
        )
        if same:
            raise ValueError(f"--out {out} is also an input, which would be lost: choose another.")
    if suffixes and out.suffix not in suffixes:
        raise ValueError(f"--out {out} must end in {' or '.join(suffixes)}.")
    if suffixes == TABLES and out.is_dir():
        raise ValueError(f"--out {out} is a folder: name a file.")


def make_split(name: SplitName, conditions: list[str], seed: int) -> "Split | None":
    """The split of this name, or from a file of it."""
    from scbig import splits

    match name:
        case "none":
            return None
        case "additive":
            return splits.additive(conditions, seed=seed)
        case "holdout":
            return splits.holdout(conditions, seed=seed)
        case "gears":
            return splits.gears(conditions, seed=seed)
        case _:
            return splits.Split.read(name)


def split_file(name: SplitName) -> pathlib.Path | None:
    """The file that a split is read from, if it is."""
    return None if name in ("none", "additive", "holdout", "gears") else pathlib.Path(name)
