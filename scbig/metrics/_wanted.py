"""What is scored: conditions by context, all of which must have been measured."""

from collections.abc import Mapping, Sequence

from scbig._names import examples
from scbig.data import CONTROL, LabelledCells

Wanted = Mapping[str, Sequence[str]]
"""For each context the conditions to score there, by canonical name."""


def wanted_of(predicted: LabelledCells, *, what: str = "predicted") -> dict[str, list[str]]:
    """The perturbed conditions of each context that has any.

    **Raises:** a ValueError, which says whose cells these are, if there are none.
    """
    found = {
        context: sorted(name for name in own if name != CONTROL)
        for context, own in predicted.populations.items()
    }
    found = {context: names for context, names in found.items() if names}
    if not found:
        raise ValueError(f"The {what} cells have no perturbation to evaluate, only controls.")
    return found


def check_measured(wanted: Wanted, observed: LabelledCells) -> None:
    """Raises if a context or a condition was not measured, and names it."""
    have = observed.populations
    strange = [context for context in wanted if context not in have]
    if strange:
        raise ValueError(
            f"{len(strange)} contexts of the predicted cells are not among the observed cells: "
            f"{examples(strange)}; observed are {examples(have)}. Drop them from the predictions, "
            "or name the column of contexts: Columns(context=...)."
        )
    unmeasured = [
        named(name, context)
        for context, names in wanted.items()
        for name in names
        if name not in have[context]
    ]
    if unmeasured:
        raise ValueError(
            f"{len(unmeasured)} predicted conditions are not among the observed cells: "
            f"{examples(unmeasured)}. Drop them from the predictions, or check what Columns says "
            "of the labels."
        )


def named(condition: str, context: str) -> str:
    """A condition in its context, for an error message."""
    return f"{condition} in {context}" if context else condition


def no_controls(contexts: Sequence[str]) -> str:
    """That contexts have no control cells, for an error message."""
    if list(contexts) == [""]:
        return (
            "There are no control cells among the observed cells. Check what Columns says of the "
            "control's name, or pass the control cells as `controls`."
        )
    return (
        f"{len(contexts)} contexts have no control cells: {examples(contexts)}. Each perturbation "
        "is compared with the controls of its own context: add them, or leave those contexts out."
    )
