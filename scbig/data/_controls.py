"""The names that mean "not perturbed", wherever labels are read."""

import dataclasses
import re
from collections.abc import Sequence

from scbig._names import examples, tidied

CONTROL = "control"
"""The one name of the control in a screen."""

# None of these is a gene: that decides what is here. `ctrl` counts in lower case only, since CTRL
# (in mice, Ctrl) is the gene of a protease. AAVS1, ROSA26, GFP and the like are not here: what is
# cut at a harmless place is a control in some screens, and compared with one in others. Plain words
# (`wild type`, `untreated`) are not either: beside DMSO they are often a control of their own.
CONTROLS = (
    "control",
    "ctrl",
    "non-targeting",
    "nontargeting",
    "non_targeting",
    "NT",
    "NTC",
    "negctrl",
    "neg_ctrl",
    "unperturbed",
    "mock",
    "DMSO",
    "vehicle",
    "safe-targeting",
)
"""The usual names; all but `ctrl` in upper or lower case."""
NUMBERED = ("non-targeting_001", "NT-12", "NTC3", "ctrl_3", "control1", "sgNT_2")
"""Usual names with a number behind them, as guides have, and perhaps `sg` before them."""

_ANY_CASE = (
    r"control|non[-_ ]?targeting|ntc|neg[-_]?ctrl|unperturbed|mock|dmso|vehicle|safe[-_]targeting"
)
# NT3 and NT5 are old names of genes, so that a number behind NT needs a sign between them, or `sg`.
_USUAL = re.compile(
    rf"(?:sg)?(?:(?i:{_ANY_CASE})|ctrl)(?:[-_ ]?\d+)?"
    r"|(?i:nt)(?:[-_ ]\d+)?"
    r"|sg(?i:nt)(?:[-_ ]?\d+)?"
)


@dataclasses.dataclass(frozen=True)
class Controls:
    """Which names mean "not perturbed".

    **Fields:** `names`, these; `usual`, whether the usual ones (`CONTROLS`, also numbered) do too.
    """

    names: tuple[str, ...] = ()
    usual: bool = True

    @classmethod
    def of(cls, names: "str | Sequence[str] | Controls") -> "Controls":
        """The names given, and no others; or the usual ones if none is given."""
        if isinstance(names, Controls):
            return names
        given = (names,) if isinstance(names, str) else tuple(names)
        return cls(tidied(given), usual=not given)

    def __contains__(self, name: str) -> bool:
        return name in self.names or (self.usual and is_usual(name))

    def __str__(self) -> str:
        names = examples(CONTROLS, most=len(CONTROLS))
        usual = f"{names} or, numbered, as {examples(NUMBERED, most=len(NUMBERED))}"
        given = examples(self.names, most=20)
        return " or ".join([given] * bool(given) + [usual] * self.usual)


def is_usual(name: str) -> bool:
    """Whether a name is one of the usual control names, perhaps numbered."""
    return _USUAL.fullmatch(name) is not None
