"""From AnnData to checked arrays: genes matched by name, conditions as unordered sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from jaxtyping import Bool, Float, Int
from scipy import sparse

from scbig.data import Condition, Controls

if TYPE_CHECKING:  # scipy ships no types, and those that pyright infers are wrong
    Matrix = Any
else:
    Matrix = np.ndarray | sparse.csr_matrix


def shortlist(names: Iterable[str], most: int = 5) -> str:
    """The first few names and how many there are, for an error message."""
    names = list(names)
    dots = ", ..." if len(names) > most else ""
    return f"{len(names)} ({', '.join(names[:most])}{dots})"


def canonical_name(
    label: str, *, separator: str = "+", controls: str | Sequence[str] | Controls = ()
) -> str:
    """One name for all spellings of a condition: `B+A` is `A+B`, `ctrl+A` is `A`.

    Control names among the perturbations are dropped; nothing left is `"control"`. A dose, `@` and
    a number at the end of a name, has one spelling too: `A@0.10` is `A@0.1`.

    **Arguments:**

    - `label`: the label, blanks around its parts do not count.
    - `separator`: what stands between the perturbations.
    - `controls`: the names that stand for "not perturbed", in place of the usual ones.

    **Raises:** a ValueError for what `scbig.data.Condition.parse` refuses: an empty part (`"A+"`),
    a perturbation that occurs twice (`"A+A"`), a dose that is not positive.
    """
    return Condition.parse(label, separator=separator, controls=controls).name


@dataclass(frozen=True)
class Spelling:
    """How condition labels are written."""

    separator: str
    controls: Controls

    @classmethod
    def of(cls, control: str | AnnData, separator: str) -> "Spelling":
        """The usual control names, and the label of the control cells where it is one."""
        own = () if isinstance(control, AnnData) else (control,)
        return cls(separator, Controls(own))

    def canonical(self, label: str) -> str:
        """The canonical name of a label."""
        return canonical_name(label, separator=self.separator, controls=self.controls)

    def means_control(self, label: str, control: str) -> bool:
        """Whether a label stands for control cells, and is this name or a spelling of it."""
        if self.canonical(label) != "control":
            return False
        # The usual names stand for one another.
        parts = [part.strip() for part in label.split(self.separator)]
        return control in Controls() or control in (label, *parts)


@dataclass(frozen=True, eq=False)
class Cells:
    """Expression of cells, as stored (dense or CSR), and the rows of each condition."""

    values: Matrix
    rows: dict[str, Int[np.ndarray, " cells"]]

    def of(self, name: str) -> Matrix:
        """Expression of the cells of one condition."""
        return self.values[self.rows[name]]

    def mean(self, name: str) -> Float[np.ndarray, " genes"]:
        """Mean profile of one condition, in float64."""
        return mean_profile(self.of(name))

    def within(self, inside: Bool[np.ndarray, " cells"]) -> "Cells":
        """The same cells, of which only those inside count; conditions without a cell are gone."""
        return Cells(self.values, rows_within(self.rows, inside))


def rows_within(
    rows: Mapping[str, Int[np.ndarray, " _rows"]], inside: Bool[np.ndarray, " cells"]
) -> dict[str, Int[np.ndarray, " _inner"]]:
    """Of the rows of each condition those inside; conditions without any are gone."""
    inner = {name: own[inside[own]] for name, own in rows.items()}
    return {name: own for name, own in inner.items() if own.size}


def mean_profile(values: Matrix) -> Float[np.ndarray, " genes"]:
    """Mean over cells, accumulated in float64."""
    return np.asarray(values.mean(axis=0, dtype=np.float64)).ravel()


def gene_names(adata: AnnData, what: str) -> list[str]:
    """The genes of `adata`; a name that occurs twice is an error."""
    genes = pd.Index(adata.var_names)
    repeated = sorted(set(genes[genes.duplicated()].astype(str)))
    if repeated:
        raise ValueError(
            f"Gene names of the {what} cells are not unique: {shortlist(repeated)} repeated. "
            "Call adata.var_names_make_unique() or drop the copies."
        )
    return list(genes.astype(str))


def aligned_matrix(adata: AnnData, genes: Sequence[str], what: str) -> Matrix:
    """Expression of `adata` with its columns in the order of `genes`; the sets must be equal."""
    own = gene_names(adata, what)
    lacking, extra = sorted(set(genes) - set(own)), sorted(set(own) - set(genes))
    if lacking or extra:
        raise ValueError(
            f"The {what} cells do not have the genes of the observed cells: {shortlist(lacking)} "
            f"lacking, {shortlist(extra)} extra. Subset both to their common genes first."
        )
    values: Matrix = (adata.to_memory() if adata.isbacked else adata).X
    if values is None:
        raise ValueError(f"The {what} cells have no X.")
    values = sparse.csr_matrix(values) if sparse.issparse(values) else np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    return values if own == list(genes) else values[:, pd.Index(own).get_indexer(list(genes))]


def condition_rows(
    adata: AnnData, condition_key: str, what: str, spelling: Spelling
) -> dict[str, Int[np.ndarray, " cells"]]:
    """The rows of each condition under its canonical name, sorted by name."""
    codes, labels = _labels(adata, condition_key, what, "condition_key")
    names = np.array([spelling.canonical(label) for label in labels], dtype=object)
    return {str(name): np.flatnonzero((names == name)[codes]) for name in sorted(set(names))}


def context_masks(
    adata: AnnData, context_key: str | Sequence[str] | None, what: str
) -> dict[str | None, Bool[np.ndarray, " cells"]]:
    """Which cells are of each context, sorted by name; without a key all cells, under None.

    The values of several columns are joined by `|`.
    """
    if context_key is None:
        return {None: np.ones(adata.n_obs, bool)}
    keys = [context_key] if isinstance(context_key, str) else list(context_key)
    if not keys:
        raise ValueError("context_key names no column; None stands for no contexts.")
    columns = [_labels(adata, key, what, "context_key") for key in keys]
    used, codes = np.unique(
        np.stack([codes for codes, _ in columns], axis=1), axis=0, return_inverse=True
    )
    names = [
        "|".join(labels[code] for (_, labels), code in zip(columns, row, strict=True))
        for row in used
    ]
    if len(set(names)) < len(names):
        shared = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"Names that stand for two contexts each, since values in {keys} of the {what} cells "
            f"contain '|': {shortlist(shared)}. Rename those values."
        )
    order = sorted(range(len(names)), key=lambda place: names[place])
    return {names[place]: codes.ravel() == place for place in order}


def _labels(
    adata: AnnData, key: str, what: str, argument: str
) -> tuple[Int[np.ndarray, " cells"], list[str]]:
    """The distinct labels in a column of `obs`, and the place of each cell's among them."""
    if key not in adata.obs:
        raise ValueError(
            f"The {what} cells have no obs column {key!r}; there are: "
            f"{shortlist(map(str, adata.obs.columns))}. Set {argument}."
        )
    labels = adata.obs[key]
    unlabelled = int(pd.isna(labels).to_numpy().sum())
    if unlabelled:
        raise ValueError(f"{unlabelled} of the {what} cells have no label in {key!r}.")
    codes, distinct = pd.factorize(labels.astype(str))
    return codes, [str(label) for label in distinct]


def check_control_label(
    adata: AnnData, condition_key: str, control: str, spelling: Spelling
) -> None:
    """Raises if no observed cell is a control under this name.

    The usual names always count as unperturbed, so a wrong name would not be noticed otherwise.
    """
    labels = sorted(set(adata.obs[condition_key].astype(str)))
    if not any(spelling.means_control(label, control) for label in labels):
        raise ValueError(
            f"No observed cell is labelled {control!r}; the labels are: {shortlist(labels)}. "
            "Name the control label, or pass the control cells as an AnnData."
        )


def read_cells(
    adata: AnnData,
    genes: Sequence[str],
    condition_key: str,
    what: str,
    spelling: Spelling,
) -> Cells:
    """Checked cells: genes aligned, conditions matched, every value finite."""
    rows = condition_rows(adata, condition_key, what, spelling)
    cells = Cells(aligned_matrix(adata, genes, what), rows)
    bad = ~finite_rows(cells.values)
    if bad.any():
        culprits = [name for name, own in rows.items() if bad[own].any()]
        raise ValueError(
            f"NaN or infinite expression in {int(bad.sum())} of the {what} cells, of conditions: "
            f"{shortlist(culprits)}."
        )
    return cells


def finite_rows(values: Matrix) -> Bool[np.ndarray, " cells"]:
    """Which cells have only finite entries."""
    if isinstance(values, np.ndarray):
        return np.asarray(np.isfinite(values).all(axis=1))
    bad = np.zeros(values.shape[0], bool)
    bad[np.searchsorted(values.indptr, np.flatnonzero(~np.isfinite(values.data)), "right") - 1] = 1
    return ~bad
