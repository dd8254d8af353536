"""What labels are not taken at their word: joints that were not declared, words for no label."""

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from scbig._names import examples, tidy
from scbig.data._condition import AT, GUIDE, Condition, divided, parts_of
from scbig.data._controls import Controls, is_usual

_JOINTS = (*"+_|,;&/:- ~*>.\u00b7\u2022\u00d7", "->", " and ", " x ")
"""What people join the perturbations of a label with, once or several times."""

_MISSING = frozenset({"", "nan", "none", "na", "n/a", "#n/a", "n.a.", "<na>", "nat", "null"})
_NO_LABEL = re.compile(
    r"(un|non?|none|not)[-_ ]?(assigned|known|determined|mapped|labell?ed|identified|available)"
    r"|not[-_ ]applicable|no[-_ ]?(call|label)s?|missing|filtered|multiplets?|doublets?"
    r"|ambiguous|other|blank|[-?._]+",
    re.IGNORECASE,
)
# Some of these are perturbations of their own in some screens: a person has to say.
_LIKE_CONTROLS = re.compile(
    r"(sg|si|sh|guide|neg(ative)?|pos(itive)?|internal|vehicle)?[-_ .]?(ctr?ls?|controls?)"
    r"([-_ .]?(guide|sgrna|grna))?[-_ .]?\d*"
    r"|non?[-_ ]?target\w*([-_ .]\w+)*|safe[-_ ]?(harbou?r|target)\w*|scrambled?([-_ ]?\w+)?"
    r"|(un|non)[-_ ]?(treated|stimulated|trans[df]\w+|infected)|wild[-_ ]?type|wt|pbs|empty\w*"
    r"|no[-_ ]?(guide|s?grna|target|perturbation|drug|treatment)s?|intergenic\w*|luciferase|lacz"
    r"|e?gfp|neg(ative)?|aavs1|rosa26",
    re.IGNORECASE,
)
_DOSED = re.compile(rf".+{AT}\s*\d[\d.,]*\s*(%|\w{{1,2}}(/\w{{1,2}})?)?")
"""A dose with a unit, or with a decimal comma."""
_DOSE = re.compile(rf"{AT}\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)


def check_labels(
    labels: Sequence[str], separator: str, controls: Controls, genes: Collection[str]
) -> None:
    """Raises for labels that are no label, or that join names by another sign than the separator.

    **Arguments:** `labels`, distinct; `genes`, that were measured.
    """
    nothing = [name for name in labels if tidy(name) not in controls and _is_nothing(tidy(name))]
    if nothing:
        raise ValueError(
            f"{len(nothing)} of {len(labels)} condition labels say that a cell has none: "
            f"{examples(nothing)}. Drop those cells; if they are controls, pass the name as "
            "`control`."
        )
    _check_one_separator(labels, separator, controls, genes)


def _is_nothing(label: str) -> bool:
    return label.lower() in _MISSING or _NO_LABEL.fullmatch(label) is not None


def _check_one_separator(
    labels: Sequence[str], separator: str, controls: Controls, genes: Collection[str]
) -> None:
    """Raises if labels join, with another sign, controls or names of other labels or of genes."""
    parts = {label: parts_of(label, separator, controls) for label in labels}
    known = {_bare(part) for names in parts.values() for part in names}
    others = [joint for joint in _JOINTS if joint not in separator]

    def joins(part: str, joint: str) -> bool:
        # `A__B` and `A->B`: what is empty between two signs is none.
        names = list(filter(None, map(tidy, divided(_DOSE.sub("", part), joint))))
        unperturbed = [n in controls or is_usual(n) for n in names]
        if len(names) < 2 or _bare(part) in genes:
            return False
        found = all(u or n in known or n in genes for n, u in zip(names, unperturbed, strict=True))
        # One control's name is proof enough, whatever the other one is.
        whole = is_usual(part) or _LIKE_CONTROLS.fullmatch(part)
        return found or (any(unperturbed) and not whole)

    culprits = {
        label: joint
        for label, names in parts.items()
        for joint in others
        if any(joins(part, joint) for part in names if part not in controls)
    }
    if culprits:
        used = ", ".join(repr(joint) for joint in sorted(set(culprits.values())))
        raise ValueError(
            f"{len(culprits)} of {len(labels)} condition labels join names of other labels, of "
            f"genes or of controls by {used} and not by {separator!r}: {examples(culprits)}. Join "
            "all names by one separator, and pass it as `separator`; rename what is one "
            "perturbation; if they are controls, pass them as `control`."
        )


def _bare(text: str) -> str:
    return tidy(text.partition(AT)[0])


def doubts(conditions: Iterable[Condition], genes: Collection[str]) -> tuple[str, ...]:
    """What looks strange about the names of perturbations, a sentence for each kind.

    **Arguments:** `genes`, that were measured.
    """
    conditions = tuple(conditions)
    names = sorted({name for condition in conditions for name in condition.perturbations})
    strange = [name for name in names if name not in genes]
    found = []
    like = [name for name in strange if _LIKE_CONTROLS.fullmatch(name)]
    if like:
        found.append(
            f"{len(like)} perturbations read like controls: {examples(like)}. If they are, pass "
            "all names of controls as `control`."
        )
    dosed = [name for name in strange if _DOSED.fullmatch(name)]
    if dosed:
        found.append(
            f"{len(dosed)} perturbations read like doses with a unit or a comma: {examples(dosed)}."
            f" A dose is a plain number behind {AT!r}: else each dose is a perturbation of its own."
        )
    guides = {gene: own for gene, own in _guides(strange).items() if len(own) > 1 or gene in genes}
    if guides:
        shown = examples([f"{gene}: {', '.join(own)}" for gene, own in guides.items()])
        found.append(
            f"{sum(map(len, guides.values()))} perturbations read like guides of {len(guides)} "
            f"genes: {shown}. If they are, pass `guide`, the pattern of a guide's name: guides of "
            "one gene are else taken for different perturbations, and one may be tested while "
            "another trains."
        )
    halves = [f"{c.name} ({gene})" for c in conditions for gene in _cut(c.perturbations, genes)]
    if halves:
        found.append(
            f"{len(halves)} conditions are halves of one measured gene: {examples(halves)}. If "
            "that gene is meant, choose a separator that is in no gene's name."
        )
    spellings = defaultdict(list)
    for name in names:
        spellings[name.casefold()].append(name)
    twice = [" and ".join(own) for own in spellings.values() if len(own) > 1]
    if twice:
        found.append(
            f"{len(twice)} perturbations are spelt in two ways: {examples(twice)}. Rename one, if "
            "they are the same."
        )
    return tuple(found)


def _cut(names: Sequence[str], genes: Collection[str]) -> list[str]:
    """The genes of which these names are the parts: `NKX2` and `1`, of `NKX2-1`."""
    if not 1 < len(names) < 4:
        return []
    orders = itertools.permutations(names)
    return [gene for own in orders for joint in _JOINTS if (gene := joint.join(own)) in genes]


def _guides(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that end like a guide's, by what stands before that."""
    found = defaultdict(list)
    for name in names:
        match = re.fullmatch(GUIDE, name)
        if match:
            found[match[1]].append(name)
    return dict(found)
