"""Residuals of other combinations: against the baseline, refits and loops."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.baselines import ResidualTransfer
from scbig.data import Condition, Screen
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.response import MixedEffects, Transfer
from scbig.simulate import SimulationConfig, simulate_screen

GENES = 40


def drawn(seed, *, shared=1.0, names=8):
    """All singles and half of the pairs, whose residual their perturbations share."""
    rng = np.random.default_rng(seed)
    single, beyond = rng.normal(size=(names, GENES)), shared * rng.normal(size=(names, GENES))
    conditions = [Condition((f"P{n:02}",)) for n in range(names)]
    changes = [*single]
    pairs = [(a, b) for b in range(names) for a in range(b)]
    for a, b in pairs:
        conditions.append(Condition((f"P{a:02}", f"P{b:02}")))
        changes.append(single[a] + single[b] + beyond[a] + beyond[b])
    noisy = np.stack(changes) + 0.3 * rng.normal(size=(len(changes), GENES))
    rows = np.r_[np.arange(names), names + rng.permutation(len(pairs))[: len(pairs) // 2]]
    rest = np.setdiff1d(np.arange(len(conditions)), rows)
    return conditions, noisy, rows.tolist(), rest.tolist()


def of(conditions, changes, rows, contexts=None):
    places = [""] * len(rows) if contexts is None else contexts
    return Transfer.fit([conditions[row] for row in rows], changes[rows], places)


def naive(conditions, changes, rows, wanted):
    """By a loop over the training combinations."""
    alone = {conditions[r].name: changes[r] for r in rows if len(conditions[r].perturbations) == 1}
    total = sum(alone[name] for name in wanted.perturbations)
    for name in wanted.perturbations:
        found = [
            changes[r] - sum(alone[own] for own in conditions[r].perturbations)
            for r in rows
            if len(conditions[r].perturbations) > 1 and name in conditions[r].perturbations
        ]
        total = total + 0.5 * np.sum(found, axis=0) / (len(found) + 1.5) if found else total
    return total


def test_an_unseen_combination_is_half_the_sum_with_the_residuals_of_others():
    conditions, changes, rows, rest = drawn(0)
    found = of(conditions, changes, rows)
    others = np.random.default_rng(1).normal(size=(len(rest), GENES))
    got = found([conditions[row] for row in rest], None, others)
    for row, guess, other in zip(rest, got, others, strict=True):
        expected = naive(conditions, changes, rows, conditions[row])
        np.testing.assert_allclose(guess, (expected + other) / 2, atol=1e-10)


def test_of_a_training_row_it_says_what_a_fit_without_it_says():
    conditions, changes, rows, _ = drawn(1)
    found = of(conditions, changes, rows)
    zeros = np.zeros((len(rows), GENES))
    got = found.among_training(zeros)
    for place, row in enumerate(rows):
        if len(conditions[row].perturbations) == 1:
            assert not found.covered[place]
            np.testing.assert_array_equal(got[place], 0)
            continue
        without = [other for other in rows if other != row]
        expected = of(conditions, changes, without)([conditions[row]], [""], zeros[:1])
        np.testing.assert_allclose(got[place], expected[0], atol=1e-10)


def test_what_is_no_unseen_combination_of_measured_parts_is_left_as_it_was():
    conditions, changes, rows, _ = drawn(2)
    found = of(conditions, changes, rows)
    seen = conditions[rows[-1]]
    asked = [seen, Condition(("P01",)), Condition(), Condition(("P01", "new"))]
    others = np.random.default_rng(0).normal(size=(4, GENES))
    np.testing.assert_array_equal(found(asked, [""] * 4, others), others)


def test_parts_count_in_their_context_and_at_their_dose_only():
    conditions = [Condition.parse(name) for name in ("A", "B", "A", "B@2", "C", "B+C")]
    contexts = ["x", "x", "y", "y", "x", "x"]
    changes = np.random.default_rng(0).normal(size=(6, GENES))
    found = Transfer.fit(conditions, changes, contexts)
    others = np.zeros((4, GENES))
    asked = [Condition.parse(name) for name in ("A+B", "A+B", "A+B@2", "A+B@2")]
    got = found(asked, ["x", "y", "x", "y"], others)
    residual = changes[5] - changes[1] - changes[4]
    np.testing.assert_allclose(got[0], (changes[0] + changes[1] + 0.5 * residual / 2.5) / 2)
    np.testing.assert_array_equal(got[1:3], 0)
    np.testing.assert_allclose(got[3], (changes[2] + changes[3]) / 2)
    np.testing.assert_array_equal(found(asked, None, others), others)  # two contexts: which one?


def test_it_is_used_where_combinations_left_out_say_so_and_helps_there():
    truth = simulate_screen(SimulationConfig(), seed=0)
    screen = Screen.from_anndata(preprocess(truth.counts, PreprocessConfig(min_genes=20)))
    responses = screen.responses()
    own = [responses.conditions[place] for place in responses.condition_index]
    changes = responses.changes.astype(np.float64)
    pairs = [row for row, condition in enumerate(own) if len(condition.perturbations) > 1]
    rest = np.random.default_rng(100).permutation(pairs)[:15].tolist()
    rows = [row for row in range(len(own)) if row not in rest]
    known, asked = [own[row] for row in rows], [own[row] for row in rest]
    plain, both = (
        MixedEffects(transfer=use).fit(known, changes[rows], cells=responses.cells[rows] * 1.0)
        for use in (False, True)
    )
    assert plain.transfer is None
    assert both.transfer is not None
    score = lambda model: np.mean(
        [
            np.corrcoef(guess, true)[0, 1]
            for guess, true in zip(model.means(asked), changes[rest], strict=True)
        ]
    )
    assert score(both) > score(plain) + 0.002
    np.testing.assert_array_equal(both.means(known), plain.means(known))
    assert not np.allclose(both.left_out(), plain.left_out())


@pytest.mark.parametrize("names", [3, 12])
def test_it_is_not_used_where_few_combinations_or_none_say_that_it_helps(names):
    rng = np.random.default_rng(names)
    conditions, changes, rows, _ = drawn(4, shared=0.0, names=names)
    # Effects so noisy that a sum of measured ones is worse than what is shrunk.
    noise = 3.0 * rng.normal(size=changes.shape)
    found = MixedEffects().fit([conditions[r] for r in rows], (changes + noise)[rows])
    assert found.transfer is None


def test_the_baseline_says_the_same():
    rng = np.random.default_rng(0)
    names = ["control", "A", "B", "C", "D", "A+B", "B+C", "C+D"]
    labels = np.repeat(names, 12)
    cells = ad.AnnData(
        np.log1p(rng.gamma(2.0, 1 + np.arange(8).repeat(12)[:, None], (96, 15))).astype(np.float32),
        obs=pd.DataFrame({"condition": labels}, index=pd.Index([f"c{n}" for n in range(96)])),
        var=pd.DataFrame(index=pd.Index([f"g{n}" for n in range(15)])),
    )
    screen = Screen.from_anndata(cells)
    baseline = ResidualTransfer.fit(screen, missing="perturbed_mean")
    responses = screen.responses()
    changes = responses.changes.astype(np.float64)
    own = [responses.conditions[place] for place in responses.condition_index]
    found = Transfer.fit(own, changes, [""] * len(own))
    asked = [Condition.parse(name) for name in ("A+C", "A+D", "B+D", "A+B+C")]
    zeros = np.zeros((len(asked), screen.num_genes))
    np.testing.assert_allclose(
        2 * found(asked, [""] * len(asked), zeros), baseline.effects(asked), atol=1e-5
    )
