"""How predictors are made, as values, so that a comparison can make all of them alike."""

import abc
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.random as jr
import numpy as np

from scbig._typing import PRNGKeyArray
from scbig._value import plain
from scbig.data import Condition, Screen
from scbig.method import ScBIGConfig, but
from scbig.nn import ConditionEncoderSpec, SumPooling, VelocityFieldSpec
from scbig.priors import EmbeddingTable
from scbig.splits import Split
from scbig.train import Priors, fit, fit_autoencoder

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

    def cost(self, split: Split) -> Mapping[str, float]:
        """What it cost elsewhere: `fit_seconds`, `predict_seconds`, `megabytes`; of what is made
        here, nothing.

        What is not told there is NaN.
        """
        return {}

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
        known = filled_priors(cells, split, priors)
        return fit(cells, known, self.config, validation=split.validation, **options).model


class Arm(AbstractRecipe):
    """A configuration on programs and an autoencoder that it shares with others.

    They are made by `scbig.train.fit_autoencoder` once for each split, seed and first stage
    (`programs`, `encoder`, `decoder`, `stage1`), and kept: so that arms of an ablation that differ
    in the flow alone differ in nothing else, and cost no more than their flows. An autoencoder has
    then also seen the conditions that `stage2.hold_out` draws to select a flow.

    **Fields:** `config`; `folder`, in which the autoencoders are, each in a folder of its own;
    `anyway`, as for `scbig.fit`.
    """

    config: ScBIGConfig
    folder: pathlib.Path
    anyway: bool = False

    def told(self) -> str:
        """As of any recipe; where the autoencoders are does not count."""
        return json.dumps(["Arm", plain(self.config, "config"), self.anyway], sort_keys=True)

    def fit(
        self,
        screen: Screen,
        split: Split,
        priors: Priors,
        *,
        progress: bool = True,
        key: PRNGKeyArray,
    ) -> Predictor:
        """Trains the autoencoder, unless it is there, and then the flow."""
        cells = known_cells(screen, split)
        known = filled_priors(cells, split, priors)
        options: Any = {"progress": progress, "anyway": self.anyway, "validation": split.validation}
        autoencoder_key, flow_key = jr.split(key)
        # The networks of the flow are not trained here, and must not tell arms apart.
        first = but(
            self.config,
            condition=ConditionEncoderSpec(hidden=1, width=1, pooling=SumPooling()),
            velocity=VelocityFieldSpec(frequencies=1, hidden=1, depth=1),
            identity=0,
            targets=False,
        )
        # Nor must what a flow knows of perturbations.
        named = {*cells.perturbations, *_tested(split)} & {*known.tokens.names}
        blank = EmbeddingTable(tuple(sorted(named)), np.ones((len(named), 1), np.float32))
        shared = dataclasses.replace(known, perturbations=blank)
        parts = [plain(getattr(first, name), name) for name in _FIRST]
        told = json.dumps([parts, split.hash, jr.key_data(key).tolist()], sort_keys=True)
        out = self.folder / hashlib.sha256(told.encode()).hexdigest()[:16]
        made = fit_autoencoder(cells, shared, first, out=out, key=autoencoder_key, **options)
        given = {"autoencoder": made.model, "key": flow_key, **options}
        return fit(cells, known, self.config, **given).model


_FIRST = ("programs", "encoder", "decoder", "stage1")


def filled_priors(cells: Screen, split: Split, priors: Priors) -> Priors:
    """The priors with a vector for all that these cells show or a split tests, as they say."""
    return priors.filled(sorted({*cells.perturbations, *_tested(split)}))


def _tested(split: Split) -> set[str]:
    return {p for name in split.test for p in Condition.parse(name).perturbations}


def known_cells(screen: Screen, split: Split) -> Screen:
    """The cells that may be known before the test: of training and validation, with controls."""
    return split.cells(screen, "train", *(["validation"] if split.validation else []))
