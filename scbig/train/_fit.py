"""From a screen and priors to a trained model."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.random as jr
import numpy as np
import pandas as pd

from scbig._typing import PRNGKeyArray
from scbig.config import ScBIGConfig
from scbig.data import Screen
from scbig.model import ScBIG, save
from scbig.programs import Clustering, ProgramTable

from ._materials import Materials, Priors, identity_of
from ._programs import Grouping, response_errors
from ._record import Recorder
from ._stages import TrainingKeys, train_stages


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fit:
    """What `fit` made.

    **Fields:** `model`; `programs`, its gene programs by name; `clustering`, how they were
    reached, or `None` if they were given; `history`, the metrics of each compiled call, of the
    last training; `coverage`, one line for each prior.
    """

    model: ScBIG
    programs: ProgramTable
    clustering: Clustering | None
    history: pd.DataFrame
    coverage: tuple[str, ...]


def fit(
    screen: Screen,
    priors: Priors,
    config: ScBIGConfig,
    *,
    programs: ProgramTable | None = None,
    validation: Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    key: PRNGKeyArray,
) -> Fit:
    """Clusters the genes, trains the autoencoder, then the flow.

    **Arguments:**

    - `screen`: training cells. Leave the test conditions out: `screen.without(test)`.
    - `programs`: gene programs of exactly the screen's genes (`ProgramTable.align` makes them so),
        instead of those that `config.programs` would make.
    - `validation`: conditions of the screen that only select the best parameters of the flow;
        without any, the cells held out from stage 1 do.
    - `out`: a folder for `config.json`, `metrics.jsonl`, checkpoints, `programs.csv` and the
        finished `model.scbig`. A run that was stopped goes on from its checkpoints there. With
        `config.programs.feedback`, each earlier training has a folder `update0`, ... in it.
    - `progress`: whether to draw progress bars.

    **Raises:** `ValueError` naming genes, perturbations or contexts without an embedding, more
    programs than genes, programs of other genes, pathways without a gene of the screen, or another
    run's folder.
    """
    program_key, model_key, split_key, stage1_key, stage2_key = jr.split(key, 5)
    keys = TrainingKeys(model=model_key, stage1=stage1_key, stage2=stage2_key)
    materials = Materials.of(screen, priors, config, validation, key=split_key)
    table = None if programs is None else programs.align(screen.genes)
    brought = [] if table is None else jax.tree.leaves(table.partition)
    facts = (*materials.facts, *map(np.asarray, brought))
    recorder = Recorder(out, identity_of(screen, config, validation, facts, key), progress=progress)
    recorder.claim(config.to_dict())
    clustering = None
    if table is None:
        provenance = priors.provenance(config)
        clustering = _find_programs(materials, provenance, recorder, keys, key=program_key)
        table = ProgramTable.of(screen.genes, clustering.partition, provenance)
    model = train_stages(materials, table.partition, recorder, keys)
    if recorder.folder is not None:
        table.save(recorder.folder / "programs.csv")
        save(model, recorder.folder / "model.scbig")
    return Fit(
        model=model,
        programs=table,
        clustering=clustering,
        history=recorder.log.table(),
        coverage=materials.coverage,
    )


def _find_programs(
    materials: Materials,
    provenance: dict[str, Any],
    recorder: Recorder,
    keys: TrainingKeys,
    *,
    key: PRNGKeyArray,
) -> Clustering:
    """Programs from the priors; then, as often as asked for, updated by what a training misses."""
    config = materials.config.programs
    grouping = Grouping.of(materials.kept, materials.genes, materials.graph, config)
    clustering = grouping.cluster(config, key=key)
    for update in range(config.feedback):
        fold = lambda one, update=update: jr.fold_in(one, update + 1)
        again = TrainingKeys(
            model=fold(keys.model), stage1=fold(keys.stage1), stage2=fold(keys.stage2)
        )
        folder = recorder.within(f"update{update}")
        model = train_stages(materials, clustering.partition, folder, again)
        if folder.folder is not None:
            table = ProgramTable.of(materials.names.genes, clustering.partition, provenance)
            table.save(folder.folder / "programs.csv")
        error_key, cluster_key = jr.split(fold(key))
        # Of the cells that the flow learned from: what it is judged by must stay unseen.
        errors = response_errors(model, materials.learn, key=error_key)
        clustering = grouping.cluster(config, errors=errors, previous=clustering, key=cluster_key)
    return clustering
