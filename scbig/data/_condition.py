"""What was done to a cell: an unordered set of perturbations, each with its dose if it has one."""

import dataclasses
import math
import re
from collections.abc import Sequence

from scbig._names import alike, tidy

from ._controls import CONTROL, Controls, is_usual

JOINT = "+"
AT = "@"
"""What stands between a name and its dose."""

GUIDE = r"(?:sg(?=[A-Z]))?(.+?)(?:[-_. ](?:sg|sgRNA|gRNA|guide|g)[-_. ]?|_|(?<=[A-Z0-9])s?g)\d+"
"""Usual names of guides, the gene first: `KLF1_2`, `KLF1-sg2`, `sgKLF1_2`; no `NKX2-1`, `Alg13`."""

_BRACKETS = {**dict.fromkeys("([{", 1), **dict.fromkeys(")]}", -1)}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(nan|inf)", re.IGNORECASE)
_CUT = re.compile(r"(\d+\.?\d*|\.\d+)e", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Condition:
    """An unordered set of perturbations; the empty set is the control.

    `perturbations` is sorted and holds no name twice. `doses` has the dose of each, a positive
    number in the screen's own unit, or `None`; if it is left out, none has a dose. Two doses are
    two conditions. Build one from a label with `parse`.
    """

    perturbations: tuple[str, ...] = ()
    doses: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        names = self.perturbations
        if list(names) != sorted(set(names)):
            raise ValueError(f"The perturbations {names} are not sorted, or one is there twice.")
        for name in names:
            _check_name(name)
        doses = self.doses or (None,) * len(names)
        if len(doses) != len(names):
            raise ValueError(f"There are {len(doses)} doses for the {len(names)} names {names}.")
        # In one form, so that conditions are equal however their doses were given.
        pairs = zip(names, doses, strict=True)
        exact = tuple(None if dose is None else _exact(dose, name) for name, dose in pairs)
        object.__setattr__(self, "doses", exact)

    @classmethod
    def parse(
        cls,
        label: str,
        *,
        separator: str = JOINT,
        controls: str | Sequence[str] | Controls = (),
        doses: str | None = None,
        guide: str | None = None,
    ) -> "Condition":
        """The condition that a label names: `A+B`, `B+A`, `A+ctrl`, `ctrl+A`, `A`, `control`.

        A separator inside of brackets joins nothing: `(+)-JQ1` is one name. A name can carry a
        dose, `A@0.1+B@10`. Only `@` and a number at a name's end are a dose:
        the gene `IGH@` is a name.

        **Arguments:**

        - `label`: names joined by `separator`; blanks around a name do not count.
        - `separator`: what joins the names.
        - `controls`: the name or names that stand for "not perturbed", in place of the usual ones;
            a dose of theirs does not count.
        - `doses`: the doses of a label that has none in it, in the order of its names: `0.1+10`.
        - `guide`: the pattern of a guide's name, of which the first group is taken; two guides of
            one gene are that gene.

        **Raises:** a ValueError for an empty name (`""`, `A+`), for a repeated one (`A+A`), for a
        dose that is not a positive number, and for other doses than there are names.
        """
        if not separator:
            raise ValueError("The separator of a condition label must not be empty.")
        unperturbed = Controls.of(controls)
        parts = parts_of(label, separator, unperturbed)
        if not all(parts):
            raise ValueError(
                f"The condition {label!r} has an empty name in it; separator {separator!r}."
            )
        whole = [split_dose(part) for part in parts]
        numbers = _aligned([name in unperturbed for name, _ in whole], doses, separator, label)
        found = {}
        for (given, own), number in zip(whole, numbers, strict=True):
            name = given if given in unperturbed else target(given, guide)
            if name in unperturbed:
                continue
            dose = _dose_of(name, own, number)
            if name in found and (given == name or found[name] != dose):
                raise ValueError(f"The condition {label!r} names one perturbation twice.")
            found[name] = dose
        names = tuple(sorted(found))
        return cls(names, tuple(found[name] for name in names))

    @property
    def labels(self) -> tuple[str, ...]:
        """Each perturbation with its dose: `("A@0.1", "B")`."""
        pairs = zip(self.perturbations, self.doses, strict=True)
        return tuple(name if dose is None else f"{name}{AT}{_spelt(dose)}" for name, dose in pairs)

    @property
    def name(self) -> str:
        """The canonical label: sorted names, with their doses, joined by `+`, or `control`."""
        return JOINT.join(self.labels) or CONTROL

    @property
    def is_control(self) -> bool:
        """Whether nothing is perturbed."""
        return not self.perturbations


def divided(text: str, separator: str) -> list[str]:
    """The parts of a text between separators; none is seen inside of brackets, as in `(+)-JQ1`."""
    parts = text.split(separator)
    if len(parts) == 1 or not any(bracket in text for bracket in _BRACKETS):
        return parts
    found: list[str] = []
    for part in parts:
        if found and _depth(found[-1]) > 0:
            found[-1] += separator + part
        else:
            found.append(part)
    # Where a bracket is left open, it is none.
    return parts if _depth(found[-1]) > 0 else found


def _depth(text: str) -> int:
    """How many brackets are open at a text's end."""
    depth = 0
    for sign in text:
        depth = max(depth + _BRACKETS.get(sign, 0), 0)
    return depth


def parts_of(label: str, separator: str, controls: Controls) -> list[str]:
    """The names in a label, cleaned; a control's name stays whole if the separator is in it."""
    separator = alike(separator)
    parts = [part.strip() for part in divided(alike(label), separator)]
    whole = []
    while parts:
        # `A_non-targeting_001` by `_`: the longest run of parts that is a control's name.
        runs = (n for n in range(len(parts), 1, -1) if separator.join(parts[:n]) in controls)
        size = next(runs, 1)
        whole.append(separator.join(parts[:size]))
        parts = parts[size:]
    return whole


def target(name: str, guide: str | None) -> str:
    """The gene of a guide; the name itself, if it is none's."""
    match = None if guide is None else re.fullmatch(guide, name)
    return tidy(match[1] or "") if match else name


def split_dose(text: str) -> tuple[str, str | None]:
    """A name and the number behind its last `@`, or the whole text and `None`."""
    name, at, number = text.rpartition(AT)
    number = number.strip()
    if at and _CUT.fullmatch(number):
        raise ValueError(
            f"The dose of {text!r} ends in its exponent, whose sign was read as a separator. "
            "Write the number out."
        )
    if not at or not _NUMBER.fullmatch(number):
        return text, None
    return name.strip(), number


def _aligned(
    unperturbed: list[bool], doses: str | None, separator: str, label: str
) -> list[str | None]:
    """For each part of a label, its entry of `doses`, which may leave the controls out."""
    if doses is None or all(unperturbed):
        return [None] * len(unperturbed)
    joint = JOINT if JOINT in doses else separator
    given = [doses] if _NUMBER.fullmatch(doses.strip()) else doses.split(joint)
    if len(given) == len(unperturbed):
        return list(given)
    if len(given) != unperturbed.count(False):
        raise ValueError(f"The condition {label!r} has other names than the doses {doses!r}.")
    numbers = iter(given)
    return [None if control else next(numbers) for control in unperturbed]


def _dose_of(name: str, own: str | None, given: str | None) -> float | None:
    if own is not None and given is not None:
        raise ValueError(f"{name!r} has the dose {own} in its label and {given} beside it.")
    text = given if own is None else own
    if text is None:
        return None
    if not _NUMBER.fullmatch(text.strip()):
        raise ValueError(f"The dose {text!r} of {name!r} is not a number.")
    return float(text)


def _exact(dose: float, name: str) -> float:
    if not (math.isfinite(dose) and dose > 0):
        raise ValueError(
            f"The dose {dose} of {name!r} is not a positive number. A cell that got nothing of it "
            "is a control, or has a label without it."
        )
    return float(dose)


def _spelt(dose: float) -> str:
    """The shortest number that reads back as this one, without a `+`, which joins names."""
    return repr(dose).removesuffix(".0").replace("e+", "e")


def _check_name(name: str) -> None:
    # Without these, `parse(condition.name)` would be another condition.
    if not name or name != tidy(name):
        raise ValueError(f"The perturbation name {name!r} is empty or has blanks around it.")
    if len(divided(name, JOINT)) > 1:
        raise ValueError(
            f"The perturbation name {name!r} contains {JOINT!r}, which joins the names of a "
            "combination. Rename it, or pass the separator that the labels use; if it "
            "is a guide, the pattern of its name as `guide`."
        )
    if split_dose(name)[1] is not None:
        raise ValueError(
            f"The perturbation name {name!r} ends in a dose. Rename it, or give the dose apart."
        )
    if is_usual(name):
        raise ValueError(
            f"{name!r} is reserved for cells that are not perturbed, but it stands here for a "
            "perturbation. Add it to the control names, or leave those out for the usual ones."
        )
