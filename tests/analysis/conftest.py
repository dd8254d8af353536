"""Small priors with known answers."""

import numpy as np
import pytest

from scbig import priors, programs


@pytest.fixture
def toy():
    """Six genes in three programs, of which the last is empty; four sets; four interactions."""
    genes = list("abcdef")
    partition = programs.GenePartition.from_labels(np.array([0, 0, 0, 1, 1, 1], np.int32), 3)
    sets = {"left": "abc", "pair": "ab", "mixed": "cd", "single": "f"}
    membership = priors.PathwayLibrary({name: tuple(one) for name, one in sets.items()}).align(
        genes, min_genes=1
    )
    graph = priors.InteractionGraph(tuple("abcd"), tuple("bcde")).align(genes)
    return genes, partition, membership, graph
