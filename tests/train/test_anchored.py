"""A flow that starts from an anchor: nothing at first, only differences, and nothing if so."""

import dataclasses
import itertools
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import norm, t

from scbig import train
from scbig.anchor import ResponseAnchor, States, nonnegative
from scbig.baselines import MovedControls
from scbig.data import Condition
from scbig.method import Weighted, anchored, but
from scbig.metrics import energy_distance, fit_projection
from scbig.objective import (
    FlowMatching,
    PlannedMatching,
    PopulationCriterion,
    Reconstruction,
)
from scbig.ot import SinkhornCoupling
from scbig.service import load, save
from scbig.train import fit

from .conftest import LEAN
from .test_fit import same

MATCHING = PlannedMatching(
    coupling=SinkhornCoupling(iterations=50), groups=3, cells=8, most=16, draws=3
)
ANCHOR = ResponseAnchor(components=5, related=False)
ANCHORED = but(
    anchored(LEAN),
    flow=MATCHING,
    anchor=ANCHOR,
    **{"stage2.criterion": PopulationCriterion(cells=16, measured=16, components=5)},
    **{"stage2.steps": 8, "stage2.steps_per_call": 4, "stage2.hold_out": 0.0},
)
# Held-out cells that say that nothing helps: the score of a flow is never above that of none.
IDLE = but(ANCHORED, **{"stage2.optimiser.learning_rate": 1e-12})


@pytest.fixture(scope="module")
def idle(screen, priors):
    return fit(screen, priors, IDLE, progress=False, key=jr.key(0))


def expected(screen, conditions):
    """What the anchor alone predicts."""
    return cells_of(MovedControls.fit(screen, ANCHOR), screen, conditions)


def cells_of(model: Any, screen, conditions, **options: Any) -> np.ndarray:
    """Predicted expression."""
    return np.asarray(model.predict(screen, conditions, key=jr.key(1), **options).X)


def test_a_flow_of_no_steps_predicts_what_the_anchor_does(idle, screen):
    names = [condition.name for condition in screen.conditions]
    found = cells_of(idle.model, screen, names)
    np.testing.assert_allclose(found, expected(screen, names), atol=1e-5)
    assert idle.history.query("stage == 'flow'").step.min() == 0
    assert "refit" not in set(idle.history.stage)


def test_a_prediction_says_how_sure_its_means_are(idle, screen, tmp_path):
    names = [condition.name for condition in screen.conditions[:3]]
    found = idle.model.predict(screen, names, key=jr.key(1))
    expected = idle.model.anchor.deviations(list(screen.conditions[:3]), [""] * 3)
    np.testing.assert_allclose(found.uns["response_sd"], expected, rtol=1e-5)
    found.write_h5ad(tmp_path / "predicted.h5ad")


def test_the_control_comes_back_as_it_was(screen, priors, tmp_path):
    config = but(ANCHORED, **{"stage2.refit": "nothing", "stage2.steps": 4})
    made = fit(screen, priors, config, progress=False, key=jr.key(0))
    moving = dataclasses.replace(made.model, pure=moved(made.model.pure))
    controls = screen.dense(screen.rows("control"))
    np.testing.assert_array_equal(cells_of(moving, screen, ["control"]), controls)


def moved(pure: Any) -> Any:
    """The same model with a field that is not still."""
    out = lambda m: (m.velocity.out.weight, m.velocity.out.bias)
    return eqx.tree_at(out, pure, tuple(x + c for x, c in zip(out(pure), (0.3, 0.5), strict=True)))


def test_a_flow_changes_cells_and_not_their_mean(idle, screen):
    moving = dataclasses.replace(idle.model, pure=moved(idle.model.pure))
    name = screen.conditions[0].name
    assert name != "control"
    ask = lambda model: cells_of(model, screen, [name], nonnegative=False)
    found, start = ask(moving), ask(idle.model)
    assert np.abs(found - start).max() > 1e-2
    np.testing.assert_allclose(found.mean(axis=0), start.mean(axis=0), atol=1e-5)
    assert np.abs(found - start).max() > 1e-2


def test_a_flow_moves_the_mean_of_what_was_not_measured_unless_it_may_not(idle, screen):
    # Cells of seen conditions judged it: of what they do not tell it does nothing.
    assert idle.model.config.emission.mean == 0
    moving = dataclasses.replace(
        idle.model, pure=moved(idle.model.pure), config=but(IDLE, **{"emission.mean": 1.0})
    )
    seen = {c.name for c in screen.conditions}
    singles = sorted(name for name in seen if "+" not in name and name != "control")
    pairs = [f"{a}+{b}" for a, b in itertools.combinations(singles, 2)]
    name = next(pair for pair in pairs if pair not in seen)
    ask = lambda model: cells_of(model, screen, [name], nonnegative=False)
    drawn, start = ask(moving), ask(idle.model)
    shut = dataclasses.replace(moving, config=but(IDLE, **{"emission.mean": 0.0}))
    np.testing.assert_allclose(ask(shut).mean(axis=0), start.mean(axis=0), atol=1e-5)
    assert np.abs(drawn.mean(axis=0) - start.mean(axis=0)).max() > 1e-3


def test_it_is_saved_with_its_anchor(idle, tmp_path, screen):
    save(idle.model, tmp_path / "model.scbig")
    again = load(tmp_path / "model.scbig")
    assert again.anchor is not None
    names = [screen.conditions[0].name, screen.conditions[-1].name]
    ask = lambda model: cells_of(model, screen, names)
    np.testing.assert_array_equal(ask(again), ask(idle.model))


def test_the_anchor_alone_can_be_made_anew_on_what_selected(screen, priors):
    eager = but(ANCHORED, **{"stage2.criterion": Eager(), "stage2.refit": "nothing"})
    held = train.hold_out_conditions(screen, 0.3, key=jr.key(0), least=4)
    given = {"validation": held, "progress": False, "key": jr.key(0)}
    before = fit(screen, priors, eager, **given).model
    after = fit(screen, priors, but(eager, **{"stage2.refit": "anchor"}), **given)
    assert same(after.model.pure, before.pure)
    assert "refit" not in set(after.history.stage)
    asked = [c for c in screen.conditions if c.name in held], [""] * len(held)
    part, whole = (ANCHOR.fit(cells).moves(*asked) for cells in (screen.without(held), screen))
    for model, moves in ((before, part), (after.model, whole)):
        assert model.anchor is not None
        np.testing.assert_allclose(model.anchor.moves(*asked).rest, moves.rest)
    assert not np.allclose(part.rest, whole.rest)


@pytest.mark.slow
def test_what_selected_is_learned_from_at_last(screen, priors, tmp_path):
    eager = but(ANCHORED, **{"stage2.criterion": Eager(), "stage2.hold_out": 0.3})
    held = train.hold_out_conditions(screen, 0.3, key=jr.key(0), least=4)
    once = fit(screen, priors, eager, validation=held, out=tmp_path, progress=False, key=jr.key(0))
    history = once.history
    assert history.query("stage == 'refit'").step.tolist() == [4, 8]
    assert history.query("stage == 'refit'").validation.isna().all()
    whole = ANCHOR.fit(screen)
    asked = [c for c in screen.conditions if c.name in held], [""] * len(held)
    assert once.model.anchor is not None
    np.testing.assert_allclose(once.model.anchor.moves(*asked).rest, whole.moves(*asked).rest)
    again = fit(screen, priors, eager, validation=held, out=tmp_path, progress=False, key=jr.key(0))
    assert same(again.model.pure, once.model.pure)


class Eager(PopulationCriterion):
    """Later is better."""

    cells: int = 16
    measured: int = 16
    components: int = 5

    def __call__(self, model: Any, data: Any) -> Any:
        moves = sum(jnp.sum(jnp.abs(x)) for x in (model.velocity.out.weight,))
        return moves, super().__call__(model, data)[1]


def test_conditions_to_select_by_are_of_the_kind_to_be_predicted(screen):
    doubles = {c.name for c in screen.conditions if len(c.perturbations) == 2}
    singles = {c.name for c in screen.conditions if len(c.perturbations) == 1}
    few = train.hold_out_conditions(screen, 0.5, key=jr.key(0), least=4)
    assert len(few) == 2
    assert set(few) <= doubles
    other = train.hold_out_conditions(screen, 0.4, key=jr.key(0), least=5)
    assert set(other) <= singles
    assert train.hold_out_conditions(screen, 0.4, key=jr.key(0)) == ()


@pytest.fixture(scope="module")
def setting(idle, screen):
    model = idle.model
    return train.make_setting(model.pure, model.names, screen, ANCHORED, anchor=model.anchor)


def test_flows_start_from_moved_controls(idle, screen, setting):
    found = train.starts_of(setting)
    controls = screen.dense(screen.rows("control"))
    names = setting.group_names()
    alone = MovedControls.fit(screen, ANCHOR)
    for group in (0, len(names) - 1):
        moves = alone.fitted.moves([screen.conditions[setting.index.condition[group]]], [""])[0]
        cells = moves(jnp.asarray(controls), jnp.asarray(controls.mean(axis=0)))
        latents = idle.model.pure.encode_cells(cells)
        np.testing.assert_allclose(found[group], latents, atol=1e-4)


def test_flows_start_from_controls_in_the_proportions_of_the_condition(idle, screen, setting):
    groups, components = len(setting.group_names()), setting.moves.axes.shape[0]
    places = np.random.default_rng(0).normal(size=(groups, 2, components)).astype(np.float32)
    states = States(
        places=jnp.asarray(places),
        width=jnp.ones(groups),
        local=jnp.zeros((groups, 2, components)),
        weights=jnp.tile(jnp.array([-3.0, 0.0]), (groups, 1)),
    )
    rarer = dataclasses.replace(setting, moves=dataclasses.replace(setting.moves, states=states))
    found = train.starts_of(rarer)
    controls = jnp.asarray(screen.dense(screen.rows("control")))
    centre = jnp.mean(controls, axis=0)
    for group in (0, groups - 1):
        own = rarer.moves[group]
        drawn = np.asarray(own.drawn(controls, centre))
        assert len(set(drawn.tolist())) < len(controls)
        latents = idle.model.pure.encode_cells(own(controls[drawn], centre))
        np.testing.assert_allclose(found[group], latents, atol=1e-4)


def test_pairs_are_cells_of_the_condition_and_centred_on_the_starts(setting):
    latents = train.flow_data(setting).latents
    starts = train.starts_of(setting)
    given = dataclasses.replace(setting, latents=latents, starts=starts)
    pairs = MATCHING.prepare(given)
    order, start, size = map(
        np.asarray, (setting.index.order, setting.index.start, setting.index.size)
    )
    for group, (first, count) in enumerate(zip(start, size, strict=True)):
        own = order[first : first + count]
        rows = np.asarray(pairs.ends[group])
        assert set(rows) <= set(own)
        # Each cell as often as any other, to within one.
        assert np.ptp(np.bincount(rows)[np.unique(rows)]) <= 1
        shifted = np.asarray(latents)[rows] + np.asarray(pairs.shift[group])
        np.testing.assert_allclose(shifted.mean(axis=0), starts[group].mean(axis=0), atol=1e-4)
        assert pairs.partners[group].max() < len(rows)
    free = but(MATCHING, centred=False).prepare(given)
    assert not np.asarray(free.shift).any()


def test_a_plan_pairs_nearer_than_chance(setting):
    latents = train.flow_data(setting).latents
    starts = train.starts_of(setting)
    given = dataclasses.replace(setting, latents=latents, starts=starts)
    pairs = MATCHING.prepare(given)
    ends = np.asarray(latents)[np.asarray(pairs.ends)] + np.asarray(pairs.shift)[:, None]
    places = np.asarray(pairs.partners)
    rng = np.random.default_rng(0)
    apart = lambda chosen: np.mean(
        [np.square(ends[g][chosen[g]] - np.asarray(starts[g])).sum(-1) for g in range(len(ends))]
    )
    drawn = [rng.integers(0, ends.shape[1], len(starts[0])) for _ in range(len(ends))]
    assert apart(places[:, :, 0]) < 0.8 * apart(drawn)


def test_the_score_is_of_populations_as_they_are_predicted(idle, screen, setting):
    criterion = PopulationCriterion(cells=40, measured=64, components=5)
    facts = criterion.prepare(setting, key=jr.key(0))
    data = dataclasses.replace(train.flow_data(setting), own=facts)
    score, beside = criterion(moved(idle.model.pure), data)
    axes = fit_projection(screen.dense(), 5).axes
    measured = screen.responses()
    controls = screen.dense(screen.rows("control"))
    moving = dataclasses.replace(idle.model, pure=moved(idle.model.pure))
    spread = np.arange(40) * len(controls) // 40
    still, gains, starts = [], [], []
    for change, place in zip(measured.changes, measured.condition_index, strict=True):
        name = screen.conditions[place].name
        own = screen.dense(screen.rows(name)) @ axes.T
        far = lambda cells, own=own: energy_distance(cells @ axes.T, own, unbiased=True)
        scores = []
        for model in (moving, idle.model):
            cells = predicted_from(model, screen, spread, name)
            pearson = np.corrcoef(cells.mean(axis=0) - controls.mean(axis=0), change)[0, 1]
            scores.append((pearson, far(cells)))
        still.append(far(controls[spread]))
        gains.append(scores[0])
        starts.append(scores[1])
    unit = np.mean(still)
    value = lambda pairs: np.array([p - e / unit for p, e in pairs])
    gain = value(gains) - value(starts)
    few = t.ppf(norm.cdf(1.0), len(gain) - 1)
    wanted = value(starts).mean() + gain.mean() - few * gain.std(ddof=1) / np.sqrt(len(gain))
    assert float(score) == pytest.approx(wanted, abs=2e-3)
    assert float(beside["validation_pearson"]) == pytest.approx(np.mean(gains, 0)[0], abs=2e-3)
    assert float(beside["validation_e_distance"]) == pytest.approx(np.mean(gains, 0)[1], rel=2e-2)


def predicted_from(model, screen, rows, name):
    """Cells from some controls, which are moved around the mean of all."""
    moves = model.anchor.moves([Condition.parse(name)], [""])[0]
    cells = jnp.asarray(screen.dense(screen.rows("control")))
    centre = cells.mean(axis=0)
    cells = cells[rows][moves.drawn(cells[rows], centre)]
    starts = moves.whole(cells, centre)
    latents = model.pure.encode_cells(moves(cells, centre))
    tokens = model.names.tokens([name], 2)[0]
    found, _ = predict_once_compiled(
        model.pure, starts, latents, tokens, model.config.transport, model.config.emission, moves
    )
    return np.asarray(nonnegative(found))


@eqx.filter_jit
def predict_once_compiled(pure, *given):
    return pure.predict(*given)


def test_a_flow_may_be_paired_by_plans_without_an_anchor(screen, priors):
    config = but(LEAN, flow=MATCHING, **{"stage2.steps": 4})
    made = fit(screen, priors, config, progress=False, key=jr.key(0))
    assert np.isfinite(made.history.flow.dropna()).all()
    assert made.model.anchor is None


def test_an_encoder_that_trains_needs_starts_of_its_own():
    with pytest.raises(ValueError, match="leave it out of stage2.trains"):
        but(
            ANCHORED,
            terms=(Weighted(Reconstruction(batch=8), 1.0),),
            **{"stage2.trains": ("velocity", "encoder")},
        )
    assert isinstance(LEAN.flow, FlowMatching)


def scored(screen, model, criterion=None):
    """The score of a field that moves, that of none, and what is logged of the first."""
    criterion = criterion or PopulationCriterion(cells=64, measured=64, components=5)
    pure = model.pure
    setting = train.make_setting(pure, model.names, screen, ANCHORED, anchor=model.anchor)
    facts = criterion.prepare(setting, key=jr.key(0))
    data = dataclasses.replace(train.flow_data(setting), own=facts)
    score, beside = criterion(moved(pure), data)
    return float(score), float(jnp.mean(facts.start)), beside


@pytest.mark.parametrize("number", [1, 3])
def test_one_condition_alone_does_not_select_a_flow(idle, screen, number):
    chosen = screen.select([c.name for c in screen.conditions[:number]])
    model = idle.model
    setting = train.make_setting(model.pure, model.names, chosen, ANCHORED, anchor=model.anchor)
    criterion = PopulationCriterion(cells=64, measured=64, components=5)
    facts = criterion.prepare(setting, key=jr.key(0))
    # As if every condition had been ten worse without the flow.
    worse = dataclasses.replace(facts, start=facts.start - 10)
    data = dataclasses.replace(train.flow_data(setting), own=worse)
    score, beside = criterion(model.pure, data)
    gain = 0.0 if number == 1 else 10.0
    assert float(beside["validation_gain"]) == pytest.approx(gain, abs=1e-3)
    assert float(score) == pytest.approx(float(jnp.mean(worse.start)) + gain, abs=1e-2)


def test_conditions_without_any_effect_have_a_finite_score(idle, screen):
    """Their energy distance from the controls may be below zero, and is no unit then."""
    names = [c.name for c in screen.conditions if not c.is_control][:4]
    controls = screen.dense(screen.rows("control"))
    for seed in range(4):
        values, rng = screen.dense(), np.random.default_rng(seed)
        for name in names:
            rows = screen.rows(name)
            values[rows] = controls[rng.integers(0, len(controls), len(rows))]
        blank = dataclasses.replace(screen, expression=csr_matrix(values)).select(names)
        score, start, beside = scored(blank, idle.model)
        assert abs(start) < 200
        assert abs(score - start) < 200
        assert np.isfinite(float(beside["validation_e_distance"]))


def test_a_condition_in_two_contexts_is_one_witness(idle, screen):
    """Twice the same cells in another context say nothing more than once."""
    index = np.r_[np.zeros(screen.num_cells), np.ones(screen.num_cells)].astype(np.int32)
    rows = np.tile(np.arange(screen.num_cells), 2)
    twice = dataclasses.replace(
        screen.take(rows), contexts=("a", "b"), context_index=index,
        cells=tuple(f"cell {i}" for i in range(len(rows))),
    )  # fmt: skip
    once, both = scored(screen, idle.model), scored(twice, idle.model)
    np.testing.assert_allclose(both[:2], once[:2], atol=1e-3)


def test_starts_without_an_anchor_are_spread_over_all_controls(screen, trained, monkeypatch):
    monkeypatch.setattr("scbig.train._starts.MOST", 7)
    setting = train.make_setting(trained.pure, trained.names, screen, LEAN)
    data = train.flow_data(setting)
    found = train.own_starts(setting, data)
    rows = screen.rows("control")
    wanted = data.latents[jnp.asarray(rows[[i * len(rows) // 7 for i in range(7)]])]
    for group in found:
        np.testing.assert_array_equal(group, wanted)
