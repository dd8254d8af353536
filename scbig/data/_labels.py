"""What labels are not taken at their word: joints that were not declared, words for no label."""

import re
from collections.abc import Collection, Mapping, Sequence

from scbig._names import examples, tidy
from scbig.data._condition import AT, divided, parts_of, target
from scbig.data._controls import LIKE_CONTROLS, Controls, is_usual

JOINTS = (*"+_|,;&/:- ~*>.\u00b7\u2022\u00d7", "->", " and ", " x ")
"""What people join the perturbations of a label with, once or several times."""

_MISSING = frozenset({"", "nan", "none", "na", "n/a", "#n/a", "n.a.", "<na>", "nat", "null"})
_NO_LABEL = re.compile(
    r"(un|non?|none|not)[-_ ]?(assigned|known|determined|mapped|labell?ed|identified|available)"
    r"|not[-_ ]applicable|no[-_ ]?(call|label)s?|missing|filtered|multiplets?|doublets?"
    r"|ambiguous|other|blank|[\W_]+",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_DOSE = re.compile(rf"{AT}\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def check_labels(
    labels: Sequence[str],
    separator: str,
    controls: Controls,
    genes: Collection[str],
    guide: str | None = None,
) -> None:
    """Raises for labels that are no label, or that join names by another sign than the separator.

    **Arguments:** `labels`, distinct; `genes`, that were measured; `guide`, the pattern of a
    guide's name, whose gene then counts.
    """
    nothing = [name for name in labels if tidy(name) not in controls and _is_nothing(tidy(name))]
    if nothing:
        raise ValueError(
            f"{len(nothing)} of {len(labels)} condition labels say that a cell has none: "
            f"{examples(nothing)}. Drop those cells; if they are controls, pass the name as "
            "`control`."
        )
    parts = {label: parts_of(label, separator, controls) for label in labels}
    _check_no_strand(parts, separator)
    targets = {label: [target(name, guide) for name in names] for label, names in parts.items()}
    _check_one_separator(targets, separator, controls, genes)


def _is_nothing(label: str) -> bool:
    return label.lower() in _MISSING or _NO_LABEL.fullmatch(label) is not None


def _check_no_strand(parts: Mapping[str, Sequence[str]], separator: str) -> None:
    """Raises if a separator is a part of names: `KLF1_+_12885043.23-P1`, a guide with a strand."""
    if "_" in separator:
        return
    cut = [
        label
        for label, names in parts.items()
        if len(names) > 1 and any(name != name.strip("_") for name in names)
    ]
    if cut:
        raise ValueError(
            f"{len(cut)} of {len(parts)} condition labels have {separator!r} beside an underscore, "
            f"where it is a strand and joins nothing: {examples(cut)}. Pass a sign that is in no "
            "name, such as '|', as `separator`, and the pattern of a guide's name as `guide`; or "
            "rename them."
        )


def _check_one_separator(
    parts: Mapping[str, Sequence[str]],
    separator: str,
    controls: Controls,
    genes: Collection[str],
) -> None:
    """Raises if labels join, with another sign, controls or names of other labels or of genes."""
    known = {_bare(part) for names in parts.values() for part in names}
    others = [joint for joint in JOINTS if joint not in separator]

    def proof(part: str, joint: str) -> int:
        """How well a joint explains a name: 2, all parts are known; 1, one is a control's."""
        # `A__B` and `A->B`: what is empty between two signs is none, and a number is no name.
        halves = filter(None, map(tidy, divided(_DOSE.sub("", part), joint)))
        names = [name for name in halves if not _NUMBER.fullmatch(name)]
        unperturbed = [n in controls or is_usual(n) for n in names]
        if len(names) < 2 or _bare(part) in genes:
            return 0
        if all(u or n in known or n in genes for n, u in zip(names, unperturbed, strict=True)):
            return 2
        # One control's name is proof enough, whatever the other one is.
        whole = is_usual(part) or LIKE_CONTROLS.fullmatch(part)
        return int(any(unperturbed) and not whole)

    culprits: dict[str, str] = {}
    for label, names in parts.items():
        asked = [part for part in names if part not in controls]
        texts = [_DOSE.sub("", part) for part in asked]
        seen = [joint for joint in others if any(joint in text for text in texts)]
        proofs = {joint: max(proof(part, joint) for part in asked) for joint in seen}
        best = max(seen, key=lambda joint: proofs[joint], default="")
        if best and proofs[best]:
            culprits[label] = best
    if culprits:
        used = ", ".join(repr(joint) for joint in sorted(set(culprits.values())))
        raise ValueError(
            f"{len(culprits)} of {len(parts)} condition labels join names of other labels, of "
            f"genes or of controls by {used} and not by {separator!r}: {examples(culprits)}. Join "
            "all names by one separator, and pass it as `separator`; rename what is one "
            "perturbation; if they are controls, pass them as `control`; if they are guides, the "
            "pattern of their names as `guide`."
        )


def _bare(text: str) -> str:
    return tidy(text.partition(AT)[0])
