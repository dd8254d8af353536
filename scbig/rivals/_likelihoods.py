"""How a decoder's outputs become a cell: distributions of one cell's expression, as values."""

import abc

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.scipy.special import gammaln

from scbig._typing import Array, Expression, ExpressionBatch, Float, PRNGKeyArray, Scalar
from scbig._value import Value
from scbig.data import Screen

from ._counts import all_counts, counts_of, expression_of

_HIGHEST = 15.0
"""Logarithm of a normalised count that no cell has."""
_STEADIEST = 6.0
"""Logarithm of a number of failures from which counts are as good as Poisson."""
_WHOLE = 0.95
_LEAST_SPREAD = 0.02


class AbstractLikelihood(Value):
    """The distribution of a cell's log expression, given a decoder's outputs.

    Beside the outputs, each gene has a trained number of its own, how it spreads.
    """

    @abc.abstractmethod
    def check(self, screen: Screen) -> None:
        """**Raises:** a ValueError if the cells of a screen cannot have this distribution."""

    @abc.abstractmethod
    def start(self, cells: ExpressionBatch) -> tuple[Expression, Expression]:
        """Outputs and spreads that fit cells which are all alike."""

    @abc.abstractmethod
    def log_prob(self, cell: Expression, outputs: Expression, spread: Expression) -> Scalar:
        """Log probability of a cell, summed over genes."""

    @abc.abstractmethod
    def draw(
        self,
        cell: Expression,
        own: Expression,
        outputs: Expression,
        spread: Expression,
        *,
        key: PRNGKeyArray,
    ) -> Expression:
        """What takes the place of a cell, log expression.

        **Arguments:** `own`, the outputs for the cell as it is; `outputs`, for what it becomes.
        """


class NegativeBinomial(AbstractLikelihood):
    """Counts, of which outputs are log rates: a cell's mean is `exp(output)` times its size.

    The size is the cell's total, see `scbig.rivals.counts_of`: what is drawn has the depth of the
    control, is as sparse as it, and is log expression on the scale of the screen again.
    """

    def check(self, screen: Screen) -> None:
        """**Raises:** a ValueError unless the values of a screen are those of counts."""
        rows = np.unique(np.linspace(0, screen.num_cells - 1, 2000).astype(int))
        cells = screen.dense(rows)
        # A cell with few values can be taken for counts whatever they are.
        full = np.argsort((cells > 0).sum(axis=1), kind="stable")[len(cells) // 2 :]
        share = float(np.mean(np.asarray(all_counts(jnp.asarray(cells[full])).whole)))
        if share < _WHOLE:
            raise ValueError(
                "A negative binomial needs counts, and the values are not those of counts: in "
                f"{1 - share:.0%} of the cells they are no whole multiples of one number. They "
                "were smoothed, corrected or scaled. Start from counts, or give the recipe "
                "likelihood=scbig.rivals.Gaussian()."
            )

    def start(self, cells: ExpressionBatch) -> tuple[Expression, Expression]:
        found = all_counts(cells)
        rate = (jnp.sum(found.counts, axis=0) + 0.5) / jnp.maximum(jnp.sum(found.size), 1e-6)
        mean = found.size[:, None] * rate[None]
        # By moments: the variance is the mean and the squared mean over the number of failures.
        excess = jnp.sum((found.counts - mean) ** 2 - mean, axis=0)
        failures = jnp.sum(mean**2, axis=0) / jnp.maximum(excess, 1e-6)
        return jnp.log(rate), jnp.log(jnp.clip(failures, 0.05, 50.0))

    def log_prob(self, cell: Expression, outputs: Expression, spread: Expression) -> Scalar:
        """A cell without counts says nothing: 0."""
        found = counts_of(cell)
        some = found.size > 0
        log_mean = jnp.minimum(outputs, _HIGHEST) + jnp.log(jnp.where(some, found.size, 1.0))
        each = negative_binomial(found.counts, log_mean, _bounded(spread))
        return jnp.where(some, jnp.sum(each), 0.0)

    def draw(
        self,
        cell: Expression,
        own: Expression,
        outputs: Expression,
        spread: Expression,
        *,
        key: PRNGKeyArray,
    ) -> Expression:
        """Counts anew, at the size of the cell."""
        first, second = jr.split(key)
        size, failures = counts_of(cell).size, jnp.exp(_bounded(spread))
        mean = jnp.exp(jnp.minimum(outputs, _HIGHEST)) * size
        rate = jr.gamma(first, failures, dtype=cell.dtype) * mean / failures
        return expression_of(jr.poisson(second, rate).astype(cell.dtype), size)


class Gaussian(AbstractLikelihood):
    """Log expression, of which softplus of the outputs are the means, with a variance a gene.

    For values that are not those of counts. A control becomes another cell by the change of its
    mean: what it differs by from its own mean stays, so that it is neither negative nor blurred.
    """

    def check(self, screen: Screen) -> None:
        """Any values will do."""

    def start(self, cells: ExpressionBatch) -> tuple[Expression, Expression]:
        mean = jnp.maximum(jnp.mean(cells, axis=0), 1e-3)
        return jnp.log(jnp.expm1(mean)), jnp.log(jnp.std(cells, axis=0) + _LEAST_SPREAD)

    def log_prob(self, cell: Expression, outputs: Expression, spread: Expression) -> Scalar:
        deviation = _LEAST_SPREAD + jnp.exp(spread)
        return jnp.sum(jax.scipy.stats.norm.logpdf(cell, jax.nn.softplus(outputs), deviation))

    def draw(
        self,
        cell: Expression,
        own: Expression,
        outputs: Expression,
        spread: Expression,
        *,
        key: PRNGKeyArray,
    ) -> Expression:
        """The cell with genes that rise shifted, and genes that fall scaled down."""
        before, after = jax.nn.softplus(own), jax.nn.softplus(outputs)
        falls = after < before
        return jnp.where(falls, cell * (after / before), cell + (after - before))


def negative_binomial(
    counts: Float[Array, " genes"], log_mean: Float[Array, " genes"], log_failures: Expression
) -> Float[Array, " genes"]:
    """Log probabilities of counts with these means and numbers of failures."""
    failures = jnp.exp(log_failures)
    total = jnp.logaddexp(log_failures, log_mean)
    ways = gammaln(counts + failures) - gammaln(failures) - gammaln(counts + 1.0)
    return ways + failures * (log_failures - total) + counts * (log_mean - total)


def _bounded(spread: Expression) -> Expression:
    return jnp.clip(spread, -_STEADIEST, _STEADIEST)
