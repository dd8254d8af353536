"""What the columns of `obs` mean: the one reading of labels, doses and contexts."""

import dataclasses
import re
from collections.abc import Collection, Sequence

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int, Int32

from scbig._names import examples, tidy
from scbig.data._checks import coded, column, gene_names, shared_names
from scbig.data._condition import GUIDE, JOINT, Condition, parts_of, split_dose
from scbig.data._controls import Controls, like_controls, marked_controls
from scbig.data._labels import check_labels

CONTEXT_JOINT = "|"
"""What joins the values of several context columns."""
# Not `none` or `na`: that is what some call a context without a stimulus, or sodium.
_NO_CONTEXT = frozenset({"", "nan", "<na>", "n/a", "nat"})
_WHOLE = re.compile(r"-?\d+\.0+")


@dataclasses.dataclass(frozen=True)
class Columns:
    """What the columns of `obs` mean.

    **Fields:**

    - `condition`: the column with the condition labels: `A`, `A+B`, `A+ctrl`, `control`.
    - `control`: the name or names that stand for "not perturbed" in them, in place of the usual
        ones (`scbig.data.CONTROLS`, also numbered). In a screen it is always called `control`.
    - `separator`: what joins the perturbations of a label.
    - `context`: the column with the context, or several: a context is then one value of each,
        joined as `A549|IL6`. Without it, there is one context.
    - `dose`: the column with the doses, one for each name of the label and in its order: `10`, or
        `0.1+10` for a pair. A control's dose does not count. Labels can also carry them
        themselves: `A@0.1+B@10`.
    - `guide`: the pattern of a guide's name, a regular expression whose first group is the gene,
        such as `scbig.data.GUIDE` for `KLF1_2` and `KLF1-sg2`: its guides are then one
        perturbation, by which cells are divided and predicted; a screen's `guides` keep the labels.
    - `gene`: the column of `var` with the names of genes, in place of `var_names`. A name that
        several genes share does not count.

    **Raises:** a ValueError for a separator that is empty, several columns that are none, or a
    pattern that is none or has no group.
    """

    condition: str = "condition"
    control: str | Sequence[str] = ()
    separator: str = JOINT
    context: str | Sequence[str] | None = None
    dose: str | None = None
    guide: str | None = None
    gene: str | None = None

    def __post_init__(self) -> None:
        needed = ("condition", "separator")
        for name in (*needed, "dose", "guide", "gene"):
            value = getattr(self, name)
            if not (isinstance(value, str) or (name not in needed and value is None)):
                raise ValueError(f"Columns: {name} must be a text; got {value!r}.")
        for name in ("control", "context"):
            value = getattr(self, name)
            several = isinstance(value, Sequence) and all(isinstance(v, str) for v in value)
            if not (several or (name == "context" and value is None)):
                raise ValueError(f"Columns: {name} must be a text or several; got {value!r}.")
        if not self.separator:
            raise ValueError("The separator of a condition label must not be empty.")
        if self.guide is not None:
            _check_guide(self.guide)
        # As tuples: equal values are then equal, and can be hashed.
        if not isinstance(self.control, str):
            object.__setattr__(self, "control", tuple(self.control))
        if self.context is not None and not isinstance(self.context, str):
            object.__setattr__(self, "context", tuple(self.context))
            _check_keys(self.context)

    def parse(self, label: str, doses: str | None = None) -> Condition:
        """The condition that a label names, with the entry of the column of doses, if any.

        **Raises:** the ValueError of `Condition.parse`.
        """
        given = {"separator": self.separator, "controls": self.control, "guide": self.guide}
        return Condition.parse(label, **given, doses=doses)

    def spelled(self, labels: Sequence[str]) -> list[str]:
        """Labels as this library reads them: as given, or canonical where these columns differ.

        **Raises:** the ValueError of `Condition.parse`.
        """
        usual = self.separator == JOINT and not self.control and self.guide is None
        return [label if usual else self.parse(label).name for label in labels]

    def conditions_of(
        self, adata: ad.AnnData, *, controls_needed: bool = True
    ) -> tuple[tuple[Condition, ...], Int32[np.ndarray, " cells"]]:
        """The distinct conditions, sorted by name, and the place of each cell's among them.

        **Raises:** a ValueError that names a column that is absent or has missing values, labels
        or doses that cannot be read, two separators in one column, or that no cell is a control
        where controls are needed.
        """
        codes, labels = coded(column(adata, self.condition, what="condition"))
        genes = frozenset(gene_names(adata, self.gene))
        check_labels(labels, self.separator, Controls.of(self.control), genes, self.guide)
        # Each distinct label is parsed once; several labels may be one condition.
        parsed = self._parsed(labels)
        if self.dose is not None:
            doses, dose_codes = _texts(adata, self.dose)
            pairs, codes = np.unique(codes * len(doses) + dose_codes, return_inverse=True)
            parsed = self._dosed(
                [(labels[pair // len(doses)], doses[pair % len(doses)]) for pair in pairs]
            )
        conditions = tuple(sorted(set(parsed), key=lambda condition: condition.name))
        place = {condition: i for i, condition in enumerate(conditions)}
        if controls_needed and Condition() not in place:
            raise ValueError(
                f"There are no control cells: no condition label means {Controls.of(self.control)}."
                f" The labels are {examples(labels, most=10)}."
                f"{_hint(adata, self.condition, labels, genes)} Pass the control's name as "
                "`control`."
            )
        return conditions, np.array([place[c] for c in parsed], np.int32)[codes]

    def contexts_of(self, adata: ad.AnnData) -> tuple[tuple[str, ...], Int32[np.ndarray, " cells"]]:
        """The distinct contexts, sorted by name, and the place of each cell's among them.

        **Raises:** as the function `contexts_of`.
        """
        return contexts_of(adata, self.context)

    def guides_of(
        self, adata: ad.AnnData
    ) -> tuple[tuple[str, ...], Int32[np.ndarray, " cells"] | None]:
        """The distinct labels as they stand, sorted, and the place of each cell's among them.

        Nothing without a pattern of guides: the labels then are the conditions.
        """
        if self.guide is None:
            return (), None
        codes, distinct = coded(column(adata, self.condition, what="condition"))
        names, place = np.unique([tidy(label) for label in distinct], return_inverse=True)
        return tuple(map(str, names)), place.astype(np.int32)[codes]

    def doubts_of(self, adata: ad.AnnData, conditions: Sequence[Condition]) -> tuple[str, ...]:
        """Sentences on what these columns were told to mean, and do not.

        **Arguments:** `conditions`, as they were read of the same cells.
        """
        found = []
        guides, _ = self.guides_of(adata)
        if self.guide is not None and not any(map(self._names_guide, guides)):
            found.append(
                f"No label but a control's fits the pattern of a guide's name, guide="
                f"{self.guide!r}: each name stays a perturbation of its own. The labels are "
                f"{examples(guides)}."
            )
        if self.gene is not None:
            shared = shared_names(adata, self.gene)
            lost = sorted({p for c in conditions for p in c.perturbations if p in shared})
            if lost:
                found.append(
                    f"{len(lost)} perturbations have a name that several genes share in "
                    f"var[{self.gene!r}], and so count as not measured: {examples(lost)}. Keep one "
                    "of those genes, or add their counts."
                )
        return tuple(found)

    def _names_guide(self, label: str) -> bool:
        controls = Controls.of(self.control)
        parts = [split_dose(p)[0] for p in parts_of(label, self.separator, controls)]
        return any(re.fullmatch(self.guide or "", p) for p in parts if p not in controls)

    def _parsed(self, labels: Sequence[str]) -> list[Condition]:
        try:
            return [self.parse(label) for label in labels]
        except ValueError as error:
            controls = Controls.of(self.control)
            names = (parts_of(label, self.separator, controls) for label in labels)
            if any(all(name in controls for name in parts) for parts in names):
                raise
            # A wrong control name is the likely reason why a label was refused.
            raise ValueError(
                f"{error} No condition label means {controls} either; the labels are "
                f"{examples(labels, most=10)}."
            ) from None

    def _dosed(self, pairs: Sequence[tuple[str, str]]) -> list[Condition]:
        parsed: list[Condition] = []
        culprits: dict[str, ValueError] = {}
        for label, doses in pairs:
            try:
                parsed.append(self.parse(label, doses))
            except ValueError as error:
                culprits[f"{label} with {doses}"] = error
        if culprits:
            raise ValueError(
                f"{len(culprits)} condition labels do not go with their doses in "
                f"obs[{self.dose!r}]: {examples(culprits)}. {next(iter(culprits.values()))} Each "
                "name of a label needs one positive number, in the label's order, such as "
                f"0.1{self.separator}10; a control's does not count. Where only some names have a "
                "dose, write it into the label: A@0.1+B."
            )
        return parsed


def contexts_of(
    adata: ad.AnnData, context_key: str | Sequence[str] | None
) -> tuple[tuple[str, ...], Int32[np.ndarray, " cells"]]:
    """The distinct contexts, sorted by name, and the place of each cell's among them.

    **Arguments:** `context_key`, a column of `obs` or several, whose values are then joined by
    `|`; without it, all cells are in one context without a name.

    **Raises:** a ValueError for a column that is absent or has missing values, and for values
    whose joined names are the same.
    """
    if context_key is None:
        return ("",), np.zeros(adata.n_obs, np.int32)
    keys = (context_key,) if isinstance(context_key, str) else tuple(context_key)
    _check_keys(keys)
    parts = []
    for key in keys:
        codes, distinct = coded(column(adata, key, what="context"))
        names, place = np.unique([_text(value) for value in distinct], return_inverse=True)
        _check_named(names.tolist(), key, codes=place[codes])
        parts.append((place[codes], names.tolist()))
    used, codes = np.unique(np.stack([c for c, _ in parts]), axis=1, return_inverse=True)
    values = [tuple(n[i] for (_, n), i in zip(parts, at, strict=True)) for at in used.T]
    names = [CONTEXT_JOINT.join(value) for value in values]
    if len(set(names)) < len(set(values)):
        shared = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(
            f"{len(shared)} names stand for two contexts each, since values of the columns "
            f"{examples(keys)} contain {CONTEXT_JOINT!r}: {examples(shared)}. Rename those values."
        )
    distinct, place = np.unique(names, return_inverse=True)
    return tuple(map(str, distinct)), place.astype(np.int32)[codes.ravel()]


def _hint(adata: ad.AnnData, key: str, labels: Sequence[str], genes: Collection[str]) -> str:
    """Which labels may be the control's: by a word in them, or by another column."""
    like = [label for label in like_controls(labels) if label not in genes]
    said = f" These read like controls: {examples(like, most=10)}." if like else ""
    for column_, own in marked_controls(adata, key).items():
        said += f" obs[{column_!r}] marks the cells of {examples(own)}."
    return said


def _check_guide(pattern: str) -> None:
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(
            f"Columns: guide={pattern!r} is no regular expression: {error}."
        ) from error
    if not groups:
        raise ValueError(
            f"Columns: guide={pattern!r} has no group in brackets, which is the gene: {GUIDE!r}."
        )


def _check_keys(keys: Sequence[str]) -> None:
    if not keys:
        raise ValueError("The context names no column; None stands for no contexts.")


def _check_named(names: Sequence[str], key: str, *, codes: Int[np.ndarray, " cells"]) -> None:
    """Raises for texts that stand for no value: a text file had no other way to say so."""
    nothing = [i for i, name in enumerate(names) if name.lower() in _NO_CONTEXT]
    if nothing:
        cells = np.isin(codes, nothing).sum()
        raise ValueError(
            f"obs[{key!r}], the context, is {examples([names[i] for i in nothing])} in {cells} of "
            f"{len(codes)} cells: the text of a missing value. Drop those cells or name their "
            "context."
        )


def _text(value: str) -> str:
    """A value of a column of contexts as a name: `1.0`, of a text file, as `1`."""
    text = tidy(value)
    return text.split(".")[0] if _WHOLE.fullmatch(text) else text


def _texts(adata: ad.AnnData, key: str) -> tuple[list[str], Int[np.ndarray, " cells"]]:
    """The distinct entries of a column of doses as texts, and the place of each cell's."""
    if key not in adata.obs:
        raise ValueError(
            f"obs has no column {key!r} for the doses; it has "
            f"{examples(adata.obs.columns, most=20) or 'none'}."
        )
    # Control cells may lack a dose, so that a missing one is an entry like others.
    codes, distinct = coded(pd.Series(adata.obs[key]), missing=True)
    return distinct, codes
