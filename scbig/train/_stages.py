"""One whole training: both stages, on given programs."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Int, PRNGKeyArray
from scbig.anchor import AbstractFittedAnchor
from scbig.data import Screen
from scbig.model import ScBIG, make_model, with_new_flow
from scbig.programs import AbstractPartition
from scbig.service import TrainedModel

from ._autoencoder import autoencoder_stage, learned_parts, standardise
from ._components import with_components
from ._flow import Prepared, flow_stage
from ._latents import latents_of
from ._loop import run
from ._materials import Materials
from ._members import member_keys, member_list, unstacked
from ._record import Recorder
from ._setting import make_setting
from ._state import RunState


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingKeys:
    """One key for each random part of a training."""

    model: PRNGKeyArray
    stage1: PRNGKeyArray
    stage2: PRNGKeyArray

    def fold(self, number: int) -> "TrainingKeys":
        """Those of another training of the same run."""
        fold = lambda key: jr.fold_in(key, number)
        return TrainingKeys(
            model=fold(self.model), stage1=fold(self.stage1), stage2=fold(self.stage2)
        )


def train_stages(
    materials: Materials,
    partition: AbstractPartition,
    recorder: Recorder,
    keys: TrainingKeys,
    *,
    autoencoder: ScBIG | None = None,
) -> TrainedModel:
    """An untrained model of these programs, then stage 1, then stage 2.

    **Arguments:** `autoencoder`, a model of these programs and genes, whose encoder and decoder
    are taken as they are in place of stage 1.
    """
    config = materials.config
    recorder.claim(config.to_dict())
    # It needs no autoencoder: what is wrong with it is told first.
    anchor = _anchor(materials, materials.learn)
    tables = _tables(materials)
    if autoencoder is None:
        model = _pretrained(materials, partition, recorder, keys)
    else:
        model = with_new_flow(autoencoder, config.networks, **tables, key=keys.model)
    _, *others = member_list(keys.model, config.stage2.members)
    models = model, *(with_new_flow(model, config.networks, **tables, key=key) for key in others)
    return _fit_flow(models, materials, anchor, recorder, key=keys.stage2)


def train_autoencoder(
    materials: Materials, partition: AbstractPartition, recorder: Recorder, keys: TrainingKeys
) -> TrainedModel:
    """Stage 1 alone: the flow of the model is untrained."""
    recorder.claim(materials.config.to_dict())
    pure = _pretrained(materials, partition, recorder, keys)
    return TrainedModel(pure=pure, names=materials.names, config=materials.config)


def _pretrained(
    materials: Materials, partition: AbstractPartition, recorder: Recorder, keys: TrainingKeys
) -> ScBIG:
    """A model of these programs after stage 1."""
    vectors = materials.embeddings
    model = make_model(
        materials.config.networks,
        partition=partition,
        embeddings=None if vectors is None else jnp.asarray(vectors),
        mean=jnp.asarray(materials.kept.mean()),
        **_tables(materials),
        key=keys.model,
    )
    return _fit_autoencoder(model, materials, recorder, key=keys.stage1)


def _tables(materials: Materials) -> dict[str, Any]:
    """What a model knows of perturbations and contexts before it is trained."""
    contexts = materials.contexts
    return {
        "tokens": jnp.asarray(materials.tokens),
        "known": materials.known,
        "dose_features": materials.names.dose_features,
        "contexts": None if contexts is None else jnp.asarray(contexts.vectors),
    }


def _anchor(materials: Materials, cells: Screen) -> AbstractFittedAnchor | None:
    method = materials.config.anchor
    if method is None:
        return None
    return method.fit(cells, pathways=materials.priors.pathways, vectors=materials.perturbations)


def _fit_autoencoder(
    model: ScBIG, materials: Materials, recorder: Recorder, *, key: PRNGKeyArray
) -> ScBIG:
    """Stage 1 on the kept cells, validated on the held-out ones; returns the best model.

    What is fitted in closed form is fitted first, and does not train.
    """
    model = with_components(model, materials.kept)
    if not learned_parts(model):
        return model
    order_key, run_key = jr.split(key)
    stage, state, rest = autoencoder_stage(
        model, materials.kept, materials.held_out, materials.config.stage1, key=order_key
    )
    return eqx.combine(run(stage, state, recorder, key=run_key).best, rest)


def _fit_flow(
    models: Sequence[ScBIG],
    materials: Materials,
    anchor: AbstractFittedAnchor | None,
    recorder: Recorder,
    *,
    key: PRNGKeyArray,
) -> TrainedModel:
    """Stage 2, judged by what it does not learn from; then anew on everything, if asked for."""
    learn, judge, config = materials.learn, materials.judge, materials.config
    found, state = _train_flow(models, materials, anchor, learn, judge, recorder, key=key)
    if config.stage2.refit == "nothing":
        return found
    ends, everything = np.asarray(state.best_step), materials.whole
    anchor = _anchor(materials, everything)
    if config.stage2.refit == "anchor":
        return dataclasses.replace(found, anchor=anchor)
    given = models, materials, anchor, everything, None, recorder
    return _train_flow(*given, ends=ends, key=key)[0]


def _train_flow(
    models: Sequence[ScBIG],
    materials: Materials,
    anchor: AbstractFittedAnchor | None,
    learn: Screen,
    judge: Screen | None,
    recorder: Recorder,
    *,
    ends: Int[np.ndarray, "*members"] | None = None,
    key: PRNGKeyArray,
) -> tuple[TrainedModel, RunState]:
    """Flows on some cells and their anchor; without cells to judge by, of numbers of steps."""
    model, *others = models
    config, pathways = materials.config, materials.priors.pathways
    latents = latents_of(model, learn, folder=recorder.folder if learn.stored else None)
    if config.standardise_latents:
        model = standardise(model, latents)
        latents = (latents - model.shift[None]) / model.scale[None]
    run_key, judge_key = jr.split(key)
    given = model, materials.names
    setting = make_setting(*given, learn, config, pathways, anchor=anchor)
    judged = judge and make_setting(*given, judge, config, pathways, controls=learn, anchor=anchor)
    prepared = Prepared.of(setting, judged, config, latents=latents, key=judge_key)
    names = setting.group_names(), () if judged is None else judged.group_names()
    name = "refit" if judged is None else "flow"
    told = {"name": name, "others": others, "ends": ends}
    stage, state, rest = flow_stage(model, prepared, config, *names, **told)
    state = run(stage, state, recorder, key=member_keys(run_key, len(models)))
    found = [eqx.combine(own, rest) for own in unstacked(state.best, len(models))]
    made: dict[str, Any] = {"names": materials.names, "config": config, "anchor": anchor}
    return TrainedModel(pure=found[0], others=tuple(found[1:]), **made), state
