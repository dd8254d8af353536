"""What coactivation says over all pairs of programs, in words."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from scbig import baselines


def told(whole: pd.DataFrame, side: str) -> str:
    """The coactivation of one side beside that of its controls, and whether it changes alike.

    **Arguments:** `whole`, a row for each context, condition and pair, with the columns of
    `analysis.coactivation` for each side (`coactivation, measured`); `side`, of which it is told.
    """
    own: dict[str, Any] = {name: whole[f"{name}, {side}"] for name in ("coactivation", "control")}
    return (
        f"{side}: median {_quartiles(own['coactivation'])}, in controls "
        f"{_quartiles(own['control'])}; positive in 97.5 % of draws "
        f"{_share(whole['positive, ' + side])} of pairs, above the controls in 97.5 % "
        f"{_share(whole['above, ' + side])}{_agreement(whole, side)}"
    )


def _quartiles(values: pd.Series) -> str:
    low, middle, high = np.quantile(values.dropna(), [0.25, 0.5, 0.75])
    return f"{middle:.2f} (quartiles {low:.2f} and {high:.2f})"


def _share(draws: Any) -> str:
    return f"{100 * (draws >= 0.975).mean():.0f} %"


def _agreement(whole: pd.DataFrame, side: str) -> str:
    """With the predicted change from the controls, within each condition."""
    if side == "predicted":
        return ""
    change = lambda own, of: own[f"coactivation, {of}"] - own[f"control, {of}"]
    parts = [own for _, own in whole.groupby(["context", "condition"])]
    rho = [spearmanr(change(own, "predicted"), change(own, side))[0] for own in parts]
    found = baselines.interval(np.asarray(rho, np.float64))
    return f"; rank correlation with the predicted change from the controls {found}"
