"""Checks of the numbers in a configuration, where it is made."""

import math
import numbers
from typing import Any


def whole_fields(owner: Any, *names: str, least: int) -> None:
    """Makes these fields of a frozen dataclass plain whole numbers.

    **Arguments:** `names`, of the fields; `least`, the smallest number that each may be.

    **Raises:** a ValueError that names the first field that is something else, and its value.
    """
    for name in names:
        value = getattr(owner, name)
        fits = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not fits or value < least:
            raise ValueError(
                f"{type(owner).__name__}: {name} must be a whole number of at least {least}; "
                f"got {value!r}."
            )
        object.__setattr__(owner, name, int(value))


def real_fields(
    owner: Any,
    *names: str,
    above: float = -math.inf,
    least: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Makes these fields of a frozen dataclass plain finite numbers.

    **Arguments:** `names`, of the fields; `above`, which each must be larger than; `least` and
    `most`, the ends of what is allowed.

    **Raises:** a ValueError that names the first field that is something else, and its value.
    """
    for name in names:
        value: Any = getattr(owner, name)
        number = math.nan
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            number = float(value)
        if not (math.isfinite(number) and number > above and least <= number <= most):
            ends = {"above": above, "at least": least, "at most": most}
            said = [f"{what} {end:g}" for what, end in ends.items() if math.isfinite(end)]
            wanted = " ".join(["a finite number", " and ".join(said)]).strip()
            raise ValueError(f"{type(owner).__name__}: {name} must be {wanted}; got {value!r}.")
        object.__setattr__(owner, name, number)
