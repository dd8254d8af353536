"""Moving cells, and keeping them from falling below zero."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from scbig.anchor import Moves, move, nonnegative


def projected(column: np.ndarray) -> np.ndarray:
    """The nearest numbers without a negative one that have the same mean, by root finding."""
    mean = column.mean()
    if mean <= 0:
        return np.zeros_like(column)
    rest = lambda fall: np.maximum(column - fall, 0).mean() - mean
    return np.maximum(column - brentq(rest, min(column.min(), 0) - 1, column.max()), 0)


@pytest.mark.parametrize("cells", [1, 2, 7, 300])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_cells_without_negative_expression_are_the_nearest_of_equal_mean(cells, spread):
    given = np.random.default_rng(cells).normal(0.3, spread, (cells, 9))
    given[:, 0] = -1
    given[:, 1] = np.abs(given[:, 1])
    given[:, 2] = 0
    found = np.asarray(nonnegative(jnp.asarray(given, jnp.float32)))
    expected = np.stack([projected(column) for column in given.T], axis=1)
    np.testing.assert_allclose(found, expected, atol=2e-5 * spread * cells**0.5 + 1e-6)
    assert found.min() >= 0
    np.testing.assert_array_equal(found[:, 1], given[:, 1].astype(np.float32))
    np.testing.assert_allclose(
        found.mean(axis=0), np.maximum(given.mean(axis=0), 0), rtol=1e-4, atol=1e-5 * spread
    )


def test_it_is_compiled_once(caplog):
    given = jnp.asarray(np.random.default_rng(0).normal(size=(17, 5)), jnp.float32)
    with jax.log_compiles():
        for _ in range(3):
            nonnegative(given)
    assert sum("Compiling jit(" in line for line in caplog.messages) <= 1


def test_cells_move_by_the_shift_and_stretch_around_the_centre():
    rng = np.random.default_rng(0)
    cells, shift = rng.normal(size=(40, 6)), rng.normal(size=6)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0][:2]
    stretch = rng.normal(size=(2, 2))
    centre = cells.mean(axis=0)
    array = lambda x: jnp.asarray(x, jnp.float32)
    given = array([shift * 0, shift]), array([stretch * 0, stretch]), array(axes)
    rest = rng.normal(size=6)
    moves = Moves(*given, array([rest * 0, rest]), jnp.ones(2))
    expected = []
    for cell in cells:
        score = axes @ (cell - centre)
        expected.append(cell + shift + axes.T @ (stretch @ score))
    found = moves[1](array(cells), array(centre))
    whole = move(moves[1], array(cells), array(centre))
    np.testing.assert_allclose(whole, found + array(rest)[None], atol=1e-6)
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-5)
    np.testing.assert_allclose(found.mean(axis=0), centre + shift, atol=1e-5)
    np.testing.assert_array_equal(move(moves[0], array(cells), array(centre)), array(cells))
