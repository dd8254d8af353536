"""The order of the cells of stage 1: a function of the key and the call's number."""

import itertools

import jax.random as jr
import numpy as np
import pytest

from scbig.sampling import Order


def calls(order, start, count):
    return list(itertools.islice(order.calls(start), count))


@pytest.mark.parametrize(
    ("cells", "batch", "buffer", "block"),
    [(50, 8, None, 1), (50, 8, 16, 1), (53, 8, 24, 5), (7, 20, None, 3), (64, 8, 16, 8)],
)
def test_an_epoch_visits_each_cell_at_most_once_in_equal_calls(cells, batch, buffer, block):
    order = Order.of(cells, batch, buffer, block, key=jr.key(0))
    epoch = calls(order, 0, order.calls_per_epoch)
    size = min(batch, cells)
    assert {part.shape for part in epoch} == {(order.steps, size)}
    assert buffer is None or order.buffer <= buffer
    seen = np.concatenate([part.ravel() for part in epoch])
    assert len(set(seen.tolist())) == seen.size
    assert seen.min() >= 0
    assert seen.max() < cells
    assert cells - seen.size < size * order.calls_per_epoch
    following = np.concatenate([p.ravel() for p in calls(order, order.calls_per_epoch, len(epoch))])
    assert not np.array_equal(seen, following)


@pytest.mark.parametrize("block", [1, 4])
def test_any_call_can_be_replayed_alone(block):
    order = Order.of(60, 6, 18, block, key=jr.key(1))
    run = calls(order, 0, 9)
    for start in range(9):
        np.testing.assert_array_equal(calls(order, start, 1)[0], run[start])
    other = Order.of(60, 6, 18, block, key=jr.key(2))
    assert not np.array_equal(calls(other, 0, 1)[0], run[0])


def test_neighbours_are_read_together_and_then_mixed():
    order = Order.of(64, 8, 16, 8, key=jr.key(3))
    for call in calls(order, 0, 4):
        blocks = np.unique(call // 8)
        np.testing.assert_array_equal(
            np.sort(call.ravel()), (blocks[:, None] * 8 + np.arange(8)).ravel()
        )
        assert len(np.unique(call[0] // 8)) > 1
