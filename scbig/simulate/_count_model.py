"""The count model: where the cells of every condition are drawn from."""

import dataclasses
import hashlib
import json

import anndata as ad
import numpy as np
from jaxtyping import Float32, Float64, Int

from scbig._names import examples
from scbig.data import CONTROL, Condition

from ._effects import Effects
from ._pseudobulk import Pseudobulk, recover_pseudobulk
from ._settings import SemiSyntheticConfig
from ._shrink import shrink_effects

UNS = "semi_synthetic"


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class CountModel:
    r"""Negative-binomial counts around given effects, with noise that genes share.

    In cell $i$ of condition $c$, gene $g$ has the mean
    $\mu_{ig} = L_i b_g \exp(\delta_{cg} + \sum_p z_{ip} w_{pg} - \frac12 \sum_p w_{pg}^2)$ with
    $z_{ip} \sim N(0, 1)$ and $\log L_i \sim N(\log L, \tau^2)$, and its count is
    $x_{ig} \sim NB(\mu_{ig}, \mu_{ig} + \alpha \mu_{ig}^2)$. Averaged over the programs the mean is
    $L_i b_g e^{\delta_{cg}}$: the ratio to control is the effect exactly. Genes that are not in the
    screen take the rest of the library, a Poisson count.
    """

    genes: tuple[str, ...]
    conditions: tuple[Condition, ...]
    """Perturbed conditions; the control is not among them."""
    control_rate: Float64[np.ndarray, " genes"]
    """$b$: share of each gene in all counts of a control cell."""
    effects: Float64[np.ndarray, "conditions genes"]
    """$\\delta$: the true log fold changes."""
    loadings: Float32[np.ndarray, "programs genes"]
    """$w$: rows are programs."""
    cells: Int[np.ndarray, " groups"]
    """Cells of the control, then of each condition."""
    config: SemiSyntheticConfig
    checksum: str
    """SHA-256 of the given effects, and of the base line if that was given too."""

    @classmethod
    def from_anndata(cls, adata: ad.AnnData) -> "CountModel":
        """The truth that a semi-synthetic screen carries with it, in `var`, `varm` and `uns`."""
        if UNS not in adata.uns:
            raise ValueError(f"uns[{UNS!r}] is not there: this is no semi-synthetic screen.")
        record = adata.uns[UNS]
        return cls(
            genes=tuple(map(str, adata.var_names)),
            conditions=tuple(Condition.parse(str(name)) for name in record["conditions"]),
            control_rate=np.asarray(adata.var["control_rate"], np.float64),
            effects=np.ascontiguousarray(np.asarray(adata.varm["effects"], np.float64).T),
            loadings=np.ascontiguousarray(np.asarray(adata.varm["loadings"], np.float32).T),
            cells=np.asarray(record["cells"]),
            config=SemiSyntheticConfig(**json.loads(str(record["config"]))),
            checksum=str(record["effects_sha256"]),
        )

    @property
    def names(self) -> list[str]:
        """The control's name, then those of the conditions."""
        return [CONTROL, *(condition.name for condition in self.conditions)]

    @property
    def num_cells(self) -> int:
        """Cells of the whole screen."""
        return int(self.cells.sum())

    @property
    def rates(self) -> Float64[np.ndarray, "groups {len(self.genes)}"]:
        """Mean share of each gene in the library: of the control, then of each condition."""
        changed = self.control_rate * np.exp(self.effects)
        return np.concatenate([self.control_rate[None], changed])


def count_model(
    effects: Effects, config: SemiSyntheticConfig, *, pseudobulk: Pseudobulk | None = None
) -> CountModel:
    """Base line, true effects, programs and cell numbers, from given effects.

    **Arguments:**

    - `effects`: as they were estimated.
    - `config`: sizes and noise.
    - `pseudobulk`: the counts behind the effects, of the same conditions and genes; by default they
        are recovered from the effects (`recover_pseudobulk`).

    **Returns:** the model. Its effects are the shrunk ones (`shrink_effects`), or with
    `shrink=False` those given, pseudocount and all. Its programs are the leading principal axes of
    its effects over the genes, scaled so that the program noise is the same for every gene.
    """
    bulk = recover_pseudobulk(effects) if pseudobulk is None else pseudobulk
    if bulk.genes != effects.genes or bulk.conditions != effects.conditions:
        raise ValueError("The pseudobulk is of other genes or conditions than the effects.")
    rate = bulk.control_rate
    if rate.sum() > 1:
        raise ValueError(
            f"The genes' shares in a control cell add up to {rate.sum():.3g}, more than a library. "
            "Check control_mean and the scale of the effects."
        )
    truth = shrink_effects(bulk, config) if config.shrink else effects.changes.copy()
    too_much = [
        condition.name
        for condition, total in zip(effects.conditions, np.exp(truth) @ rate, strict=True)
        if total > 1
    ]
    if too_much:
        raise ValueError(
            f"In {len(too_much)} conditions the genes' shares add up to more than a library: "
            f"{examples(too_much)}. Drop those conditions, or set shrink."
        )
    given = "" if pseudobulk is None else _digest(bulk)
    return CountModel(
        genes=effects.genes,
        conditions=effects.conditions,
        control_rate=rate,
        effects=truth,
        loadings=_loadings(truth, config),
        cells=_cell_numbers(bulk, config),
        config=config,
        checksum=effects.checksum + given,
    )


def expected_means(
    model: CountModel, *, target_sum: float = 1e4
) -> Float64[np.ndarray, "groups genes"]:
    """Mean over cells of `log1p(target_sum * x / library)`: of the control, then of each condition.

    By quadrature over library size and program noise and the sum over counts, on a grid of rates,
    interpolated. The cell's total is taken as its library, from which it differs by the Poisson
    noise of ten thousand counts.
    """
    rates = model.rates
    grid = np.geomspace(rates.min(), rates.max() * (1 + 1e-9), 200)
    noise = np.linalg.norm(model.loadings.astype(np.float64), axis=0).round(6)
    result = np.empty_like(rates)
    for size in np.unique(noise):
        table = [_mean_log(rate, size, model.config, target_sum) for rate in grid]
        genes = noise == size
        # The logarithm of the mean is close to a straight line in that of the rate.
        found = np.interp(np.log(rates[:, genes]), np.log(grid), np.log(table))
        result[:, genes] = np.exp(found)
    return result


def _mean_log(rate: float, noise: float, config: SemiSyntheticConfig, target_sum: float) -> float:
    points, weights = np.polynomial.hermite_e.hermegauss(9)
    weights = weights / weights.sum()
    library = config.library_size * np.exp(config.library_spread * points)
    lift = np.exp(noise * points - 0.5 * noise**2)
    mean = rate * library[:, None] * lift
    size = 1 / config.dispersion
    most = int(np.ceil(mean.max() * (1 + 10 * np.sqrt(config.dispersion)) + 30))
    counts = np.arange(1, most + 1)
    log_binomial = np.cumsum(np.log((size + counts - 1) / counts))
    odds = config.dispersion * mean
    log_mass = log_binomial + counts * np.log(odds / (1 + odds))[..., None]
    log_mass -= size * np.log1p(odds)[..., None]
    values = np.log1p(target_sum * counts / library[:, None])
    return float(np.einsum("lpk,lk,l,p->", np.exp(log_mass), values, weights, weights))


def _loadings(
    effects: Float64[np.ndarray, "conditions genes"], config: SemiSyntheticConfig
) -> Float32[np.ndarray, "programs genes"]:
    _, strength, axes = np.linalg.svd(effects - effects.mean(axis=0), full_matrices=False)
    raw = (strength[:, None] * axes)[: config.programs]
    size = np.linalg.norm(raw, axis=0)
    # A gene that nothing moves follows the first program.
    raw[0, size == 0], size[size == 0] = 1.0, 1.0
    return (config.program_noise * raw / size).astype(np.float32)


def _cell_numbers(bulk: Pseudobulk, config: SemiSyntheticConfig) -> Int[np.ndarray, " groups"]:
    share = np.ones(len(bulk.conditions))
    if config.measured_numbers:
        share = bulk.totals / bulk.totals.mean()
    numbers = np.maximum(np.rint(config.cells_per_condition * share), 1)
    return np.concatenate([[config.control_cells], numbers]).astype(np.int64)


def _digest(bulk: Pseudobulk) -> str:
    arrays = (bulk.counts, bulk.totals, bulk.control_counts, np.array([bulk.control_total]))
    data = b"".join(array.astype("<f8").tobytes() for array in arrays)
    return "+" + hashlib.sha256(data).hexdigest()
