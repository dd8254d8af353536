"""What a training reads, brought into one order once."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import Any

import jax
import jax.random as jr
import numpy as np
from jaxtyping import Bool, Float, Float32

from scbig._typing import PRNGKeyArray
from scbig.data import Condition, Screen
from scbig.flow import Transport
from scbig.method import ScBIGConfig
from scbig.model import Dosing
from scbig.priors import EmbeddingTable
from scbig.service import Names

from ._holdout import hold_out_cells
from ._priors import AlignedPriors, Priors


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Materials:
    """The cells and the priors of a run, aligned with the screen's genes.

    **Fields:** `whole`, all cells; `kept` and `held_out`, those that stage 1 trains and is
    validated on; `learn` and `judge`, those of stage 2; `priors`, those that the configuration
    reads, aligned; `perturbations` and `contexts`, the standardised tables of what can be
    perturbed and where, whose names are in `names`, with how doses are read.
    """

    config: ScBIGConfig
    names: Names
    whole: Screen
    kept: Screen
    held_out: Screen
    learn: Screen
    judge: Screen
    priors: AlignedPriors
    perturbations: EmbeddingTable
    contexts: EmbeddingTable | None

    @classmethod
    def of(
        cls,
        screen: Screen,
        priors: Priors,
        config: ScBIGConfig,
        validation: Sequence[str],
        *,
        given: Sequence[str] = (),
        anyway: bool = False,
        key: PRNGKeyArray,
    ) -> "Materials":
        """Aligns and splits.

        **Arguments:** `validation`, names of conditions; `given`, fields of the configuration that
        are not read, because what they make is given; `anyway`, as for `fit`; `key`, draws the
        held-out cells.

        **Raises:** `ValueError` for what the priors lack, for no perturbed cells to learn from, and
        for conditions, or contexts of controls, with a single cell.
        """
        _check_storage(screen, config)
        aligned = AlignedPriors.of(priors, config, screen.genes, given=given, anyway=anyway)
        training = screen.without(validation)
        _check_perturbed(screen, training)
        kept, held_out = hold_out_cells(training, config.stage1.validation, key=key)
        table = priors.tokens_of(screen.perturbations) if anyway else priors.tokens
        contexts = None if priors.contexts is None else priors.contexts.standardised()
        names = Names(
            genes=screen.genes,
            perturbations=table.names,
            contexts=() if contexts is None else contexts.names,
            # Conditions that only select are not learned from: nothing knows of their doses.
            dosing=Dosing.of((training if config.stage2.refit == "nothing" else screen).conditions),
        )
        pairs = itertools.product(screen.conditions, screen.contexts)
        conditions, settings = zip(*pairs, strict=True)
        names.tokens(conditions, config.max_tokens, contexts=settings)  # raises what tables lack
        return cls(
            config=config,
            names=names,
            whole=screen,
            kept=kept,
            held_out=held_out,
            learn=training if validation else kept,
            judge=screen.select(validation) if validation else held_out,
            priors=aligned,
            perturbations=table,
            contexts=contexts,
        )

    @property
    def embeddings(self) -> np.ndarray | None:
        """A row for each gene, if an algorithm reads them."""
        return None if self.priors.genes is None else self.priors.genes.vectors

    @property
    def tokens(self) -> Float32[np.ndarray, "perturbations features"]:
        """What the condition encoder reads of each perturbation, but for what it learns."""
        vectors = self.perturbations.vectors
        if not self.config.targets:
            return vectors
        control = self.whole.mean(self.whole.rows("control"))
        return np.hstack([vectors, target_features(self.names, control)])

    @property
    def known(self) -> Bool[np.ndarray, " perturbations"]:
        """Which perturbations a condition of the screen has."""
        found = {name for own in self.whole.conditions for name in own.perturbations}
        return np.array([name in found for name in self.names.perturbations])

    @property
    def facts(self) -> tuple[Sequence[str] | np.ndarray, ...]:
        """What tells one run's priors from another's."""
        graph, sets = self.priors.graph, self.priors.pathways
        edges = () if graph is None else (graph.source, graph.target, graph.weight)
        pathways = () if sets is None else (json.dumps(sets.sets, sort_keys=True),)
        contexts = () if self.contexts is None else (self.contexts.names, self.contexts.vectors)
        genes = () if self.embeddings is None else (self.embeddings,)
        tables = self.perturbations.names, self.perturbations.vectors, *contexts
        return *genes, *edges, *pathways, *tables


def target_features(
    names: Names, control: Float[np.ndarray, " genes"]
) -> Float32[np.ndarray, "perturbations 2"]:
    """Whether the gene that a perturbation is named after was measured, and its expression.

    In standard deviations over genes from their mean; zeros for what is no measured gene, a drug
    for instance.

    **Arguments:** `control`, mean expression of the controls, with the genes of `names`.
    """
    standard = (control - control.mean()) / max(float(control.std()), 1e-6)
    place = dict(zip(names.genes, standard, strict=True))
    rows = [(1.0, place[name]) if name in place else (0.0, 0.0) for name in names.perturbations]
    return np.array(rows, np.float32)


def _check_perturbed(screen: Screen, training: Screen) -> None:
    """Raises, before anything is trained, if no perturbation is left to learn from."""
    if not training.perturbations:
        why = "only controls" if not screen.perturbations else "all of them are for validation"
        raise ValueError(f"The screen has no perturbed cells to learn from: {why}.")


def _check_storage(screen: Screen, config: ScBIGConfig) -> None:
    changes = {"decoder", "encoder"} & set(config.stage2.trains)
    if screen.stored and changes:
        raise ValueError(
            "With expression on disk only the flow can train in stage 2: leave "
            f"{' and '.join(sorted(changes))} out of stage2.trains, or read the screen into memory."
        )
    if screen.stored and config.stage1.buffer is None:
        raise ValueError(
            "The screen's expression is on disk: say how many cells may be in memory at once, for "
            "instance stage1.buffer=16384 (and stage1.block=256, cells that are read together)."
        )


def identity_of(
    screen: Screen,
    config: ScBIGConfig,
    validation: Sequence[str],
    facts: Sequence[Sequence[str] | np.ndarray | jax.Array],
    key: PRNGKeyArray,
    *,
    autoencoder: bool = False,
) -> str:
    """A name for exactly this run: configuration, cells, priors, validation conditions and key.

    Of stage 1 only the share of validation cells counts if the autoencoder was given. How long
    stage 2 trains is no part of it, so that a finished run can be prolonged; except where its end
    makes other gene programs. Nor is how many steps a solve may try: a run that ended for want of
    them goes on with more.
    """
    written = config.to_dict()
    if not config.programs.updates:
        written["stage2"] = {k: v for k, v in written["stage2"].items() if k != "steps"}
    written = _without_limits(written)
    if autoencoder:
        written["stage1"] = {"validation": config.stage1.validation}
    told = {
        "config": written,
        "genes": screen.genes,
        "cells": screen.cells,
        "conditions": [c.name for c in screen.conditions],
        "contexts": screen.contexts,
        "expression": screen.checksum,
        "validation": sorted(Condition.parse(name).name for name in validation),
    }
    digest = hashlib.sha256(json.dumps(told).encode())
    arrays = screen.condition_index, screen.context_index, *facts, jr.key_data(key)
    for array in arrays:
        values = np.asarray(array)
        digest.update(f"{values.shape} {values.dtype}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()[:16]


def _without_limits(written: Any) -> Any:
    """A configuration as JSON has it, without the most steps of its solves."""
    if isinstance(written, list):
        return [_without_limits(part) for part in written]
    if not isinstance(written, dict):
        return written
    left = {"max_steps"} if written.get("is") == Transport.__name__ else set()
    return {name: _without_limits(part) for name, part in written.items() if name not in left}
