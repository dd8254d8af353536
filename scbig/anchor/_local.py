"""Changes of cell states, by matching populations whose proportions may differ."""

from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float
from sklearn.cluster import KMeans

from scbig.data import Screen
from scbig.ot import unbalanced_plan

from ._controls import Controls, evenly
from ._spread import Displaced

MOST = 512
"""Cells of a population that are matched."""
FEWEST = 10
"""Cells without which a group has only what is common."""
NULLS = 8
"""Populations of controls that show what matching makes of no change."""
EPSILON, RELAXATION, ITERATIONS, ROUNDS = 0.05, 0.1, 60, 5
FAR = 1e6


class Local(eqx.Module):
    """Changes of each state beside those of the whole population.

    **Fields:** `places` and `width` of the states of each context, as `States` has them, far away
    where a context has fewer; `local` and `weights` of each group; `common` and `rarer`, the same
    for a group that was not seen, by context.
    """

    places: Float[np.ndarray, "contexts states components"]
    width: Float[np.ndarray, " contexts"]
    local: Float[np.ndarray, "groups states components"]
    weights: Float[np.ndarray, "groups states"]
    common: Float[np.ndarray, "contexts states components"]
    rarer: Float[np.ndarray, "contexts states"]

    @classmethod
    def of(
        cls,
        screen: Screen,
        controls: Controls,
        pairs: Sequence[tuple[int, int]],
        states: int,
    ) -> "Local":
        """Matches the cells of each group with controls of its context.

        The means of each group are left out, as far as they are no change of proportions: only
        differences between states are found here. They are less what matching finds between
        controls and other controls, and shrunk by how much of them that leaves unexplained
        (empirical Bayes), so that a population of one kind of cells has none.

        **Arguments:** `pairs`, condition and context of each group, by their places in the screen;
        `states`, most of them.
        """
        contexts, width = len(screen.contexts), len(controls.axes)
        blank = lambda *shape: np.zeros((*shape, states, width))
        found, logs = blank(len(pairs)), np.zeros((len(pairs), states))
        noise, chance = np.ones_like(found), np.ones_like(logs)
        places, scale = np.full((contexts, states, width), FAR), np.ones(contexts)
        used = np.zeros((len(pairs), states), bool)
        for context, name in enumerate(screen.contexts):
            known = controls.scores[context]
            known = known[evenly(np.arange(len(known)), MOST)]
            number = min(states, len(known) // (2 * FEWEST))
            own = [k for k, (_, place) in enumerate(pairs) if place == context]
            cells = {k: screen.rows(screen.conditions[pairs[k][0]], name) for k in own}
            own = [k for k in own if len(cells[k]) >= FEWEST]
            if number < 2 or not own:
                continue
            matching = Matching.of(known, number)
            places[context, :number], scale[context] = matching.places, matching.width
            size = min(int(np.median([len(cells[k]) for k in own])), MOST)
            still, jitter, usual, doubt = matching.without_change(size)
            for k in own:
                rows = evenly(cells[k], MOST)
                scores = screen.project(controls.axes.T, rows) - controls.centres[context]
                moved, weights = matching.match(scores)
                found[k, :number], logs[k, :number] = moved - still, weights - usual
                noise[k, :number] = jitter * size / len(rows)
                chance[k, :number] = doubt * size / len(rows)
                used[k, :number] = True
        found, logs = _shrunk(found, noise, used), _shrunk(logs[..., None], chance[..., None], used)
        common, rarer = (_means(own, used, pairs, contexts) for own in (found, logs))
        for k, (_, context) in enumerate(pairs):
            if not used[k].any():
                found[k], logs[k] = common[context], rarer[context]
        return cls(places, scale, found, logs[..., 0], common, rarer[..., 0])

    def displaced(self, controls: Controls, pairs: Sequence[tuple[int, int]]) -> Displaced:
        """What moving the states does to the covariance of the controls."""
        plain = [np.cov(own.T, ddof=0) for own in controls.scores]

        def change(context: int, *given: np.ndarray) -> Float[np.ndarray, "components components"]:
            weights, moved = self._moved(controls, context, *given)
            centred = moved - weights @ moved
            return centred.T @ (weights[:, None] * centred) - plain[context]

        own = [change(c, self.local[k], self.weights[k]) for k, (_, c) in enumerate(pairs)]
        usual = [change(c, self.common[c], self.rarer[c]) for c in range(len(plain))]
        return Displaced(np.stack(own), np.stack(usual))

    def drifts(
        self,
        controls: Controls,
        pairs: Sequence[tuple[int, int]],
        stretch: Float[np.ndarray, "groups components components"],
        common: Float[np.ndarray, "contexts components components"],
    ) -> tuple[Float[np.ndarray, "groups genes"], Float[np.ndarray, "contexts genes"]]:
        """What moving the states and stretching does to the mean of the controls.

        **Returns:** of each group, and of one that was not seen, by context.
        """

        def change(context: int, by: np.ndarray, *given: np.ndarray) -> Float[np.ndarray, " genes"]:
            weights, moved = self._moved(controls, context, *given)
            cells, scores = controls.cells[context], controls.scores[context]
            along = weights @ (moved - scores) + (weights @ moved) @ by.T
            return weights @ cells - cells.mean(axis=0) + along @ controls.axes

        given = enumerate(pairs)
        own = [change(c, stretch[k], self.local[k], self.weights[k]) for k, (_, c) in given]
        usual = [change(c, common[c], self.common[c], self.rarer[c]) for c in range(len(common))]
        return np.stack(own), np.stack(usual)

    def _moved(
        self,
        controls: Controls,
        context: int,
        changes: Float[np.ndarray, "states components"],
        left: Float[np.ndarray, " states"],
    ) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, "cells components"]]:
        """How much each control counts, and the scores that it moves to."""
        scores = controls.scores[context]
        shares = shares_of(_squared(scores, self.places[context]) / self.width[context])
        weights = shares @ np.exp(left) if shares.shape[1] else np.ones(len(scores))
        return weights / weights.sum(), scores + shares @ changes


class Matching(eqx.Module):
    """Controls in states, with which other populations are matched.

    **Fields:** `cells`, scores of controls; `places` and `width` of the states; `shares`, how much
    each control is of each state.
    """

    cells: Float[np.ndarray, "controls components"]
    places: Float[np.ndarray, "states components"]
    width: float
    shares: Float[np.ndarray, "controls states"]

    @classmethod
    def of(cls, cells: Float[np.ndarray, "controls components"], states: int) -> "Matching":
        """Finds the states by k-means."""
        places = KMeans(states, random_state=0).fit(cells).cluster_centers_
        apart = _squared(cells, places)
        width = max(float(np.median(apart.min(axis=1))), float(np.finfo(np.float32).tiny))
        return cls(cells, places, width, shares_of(apart / width))

    def match(
        self, cells: Float[np.ndarray, "cells components"]
    ) -> tuple[Float[np.ndarray, "states components"], Float[np.ndarray, " states"]]:
        """How each state moves beside the mean, and the logarithm of how much of it is left.

        The mean is that of the cells less that of the controls in the proportions of the cells,
        which are found by turns with it.
        """
        mass = np.ones(len(self.cells))
        plan = np.zeros((len(self.cells), len(cells)))
        shift = np.zeros(cells.shape[1])
        for _ in range(ROUNDS):
            shift = cells.mean(axis=0) - mass @ self.cells / mass.sum()
            cost = _squared(self.cells + shift, cells)
            cost /= max(float(cost.mean()), np.finfo(float).tiny)
            plan = unbalanced_plan(
                cost, epsilon=EPSILON, relaxation=(RELAXATION, np.inf), iterations=ITERATIONS
            )
            mass = np.maximum(plan.sum(axis=1), np.finfo(float).tiny)
        weights = mass / mass.sum()
        moved = plan @ cells / mass[:, None] - self.cells - shift
        left = self.shares.T @ weights
        local = (self.shares * weights[:, None]).T @ moved / left[:, None]
        return local, np.log(left / self.shares.mean(axis=0))

    def without_change(
        self, size: int
    ) -> tuple[
        Float[np.ndarray, "states components"],
        Float[np.ndarray, "states components"],
        Float[np.ndarray, " states"],
        Float[np.ndarray, " states"],
    ]:
        """What `match` finds for controls drawn from these: means and variances of both."""
        rng = np.random.default_rng(0)
        drawn = [self.match(rng.choice(self.cells, size)) for _ in range(NULLS)]
        local, weights = (np.stack(own) for own in zip(*drawn, strict=True))
        # The mean of the nulls, which is taken off, is itself uncertain.
        more = 1 + 1 / NULLS
        spread = lambda x: x.var(axis=0, ddof=1) * more
        return local.mean(axis=0), spread(local), weights.mean(axis=0), spread(weights)


def shares_of(
    apart: Float[np.ndarray, "cells states"],
) -> Float[np.ndarray, "cells states"]:
    """How much each cell is of each state, by their squared distances in units of the width."""
    if not apart.shape[1]:
        return apart
    shares = np.exp(apart.min(axis=1, keepdims=True) - apart)
    return shares / shares.sum(axis=1, keepdims=True)


def _squared(
    left: Float[np.ndarray, "left components"], right: Float[np.ndarray, "right components"]
) -> Float[np.ndarray, "left right"]:
    both = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None]
    return np.maximum(both - 2 * left @ right.T, 0.0)


def _shrunk(
    found: Float[np.ndarray, "groups states entries"],
    noise: Float[np.ndarray, "groups states entries"],
    used: Bool[np.ndarray, "groups states"],
) -> Float[np.ndarray, "groups states entries"]:
    """Each entry times the share of its variance over groups and states that is no noise."""
    if not used.any():
        return np.zeros_like(found)
    real = np.maximum((found[used] ** 2 - noise[used]).mean(axis=0), 0.0)
    total = real + noise
    share = np.divide(real, total, out=np.zeros_like(total), where=total > 0)
    return np.where(used[..., None], found * share, 0.0)


def _means(
    found: Float[np.ndarray, "groups states entries"],
    used: Bool[np.ndarray, "groups states"],
    pairs: Sequence[tuple[int, int]],
    contexts: int,
) -> Float[np.ndarray, "contexts states entries"]:
    """Over the groups of each context."""
    place = np.array([context for _, context in pairs])
    means = np.zeros((contexts, *found.shape[1:]))
    for context in range(contexts):
        own = used.any(axis=1) & (place == context)
        if own.any():
            means[context] = found[own].mean(axis=0)
    return means
