"""The closed form against calculations of another kind: refits, ridge regression, loops."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from scbig._value import plain, read
from scbig.data import Condition
from scbig.response import Design, MixedEffects, Strengths, TargetEffect, covariance, variance

SINGLES = [Condition((name,)) for name in "ABCDEFGHIJ"]
PAIRS = ["AB", "AC", "BD", "CE", "DF", "EG", "FH", "GI", "HJ", "AJ"]
DOUBLES = [Condition(tuple(pair)) for pair in PAIRS]
UNSEEN = Condition(("B", "C"))
# One variance of each kind: nothing is left to choose.
FIXED = MixedEffects((0.2,), (0.4,), (0.3,), (0.5,), bands=())
CHOICES = Strengths(0.2, 0.4, 0.3, 0.5)


def responses(conditions, genes=30, seed=0, noise=0.3, together=0.5):
    """Sums of effects, and in doubles of other ones besides."""
    rng = np.random.default_rng(seed)
    own = {c.perturbations[0]: rng.normal(0.3, 1, genes) for c in SINGLES}
    also = {c.perturbations[0]: rng.normal(0, together, genes) for c in SINGLES}
    rows = []
    for condition in conditions:
        names = condition.perturbations
        truth = sum(own[n] for n in names) + (len(names) > 1) * sum(also[n] for n in names)
        rows.append(truth + noise * rng.normal(size=genes))
    return np.array(rows)


def test_the_covariance_is_that_of_the_sums_of_effects():
    """Each part drawn by itself, many times: their sums vary together as the formula says."""
    conditions = [*SINGLES[:3], *DOUBLES[:3], Condition(("A", "Z"))]
    names = ("A", "B", "C", "D")
    rng, draws = np.random.default_rng(1), 200_000
    own = rng.normal(size=(draws, 4))
    also = np.sqrt(0.4) * rng.normal(size=(draws, 4))
    shared = np.sqrt(0.2) * rng.normal(size=draws)
    sums = []
    for condition in conditions:
        known = [names.index(name) for name in condition.perturbations if name in names]
        total = own[:, known].sum(1) + len(condition.perturbations) * shared
        if len(condition.perturbations) > 1:
            total = total + also[:, known].sum(1) + np.sqrt(0.3) * rng.normal(size=draws)
        sums.append(total)
    design = Design.of(conditions, names)
    found = covariance(design, design, CHOICES)
    drawn = np.cov(np.array(sums))
    np.testing.assert_allclose(found, drawn, atol=0.05)
    # What a perturbation without a column does besides is in no covariance, but in the variance.
    total = np.diag(found) + np.array([0] * 6 + [1.4])
    np.testing.assert_allclose(variance(design, CHOICES), total)


def test_without_shared_parts_it_is_ridge_regression():
    conditions = [*SINGLES, *DOUBLES]
    changes = responses(conditions)
    method = MixedEffects((0.0,), (0.0,), (0.0,), (0.7,))
    design = Design.of([*conditions, UNSEEN], "ABCDEFGHIJ")
    counts = design.present.astype(float)
    ridge = Ridge(alpha=0.7, fit_intercept=False).fit(counts[:-1], changes)
    found = method.fit(conditions, changes).means([*conditions, UNSEEN])
    np.testing.assert_allclose(found, ridge.predict(counts), rtol=1e-8, atol=1e-9)


def test_cells_weigh_the_noise():
    """A condition measured on more cells than the others is believed more."""
    changes = responses(SINGLES)
    cells = np.ones(len(SINGLES))
    cells[0] = 50.0
    few, many = FIXED.fit(SINGLES, changes), FIXED.fit(SINGLES, changes, cells=cells)
    far = lambda fitted: np.linalg.norm(fitted.means(SINGLES[:1])[0] - changes[0])
    assert far(many) < far(few) / 2
    assert many.deviations(SINGLES[:1]).mean() < few.deviations(SINGLES[:1]).mean()


@pytest.mark.parametrize("place", [0, 4, 13, 19])
def test_a_condition_is_left_out_as_if_it_had_never_been_there(place):
    """The error by which variances are chosen is that of a fit without the condition."""
    conditions = [*SINGLES, *DOUBLES]
    changes = responses(conditions)
    rest = [i for i in range(len(conditions)) if i != place]
    known = tuple("ABCDEFGHIJ")
    all_of, others = Design.of(conditions, known), Design.of([conditions[i] for i in rest], known)
    inverse = np.linalg.inv(covariance(all_of, all_of, CHOICES) + 0.5 * np.eye(len(conditions)))
    error = (inverse @ changes)[place] / inverse[place, place]
    own = covariance(others, others, CHOICES) + 0.5 * np.eye(len(rest))
    one = Design.of([conditions[place]], known)
    refit = covariance(one, others, CHOICES) @ np.linalg.solve(own, changes[rest])
    np.testing.assert_allclose(error, changes[place] - refit[0], rtol=1e-6, atol=1e-8)
    # The same through the library: variances are those of least such error.
    fitted = MixedEffects((0.2,), (0.4,), (0.3,), (0.5, 1e3), bands=()).fit(conditions, changes)
    assert {band.strengths.noise for band in (*fitted.singles, *fitted.combinations)} == {0.5}


def test_what_combinations_do_besides_is_learned_from_other_combinations():
    training = [*SINGLES, *DOUBLES]
    tested = [c for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ" if a < b
              for c in [Condition((a, b))] if c not in DOUBLES]  # fmt: skip
    truth = responses([*training, *tested], genes=200, noise=0.2)
    changes, expected = truth[: len(training)], truth[len(training) :]
    fitted = MixedEffects().fit(training, changes)
    sums = np.array([changes[[ord(p) - 65 for p in c.perturbations]].sum(0) for c in tested])
    error = lambda found: np.mean((found - expected) ** 2, axis=1)
    ahead = error(sums) - error(fitted.means(tested))
    assert ahead.mean() > 2 * ahead.std() / np.sqrt(len(ahead))
    assert max(band.strengths.together for band in fitted.combinations) > 0


def test_an_unseen_perturbation_has_the_effect_that_all_share():
    """By the formula: kappa 1' M' (M K M' + nu I)^-1 Y, times how many there are."""
    changes = responses(SINGLES)
    fitted = MixedEffects((0.3,), (0.0,), (0.0,), (0.2,)).fit(SINGLES, changes)
    kernel = np.eye(10) + 0.3 + 0.2 * np.eye(10)
    shared = 0.3 * np.ones(10) @ np.linalg.solve(kernel, changes)
    found = fitted.means([Condition(("X",)), Condition(("X", "Y")), Condition()])
    np.testing.assert_allclose(found, [shared, 2 * shared, 0 * shared], rtol=1e-8, atol=1e-10)


def test_a_seen_condition_is_shrunk_and_the_less_so_the_less_noise_there_is():
    conditions = [*SINGLES, *DOUBLES]
    changes = responses(conditions)
    far = []
    for noise in (1e-6, 0.3, 10.0):
        fitted = MixedEffects((0.2,), (0.4,), (0.3,), (noise,)).fit(conditions, changes)
        far.append(np.linalg.norm(fitted.means(conditions) - changes))
    assert far[0] < 1e-3 < far[1] < far[2]


def test_it_says_how_sure_it_is():
    """Of data that are as the model says, the errors have the size that it says."""
    conditions, tested = [*SINGLES, *DOUBLES], [UNSEEN, Condition(("D", "E"))]
    noisy = responses([*conditions, *tested], genes=4000, noise=0.0, together=0.7)
    rng = np.random.default_rng(3)
    changes = noisy[: len(conditions)] + 0.4 * rng.normal(size=(len(conditions), 4000))
    fitted = MixedEffects(
        common=(0.09,), together=(0.49,), pair=(0.0,), noise=(0.16,), bands=()
    ).fit(conditions, changes)
    errors = fitted.means(tested) - noisy[len(conditions) :]
    said = fitted.deviations(tested)
    ratio = np.sqrt(np.mean((errors / said) ** 2))
    assert 0.7 < ratio < 1.4
    seen, unseen = fitted.deviations([DOUBLES[0]]), fitted.deviations([Condition(("X", "Y"))])
    assert seen.mean() < said.mean() < unseen.mean()
    np.testing.assert_array_equal(fitted.deviations([Condition()]), 0)


def test_the_own_gene_of_an_unseen_perturbation_changes_as_those_of_seen_ones():
    """In place of what all perturbations do to that gene, which is much here; not on top of it."""
    genes = tuple("ABCDEFGHIJKL")
    origin = np.linspace(0.2, 3.0, len(genes))
    changes = 1.0 + 0.01 * responses(SINGLES, genes=len(genes))
    for row in range(10):
        changes[row, row] = -0.8 * origin[row]
    method = MixedEffects(noise=(0.01,))
    fitted = method.fit(SINGLES, changes, origin=origin, genes=genes)
    found = fitted.means([Condition(("L",))])[0]
    np.testing.assert_allclose(found[-1], -0.8 * origin[-1], atol=0.02)
    assert (found[:-1] > 0.3).all()
    # A seen one has its own measured effect, and one that is not among the genes none.
    plain = method.fit(SINGLES, changes)
    for condition in (SINGLES[9], Condition(("X",))):
        np.testing.assert_allclose(fitted.means([condition]), plain.means([condition]))


def test_each_kind_of_condition_has_the_variances_that_predict_it_best():
    """By refits without each condition; singles and doubles want different ones here."""
    conditions = [*SINGLES, *DOUBLES]
    changes = responses(conditions, together=1.5, noise=1.0)
    method = MixedEffects((0.03, 1.0), (0.0, 1.0), (0.0,), (0.3, 3.0), bands=())
    known, errors = tuple("ABCDEFGHIJ"), {}
    for strengths in method.candidates(combined=True):
        for place in range(len(conditions)):
            rest = [i for i in range(len(conditions)) if i != place]
            one = Design.of([conditions[place]], known)
            others = Design.of([conditions[i] for i in rest], known)
            own = covariance(others, others, strengths) + strengths.noise * np.eye(len(rest))
            guess = covariance(one, others, strengths) @ np.linalg.solve(own, changes[rest])
            kind = errors.setdefault(place < 10, {})
            lost = float(np.sum((guess - changes[place]) ** 2))
            kind[strengths] = kind.get(strengths, 0.0) + lost
    best = {single: min(lost, key=lost.__getitem__) for single, lost in errors.items()}
    fitted = method.fit(conditions, changes)
    assert fitted.singles[0].strengths == best[True]
    assert fitted.combinations[0].strengths == best[False]
    assert best[True] != best[False]


def test_too_few_measured_targets_say_nothing():
    changes = responses(SINGLES, genes=4)
    assert TargetEffect.fit(SINGLES, changes, np.arange(4.0), tuple("ABCD")) is None
    assert (
        TargetEffect.fit(SINGLES, responses(SINGLES, 10), np.ones(10), tuple("ABCDEFGHIJ")) is None
    )


def test_a_condition_needs_cells():
    with pytest.raises(ValueError, match="positive number of cells; the least is 0"):
        FIXED.fit(SINGLES[:2], np.ones((2, 3)), cells=np.array([3.0, 0.0]))


@pytest.mark.parametrize(
    ("conditions", "changes", "message"),
    [
        ([], np.zeros((0, 3)), "no perturbed condition"),
        ([Condition()], np.zeros((1, 3)), "control has no response"),
        ([SINGLES[0], SINGLES[0]], np.zeros((2, 3)), "come twice: 'A'"),
        ([SINGLES[0]], np.full((1, 3), np.nan), "Responses of 'A' are not finite"),
    ],
)
def test_what_cannot_be_learned_from_is_named(conditions, changes, message):
    with pytest.raises(ValueError, match=message):
        MixedEffects().fit(conditions, changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": (0.0,)}, "Strengths: noise must be"),
        ({"common": ()}, "common names no variance"),
        ({"pair": (-1.0,)}, "Strengths: pair must be"),
        ({"bands": (10, 3)}, "bands must be rising"),
        ({"least": 0}, "least must be"),
    ],
)
def test_variances_that_are_none_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MixedEffects(**change)


def test_it_is_a_value():
    assert read(MixedEffects, plain(FIXED)) == FIXED
