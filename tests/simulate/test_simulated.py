"""The simulated screen is what it says: same seed same screen, and signals that can be learnt."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from scbig.data import Condition, Screen
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.simulate import SimulationConfig, simulate_screen

CONFIG = SimulationConfig()


@pytest.fixture(scope="module")
def simulated():
    return simulate_screen(CONFIG, seed=0)


@pytest.fixture(scope="module")
def screen(simulated):
    config = PreprocessConfig(min_genes=50, min_cells=10)
    adata = preprocess(simulated.counts, config)
    return Screen.from_anndata(adata)


def correlation(x, y):
    return np.corrcoef(x, y)[0, 1]


def test_sizes_and_names(simulated):
    counts = simulated.counts
    labels = counts.obs["condition"]
    assert counts.shape == (600 + 76 * 60, 240)
    assert tuple(counts.var_names) == simulated.genes
    assert set(labels) == set(simulated.effects)
    sizes = labels.value_counts()
    assert sizes.pop("control") == 600
    assert set(sizes) == {60}
    conditions = [Condition.parse(label) for label in simulated.effects]
    assert [c.name for c in conditions] == list(simulated.effects)
    singles = {c.name for c in conditions if len(c.perturbations) == 1}
    doubles = [c for c in conditions if len(c.perturbations) == 2]
    assert (len(singles), len(doubles)) == (16, 60)
    assert all(name in singles for c in doubles for name in c.perturbations)
    assert np.ptp(np.bincount(simulated.programs)) <= 1


def test_counts_are_counts_with_the_spread_asked_for(simulated):
    x = simulated.counts.X
    np.testing.assert_array_equal(x.data, np.rint(x.data))
    totals = np.log(np.asarray(x.sum(axis=1)).ravel())
    assert abs(np.exp(np.median(totals)) / CONFIG.library_size - 1) < 0.05
    assert 0.25 < totals.std() < 0.4
    assert np.asarray(x.mean(axis=0)).min() > 2


def test_counts_are_gamma_poisson():
    """Without any other spread, the variance is `mean + dispersion * mean^2`."""
    still = dataclasses.replace(
        CONFIG, program_noise=0.0, library_spread=0.0, control_cells=4000, cells_per_condition=1
    )
    simulated = simulate_screen(still, seed=1)
    controls: Any = simulated.counts[simulated.counts.obs["condition"] == "control"]
    x = controls.X.toarray()
    mean, variance = x.mean(axis=0), x.var(axis=0)
    dispersion = (variance - mean) / mean**2
    assert abs(np.median(dispersion) - CONFIG.dispersion) < 0.02


def test_the_seed_decides_everything(simulated):
    same, other = simulate_screen(CONFIG, seed=0), simulate_screen(CONFIG, seed=1)
    assert (same.counts.X != simulated.counts.X).nnz == 0
    np.testing.assert_array_equal(same.embeddings, simulated.embeddings)
    assert same.interactions == simulated.interactions
    assert same.pathways == simulated.pathways
    assert (other.counts.X != simulated.counts.X).nnz > 0
    assert np.any(other.programs != simulated.programs)
    assert np.any(other.embeddings != simulated.embeddings)


def test_more_cells_leave_the_truth_alone(simulated):
    fewer = simulate_screen(dataclasses.replace(CONFIG, cells_per_condition=3), seed=0)
    np.testing.assert_array_equal(fewer.programs, simulated.programs)
    for label, effect in simulated.effects.items():
        np.testing.assert_array_equal(fewer.effects[label], effect)


def test_the_priors_fit_the_programs(simulated):
    place = {name: i for i, name in enumerate(simulated.genes)}
    ends = np.array([[place[name] for name in names] for names in simulated.interactions])
    assert np.all(ends[0] != ends[1])
    within = simulated.programs[ends[0]] == simulated.programs[ends[1]]
    pairs_within, pairs = 12 * 20 * 19 / 2, 240 * 239 / 2
    assert abs(within.sum() / pairs_within - CONFIG.edges_within) < 0.04
    assert abs((~within).sum() / (pairs - pairs_within) - CONFIG.edges_between) < 0.004
    for k in range(12):
        genes = {simulated.genes[i] for i in np.flatnonzero(simulated.programs == k)}
        assert set(simulated.pathways[f"program {k}"]) == genes
        half = set(simulated.pathways[f"half of program {k}"])
        assert half < genes
        assert len(half) == 10
    centres = np.stack(
        [simulated.embeddings[simulated.programs == k].mean(axis=0) for k in range(12)]
    )
    distance = ((simulated.embeddings[:, None] - centres) ** 2).sum(axis=-1)
    assert np.mean(distance.argmin(axis=1) == simulated.programs) > 0.99


def test_effects_add_up_but_for_the_interaction(simulated):
    additive = simulate_screen(dataclasses.replace(CONFIG, interaction=0.0), seed=0)
    for label, effect in additive.effects.items():
        parts = [additive.effects[name] for name in Condition.parse(label).perturbations]
        np.testing.assert_allclose(effect, np.sum(parts, axis=0) if parts else 0 * effect)
        if len(parts) < 2:
            np.testing.assert_array_equal(effect, simulated.effects[label])
    epistasis = [
        simulated.effects[label] - effect
        for label, effect in additive.effects.items()
        if "+" in label
    ]
    assert np.abs(epistasis).max() <= 1.5 * CONFIG.interaction * CONFIG.effect
    assert np.abs(epistasis).max() > 0.5 * CONFIG.interaction * CONFIG.effect


def test_the_interaction_is_one_of_programs_and_signed_by_the_program(simulated):
    """A gene's interaction is its loading times that of its program, as its effects are."""
    signs = {k: set() for k in range(CONFIG.programs)}
    for label, effect in simulated.effects.items():
        if "+" not in label:
            continue
        first, second = (simulated.effects[name] for name in label.split("+"))
        epistasis = effect - first - second
        for k, found in signs.items():
            genes = simulated.programs == k
            # The few single targets of either perturbation leave the median alone.
            ratio = epistasis[genes] / first[genes]
            assert np.mean(np.isclose(ratio, np.median(ratio), rtol=1e-6)) > 0.6
            product = np.median(first[genes]) * np.median(second[genes])
            found.add(np.sign(np.median(epistasis[genes]) * product))
    assert all(len(found) == 1 for found in signs.values())
    assert set.union(*signs.values()) == {-1.0, 1.0}


def test_a_perturbed_gene_goes_up(simulated):
    for label, effect in simulated.effects.items():
        for name in Condition.parse(label).perturbations:
            assert effect[simulated.genes.index(name)] > 0


def test_the_signal_is_clear_and_not_additive(simulated, screen):
    """Pearson delta of doubles: additive above the perturbed mean, below the split-half ceiling."""
    control = screen.mean(screen.rows("control"))
    delta = {c.name: screen.mean(screen.rows(c)) - control for c in screen.conditions}
    perturbed = [name for name in delta if name != "control"]
    average = np.mean([delta[name] for name in perturbed], axis=0)
    ceiling, additive, mean, truth = [], [], [], []
    for name in perturbed:
        if "+" not in name:
            continue
        rows = screen.rows(name)
        ceiling.append(
            correlation(screen.mean(rows[::2]) - control, screen.mean(rows[1::2]) - control)
        )
        additive.append(correlation(sum(delta[x] for x in name.split("+")), delta[name]))
        mean.append(correlation(average, delta[name]))
        truth.append(correlation(simulated.effects[name], delta[name]))
    assert np.mean(truth) > 0.95
    assert np.mean(ceiling) > 0.93
    assert 0.8 < np.mean(additive) < np.mean(ceiling) - 0.02
    assert 0.1 < np.mean(mean) < 0.6


def test_small_screens_work():
    tiny = SimulationConfig(
        genes=3,
        programs=2,
        perturbations=2,
        doubles=1,
        features=1,
        control_cells=2,
        cells_per_condition=1,
    )
    assert simulate_screen(tiny, seed=0).counts.shape == (5, 3)
    none = dataclasses.replace(tiny, perturbations=1, doubles=0, effect=0.0)
    assert not np.any(list(simulate_screen(none, seed=0).effects.values()))
