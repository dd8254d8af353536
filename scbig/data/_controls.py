"""The names that mean "not perturbed", wherever labels are read."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

import anndata as ad
import pandas as pd

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

# Some of these are perturbations of their own in some screens: a person has to say.
LIKE_CONTROLS = re.compile(
    r"(sg|si|sh|guide|neg(ative)?|pos(itive)?|internal|vehicle)?[-_ .]?(ctr?ls?|controls?)"
    r"([-_ .]?(guide|sgrna|grna))?[-_ .]?[\d.]*"
    r"|non?[-_ ]?target\w*([-_ .]\w+)*|safe[-_ ]?(harbou?r|target)\w*|scrambled?([-_ ]?\w+)?"
    r"|(un|non)[-_ ]?(treated|stimulated|trans[df]\w+|infected)|wild[-_ ]?type|wt|pbs|empty\w*"
    r"|no[-_ ]?(guide|s?grna|target|perturbation|drug|treatment)s?|intergenic\w*|luciferase|lacz"
    r"|e?gfp|neg(ative)?|aavs1|rosa26",
    re.IGNORECASE,
)
# Anything that has one of these in it may be meant, where no label is a control's.
_HINTS = re.compile(
    r"ctr?l|control|non?[-_ ]?target|safe[-_ ]?(harb|targ)|scram|vehicle|dmso|mock"
    r"|(un|non)[-_ ]?(treat|pert|stim|infect|trans[df])|wild[-_ ]?type"
    r"|no[-_ ]?(guide|s?grna|drug|treat|pert)|intergenic|aavs1|rosa26|luciferase|lacz|gfp"
    r"|(?<![a-z])neg(?![a-z])|negative"
    r"|(?<![a-z0-9])(ntc?|nc)(?=[-_ .]|s?g?\d+$|$)|(?<![a-z0-9])(wt|pbs|empty)(?![a-z])",
    re.IGNORECASE,
)
_YES, _NO = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no", "nan", "<na>")


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


def like_controls(labels: Iterable[str]) -> list[str]:
    """The labels that have a word for a control somewhere in them: `NTg1`, `NegCtrl0_NegCtrl0`."""
    return [label for label in labels if _HINTS.search(label)]


def marked_controls(adata: ad.AnnData, key: str) -> dict[str, list[str]]:
    """The labels of the cells that a column of yes and no, named like a control, has yes for.

    **Arguments:** `key`, the column of labels.
    """
    found = {}
    for name in adata.obs:
        if name == key or not _HINTS.search(str(name)):
            continue
        values = pd.Series(adata.obs[name]).astype(str).str.lower()
        yes = values.isin(_YES).to_numpy()
        if yes.any() and values[~yes].isin(_NO).all():
            found[str(name)] = [*map(str, pd.unique(pd.Series(adata.obs[key])[yes]))]
    return found
