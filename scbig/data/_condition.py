"""What was done to a cell: an unordered set of perturbations."""

import dataclasses
from collections.abc import Sequence

CONTROLS = ("control", "ctrl")
"""The names that mean "not perturbed" unless a caller says otherwise."""

JOINT = "+"


@dataclasses.dataclass(frozen=True)
class Condition:
    """An unordered set of perturbations; the empty set is the control.

    `perturbations` is sorted and holds no name twice. Build one from a label with `parse`.
    """

    perturbations: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = self.perturbations
        if list(names) != sorted(set(names)):
            raise ValueError(f"The perturbations {names} are not sorted, or one is there twice.")
        for name in names:
            _check_name(name)

    @classmethod
    def parse(
        cls,
        label: str,
        *,
        separator: str = JOINT,
        controls: str | Sequence[str] = CONTROLS,
    ) -> "Condition":
        """The condition that a label names: `A+B`, `B+A`, `A+ctrl`, `ctrl+A`, `A`, `control`.

        **Arguments:**

        - `label`: names joined by `separator`; blanks around a name do not count.
        - `separator`: what joins the names.
        - `controls`: the names that stand for "not perturbed".

        **Raises:** a ValueError for an empty name (`""`, `A+`) and for a repeated one (`A+A`).
        """
        if not separator:
            raise ValueError("The separator of a condition label must not be empty.")
        unperturbed = control_names(controls)
        parts = [part.strip() for part in label.split(separator)]
        if not all(parts):
            raise ValueError(
                f"The condition {label!r} has an empty name in it; separator {separator!r}."
            )
        names = sorted(part for part in parts if part not in unperturbed)
        if len(set(names)) < len(names):
            raise ValueError(f"The condition {label!r} names one perturbation twice.")
        return cls(tuple(names))

    @property
    def name(self) -> str:
        """The canonical label: sorted names joined by `+`, or `control`."""
        return JOINT.join(self.perturbations) or CONTROLS[0]

    @property
    def is_control(self) -> bool:
        """Whether nothing is perturbed."""
        return not self.perturbations


def control_names(controls: str | Sequence[str]) -> tuple[str, ...]:
    """The control names as a tuple, given one name or several."""
    return (controls,) if isinstance(controls, str) else tuple(controls)


def _check_name(name: str) -> None:
    # Without these, `parse(condition.name)` would be another condition.
    if not name or name != name.strip():
        raise ValueError(f"The perturbation name {name!r} is empty or has blanks around it.")
    if JOINT in name:
        raise ValueError(
            f"The perturbation name {name!r} contains {JOINT!r}, which joins the names of a "
            "combination. Rename it, or pass the separator that the labels use."
        )
    if name in CONTROLS:
        raise ValueError(
            f"{name!r} is reserved for cells that are not perturbed, but it stands here for a "
            "perturbation. Add it to the control names."
        )
