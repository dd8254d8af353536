"""Given effects hold estimation noise: what remains of them when it is taken out."""

import numpy as np
from jaxtyping import Float64, Int

from ._pseudobulk import Pseudobulk
from ._settings import SemiSyntheticConfig

SPREADS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Standard deviations of the distributions of effects that are mixed; beside them, no effect."""
BORROWED = 50.0
"""Genes' worth of the screen's mixture that is added to each condition's own."""
ROUNDS = 40

# Finest near zero, where well-measured genes need it; 0 is a point of the grid.
GRID = 0.15 * np.sinh(np.arange(-57, 64) * 0.0735)


def shrink_effects(
    pseudobulk: Pseudobulk, config: SemiSyntheticConfig
) -> Float64[np.ndarray, "conditions genes"]:
    r"""Posterior mean of every log fold change, given its count: empirical Bayes.

    The change of gene $g$ in condition $c$ is $s_g + \eta_{cg}$: what perturbed cells have in
    common, and the condition's own part. The count is negative-binomial around
    $N_c b_g e^{s_g + \eta_{cg}}$, with the depth $N_c$ and the control rate $b_g$; its squared
    coefficient of variation beyond Poisson is that of a sum over the cells of the count model,
    $((1 + \alpha) e^{\sigma^2} - 1) e^{\tau^2} / n_c$ with the dispersion $\alpha$, the program
    noise $\sigma$, the library spread $\tau$ and $n_c$ cells. The distribution of $\eta$ is a
    mixture of none at all and of normals of several widths; its weights are fitted by EM for each
    stratum of genes of like expression, over all conditions and then in each. So a rare gene and a
    shallow condition are pulled in more than a common gene and a deep condition, and a weak
    perturbation more than a strong one. The shared part comes from the weaker half of the
    conditions, and its counting error is taken out in the same way.

    **Arguments:**

    - `pseudobulk`: the counts behind the given effects.
    - `config`: the count model's spreads, and `strata`.

    **Returns:** log fold changes without pseudocount: of the count rates.
    """
    extra = _extra_variation(pseudobulk, config)
    shared, rate = _shared(pseudobulk, extra)
    prior = _components()
    shape = (*pseudobulk.counts.shape, prior.shape[1])
    evidence, moment = np.empty(shape), np.empty(shape)
    for place, counts in enumerate(pseudobulk.counts):
        likelihood = _likelihood(counts, pseudobulk.totals[place] * rate, extra[place])
        evidence[place] = likelihood @ prior
        moment[place] = likelihood @ (GRID[:, None] * prior)
    own = np.empty(pseudobulk.counts.shape)
    strata = _strata(pseudobulk.control_rate, config.strata)
    for genes in (np.flatnonzero(strata == stratum) for stratum in np.unique(strata)):
        flat = np.full(prior.shape[1], 1 / prior.shape[1])
        common = _weights(evidence[:, genes].reshape(-1, prior.shape[1]), flat, 0.0)
        for place, chosen in enumerate(evidence[:, genes]):
            weights = _weights(chosen, common, BORROWED)
            own[place, genes] = (moment[place, genes] @ weights) / (chosen @ weights)
    return shared + own


def _strata(rate: Float64[np.ndarray, " genes"], strata: int) -> Int[np.ndarray, " genes"]:
    rank = rate.argsort(kind="stable").argsort(kind="stable")
    return rank * strata // len(rate)


def _extra_variation(
    pseudobulk: Pseudobulk, config: SemiSyntheticConfig
) -> Float64[np.ndarray, " conditions"]:
    one_cell = (1 + config.dispersion) * np.exp(config.program_noise**2) - 1
    # Cells with a large library weigh more in a sum, as if there were fewer.
    spread = np.exp(config.library_spread**2)
    cells = pseudobulk.totals / (config.library_size * np.sqrt(spread))
    return one_cell * spread / cells


def _shared(
    pseudobulk: Pseudobulk, extra: Float64[np.ndarray, " conditions"]
) -> tuple[Float64[np.ndarray, " genes"], Float64[np.ndarray, " genes"]]:
    """The log fold change that perturbed cells have in common, and their rate under it."""
    counts, totals = pseudobulk.counts, pseudobulk.totals
    expected = totals[:, None] * (counts.sum(axis=0) + 0.5) / totals.sum()
    off = (counts - expected) ** 2 / (expected + extra[:, None] * expected**2)
    # A few genes of enormous effect must not decide which conditions are weak.
    strength = np.minimum(off, 20).mean(axis=1)
    weak = strength <= np.median(strength)
    pooled = counts[weak].sum(axis=0) + 0.5
    rate = pooled / totals[weak].sum()
    seen = np.log(rate / pseudobulk.control_rate)
    error = 1 / pooled + 1 / (pseudobulk.control_counts + 0.5)
    centre = np.median(seen[error <= np.median(error)])
    likelihood = np.exp(-0.5 * (seen[:, None] - centre - GRID) ** 2 / error[:, None])
    # A rare gene may lie where no point of the grid is likely to a computer.
    prior, likelihood = _components(), likelihood + 1e-300
    evidence = likelihood @ prior
    weights = _weights(evidence, np.full(prior.shape[1], 1 / prior.shape[1]), 0.0)
    moment = likelihood @ (GRID[:, None] * prior)
    return centre + (moment @ weights) / (evidence @ weights), rate


def _components() -> Float64[np.ndarray, "grid components"]:
    """Probabilities of the grid's points under no effect and under each width."""
    steps = np.gradient(GRID)[:, None]
    normal = steps * np.exp(-0.5 * (GRID[:, None] / np.array(SPREADS)) ** 2)
    columns = np.concatenate([(GRID == 0)[:, None], normal], axis=1)
    return columns / columns.sum(axis=0)


def _likelihood(
    counts: Float64[np.ndarray, " genes"], expected: Float64[np.ndarray, " genes"], extra: float
) -> Float64[np.ndarray, "genes grid"]:
    """Of each effect of the grid, up to a factor for each gene."""
    scaled = (extra * expected)[:, None] * np.exp(GRID)
    log = counts[:, None] * GRID - (counts + 1 / extra)[:, None] * np.log1p(scaled)
    return np.exp(log - log.max(axis=1, keepdims=True))


def _weights(
    evidence: Float64[np.ndarray, "genes components"],
    start: Float64[np.ndarray, " components"],
    borrowed: float,
) -> Float64[np.ndarray, " components"]:
    """Mixture weights by EM, with so many genes' worth of the start added in every round."""
    weights = start
    for _ in range(ROUNDS):
        share = evidence * weights
        share /= share.sum(axis=1, keepdims=True)
        weights = (share.sum(axis=0) + borrowed * start) / (len(evidence) + borrowed)
    return weights
