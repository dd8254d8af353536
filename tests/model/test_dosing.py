"""Doses as features on a common scale."""

import numpy as np

from scbig.data import Condition
from scbig.model import Dosing

DOSED = [Condition.parse(label) for label in ("A@0.1", "A@10", "B@10+C@10", "control")]


def test_a_dose_is_its_logarithm_over_the_distinct_doses():
    dosing = Dosing.of([*DOSED, Condition.parse("C@10"), Condition.parse("C@0.1+B@1")])
    assert dosing is not None
    assert dosing.always
    features = np.array([dosing.features(dose) for dose in (0.1, 1.0, 10.0)])
    # Three doses, equally far apart: mean 0, variance 1.
    np.testing.assert_allclose(features, [[1, -np.sqrt(1.5)], [1, 0], [1, np.sqrt(1.5)]], atol=1e-9)
    assert dosing.features(None) == (0.0, 0.0)


def test_one_dose_and_no_dose_have_a_scale():
    assert Dosing.of([Condition.parse("A+B"), Condition()]) is None
    single = Dosing.of([Condition.parse("A@5+B"), Condition()])
    assert single is not None
    assert not single.always
    np.testing.assert_allclose(single.features(5.0), (1, 0), atol=1e-9)
    np.testing.assert_allclose(single.features(5 * np.e), (1, 1))
