"""Covariances of populations with few cells, and the linear map from one to another."""

import numpy as np
from jaxtyping import Float, Int


def covariances(
    scores: Float[np.ndarray, "cells components"], groups: Int[np.ndarray, " cells"], count: int
) -> tuple[Float[np.ndarray, "{count} components components"], Int[np.ndarray, " {count}"]]:
    """Sums of products of the scores around their group's mean, and cells, of each group.

    **Arguments:** `groups`, for each cell its group's number below `count`.
    """
    sizes = np.bincount(groups, minlength=count)
    width = scores.shape[1]
    found = np.zeros((count, width, width))
    order = np.argsort(groups, kind="stable")
    ends = np.cumsum(sizes)
    for group, (end, size) in enumerate(zip(ends, sizes, strict=True)):
        own = scores[order[end - size : end]]
        centred = own - own.mean(axis=0) if size else own
        found[group] = centred.T @ centred
    return found, sizes


def shrunk(
    products: Float[np.ndarray, "components components"],
    cells: int,
    towards: Float[np.ndarray, "components components"],
    weight: float,
) -> Float[np.ndarray, "components components"]:
    """A covariance from few cells, with another one counted as if `weight` cells had shown it.

    **Arguments:** `products`, the sums of `covariances`. Without any, it is the other one.
    """
    freedom = max(cells - 1, 0)
    if freedom + weight == 0:
        return towards
    return (products + weight * towards) / (freedom + weight)


def transport_map(
    start: Float[np.ndarray, "components components"],
    end: Float[np.ndarray, "components components"],
) -> Float[np.ndarray, "components components"]:
    """The symmetric matrix `A` with `A start A = end`: optimal transport between Gaussians.

    Directions in which `start` has less than a millionth of its largest variance are left alone.

    Dowson and Landau, The Frechet distance between multivariate normal distributions (1982).
    """
    variances, axes = np.linalg.eigh(start)
    used = variances > 1e-6 * max(variances.max(), np.finfo(float).tiny)
    root = np.sqrt(np.where(used, variances, 0.0))
    inverse = np.divide(1.0, root, out=np.zeros_like(root), where=used)
    middle = _root(root[:, None] * (axes.T @ end @ axes) * root)
    kept = np.where(used, 0.0, 1.0)
    return axes @ (inverse[:, None] * middle * inverse + np.diag(kept)) @ axes.T


def _root(
    matrix: Float[np.ndarray, "components components"],
) -> Float[np.ndarray, "components components"]:
    variances, axes = np.linalg.eigh(matrix)
    return (axes * np.sqrt(np.maximum(variances, 0.0))) @ axes.T
