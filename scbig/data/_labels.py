"""Reads the labels of cells: the condition of each, with its doses, and the context of each."""

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Int32

from scbig._names import examples
from scbig.data._checks import column
from scbig.data._condition import AT, CONTROLS, Condition, control_names

CONTEXT_JOINT = "|"
"""What joins the values of several context columns."""

_USUAL = "+_|,;&/:- "
"""What people join the perturbations of a label with."""


def conditions_of(
    adata: ad.AnnData,
    condition_key: str,
    *,
    dose_key: str | None,
    separator: str,
    control: str | Sequence[str],
) -> tuple[tuple[Condition, ...], Int32[np.ndarray, " cells"]]:
    """The distinct conditions, sorted by name, and the place of each cell's among them.

    **Raises:** a ValueError as `Screen.from_anndata`, whose arguments these are.
    """
    codes, distinct = pd.factorize(column(adata, condition_key, what="condition"))
    labels = [str(label) for label in distinct]
    check_one_separator(labels, separator=separator, control=control)
    # Each distinct label is parsed once; several labels may be one condition.
    if dose_key is None:
        parsed = _parsed(labels, separator, control)
    else:
        doses, dose_codes = _doses(adata, dose_key)
        pairs, codes = np.unique(codes * len(doses) + dose_codes, return_inverse=True)
        both = [(labels[pair // len(doses)], doses[pair % len(doses)]) for pair in pairs]
        _parsed(labels, separator, control)  # a bad label is no matter of doses
        parsed = _dosed(both, separator, control, dose_key)
    conditions = tuple(sorted(set(parsed), key=lambda condition: condition.name))
    place = {condition: i for i, condition in enumerate(conditions)}
    if Condition() not in place:
        raise ValueError(
            f"There are no control cells: no condition label means {control!r}. The labels are "
            f"{examples(labels, most=10)}. Pass the control's name as `control`."
        )
    return conditions, np.array([place[c] for c in parsed], np.int32)[codes]


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
    if not keys:
        raise ValueError("context_key names no column; None stands for no contexts.")
    parts = []
    for key in keys:
        codes, distinct = pd.factorize(column(adata, key, what="context"))
        parts.append((codes, [str(value) for value in distinct]))
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


def check_one_separator(
    labels: Sequence[str], *, separator: str, control: str | Sequence[str]
) -> None:
    """Raises if labels join, with another separator, names that stand in other labels.

    **Arguments:** `labels`, distinct condition labels; `separator`, what joins their names;
    `control`, the name or names that stand for "not perturbed".
    """
    if not separator:
        return  # which `Condition.parse` refuses
    parts = {label: [part.strip() for part in label.split(separator)] for label in labels}
    known = {_bare(part) for names in parts.values() for part in names}
    known |= {*CONTROLS, *control_names(control)}
    others = [joint for joint in _USUAL if joint not in separator]
    joins = lambda part, joint: joint in part and known.issuperset(map(_bare, part.split(joint)))
    culprits = {
        label: joint
        for label, names in parts.items()
        for joint in others
        if any(joins(part, joint) for part in names if part not in control_names(control))
    }
    if culprits:
        used = ", ".join(repr(joint) for joint in sorted(set(culprits.values())))
        raise ValueError(
            f"{len(culprits)} of {len(labels)} condition labels join names of other labels by "
            f"{used} and not by {separator!r}: {examples(culprits)}. Join all names by one "
            "separator, and pass it as `separator`; or rename what is one perturbation."
        )


def _bare(text: str) -> str:
    return text.partition(AT)[0].strip()


def _parsed(labels: list[str], separator: str, control: str | Sequence[str]) -> list[Condition]:
    try:
        return [Condition.parse(label, separator=separator, controls=control) for label in labels]
    except ValueError as error:
        names = control_names(control)
        if not separator or any(
            all(part.strip() in names for part in label.split(separator)) for label in labels
        ):
            raise
        # A wrong control name is the likely reason why a label was refused.
        raise ValueError(
            f"{error} No condition label means {control!r} either; the labels are "
            f"{examples(labels, most=10)}."
        ) from None


def _doses(adata: ad.AnnData, key: str) -> tuple[list[str], np.ndarray]:
    """The distinct entries of a column as texts, and the place of each cell's among them."""
    if key not in adata.obs:
        raise ValueError(
            f"obs has no column {key!r} for the doses; it has "
            f"{examples(adata.obs.columns, most=20)}."
        )
    # Control cells may lack a dose, so that a missing one is an entry like others.
    codes, distinct = pd.factorize(pd.Series(adata.obs[key]), use_na_sentinel=False)
    # Iterating an index would widen a float32, and write 0.1 as 0.10000000149011612.
    return [str(value) for value in np.asarray(distinct)], codes


def _dosed(
    pairs: list[tuple[str, str]], separator: str, control: str | Sequence[str], key: str
) -> list[Condition]:
    parsed: list[Condition] = []
    culprits: dict[str, ValueError] = {}
    for label, doses in pairs:
        try:
            parsed.append(
                Condition.parse(label, separator=separator, controls=control, doses=doses)
            )
        except ValueError as error:
            culprits[f"{label} with {doses}"] = error
    if culprits:
        raise ValueError(
            f"{len(culprits)} condition labels do not go with their doses in obs[{key!r}]: "
            f"{examples(culprits)}. {next(iter(culprits.values()))} Each name of a label needs one "
            f"positive number, in the label's order, such as 0.1{separator}10; a control's does "
            "not count. Where only some names have a dose, write it into the label: A@0.1+B."
        )
    return parsed
