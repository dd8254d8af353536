import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig import programs

from .test_clustering import GENES, cluster, planted


def rows(rank, noise):
    rng = np.random.default_rng(0)
    low = rng.normal(size=(200, rank)) @ rng.normal(size=(rank, 40))
    return (low + noise * rng.normal(size=(200, 40))).astype(np.float32)


def test_they_lose_as_little_as_the_best_projection_can():
    x = rows(6, 0.1)
    found = np.asarray(programs.leading_components(jnp.asarray(x), 6, key=jr.key(0)), np.float64)
    lengths = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    assert found.shape == (200, 6)
    np.testing.assert_allclose((found**2).sum(), (lengths[:6] ** 2).sum(), rtol=1e-3)
    # A projection: no distance grows, and almost all of each stays.
    distance = lambda y: np.linalg.norm(y[:, None] - y[None], axis=2)
    assert np.all(distance(found) <= distance(x) + 1e-3)
    assert np.corrcoef(distance(found).ravel(), distance(x).ravel())[0, 1] > 0.999


def test_narrow_rows_stay_as_they_are():
    x = jnp.asarray(rows(6, 0.1))
    assert programs.leading_components(x, 40, key=jr.key(0)) is x
    assert programs.leading_components(x, None, key=jr.key(0)) is x


def test_the_start_alone_sees_them():
    embeddings, source, target, _ = planted(1, noise=0.4)
    wide = np.concatenate([embeddings, np.zeros((GENES, 5), np.float32)], axis=1)
    few = cluster(wide, source, target, start=programs.KMeansStart(tries=5, components=2))
    whole = cluster(embeddings, source, target)
    assert np.any(few.run.start != whole.run.start)
    # From the same labels both alternations read the same costs.
    again = cluster(embeddings, source, target, own=few.run.start)
    np.testing.assert_array_equal(again.labels, few.labels)
