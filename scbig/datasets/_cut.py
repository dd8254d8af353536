"""From the published label of each cell to its canonical condition, nothing cut silently."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import anndata as ad
import numpy as np
import pandas as pd

from scbig._names import examples
from scbig.data import CONTROL, Condition, Controls, column


def by_label(labels: pd.Series, names_of: Callable[[str], tuple[str, ...]]) -> pd.Series:
    """The canonical condition of each cell, as a category; `names_of` takes a label apart."""
    codes, distinct = pd.factorize(labels)
    conditions = []
    for label in map(str, distinct):
        names = [name for name in names_of(label) if name not in Controls()]
        check_names(names)
        conditions.append(Condition.parse("+".join(names) or CONTROL).name)
    values = pd.Categorical(np.array(conditions, dtype=object)[codes])
    return pd.Series(values, index=labels.index)


def check_names(names: Sequence[str]) -> None:
    """Raises if a perturbation's name contains what joins the names of a combination."""
    wrong = [name for name in names if "+" in name]
    if wrong:
        raise ValueError(
            f"{len(wrong)} perturbation names contain '+', which joins the names of a "
            f"combination: {examples(wrong)}. Rename them before reading."
        )


def stated_numbers(adata: ad.AnnData, labels: pd.Series) -> dict[str, int]:
    """How many perturbations each label names, if `obs["nperts"]` says so."""
    if "nperts" not in adata.obs:
        return {}
    numbers = column(adata, "nperts", what="number of perturbations").astype(int)
    stated = pd.DataFrame({"label": labels, "number": numbers}).drop_duplicates()
    several = stated.loc[stated["label"].duplicated(), "label"].tolist()
    if several:
        raise ValueError(
            f"obs['nperts'] gives {len(several)} perturbations several numbers: "
            f"{examples(several)}."
        )
    return {str(label): int(n) for label, n in zip(stated["label"], stated["number"], strict=True)}


@dataclasses.dataclass(frozen=True)
class Cut:
    """Cuts a label at `_` into as many names as are stated for it, or else into known ones."""

    known: frozenset[str]
    numbers: Mapping[str, int]

    def __call__(self, label: str) -> tuple[str, ...]:
        ways = list(_ways(label))
        if label in self.numbers:
            ways = [way for way in ways if _perturbed(way) == self.numbers[label]]
        elif "_" not in label:
            return (label,)
        if len(ways) != 1:
            ways = [way for way in ways if self.known.issuperset(way)]
        if len(ways) != 1:
            raise ValueError(
                f"The perturbation {label!r} can be cut at '_' into known genes in {len(ways)} "
                "ways. Rename it in obs['perturbation'], or state in obs['nperts'] how many "
                "genes it names."
            )
        return ways[0]


def _ways(label: str) -> Iterator[tuple[str, ...]]:
    """Every way of cutting a label at some of its `_` into names that are not empty."""
    if label:
        yield (label,)
    for place, character in enumerate(label):
        if character == "_" and place > 0:
            for rest in _ways(label[place + 1 :]):
                yield (label[:place], *rest)


def _perturbed(names: tuple[str, ...]) -> int:
    return sum(name not in Controls() for name in names)
