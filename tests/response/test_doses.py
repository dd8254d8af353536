"""Doses: one effect for each perturbation, of which a dose has a share that rises with it."""

import numpy as np
import pytest

from scbig.data import Condition
from scbig.response import DoseScale, Hill, MixedEffects

DRUGS = "ABCDEFGHIJ"
DOSES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
FIXED = MixedEffects((0.2,), (0.4,), (0.3,), (0.5,), bands=(), half=(2.0,), steep=(1.5,))


def parse(*labels):
    return [Condition.parse(label) for label in labels]


def at(dose, drugs=DRUGS):
    return [Condition((drug,), (dose,)) for drug in drugs]


def responses(conditions, half=2.0, steep=1.0, genes=60, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    full = {drug: 3 * rng.normal(size=genes) for drug in DRUGS}
    share = lambda dose: 1.0 if dose is None else dose**steep / (dose**steep + half**steep)
    parts = lambda c: zip(c.perturbations, c.doses, strict=True)
    truth = np.array([sum(share(dose) * full[n] for n, dose in parts(c)) for c in conditions])
    return truth, truth + noise * rng.normal(size=truth.shape)


def test_it_is_the_gaussian_process_in_which_a_dose_has_its_share_of_the_effect():
    """Entry by entry, usual doses as the geometric mean of the distinct ones of each drug."""
    training = parse("A@1", "A@4", "A@16", "A@4+B@2", "A@1+B@2", "B@2", "B@8", "C", "C+A@4")
    asked = parse("A@2", "A", "A@4", "B@4+A@1", "A@9+B@5", "Q@3", "A@4+C", "A@1+B@2+C")
    changes = np.random.default_rng(0).normal(size=(9, 12))
    usual = {"A": 4.0, "B": 4.0, "Q": 4.0}

    def share(name, dose):
        return 1.0 if dose is None else dose**1.5 / (dose**1.5 + (2.0 * usual[name]) ** 1.5)

    def weights(rows, columns):
        found = np.zeros((len(rows), len(columns)))
        shares = lambda c: {n: share(n, d) for n, d in zip(c.perturbations, c.doses, strict=True)}
        for i, one in enumerate(map(shares, rows)):
            for j, other in enumerate(map(shares, columns)):
                both = len(one) > 1 and len(other) > 1
                shared = sum(one[n] * other[n] for n in {*one} & {*other})
                found[i, j] = shared * (1 + 0.4 * both)
                found[i, j] += 0.2 * sum(one.values()) * sum(other.values())
                if both and {*one} == {*other}:
                    found[i, j] += 0.3 * np.prod([*one.values()]) * np.prod([*other.values()])
        return found

    fitted = FIXED.fit(training, changes)
    kernel = weights(training, training) + 0.5 * np.eye(9)
    shared = weights(asked, training)
    expected = shared @ np.linalg.solve(kernel, changes)
    np.testing.assert_allclose(fitted.means(asked), expected, rtol=1e-8, atol=1e-9)
    left = np.diag(weights(asked, asked) - shared @ np.linalg.solve(kernel, shared.T))
    said = fitted.deviations(asked) ** 2
    for rows in ([0, 1, 2, 5], [3, 4, 6, 7]):
        ratios = np.outer(left[rows] / left[rows[0]], np.ones(12))
        np.testing.assert_allclose(said[rows] / said[rows[0]], ratios, rtol=1e-6)
    turned = [Condition.parse("B@2+A@1"), Condition.parse("A@1+B@2")]
    assert turned[0] == turned[1]
    assert not fitted.means([Condition()]).any()
    assert not fitted.deviations([Condition()]).any()


@pytest.mark.parametrize(("tested", "nearest"), [(1.0, 3.0), (30.0, 10.0), (0.1, 0.3)])
def test_a_dose_that_was_not_measured_lies_on_the_curve(tested, nearest):
    """Between the measured doses and beyond them: better than the nearest measured one."""
    training = [c for dose in DOSES if dose != tested for c in at(dose)]
    truth, changes = responses([*training, *at(tested)])
    truth, changes = truth[len(training) :], changes[: len(training)]
    found = MixedEffects().fit(training, changes).means(at(tested))
    near = changes[[training.index(c) for c in at(nearest)]]
    error = lambda guess: np.mean((guess - truth) ** 2, axis=1)
    ahead = error(near) - error(found)
    assert ahead.mean() > 2 * ahead.std() / np.sqrt(len(ahead))


@pytest.mark.parametrize("half", [0.3, 3.0])
@pytest.mark.parametrize("steep", [0.5, 2.0])
def test_the_curve_is_found(half, steep):
    training = [c for dose in DOSES for c in at(dose)]
    usual = np.exp(np.mean(np.log(DOSES)))
    _, changes = responses(training, half * usual, steep, genes=200)
    found = MixedEffects(bands=()).fit(training, changes).singles[0].strengths
    assert found.hill == Hill(half, steep)


@pytest.mark.parametrize("half", [0.1, 10.0])
def test_a_curve_is_not_refused_for_the_size_of_effects_that_it_means(half):
    """Of one noise only: where the measured doses are far below half, all shares are small."""
    training = [c for dose in DOSES for c in at(dose)]
    usual = np.exp(np.mean(np.log(DOSES)))
    _, changes = responses(training, half * usual, noise=0.05, genes=200)
    method = MixedEffects((0.03,), (0.0,), (0.0,), (0.3,), bands=())
    assert method.fit(training, changes).singles[0].strengths.hill == Hill(half, 1.0)


def test_the_curve_is_that_of_least_error_by_refits():
    """With the noise that goes with it, and no better noise for it."""
    training = [c for dose in DOSES[1:5] for c in at(dose, "ABCD")]
    _, changes = responses(training, 0.4, 2.0, genes=20, noise=1.0)
    halves, noises = (0.3, 1.0, 3.0), (0.03, 0.3, 3.0)
    method = MixedEffects((0.2,), (0.0,), (0.0,), noises, bands=(), half=halves, steep=(1.0, 2.0))
    found = method.fit(training, changes).singles[0].strengths
    usual = np.exp(np.mean(np.log(DOSES[1:5])))

    def lost(hill, noise):
        shares = np.array(
            [1 / (1 + (hill.half * usual / c.doses[0]) ** hill.steep) for c in training]
        )
        same = np.equal.outer(*[[c.perturbations[0] for c in training]] * 2)
        kernel, total = np.outer(shares, shares) * (same + 0.2), 0.0
        for place in range(len(training)):
            rest = [i for i in range(len(training)) if i != place]
            own = kernel[np.ix_(rest, rest)] + noise * np.eye(len(rest))
            guess = kernel[place, rest] @ np.linalg.solve(own, changes[rest])
            total += np.sum((guess - changes[place]) ** 2)
        return total

    least = lost(found.hill, found.noise)
    assert all(lost(found.hill, noise) >= least * (1 - 1e-9) for noise in noises)
    assert least <= min(lost(Hill(1.0, 2.0), noise) for noise in noises)
    assert found.hill.half == 0.3


def test_the_effect_grows_with_the_dose():
    training = [*at(1.0), *at(10.0, "ABC"), *parse("A@1+B@3", "C@10+D@1")]
    _, changes = responses(training)
    fitted = MixedEffects().fit(training, changes)
    for name in ("A", "D", "never seen"):
        asked = [Condition((name,), (dose,)) for dose in (1e-300, 1e-3, 0.1, 1.0, 7.0, 1e3, 1e300)]
        sizes = np.linalg.norm(fitted.means([*asked, Condition((name,))]), axis=1)
        assert (np.diff(sizes) >= -1e-9 * sizes[-1]).all()
        assert sizes[0] < 1e-3 * sizes[-1]
        np.testing.assert_allclose(sizes[-2], sizes[-1])


def test_doses_of_one_drug_are_not_a_combination_nor_combinations_of_their_own():
    """What a pair does besides is learned at one dose and serves at another."""
    training = [*at(1.0), *at(10.0), *parse("A@1+B@1", "C@1+D@1")]
    truth, _ = responses(training)
    besides = 4 * np.random.default_rng(5).normal(size=60)
    truth[-2] += besides
    method = MixedEffects((0.1,), (0.0,), (5.0,), (0.05,), bands=(), half=(1.0,), steep=(1.0,))
    fitted = method.fit(training, truth)
    alone, there = fitted.means(parse("A@10", "B@10")), fitted.means(parse("A@10+B@10"))[0]
    assert np.corrcoef(there - alone.sum(0), besides)[0, 1] > 0.9
    plain = MixedEffects((0.1,), (0.0,), (0.0,), (0.05,), bands=(), half=(1.0,), steep=(1.0,))
    first = [*at(1.0), *at(10.0)]
    one, other = (m.fit(first, truth[:20]).means(at(3.0)) for m in (method, plain))
    np.testing.assert_array_equal(one, other)


def test_doses_and_contexts_together():
    """A dose that one line lacks is predicted from the line's other doses and the other line."""
    rows = [(c, line) for line in "xy" for dose in DOSES for c in at(dose)]
    held = [row for row in rows if row[1] == "y" and row[0].doses[0] in (3.0, 10.0, 30.0)]
    training = [row for row in rows if row not in held]
    both = {line: responses([c for c, _ in rows], seed=seed)[0] for seed, line in enumerate("xyz")}
    change = lambda row: 0.8 * both["z"][rows.index(row)] + 0.6 * both[row[1]][rows.index(row)]
    noise = 0.3 * np.random.default_rng(9).normal(size=(len(training), 60))
    changes = np.array([change(row) for row in training]) + noise
    truth = np.array([change(row) for row in held])
    conditions, lines = [c for c, _ in training], [line for _, line in training]
    fitted = MixedEffects().fit(conditions, changes, contexts=lines)
    error = lambda guess: np.mean((guess - truth) ** 2)
    found = error(fitted.means([c for c, _ in held], ["y"] * len(held)))
    elsewhere = changes[[training.index((c, "x")) for c, _ in held]]
    nearest = changes[[training.index((Condition(c.perturbations, (1.0,)), "y")) for c, _ in held]]
    own = [i for i, line in enumerate(lines) if line == "y"]
    alone = MixedEffects().fit([conditions[i] for i in own], changes[own])
    assert found < min(map(error, (elsewhere, nearest, alone.means([c for c, _ in held]))))


def test_without_any_dose_in_training_a_dose_says_nothing():
    conditions = parse("A", "B", "A+B")
    fitted = MixedEffects().fit(conditions, responses(conditions)[0])
    dosed = parse("A@0.1", "B@7", "A@2+B", "Q@3")
    plain = parse("A", "B", "A+B", "Q")
    np.testing.assert_array_equal(fitted.means(dosed), fitted.means(plain))


def test_the_usual_dose_counts_each_dose_of_each_perturbation_once():
    scale = DoseScale.of(parse("A@1", "A@100", "A@100+B@5", "C"))
    assert np.exp(scale.centres["A"]) == pytest.approx(10.0)
    assert np.exp(scale.logs(Condition.parse("A@20"))) == pytest.approx([2.0])
    assert scale.logs(Condition.parse("C+Q@1")) == [np.inf, pytest.approx(-np.log(50) / 2)]


def test_a_target_moves_only_without_a_dose():
    """A drug may be called as a gene is, but is no knock-down of it."""
    genes, conditions = tuple("ABCDEFGHIJKL"), parse(*"ABCDEFGHIJ")
    changes = responses(conditions, genes=12)[0]
    changes[range(10), range(10)] = -20.0 - np.arange(10)
    options = {"origin": np.arange(12.0), "genes": genes}
    fitted = MixedEffects().fit(conditions, changes, **options)
    moved, still = fitted.means(parse("K", "K@1"))
    assert moved[10] == pytest.approx(-30)
    assert still[10] > -25
    dosed = [Condition(c.perturbations, (1.0,)) for c in conditions]
    assert MixedEffects().fit(dosed, changes, **options).target is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"half": (0.0,)}, "Hill: half must be"),
        ({"steep": (-1.0,)}, "Hill: steep must be"),
        ({"half": ()}, "half names nothing"),
        ({"steep": ()}, "steep names nothing"),
    ],
)
def test_curves_that_are_none_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MixedEffects(**change)
