"""Tells of losses that are noise at the number of cells that they are given."""

import warnings

from scbig.objective import Metrics

NOISY = 0.9
"""Share of a loss's no-change value above which its noise floor is warned of."""


def warn_of_noise(known: Metrics) -> None:
    """Warns of each loss that is hardly lower for a condition's own cells than for controls.

    **Arguments:** `known`, the references of all terms: `..._noise_floor` and `..._no_change`.
    """
    for name in sorted(known):
        loss = name.removesuffix("_noise_floor")
        if loss == name or f"{loss}_no_change" not in known:
            continue
        floor, still = float(known[name]), float(known[f"{loss}_no_change"])
        if floor > NOISY * still:
            warnings.warn(
                f"The loss {loss} is {floor:.3g} for other measured cells of a condition and "
                f"{still:.3g} for controls as they are: it cannot tell the condition from the "
                "control at this number of cells. Give its term more `cells`, compare with "
                "denoised cells (denoised=True), or leave the loss out.",
                stacklevel=2,
            )
