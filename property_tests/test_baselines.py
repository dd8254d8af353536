"""Laws of the predictors that learn from combinations."""

import anndata as ad
import numpy as np
import pandas as pd
from hypothesis import given, strategies as st

from scbig.baselines import Additive, ResidualTransfer, ScaledAdditive
from scbig.data import Condition, Screen

NAMES = "ABCDE"
SINGLES = [Condition((a,)) for a in NAMES]
PAIRS = [Condition((a, b)) for a in NAMES for b in NAMES if a < b]
COMBINATIONS = [*PAIRS, Condition(("A", "B", "C")), Condition(("B", "D", "E"))]
GENES = 6
BASE = 10.0
"""Expression of the controls, from which no effect here leads below zero."""

seeds = st.integers(0, 2**32 - 1)
some = st.lists(st.sampled_from(COMBINATIONS), max_size=6, unique=True)
RULES = (ResidualTransfer.fit, ScaledAdditive.fit)


def screen_of(effects, spelled=lambda parts: parts):
    """A screen with one cell of each condition, and so without noise."""
    labels = ["control", *("+".join(spelled(list(c.labels))) for c in effects)]
    values = BASE + np.stack([np.zeros(GENES), *effects.values()])
    obs = pd.DataFrame({"condition": labels}, index=pd.Index([f"c{i}" for i in range(len(labels))]))
    var = pd.DataFrame(index=pd.Index([f"g{i}" for i in range(GENES)]))
    return Screen.from_anndata(ad.AnnData(values.astype(np.float32), obs=obs, var=var))


def effects_of(seed, combinations):
    rng = np.random.default_rng(seed)
    return {c: rng.uniform(-1, 1, GENES) for c in [*SINGLES, *combinations]}


def sums_of(effects):
    parts = lambda c: np.stack([effects[Condition((a,))] for a in c.perturbations])
    return {c: parts(c).sum(axis=0) for c in COMBINATIONS}


@given(seeds, some, st.randoms(use_true_random=False))
def test_neither_the_order_of_names_nor_that_of_conditions_or_genes_matters(
    seed, combinations, random
):
    effects = effects_of(seed, combinations)
    columns = random.sample(range(GENES), GENES)
    order = random.sample([*effects], len(effects))
    turned = {c: effects[c][columns] for c in order}
    shuffled = screen_of(turned, lambda parts: random.sample(parts, len(parts)))
    for fit in RULES:
        found = fit(screen_of(effects)).effects(COMBINATIONS)
        other = fit(shuffled).effects(COMBINATIONS)
        np.testing.assert_allclose(found[:, columns], other, rtol=1e-4, atol=1e-4)


@given(seeds, some)
def test_perturbations_in_no_training_combination_have_additive_effects(seed, combinations):
    screen = screen_of(effects_of(seed, combinations))
    seen = {name for c in combinations for name in c.perturbations}
    alone = [c for c in COMBINATIONS if seen.isdisjoint(c.perturbations)]
    asked, additive = [*alone, *SINGLES], Additive.fit(screen)
    np.testing.assert_array_equal(
        ResidualTransfer.fit(screen).effects(asked), additive.effects(asked)
    )
    if not combinations:
        scaled = ScaledAdditive.fit(screen)
        np.testing.assert_array_equal(scaled.effects(asked), additive.effects(asked))


@given(seeds, some)
def test_the_control_has_no_effect(seed, combinations):
    screen = screen_of(effects_of(seed, combinations))
    for fit in RULES:
        assert not fit(screen).effects([Condition()]).any()


@given(seeds, some.filter(bool), st.floats(0.1, 2))
def test_the_slope_of_scaled_sums_is_found(seed, combinations, slope):
    effects = effects_of(seed, [])
    sums = sums_of(effects)
    screen = screen_of(effects | {c: slope * sums[c] for c in combinations})
    fitted = ScaledAdditive.fit(screen)
    np.testing.assert_allclose(fitted.slope, slope, rtol=1e-4)
    expected = [slope * sums[c] for c in COMBINATIONS]
    np.testing.assert_allclose(fitted.effects(COMBINATIONS), expected, rtol=1e-3, atol=1e-4)


@given(seeds, some)
def test_where_effects_add_up_nothing_is_transferred(seed, combinations):
    effects = effects_of(seed, [])
    sums = sums_of(effects)
    screen = screen_of(effects | {c: sums[c] for c in combinations})
    for fit in RULES:
        found = fit(screen).effects(COMBINATIONS)
        np.testing.assert_allclose(found, [*sums.values()], rtol=1e-3, atol=1e-4)


@given(seeds, some, st.floats(0, 50))
def test_shrinkage_only_shortens_what_is_transferred(seed, combinations, shrink):
    screen = screen_of(effects_of(seed, combinations))
    plain = ResidualTransfer.fit(screen, shrink=0.0).transfer
    shrunk = ResidualTransfer.fit(screen, shrink=shrink).transfer
    assert (np.abs(shrunk) <= np.abs(plain) + 1e-12).all()
    assert (shrunk * plain >= 0).all()
