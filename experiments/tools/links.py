"""Other interactions than a file says: half of them, and as many that are not true."""

from collections.abc import Sequence

import numpy as np

from scbig import priors


def between(graph: priors.InteractionGraph, genes: Sequence[str]) -> list[tuple[str, str]]:
    """The interactions of two different genes of a screen, each once."""
    known = {*genes}
    ends = zip(graph.first, graph.second, strict=True)
    return sorted({(min(e), max(e)) for e in ends if e[0] != e[1] and known >= {*e}})


def half(pairs: Sequence[tuple[str, str]]) -> priors.InteractionGraph:
    """Each interaction with a probability of one half."""
    kept = np.random.default_rng(1).uniform(size=len(pairs)) < 0.5
    return of_pairs([pair for pair, keep in zip(pairs, kept, strict=True) if keep])


def shuffled(pairs: Sequence[tuple[str, str]]) -> priors.InteractionGraph:
    """Two interactions at a time exchange an end, if that makes two that are new."""
    rng, now = np.random.default_rng(0), list(pairs)
    taken = {*pairs}  # what is true stays taken
    for first, second in rng.integers(len(now), size=(50 * len(now), 2)):
        (a, b), (c, d) = now[first], now[second][:: rng.choice([-1, 1])]
        made = [(min(a, d), max(a, d)), (min(c, b), max(c, b))]
        if len({a, b, c, d}) == 4 and not taken & {*made}:
            taken -= {now[first], now[second]} - {*pairs}
            taken |= {*made}
            now[first], now[second] = made
    return of_pairs(now)


def of_pairs(pairs: Sequence[tuple[str, str]]) -> priors.InteractionGraph:
    """The pairs as interactions."""
    first, second = zip(*pairs, strict=True)
    return priors.InteractionGraph(first, second)
