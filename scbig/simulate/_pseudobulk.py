"""The counts behind given effects: depth, base line and all, where the effects still hold them."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float64

from scbig._names import examples
from scbig.data import Condition

from ._effects import Effects

UNDETECTED = 3
"""A gene was undetected where it has its least change, if so many conditions share that change."""
FEWEST_GENES = 20
NOTHING = 1e-5
"""What rounding in float32 leaves of a zero, in pseudocounts."""
TOLERANCE = 0.02
"""How far a count may be from a whole number, beside a millionth of it for rounding, up to MOST."""
MOST = 0.2
REACH = (2e4, 4e5, 4e6)
"""Control counts tried for a gene that every condition detected; the next if none of them fits."""

ADVICE = (
    "Give the base line and the depths yourself: Pseudobulk.from_effects(effects, "
    "control_mean=..., totals=..., control_total=...); or check the base, the pseudocount and the "
    "scale."
)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Pseudobulk:
    """Counts of each condition and of the controls, summed over cells."""

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    counts: Float64[np.ndarray, "conditions genes"]
    totals: Float64[np.ndarray, " conditions"]
    """Counts of each condition over all measured genes, also those that are not here."""
    control_counts: Float64[np.ndarray, " genes"]
    control_total: float

    @classmethod
    def from_effects(
        cls,
        effects: Effects,
        *,
        control_mean: Float64[np.ndarray, " genes"],
        totals: Float64[np.ndarray, " conditions"],
        control_total: float,
    ) -> "Pseudobulk":
        """The counts that effects stand for, given the base line and the depths.

        **Arguments:**

        - `control_mean`: counts per `effects.scale` of each gene in the control cells.
        - `totals`: counts of each condition over all measured genes: cells times mean library.
        - `control_total`: the same of the controls.
        """
        if not (control_mean >= 0).all() or not (totals > 0).all() or not control_total > 0:
            raise ValueError("control_mean must not be negative, and totals must be positive.")
        shifted = np.exp(effects.changes) * (control_mean + effects.pseudocount)
        rates = np.maximum(shifted - effects.pseudocount, 0) / effects.scale
        return cls(
            genes=effects.genes,
            conditions=effects.conditions,
            counts=rates * totals[:, None],
            totals=totals,
            control_counts=control_mean * (control_total / effects.scale),
            control_total=control_total,
        )

    @property
    def control_rate(self) -> Float64[np.ndarray, " {len(self.genes)}"]:
        """Share of each gene in the counts of the controls; half a count is added, against zero."""
        return (self.control_counts + 0.5) / self.control_total


def recover_pseudobulk(effects: Effects) -> Pseudobulk:
    """The whole counts that the effects were computed from, where float32 has kept them.

    A gene that a condition does not detect has the change `ln(p / (x0 + p))` there, the same in all
    such conditions and the least it can have: this gives its control mean `x0`, and with it the
    counts per million of every condition. Those of one condition are whole multiples of
    `scale / total`: this gives its depth. A gene that every condition detects has the one whole
    control count for which its counts in all conditions are whole.

    **Raises:** a ValueError if the changes do not come from whole counts in this way.
    """
    depth = effects.scale / effects.pseudocount
    least = effects.changes.min(axis=0)
    undetected = (effects.changes <= least + 1e-6).sum(axis=0) >= UNDETECTED
    if undetected.sum() < FEWEST_GENES:
        raise ValueError(
            f"Only {undetected.sum()} genes are undetected in {UNDETECTED} or more conditions, "
            f"too few to find the counts behind the effects. {ADVICE}"
        )
    # All in units of the pseudocount: the control mean plus one, and the condition's mean.
    base = np.exp(-least)
    means = np.exp(effects.changes[:, undetected]) * base[undetected] - 1
    names = [condition.name for condition in effects.conditions]
    units = np.array([_unit(m, name) for m, name in zip(means, names, strict=True)])
    control_unit = _unit(base[undetected] - 1, "control")
    control = np.maximum(np.rint((base - 1) / control_unit), 0)
    factors = np.exp(effects.changes)
    found = undetected.copy()
    for reach in (min(reach, depth / control_unit) for reach in REACH):
        for gene in np.flatnonzero(~found):
            count = _control_count(factors[:, gene], base[gene], units, control_unit, reach)
            if count is not None:
                found[gene], control[gene] = True, count
    counts = (factors * (1 + control * control_unit) - 1) / units[:, None]
    found &= _whole(counts).all(axis=0)
    if not found.all():
        culprits = examples([effects.genes[i] for i in np.flatnonzero(~found)])
        raise ValueError(
            f"The counts of {(~found).sum()} genes cannot be found from the effects: {culprits}. "
            f"Drop them, or: {ADVICE}"
        )
    return Pseudobulk(
        genes=effects.genes,
        conditions=effects.conditions,
        counts=np.maximum(np.rint(counts), 0),
        totals=depth / units,
        control_counts=control,
        control_total=float(depth / control_unit),
    )


def _whole(counts: Float64[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    off = np.abs(counts - np.rint(counts))
    # Beyond MOST every number would be a count.
    return (off < np.minimum(TOLERANCE + 1e-6 * np.abs(counts), MOST)) & (counts > -TOLERANCE)


def _unit(means: Float64[np.ndarray, " genes"], name: str) -> float:
    """The largest number of which all means are whole multiples."""
    positive = np.sort(means[means > NOTHING])
    # The rarest gene has one count, or two or three if there are few genes.
    for counts in (1, 2, 3):
        unit = positive[0] / counts if positive.size else np.nan
        for most in (1.5, 5, 15, 40, 100):
            near = positive[positive < max(most, counts + 0.5) * unit]
            whole = np.rint(near / unit)
            unit = (near @ whole) / (whole @ whole)
        few = positive[positive < 100 * unit] / unit
        if few.size and np.abs(few - np.rint(few)).max() < TOLERANCE:
            return float(unit)
    raise ValueError(
        f"The effects of {name!r} do not come from whole counts: a pseudobulk of summed counts "
        f"would give changes on a lattice. {ADVICE}"
    )


def _control_count(
    factors: Float64[np.ndarray, " conditions"],
    least: float,
    units: Float64[np.ndarray, " conditions"],
    control_unit: float,
    reach: float,
) -> float | None:
    """The control count of a gene for which all its counts are whole; None if there is none."""
    start = max(np.ceil((least - 1) / control_unit - TOLERANCE), 0)
    tried = np.arange(start, reach + 1)
    # The shallowest conditions first: their steps are the longest, and few candidates survive.
    for place in np.argsort(-units):
        counts = (factors[place] * (1 + tried * control_unit) - 1) / units[place]
        tried = tried[_whole(counts)]
        if tried.size == 0:
            return None
    counts = (factors[:, None] * (1 + tried * control_unit) - 1) / units[:, None]
    return float(tried[np.square(counts - np.rint(counts)).sum(axis=0).argmin()])
