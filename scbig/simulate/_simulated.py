"""A screen with known programs and effects, to check the method against the truth."""

import dataclasses
import itertools

import anndata as ad
import numpy as np
import pandas as pd
from jaxtyping import Float32, Float64, Int
from scipy import sparse

from scbig.data import Condition

from ._settings import SimulationConfig

OWN_GENE = 3.0
"""Log-fold change of a perturbed gene itself, as activation gives it, relative to `effect`."""
SINGLE_TARGETS = 5
"""Individual genes that a perturbation moves besides its programs."""
RANDOM_PATHWAYS = 4


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class SimulatedScreen:
    """Raw counts of a simulated screen, priors that fit it, and the truth behind both."""

    counts: ad.AnnData
    """Cells by genes, CSR; `obs["condition"]` is `control`, `A` or `A+B`."""
    embeddings: Float32[np.ndarray, "genes features"]
    """One row a gene, in the order of `genes`: the centre of its program and noise."""
    genes: tuple[str, ...]
    interactions: tuple[tuple[str, ...], tuple[str, ...]]
    """Both ends of each edge: dense within programs, rare between them."""
    pathways: dict[str, tuple[str, ...]]
    """For each program all its genes and a random half of them; and a few random sets."""
    programs: Int[np.ndarray, " genes"]
    """The true program of each gene; sizes differ by at most one."""
    effects: dict[str, Float64[np.ndarray, " genes"]]
    """For each condition, the shift of every gene's log expression before normalisation."""


def simulate_screen(config: SimulationConfig, *, seed: int) -> SimulatedScreen:
    """Draws a screen whose effects can be learnt from the gene embeddings to some extent.

    A gene's embedding is `centre[program] + noise`. A perturbation's effect on the programs is a
    smooth function of its gene's embedding (linear, then a soft threshold, so that few programs
    respond strongly); a gene follows its program with its own loading; the perturbed gene itself
    goes up and a few single genes move too. A double adds the two effects and an epistasis that
    saturates in the product of the two effects on a program, its sign a property of the program.
    Counts are gamma-Poisson around library size times the softmax of the log expression, in which
    the activity of each program varies from cell to cell.

    **Arguments:**

    - `config`: sizes and strengths.
    - `seed`: of the NumPy generator; the same seed gives the same screen.
    """
    # Two streams: changing the number of cells leaves the truth as it was.
    truth, noise = np.random.default_rng(seed).spawn(2)
    digits = max(4, len(str(config.genes)))
    genes = tuple(f"G{i:0{digits}d}" for i in range(1, config.genes + 1))
    programs = truth.permutation(np.arange(config.genes) % config.programs)
    centres = truth.normal(size=(config.programs, config.features))
    spread = truth.normal(size=(config.genes, config.features))
    embeddings = centres[programs] + config.embedding_noise * spread
    loadings = truth.uniform(0.5, 1.5, config.genes)
    effects = _effects(config, genes, programs, embeddings, loadings, truth)
    interactions = _interactions(config, genes, programs, truth)
    pathways = _pathways(config, genes, programs, truth)
    baseline = truth.normal(0.0, 0.6, config.genes)
    return SimulatedScreen(
        counts=_cells(config, genes, programs, loadings, baseline, effects, noise),
        embeddings=embeddings.astype(np.float32),
        genes=genes,
        interactions=interactions,
        pathways=pathways,
        programs=programs,
        effects=effects,
    )


def _effects(
    config: SimulationConfig,
    genes: tuple[str, ...],
    programs: np.ndarray,
    embeddings: np.ndarray,
    loadings: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    perturbed = rng.choice(config.genes, config.perturbations, replace=False)
    responses = _program_responses(config, embeddings[perturbed], rng)
    sign = rng.choice([-1.0, 1.0], config.programs)
    singles = responses[:, programs] * loadings
    rows = np.arange(config.perturbations)
    for row in rows:
        targets = rng.choice(config.genes, min(SINGLE_TARGETS, config.genes), replace=False)
        singles[row, targets] += rng.normal(0.0, config.effect, len(targets))
    singles[rows, perturbed] += OWN_GENE * config.effect

    effects = {"control": np.zeros(config.genes)}
    effects |= {genes[g]: effect for g, effect in zip(perturbed, singles, strict=True)}
    pairs = np.array(list(itertools.combinations(rows, 2)), int).reshape(-1, 2)
    for a, b in pairs[rng.permutation(len(pairs))[: config.doubles]]:
        label = Condition(tuple(sorted((genes[perturbed[a]], genes[perturbed[b]])))).name
        epistasis = _epistasis(config, responses[a], responses[b], sign)
        effects[label] = singles[a] + singles[b] + epistasis[programs] * loadings
    return effects


def _program_responses(
    config: SimulationConfig, embeddings: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Effects of perturbations on programs: smooth in the embedding, root mean square `effect`."""
    weights = rng.normal(size=(config.features, config.programs)) / np.sqrt(config.features)
    linear = embeddings @ weights
    response = linear - np.tanh(linear)
    return config.effect * response / np.sqrt(np.mean(response**2))


def _epistasis(
    config: SimulationConfig, first: np.ndarray, second: np.ndarray, sign: np.ndarray
) -> np.ndarray:
    """What a double does to the programs beyond the sum of its singles."""
    size = config.interaction * config.effect
    if size == 0:
        return np.zeros_like(first)
    return size * sign * np.tanh(first * second / config.effect**2)


def _interactions(
    config: SimulationConfig,
    genes: tuple[str, ...],
    programs: np.ndarray,
    rng: np.random.Generator,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    first, second = np.triu_indices(config.genes, 1)
    within = programs[first] == programs[second]
    chance = np.where(within, config.edges_within, config.edges_between)
    edge = rng.uniform(size=len(first)) < chance
    return tuple(genes[i] for i in first[edge]), tuple(genes[i] for i in second[edge])


def _pathways(
    config: SimulationConfig,
    genes: tuple[str, ...],
    programs: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, tuple[str, ...]]:
    sets = {}
    for k in range(config.programs):
        members = np.flatnonzero(programs == k)
        sets[f"program {k}"] = members
        sets[f"half of program {k}"] = rng.choice(members, (len(members) + 1) // 2, replace=False)
    size = -(-config.genes // config.programs)
    for i in range(RANDOM_PATHWAYS):
        sets[f"random {i}"] = rng.choice(config.genes, size, replace=False)
    return {name: tuple(genes[i] for i in np.sort(members)) for name, members in sets.items()}


def _cells(
    config: SimulationConfig,
    genes: tuple[str, ...],
    programs: np.ndarray,
    loadings: np.ndarray,
    baseline: np.ndarray,
    effects: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> ad.AnnData:
    labels = list(effects)
    sizes = [config.control_cells] + [config.cells_per_condition] * (len(labels) - 1)
    condition = rng.permutation(np.repeat(np.arange(len(labels)), sizes))
    cells = len(condition)
    activity = rng.normal(0.0, config.program_noise, (cells, config.programs))
    logits = baseline + np.stack(list(effects.values()))[condition]
    logits += activity[:, programs] * loadings
    share = np.exp(logits - logits.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    library = config.library_size * np.exp(rng.normal(0.0, config.library_spread, (cells, 1)))
    rate = rng.gamma(1 / config.dispersion, config.dispersion * library * share)
    counts = rng.poisson(rate)
    obs = pd.DataFrame(
        {"condition": pd.Categorical.from_codes(condition, labels)},
        index=pd.Index([f"cell{i}" for i in range(1, cells + 1)]),
    )
    var = pd.DataFrame(index=pd.Index(genes))
    return ad.AnnData(sparse.csr_matrix(counts, dtype=np.float32), obs=obs, var=var)
