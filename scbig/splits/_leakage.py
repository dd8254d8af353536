"""What is wrong with a division into train, validation and test, as sentences."""

import functools
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from scbig._names import examples
from scbig.data import GUIDE, Condition

Parts = Mapping[str, tuple[str, ...]]


def malformed(parts: Parts) -> list[str]:
    """Names that are not canonical, and parts that are not sorted and distinct."""
    problems = []
    for part, names in parts.items():
        foreign = [name for name in names if _canonical(name) != name]
        if foreign:
            problems.append(
                f"{len(foreign)} names in `{part}` are not canonical: {examples(foreign)}. "
                "Split.of reads names in any spelling."
            )
        elif list(names) != sorted(set(names)):
            problems.append(f"The names in `{part}` are not sorted, or one is there twice.")
    return problems


def incomplete(parts: Parts) -> list[str]:
    """A part that needs perturbations and has none, and a control that is not in train alone."""
    problems = []
    control = Condition().name
    if control not in parts["train"]:
        problems.append(f"`train` lacks {control!r}, the cells that every prediction starts from.")
    for part, names in parts.items():
        if part != "train" and control in names:
            problems.append(f"{control!r} is in `{part}`; controls belong to `train` alone.")
        if part in ("train", "test") and not set(names) - {control}:
            problems.append(f"No perturbation is left in `{part}`.")
    return problems


def overlaps(parts: Parts, *, across_contexts: bool) -> list[str]:
    """Conditions in two parts. Across contexts, one that is trained on may also be tested."""
    problems = []
    for (first, names), (second, others) in itertools.combinations(parts.items(), 2):
        if across_contexts and (first, second) == ("train", "test"):
            continue
        both = sorted(set(names).intersection(others))
        if both:
            problems.append(
                f"{len(both)} conditions are in `{first}` and in `{second}`: {examples(both)}."
            )
    return problems


def false_claims(parts: Parts, held_out: tuple[str, ...], *, strict: bool) -> list[str]:
    """Held-out names that no condition has; if strict, what training shows of the others."""
    if list(held_out) != sorted(set(held_out)):
        return ["The names in `held_out` are not sorted, or one is there twice."]
    problems = []
    present = {name for names in parts.values() for c in names for name in _perturbations(c)}
    unknown = [name for name in held_out if name not in present]
    if unknown:
        problems.append(
            f"{len(unknown)} held-out names are perturbed in no condition: {examples(unknown)}."
        )
    touching = touched((*parts["train"], *parts["validation"]), held_out)
    if strict and touching:
        problems.append(
            f"{len(touching)} conditions of training or validation touch a held-out name: "
            f"{examples(touching)}. Drop them, or set strict=False."
        )
    return problems


def wrong_groups(groups: Parts, test: tuple[str, ...]) -> list[str]:
    """Test groups that are not sorted, or that name something which is not tested."""
    problems = []
    for group, names in groups.items():
        if list(names) != sorted(set(names)):
            problems.append(f"The names in group {group!r} are not sorted, or one is there twice.")
        unknown = [name for name in names if name not in test]
        if unknown:
            problems.append(
                f"{len(unknown)} names in group {group!r} are not in `test`: {examples(unknown)}."
            )
    return problems


def touched(conditions: Iterable[str], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The conditions that perturb any of the names, each with those that it perturbs."""
    wanted = set(names)
    found = {c: tuple(n for n in _perturbations(c) if n in wanted) for c in conditions}
    return {condition: names for condition, names in found.items() if names}


def guides_shared(
    conditions: Iterable[str], claimed: Iterable[str], tests: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Conditions with another guide of a claimed name's gene, or of the genes of a tested one.

    Guides are told by their usual names (`scbig.data.GUIDE`).

    **Returns:** for each such condition the names, claimed or tested, whose gene it perturbs.
    """
    by_gene, by_genes = defaultdict(set), defaultdict(set)
    for name in claimed:
        by_gene[gene_of(name)].add(name)
    for test in tests:
        by_genes[_genes(test)].update(_perturbations(test))
    found = {}
    for condition in conditions:
        own = _perturbations(condition)
        names = set().union(*(by_gene.get(gene_of(name), ()) for name in own))
        names |= by_genes.get(_genes(condition), set())
        if names - set(own):
            found[condition] = tuple(sorted(names - set(own)))
    return found


def gene_of(name: str, guide: str | None = GUIDE) -> str:
    """The gene of a guide, by the pattern of guides; the name itself, if it is none's."""
    match = None if guide is None else re.fullmatch(guide, name)
    return match[1] or name if match else name


def single_names(conditions: Iterable[str]) -> set[str]:
    """What the conditions with one perturbation perturb."""
    return {_perturbations(c)[0] for c in conditions if len(_perturbations(c)) == 1}


def _genes(condition: str) -> tuple[str, ...]:
    return tuple(sorted(map(gene_of, _perturbations(condition))))


def _perturbations(name: str) -> tuple[str, ...]:
    condition = _parsed(name)
    return () if condition is None else condition.perturbations


@functools.lru_cache(maxsize=1 << 15)  # every check asks for the same few hundred names
def _parsed(name: str) -> Condition | None:
    try:
        return Condition.parse(name)
    except ValueError:
        return None


def _canonical(name: str) -> str | None:
    condition = _parsed(name)
    return None if condition is None else condition.name
