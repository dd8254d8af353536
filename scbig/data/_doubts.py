"""What looks strange about the names of perturbations, a sentence for each kind."""

import itertools
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from scbig._names import examples
from scbig.data._condition import AT, GUIDE, Condition
from scbig.data._controls import LIKE_CONTROLS
from scbig.data._labels import JOINTS

_DOSED = re.compile(
    rf".+({AT}\s*\d[\d.,]*\s*(%|\w{{1,2}}(/\w{{1,2}})?)?"
    r"|[-_ (]\d[\d.,]*\s*(%|[munp\u00b5\u03bc]?M|[munp\u00b5\u03bc]?g/m?[lL])\)?)"
)
"""A dose with a unit, or with a decimal comma."""
_GUIDE_NUMBERS = 20
"""A gene has fewer guides than this: a number above it is a dose."""
_ENSEMBL = re.compile(r"(ENS[A-Z]{0,6}G\d{11})(\.\d+)?")
_MONTH = "(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DATE = re.compile(rf"\d{{1,2}}-{_MONTH}|{_MONTH}-\d{{1,2}}", re.IGNORECASE)
_PREFIX = re.compile(r"(sg|si|sh)(?=[A-Z])")
_SIGNS = re.compile(r"[^\w-]+|_+")


def doubts(conditions: Iterable[Condition], genes: Collection[str]) -> tuple[str, ...]:
    """What looks strange about the names of perturbations, a sentence for each kind.

    **Arguments:** `genes`, that were measured.
    """
    conditions = tuple(conditions)
    names = sorted({name for condition in conditions for name in condition.perturbations})
    strange = [name for name in names if name not in genes]
    like = [name for name in strange if LIKE_CONTROLS.fullmatch(name)]
    dosed = [name for name in strange if _DOSED.fullmatch(name)]
    guides = {gene: own for gene, own in _guides(strange).items() if len(own) > 1 or gene in genes}
    told = {*like, *dosed, *itertools.chain(*guides.values())}
    others = [name for name in strange if name not in told]
    found = [
        *_of_controls(like),
        *_of_doses(dosed),
        *_of_guides(guides),
        *_of_holders(others, genes),
        *_of_spellings(others, genes),
        *_of_halves(conditions, genes),
    ]
    folded = defaultdict(list)
    for name in names:
        folded[name.casefold()].append(name)
    twice = [" and ".join(own) for own in folded.values() if len(own) > 1]
    if twice:
        found.append(
            f"{len(twice)} perturbations are spelt in two ways: {examples(twice)}. Rename one, if "
            "they are the same."
        )
    return tuple(found)


def _of_controls(like: Sequence[str]) -> list[str]:
    if not like:
        return []
    return [
        f"{len(like)} perturbations read like controls: {examples(like)}. If they are, pass "
        "all names of controls as `control`."
    ]


def _of_doses(dosed: Sequence[str]) -> list[str]:
    if not dosed:
        return []
    return [
        f"{len(dosed)} perturbations read like doses with a unit or a comma: {examples(dosed)}."
        f" A dose is a plain number behind {AT!r}: else each dose is a perturbation of its own."
    ]


def _of_guides(guides: dict[str, list[str]]) -> list[str]:
    if not guides:
        return []
    shown = examples([f"{gene}: {', '.join(own)}" for gene, own in guides.items()])
    names = list(itertools.chain(*guides.values()))
    numbers = [int(number[0]) for name in names if (number := re.search(r"\d+$", name))]
    doses = max(numbers, default=0) > _GUIDE_NUMBERS
    return [
        f"{len(names)} perturbations read like guides of {len(guides)} "
        f"genes: {shown}. If they are, pass `guide`, the pattern of a guide's name: guides of "
        "one gene are else taken for different perturbations, and one may be tested while "
        "another trains." + f" If the numbers are doses, write them behind {AT!r}." * doses
    ]


def _of_holders(names: Sequence[str], genes: Collection[str]) -> list[str]:
    """Names with a measured gene in them: `KLF1_P1P2`, `5000_KLF1_P1P2_ENSG00000105610`."""
    held = [f"{name} ({gene})" for name in names if (gene := _held(name, genes))]
    if not held:
        return []
    return [
        f"{len(held)} perturbations hold the name of a measured gene and more: {examples(held)}. "
        "If they are guides of it, pass `guide`, the pattern of a guide's name; else rename them "
        "if they are that gene."
    ]


def _held(name: str, genes: Collection[str]) -> str | None:
    words = [_PREFIX.sub("", word) for word in _SIGNS.split(name)]
    # HLA-A is one name, and KLF1-1 is KLF1 and a number.
    parts = [part for word in words for part in (word, *word.split("-"))]
    return next((part for part in parts if len(part) > 1 and part in genes), None)


def _of_spellings(names: Sequence[str], genes: Collection[str]) -> list[str]:
    """Names that are genes but for upper and lower case, or for a version."""
    if not names:
        return []
    known = {_plain(gene): gene for gene in genes}
    near = [f"{name} ({known[_plain(name)]})" for name in names if _plain(name) in known]
    if not near:
        return []
    return [
        f"{len(near)} perturbations are measured genes but for upper and lower case or a version: "
        f"{examples(near)}. Write both alike."
    ]


def _plain(name: str) -> str:
    versioned = _ENSEMBL.fullmatch(name)
    return (versioned[1] if versioned else name).casefold()


def _of_halves(conditions: Sequence[Condition], genes: Collection[str]) -> list[str]:
    halves = [f"{c.name} ({gene})" for c in conditions for gene in _cut(c.perturbations, genes)]
    if not halves:
        return []
    return [
        f"{len(halves)} conditions are halves of one measured gene: {examples(halves)}. If "
        "that gene is meant, choose a separator that is in no gene's name."
    ]


def kinds_apart(names: Sequence[str], genes: Collection[str]) -> list[str]:
    """Sentences on genes and perturbations by different kinds of names, and on dates among them.

    **Arguments:** `names` of perturbations; `genes`, that were measured.
    """
    found = []
    for kind, means in (("numbers", str.isdigit), ("Ensembl identifiers", _ENSEMBL.fullmatch)):
        apart = [name for name in names if name not in genes and not means(name)]
        if apart and sum(map(bool, map(means, genes))) > len(genes) / 2:
            found.append(
                f"The names of the genes are {kind}, and {len(apart)} perturbations are not: "
                f"{examples(apart)}. If those are symbols, pass the column of var that has the "
                "symbols as `gene`."
            )
    known = [name for name in names if _ENSEMBL.fullmatch(name)]
    if known and not any(map(_ENSEMBL.fullmatch, genes)):
        found.append(
            f"{len(known)} perturbations are Ensembl identifiers, and no gene's name is: "
            f"{examples(known)}. If var has a column of those, pass it as `gene`."
        )
    dates = sorted(name for name in {*names, *genes} if _DATE.fullmatch(name))
    if dates:
        found.append(
            f"{len(dates)} names are dates, which a spreadsheet makes of genes such as MARCHF1 and "
            f"SEPTIN2: {examples(dates)}. Take the names from the file before it."
        )
    return found


def _cut(names: Sequence[str], genes: Collection[str]) -> list[str]:
    """The genes of which these names are the parts: `NKX2` and `1`, of `NKX2-1`."""
    if not 1 < len(names) < 4:
        return []
    orders = itertools.permutations(names)
    return [gene for own in orders for joint in JOINTS if (gene := joint.join(own)) in genes]


def _guides(names: Iterable[str]) -> dict[str, list[str]]:
    """Names that end like a guide's, by what stands before that."""
    found = defaultdict(list)
    for name in names:
        match = re.fullmatch(GUIDE, name)
        if match:
            found[match[1]].append(name)
    return dict(found)
