"""Whole runs: what trains, what is kept, how a run goes on."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig._claims import LOCK
from scbig.flow import LinearPath
from scbig.method import Weighted, but
from scbig.objective import Adam, FlowCriterion, Reconstruction
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.service import TrainedModel, load
from scbig.train import Recorder, fit

from .conftest import LEAN, MATCHING, TINY


@pytest.fixture(scope="module")
def whole(screen, priors, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return fit(screen, priors, TINY, out=out, progress=False, key=jr.key(0)), out


def same(a, b) -> bool:
    """Whether two models are equal, bit for bit."""
    if isinstance(a, TrainedModel):
        return same(a.pure, b.pure) and (a.names, a.config) == (b.names, b.config)
    return bool(eqx.tree_equal(a, b))


def test_both_stages_learn(whole):
    history = whole[0].history
    stage1 = history[history.stage == "autoencoder"].reconstruction
    assert stage1.iloc[-1] < stage1.iloc[0]
    stage2 = history[history.stage == "flow"]
    assert list(stage2.step) == [4, 8, 12]
    assert stage2[["flow", "correlation", "pathway", "validation"]].notna().all(axis=None)
    assert (stage2.solver_steps >= 1).all()


def test_the_run_writes_its_metrics_config_and_model(whole):
    result, out = whole
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert len(rows) == len(result.history)
    assert {"stage", "step", "steps_per_second"} <= set(rows[0])
    assert json.loads((out / "config.json").read_text())["config"] == TINY.to_dict()
    assert same(load(out / "model.scbig"), result.model)


def test_the_objective_is_the_weighted_sum_of_its_parts(whole):
    rows = whole[0].history.query("stage == 'flow'")
    total = rows.flow + 0.1 * rows.correlation + 0.1 * rows.pathway
    np.testing.assert_allclose(rows.loss, total, rtol=1e-4)


class Stopped(Exception):
    pass


@pytest.mark.parametrize(("stage", "save"), [("autoencoder", 1), ("flow", 2)])
def test_a_stopped_run_goes_on_to_identical_parameters(
    whole, screen, priors, tmp_path, monkeypatch, stage, save
):
    write, count = Recorder.save, []

    def stop(self, name, state):
        write(self, name, state)
        count.append(name)
        if count.count(stage) == save:
            raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "save", stop)
        with pytest.raises(Stopped):
            fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(0))
    # A kill can also cut the last line of the log short.
    with (tmp_path / "metrics.jsonl").open("a") as log:
        log.write('{"stage": "fl')
    resumed = fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(0))
    assert same(resumed.model, whole[0].model)
    untimed = lambda table: table.drop(columns="steps_per_second")
    assert untimed(resumed.history).equals(untimed(whole[0].history))


def test_a_finished_run_is_read_not_repeated(whole, screen, priors):
    result, out = whole
    again = fit(screen, priors, TINY, out=out, progress=False, key=jr.key(0))
    assert same(again.model, result.model)
    assert len(again.history) == len(result.history)


def relabelled(screen, priors):
    order = np.argsort(screen.condition_index, kind="stable")
    moved = screen.condition_index.copy()
    moved[order] = np.roll(screen.condition_index[order], 1)
    return dataclasses.replace(screen, condition_index=moved), priors


def other_embeddings(screen, priors):
    table = EmbeddingTable(priors.genes.names, priors.genes.vectors[::-1].copy())
    return screen, dataclasses.replace(priors, genes=table)


def other_graph(screen, priors):
    few = InteractionGraph(priors.interactions.first[:9], priors.interactions.second[:9])
    return screen, dataclasses.replace(priors, interactions=few)


def other_pathways(screen, priors):
    sets = dict(list(priors.pathways.sets.items())[:3])
    return screen, dataclasses.replace(priors, pathways=PathwayLibrary(sets))


@pytest.mark.parametrize("change", [relabelled, other_embeddings, other_graph, other_pathways])
def test_a_run_with_other_data_is_another_run(whole, screen, priors, change):
    other_screen, others = change(screen, priors)
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(other_screen, others, TINY, out=whole[1], progress=False, key=jr.key(0))


def test_a_run_with_other_settings_or_key_is_another_run(whole, screen, priors):
    other = but(TINY, **{"stage2.optimiser.learning_rate": 1e-3})
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(screen, priors, other, out=whole[1], progress=False, key=jr.key(0))
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(screen, priors, TINY, out=whole[1], progress=False, key=jr.key(1))


def test_a_run_that_made_nothing_has_no_claim_to_its_folder(screen, priors, tmp_path):
    """So that a wrong setting can be put right and the same command given again."""
    for clusters in (400, 300):
        wrong = but(TINY, **{"programs.clusters": clusters})
        with pytest.raises(ValueError, match=f"at least one gene: got {clusters}"):
            fit(screen, priors, wrong, out=tmp_path, progress=False, key=jr.key(0))
    (tmp_path / "programs.csv").touch()
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(0))


def test_a_folder_in_which_another_process_trains_is_refused(screen, priors, tmp_path):
    (tmp_path / LOCK).write_text('{"host": "elsewhere", "process": 7, "since": "today"}')
    with pytest.raises(ValueError, match="in use by process 7 of elsewhere, since today"):
        fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(0))
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
def test_a_folder_of_something_else_is_refused(screen, priors, tmp_path, name):
    (tmp_path / name).write_text('{"not": "ours"}\n')
    with pytest.raises(ValueError, match=f"{name} .* another folder"):
        fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(0))
    assert (tmp_path / name).read_text() == '{"not": "ours"}\n'


def test_a_truncated_checkpoint_is_an_error(whole, screen, priors, tmp_path):
    source = whole[1]
    for name in ("config.json", "autoencoder.checkpoint", "flow.checkpoint"):
        (tmp_path / name).write_bytes((source / name).read_bytes())
    path = tmp_path / "flow.checkpoint"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"flow.checkpoint is truncated"):
        fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(0))


def test_the_key_decides_the_numbers(whole, screen, priors):
    other = fit(screen, priors, TINY, progress=False, key=jr.key(1))
    first = jax.tree.leaves(eqx.filter(whole[0].model.pure.velocity, eqx.is_array))
    second = jax.tree.leaves(eqx.filter(other.model.pure.velocity, eqx.is_array))
    assert not all(bool(jnp.array_equal(a, b)) for a, b in zip(first, second, strict=True))


def test_latents_of_the_training_cells_are_standardised(whole, screen):
    latents = whole[0].model.pure.encode_cells(jnp.asarray(screen.dense()))
    np.testing.assert_allclose(latents.mean(0), 0.0, atol=0.2)
    np.testing.assert_allclose(latents.std(0), 1.0, atol=0.2)


@pytest.mark.slow
def test_everything_can_train_on_accumulated_gradients_with_an_average(whole, screen, priors):
    noisy = but(MATCHING, path=LinearPath(0.1))
    changes = {
        "flow": noisy,
        "terms": (*but(TINY, **{"terms.0.period": 2}).terms, Weighted(Reconstruction(32), 1.0)),
        "stage2.trains": ("condition_encoder", "velocity", "decoder", "encoder"),
        "stage2.accumulate": 2,
        "stage2.apart": Adam(1e-3),
        "stage2.ema": 0.9,
        "stage2.steps": 4,
        "stage2.criterion": FlowCriterion(noisy),
    }
    result = fit(screen, priors, but(TINY, **changes), progress=False, key=jr.key(0))
    # Stage 1 is the same run, so any difference is stage 2's.
    for part in ("encoder", "decoder", "velocity", "condition_encoder"):
        assert not same(getattr(result.model.pure, part), getattr(whole[0].model.pure, part)), part
    assert same(result.model.pure.partition, whole[0].model.pure.partition)
    assert same(result.model.pure.tokens, whole[0].model.pure.tokens)
    rows = result.history.query("stage == 'flow'")
    assert (rows.reconstruction > 0).all()
    assert (rows.pathway > 0).all()


@pytest.mark.slow
def test_validation_conditions_select_and_do_not_train(screen, priors):
    """With a single validation nothing is selected: then their cells must not matter at all."""
    name = next(c.name for c in screen.conditions if len(c.perturbations) == 2)
    rows = screen.rows(name)
    spoilt = screen.expression.tolil(copy=True)
    spoilt[rows] = 1.0
    other = dataclasses.replace(screen, expression=spoilt.tocsr())
    config = but(LEAN, **{"stage2.steps": 4})
    first, second = (
        fit(s, priors, config, validation=[name], progress=False, key=jr.key(0))
        for s in (screen, other)
    )
    assert same(first.model, second.model)
    scores = [f.history.query("stage == 'flow'").validation.item() for f in (first, second)]
    assert scores[0] != scores[1]
    assert np.isfinite(scores).all()


def test_a_perturbation_without_an_embedding_is_named(screen, priors):
    few = priors.genes.select([g for g in priors.genes.names if g not in screen.perturbations[:2]])
    lacking = dataclasses.replace(priors, perturbations=few)
    with pytest.raises(
        ValueError, match=rf"2 perturbation\(s\): '{screen.perturbations[0]}' \(near"
    ):
        fit(screen, lacking, TINY, progress=False, key=jr.key(0))


def test_more_programs_than_genes(screen, priors):
    config = but(TINY, **{"programs.clusters": 25})
    with pytest.raises(ValueError, match="25"):
        fit(screen, priors, config, progress=False, key=jr.key(0))
