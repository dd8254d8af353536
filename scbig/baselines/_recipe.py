"""How predictors are made, as values, so that a comparison can make all of them alike."""

import abc
import hashlib
import json
import pathlib
from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax.random as jr
import numpy as np

from scbig._typing import PRNGKeyArray
from scbig._value import plain
from scbig.data import Condition, Screen
from scbig.method import ScBIGConfig
from scbig.splits import Split
from scbig.train import Priors, fit

from ._emit import Predictor


class AbstractRecipe(eqx.Module):
    """How a predictor is made from all of a screen but the test conditions of a split.

    A recipe is told which conditions validate, and may use them as it must: to choose parameters,
    or, where there is nothing to choose, as further training conditions.

    **Fields:** `draws`, whether another key makes another predictor.
    """

    draws: ClassVar[bool] = True

    def told(self) -> str:
        """What it is, so that two that differ in anything are told differently.

        Defaults are told too: those of another version of this library are other settings.
        """
        arrays: list[np.ndarray] = []
        said = json.dumps(plain(self, type(self).__name__, arrays), sort_keys=True)
        digests = [hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest() for x in arrays]
        return " ".join([said, *digests])

    def files(self, split: Split) -> tuple[pathlib.Path, ...]:
        """The files that it reads for a split: other content makes another predictor."""
        return ()

    @abc.abstractmethod
    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """The predictor, fitted.

        **Arguments:** `screen`, with the cells of all conditions, of which those of the test are
        not read; `split`, which they are; `priors`, of which it reads what it needs; `progress`,
        whether to draw bars; `key`, of everything that is drawn.

        **Raises:** a ValueError that names the prior that it lacks, or a perturbation that it can
        know nothing of.
        """


class Rule(AbstractRecipe):
    """A closed-form predictor: it has nothing to choose, and learns from what validates too.

    **Fields:** `made`, from the cells and the priors to the predictor.
    """

    draws: ClassVar[bool] = False

    def told(self) -> str:
        """The name of the function: what it closes over is not told."""
        return f"{self.made.__module__}.{self.made.__qualname__}"

    made: Callable[[Screen, Priors], Predictor]

    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """Calls `made` on the training and validation cells."""
        return self.made(known_cells(screen, split), priors)


class Method(AbstractRecipe):
    """scBIG itself, or any configuration of it: `scbig.fit`.

    **Fields:** `config`; `anyway`, as for `scbig.fit`.
    """

    config: ScBIGConfig
    anyway: bool = False

    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """Trains on training cells; the validation conditions of the split, if any, choose.

        Perturbations without a vector, those of the test conditions too, get what the priors say.
        """
        options: Any = {"progress": progress, "anyway": self.anyway, "key": jr.fold_in(key, 0)}
        cells = known_cells(screen, split)
        tested = {p for name in split.test for p in Condition.parse(name).perturbations}
        known = priors.filled(sorted({*cells.perturbations, *tested}))
        return fit(cells, known, self.config, validation=split.validation, **options).model


def known_cells(screen: Screen, split: Split) -> Screen:
    """The cells that may be known before the test: of training and validation, with controls."""
    return split.cells(screen, "train", *(["validation"] if split.validation else []))
