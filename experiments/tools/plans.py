"""Which scripts make the paper's tables and figures, and with what, for each preset."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

FEW = ("perturbed mean", "additive", "CellFlow-like", "scBIG, as published")
QUICK = (
    "control", "perturbed mean", "additive", "residual transfer", "Linear", "Linear, gene vectors",
    "GEARS", "samsVAE", "STATE-like", "CellFlow-like", "scBIG, as published", "scBIG",
)  # fmt: skip
"""All but the transformer over genes, the slowest to predict with."""


@dataclass(frozen=True)
class Plan:
    """One run of a script.

    **Fields:** `name`, of its folder; `script`; `title`; `reads`, the screen, one of singles if it
    is given, the drug screen, a screen of cell lines, effects alone, or nothing; `always`, options
    of every preset, and `own`, those of one; `once`, whether it trains under one seed alone.
    """

    name: str
    script: str
    title: str
    reads: Literal["screen", "singles", "drugs", "lines", "effects", ""] = "screen"
    always: tuple[str, ...] = ("--split", "additive")
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    once: bool = False

    def options(self, preset: str) -> list[str]:
        """The options under a preset, without files."""
        seeds = SEEDS if self.reads in EVERY and preset != "smoke" and not self.once else ()
        sizes = EVERY.get(self.reads, {}).get(preset, ())
        return [*self.always, *sizes, *seeds, *self.own.get(preset, ())]


SEEDS = ("--seeds", "0", "1", "2")
"""A difference that one training shows may be that of another: over conditions alone it is sure."""
_SCREEN = {"smoke": ("--cells", "8"), "cpu": ("--epochs", "20", "--cells", "100")}
EVERY: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "screen": _SCREEN,
        "singles": _SCREEN,
        "lines": {"smoke": ("--cells", "8"), "cpu": ("--cells", "100")},
        "drugs": {"smoke": ("--cells", "8"), "cpu": ("--epochs", "40", "--cells", "100")},
    }  # fmt: skip
)


def _methods(name: str, title: str, split: str) -> Plan:
    # What trains takes most of `smoke`: the published form once, in the first of them.
    few = FEW if name == "table1" else FEW[:3]
    own = {"smoke": ("--only", *few), "cpu": ("--only", *QUICK)}
    reads: Any = "singles" if name == "table3" else "screen"
    return Plan(name, name, title, reads, ("--split", split), own)


def _over(what: Literal["seeds", "split-seeds"], name: str, title: str, split: str) -> Plan:
    """Table 11 or 12 over five seeds of the training, or over five splits."""
    numbers = ("0", "1", "2", "3", "4") if what == "seeds" else ("1", "2", "3", "4", "5")
    rows = ("GEARS", "CellFlow-like", "scBIG, as published", "scBIG")
    one = ("--seeds", "0") if what == "split-seeds" else ()  # the last one counts
    own = {
        "smoke": (f"--{what}", *numbers[:2], "--only", "CellFlow-like"),
        "cpu": (f"--{what}", *numbers, *one, "--only", *rows),
        "paper": (f"--{what}", *numbers, *one),
    }
    return Plan(name, "table11", title, always=("--split", split), own=own)


PLANS: tuple[Plan, ...] = (
    Plan(
        "table6a", "table6a", "Tables 6a and 15: clustering and encoder",
        own={"smoke": ("--only", "none, Normal", "GRC, GCAE")},
    ),
    Plan(
        "table6c", "table6c", "Tables 6c and 6d: alignment losses and their weights",
        own={"smoke": ("--only", "no alignment", "both")},
    ),
    _methods("table1", "Tables 1, 13 and 14: unseen combinations", "additive"),
    Plan(
        "table6b", "table6b", "Table 6b: strategies of clustering, and priors",
        own={"smoke": ("--only", "without any prior", "GRC")},
    ),
    Plan(
        "table6e", "table6e", "Table 6e: what tells the flow what was perturbed",
        own={"smoke": ("--only", "given", "random")},
    ),
    Plan("table10", "table10", "Table 10: pooling", own={"smoke": ("--only", "attention", "mean")}),
    Plan(
        "figure5", "figure5", "Figure 5: what clusters the genes",
        own={"smoke": ("--only", "given", "random")},
    ),
    Plan(
        "figure6", "figure6", "Figure 6: numbers of programs and inducing points",
        own={"smoke": ("--clusters", "4", "--points", "2"), "cpu": ("--points", "2", "4")},
    ),
    Plan(
        "sensitivity", "sensitivity", "Sensitivity to interactions",
        own={"smoke": ("--weights", "0.1", "--only", "as given", "weight 0.1")},
    ),
    _methods("table2", "Table 2: unseen genes", "holdout"),
    _methods("table3", "Table 3: GEARS' split", "gears"),
    Plan(
        "table4", "table4", "Table 4: a generated drug screen", "drugs", (),
        own={
            "smoke": ("--only", "perturbed mean", "scBIG, as published", "CellFlow-like"),
            "cpu": ("--only", "control", "perturbed mean", "additive", "CPA", "STATE-like",
                    "CellFlow-like", "scBIG, as published", "scBIG"),
        },
    ),
    Plan(
        "table18", "table18", "Table 18: another cell line", "lines", ("--split", "contexts"),
        own={"smoke": ("--only", "perturbed mean", "CellFlow-like")},
    ),
    Plan("table5", "table5", "Table 5: programs that move together", once=True),
    Plan("figure4", "figure4", "Figure 4: shifts of attention", once=True),
    Plan("figure7", "figure7", "Figure 7: where the cells are", once=True),
    Plan(
        "table7", "table7", "Table 7: what the alignment losses cost", once=True,
        own={"smoke": ("--calls", "2", "--only", "neither", "both")},
    ),
    Plan(
        "table8", "table8", "Table 8: what programs cost", once=True,
        own={"smoke": ("--passes", "2", "--clusters", "1", "4", "--no-each")},
    ),
    Plan(
        "table9", "table9", "Table 9: more genes", "", (),
        own={"smoke": ("--divide", "64", "--genes", "2051", "--calls", "2"),
             "cpu": ("--genes", "2051", "5018", "--calls", "3")},
    ),
    Plan(
        "figures3-9-10", "programs", "Figures 3, 9 and 10: programs and their enrichment",
        "effects", (),
        own={"smoke": ("--seeds", "1", "--programs.clusters", "4"), "cpu": ("--seeds", "2")},
    ),
    _over("seeds", "table11", "Table 11: over seeds, unseen combinations", "additive"),
    _over("seeds", "table12", "Table 12: over seeds, unseen genes", "holdout"),
    _over("split-seeds", "table11-splits", "Table 11, over splits", "additive"),
    _over("split-seeds", "table12-splits", "Table 12, over splits", "holdout"),
)  # fmt: skip
"""In the order of what is learned from them."""
