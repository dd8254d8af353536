"""Given effects: what every condition does to every gene, on average."""

import dataclasses
import functools
import hashlib
import math
import os
import zipfile
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64

from scbig._names import examples
from scbig.data import Condition, check_unique

ARRAYS = ("genes", "single_conditions", "single_lfc", "double_conditions", "double_lfc")


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Effects:
    """Log fold changes of conditions against control, as they were estimated.

    A change is `ln((x + pseudocount) / (x0 + pseudocount))`, where `x` and `x0` are the counts per
    `scale` counts of the condition's cells and of the control cells, summed over cells.
    """

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    """Perturbed conditions, none twice, without the control."""
    changes: Float64[np.ndarray, "conditions genes"]
    pseudocount: float = 1.0
    scale: float = 1e6

    def __post_init__(self) -> None:
        wanted = (len(self.conditions), len(self.genes))
        if 0 in wanted or self.changes.shape != wanted:
            raise ValueError(
                f"The effects are {self.changes.shape}, for {wanted[0]} conditions and {wanted[1]} "
                "genes; at least one of each is needed."
            )
        check_unique(self.genes, what="gene", repair="Keep one column for each.")
        names = [condition.name for condition in self.conditions]
        check_unique(names, what="condition", repair="Keep one row for each.")
        if Condition() in self.conditions:
            raise ValueError("The control is among the conditions; its effect is zero. Drop it.")
        bad = np.flatnonzero(~np.isfinite(self.changes).all(axis=1))
        if bad.size:
            culprits = examples([names[i] for i in bad])
            raise ValueError(
                f"{bad.size} conditions have NaN or infinite effects: {culprits}. Drop them, or "
                "those genes."
            )
        if not (self.pseudocount > 0 and self.scale > 0):
            raise ValueError(
                f"pseudocount and scale must be positive: got {self.pseudocount}, {self.scale}."
            )

    @functools.cached_property
    def checksum(self) -> str:
        """SHA-256 over names, pseudocount, scale and changes."""
        names = "\n".join([*self.genes, "", *(c.name for c in self.conditions)])
        head = f"{names}\n{self.pseudocount!r} {self.scale!r}\n".encode()
        return hashlib.sha256(head + self.changes.astype("<f8").tobytes()).hexdigest()

    def of(self, condition: str | Condition) -> Float64[np.ndarray, " genes"]:
        """The changes under a condition."""
        wanted = Condition.parse(condition) if isinstance(condition, str) else condition
        if wanted not in self.conditions:
            names = examples([c.name for c in self.conditions])
            raise ValueError(f"There is no effect of {wanted.name!r}; there is {names}.")
        return self.changes[self.conditions.index(wanted)]


def read_effects(
    path: str | os.PathLike[str],
    *,
    base: float = math.e,
    pseudocount: float = 1.0,
    scale: float = 1e6,
) -> Effects:
    """Reads an npz of genes, and of conditions and changes of singles and of doubles.

    **Arguments:**

    - `path`: of the file, with the arrays `genes`, `single_conditions` (`A`), `single_lfc`,
        `double_conditions` (`A+B`) and `double_lfc`; a row for each condition.
    - `base`: of the file's logarithm. The defaults are those of the public pseudobulk effects of
        Norman 2019, whose changes are, to the last digit, natural logarithms of counts per million
        plus one: multiplied out, they are whole counts (see `recover_pseudobulk`).
    - `pseudocount`, `scale`: as in `Effects`.

    **Raises:** a ValueError that says what is wrong in the file.
    """
    if not (base > 0 and base != 1):
        raise ValueError(f"The base of a logarithm must be positive and not 1: got {base}.")
    arrays = _arrays(path)
    parts = [_part(path, arrays, "single", size=1), _part(path, arrays, "double", size=2)]
    try:
        return Effects(
            genes=tuple(map(str, arrays["genes"].tolist())),
            conditions=tuple(condition for names, _ in parts for condition in names),
            changes=np.concatenate([changes for _, changes in parts]) * math.log(base),
            pseudocount=pseudocount,
            scale=scale,
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            lacking = [name for name in ARRAYS if name not in file]
            if lacking:
                raise ValueError(
                    f"it lacks the arrays {examples(lacking)}; it has {examples(file)}."
                )
            arrays = {name: file[name] for name in ARRAYS}
    except (ValueError, AttributeError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an npz file of effects: {error}") from None
    if arrays["genes"].ndim != 1:
        raise ValueError(f"{path}: genes must be a list of names, not {arrays['genes'].shape}.")
    return arrays


def _part(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray], kind: str, *, size: int
) -> tuple[Sequence[Condition], Float[np.ndarray, "conditions genes"]]:
    """The conditions of one kind and their changes, checked against each other."""
    names, changes = arrays[f"{kind}_conditions"], arrays[f"{kind}_lfc"]
    wanted = (names.size, arrays["genes"].size)
    if names.ndim != 1 or changes.shape != wanted:
        raise ValueError(
            f"{path}: {kind}_lfc is {changes.shape}, but there are {wanted[0]} "
            f"{kind}_conditions and {wanted[1]} genes."
        )
    if not np.issubdtype(changes.dtype, np.floating):
        raise ValueError(f"{path}: {kind}_lfc holds {changes.dtype}, not floating-point numbers.")
    conditions = [Condition.parse(str(name)) for name in names.tolist()]
    wrong = [c.name for c in conditions if len(c.perturbations) != size]
    if wrong:
        raise ValueError(
            f"{path}: {len(wrong)} of {kind}_conditions do not perturb {size} gene(s): "
            f"{examples(wrong)}."
        )
    return conditions, changes.astype(np.float64)
