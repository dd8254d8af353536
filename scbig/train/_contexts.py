"""Tables of vectors for contexts: what a model may tell cell lines and stimulations apart by."""

from collections.abc import Sequence

import numpy as np

from scbig.data import CONTEXT_JOINT, Screen
from scbig.priors import EmbeddingTable


def one_hot_contexts(names: Sequence[str]) -> EmbeddingTable:
    """A vector of ones and zeros for each context, which says only which context it is.

    **Arguments:** `names`, distinct, such as a screen's `contexts`. Names made of several columns
    (`A549|IL6`) get a block for each column, so that a new combination of known values has a vector
    that the model can read: give its name here too.
    """
    if not names:
        raise ValueError("A table of contexts needs at least one name.")
    parts = [tuple(name.split(CONTEXT_JOINT)) for name in names]
    if len({len(part) for part in parts}) > 1:
        parts = [(name,) for name in names]
    blocks = [
        np.equal.outer(column, np.unique(column))
        for column in map(np.array, zip(*parts, strict=True))
    ]
    return EmbeddingTable(tuple(names), np.hstack(blocks).astype(np.float32))


def control_profiles(screen: Screen, *, components: int) -> EmbeddingTable:
    """Leading principal components of each context's mean control expression.

    A context needs control cells only: give a screen that has, besides the training cells, the
    controls of a context in which nothing was perturbed, and the trained model can predict there.

    **Arguments:** `components`, at most one less than there are contexts.

    **Returns:** scores, centred over the contexts; each component's largest loading is positive.
    """
    most = min(len(screen.contexts) - 1, screen.num_genes)
    if not 1 <= components <= most:
        raise ValueError(
            f"components={components}: the mean controls of {len(screen.contexts)} contexts have "
            f"between 1 and {most} components."
            if most
            else "Control profiles need at least two contexts; the screen has one."
        )
    rows = [screen.rows("control", context) for context in screen.contexts]
    means = np.stack([screen.mean(r) for r in rows]).astype(np.float64)
    left, scale, loadings = np.linalg.svd(means - means.mean(axis=0), full_matrices=False)
    largest = np.abs(loadings).argmax(axis=1)
    # The sign of a singular vector is arbitrary, and differs from machine to machine.
    sign = np.sign(loadings[np.arange(len(loadings)), largest])
    scores = left * scale * sign
    return EmbeddingTable(screen.contexts, scores[:, :components].astype(np.float32))
