import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scbig.programs import GenePartition

LABELS = np.array([2, 0, 2, 1, 0, 2, 2])


def partition(**kwargs):
    return GenePartition.from_labels(LABELS, 3, **kwargs)


def test_genes_fill_the_slots_of_their_program_in_order():
    found = partition()
    assert (found.num_genes, found.clusters, found.slots) == (7, 3, 4)
    np.testing.assert_array_equal(found.members, [[1, 4, 0, 0], [3, 0, 0, 0], [0, 2, 5, 6]])
    np.testing.assert_array_equal(
        found.mask, np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1]], bool)
    )
    np.testing.assert_array_equal(found.slot, [0, 0, 1, 0, 1, 2, 3])
    np.testing.assert_array_equal(found.sizes, [2, 1, 4])


def test_gather_puts_genes_in_slots_and_zeros_in_the_padding():
    x = jnp.arange(1.0, 8.0)
    slots = partition(slots=5).gather(x)
    np.testing.assert_array_equal(slots, [[2, 5, 0, 0, 0], [4, 0, 0, 0, 0], [1, 3, 6, 7, 0]])
    np.testing.assert_array_equal(partition(slots=5).scatter(slots), x)


def test_scatter_ignores_the_padding():
    found = partition()
    x = jnp.arange(1.0, 8.0)
    dirty = jnp.where(found.mask, found.gather(x), jnp.nan)
    np.testing.assert_array_equal(found.scatter(dirty), x)


def test_average_is_the_mean_of_the_genes_and_zero_for_an_empty_program():
    found = GenePartition.from_labels(LABELS, 4)
    np.testing.assert_allclose(found.average(jnp.arange(1.0, 8.0)), [3.5, 4.0, 4.25, 0.0])


def test_the_gradient_of_a_gene_comes_from_its_slot_only():
    found = partition()
    weight = jnp.arange(12.0).reshape(3, 4)
    gradient = jax.grad(lambda x: jnp.sum(weight * found.gather(x)))(jnp.ones(7))
    np.testing.assert_array_equal(gradient, weight[found.labels, found.slot])


def test_a_partition_made_inside_jit_is_the_same():
    inside = jax.jit(lambda labels: GenePartition.from_labels(labels, 3, slots=4))(
        jnp.asarray(LABELS)
    )
    assert eqx.tree_equal(inside, partition())
    assert all(leaf.dtype in (jnp.int32, bool) for leaf in jax.tree.leaves(inside))


def test_a_shape_that_is_missing_inside_jit_is_an_error():
    with pytest.raises(ValueError, match="needs `slots`"):
        jax.jit(lambda labels: GenePartition.from_labels(labels, 3))(jnp.asarray(LABELS))


@pytest.mark.parametrize("bad", [-1, 3])
def test_labels_out_of_range_are_named(bad):
    labels = LABELS.copy()
    labels[4] = bad
    with pytest.raises(ValueError, match=rf"1 of 7 labels .* gene 4 has label {bad}"):
        GenePartition.from_labels(labels, 3)


def test_too_few_slots_are_an_error():
    with pytest.raises(ValueError, match="4 genes but slots=3"):
        partition(slots=3)
