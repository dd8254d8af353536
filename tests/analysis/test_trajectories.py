"""Cells on their way: ends that are predictions, ways against Euler's method by hand."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig import analysis, plotting
from scbig._errors import NumericalFailure
from scbig.anchor import AbstractFittedAnchor, Moves
from scbig.data import Condition
from scbig.flow import adaptive, fixed
from scbig.model import Changed
from scbig.service import courses

from .test_ranking import untrained

CONDITIONS = ["g0+g1", "g2"]


@pytest.fixture(scope="module", params=["decoded", "changed"])
def model(request, four_genes: Any) -> Any:
    more = {"emission": Changed()} if request.param == "changed" else {}
    return untrained(four_genes, 0, transport=adaptive(1e-6, 1e-6), **more)


def test_the_end_is_the_prediction_and_the_start_is_the_control(model, four_genes):
    options: Any = {"cells": 6, "key": jr.key(3)}
    found = [*courses(model, four_genes, CONDITIONS, (0.0, 0.5, 1.0), **options)]
    guess = model.predict(four_genes, CONDITIONS, nonnegative=False, **options)
    cells = four_genes.to_anndata()
    for own in found:
        mine: Any = guess[guess.obs["condition"] == own.condition]
        np.testing.assert_allclose(own.expression[-1], mine.X, atol=1e-4)
        assert [*own.sources] == [*mine.obs["source"]]
        controls: Any = cells[[*own.sources]].X
        started = model.pure.encode_cells(jnp.asarray(controls.toarray()))
        np.testing.assert_allclose(own.latents[0], started, atol=1e-5)


def test_the_way_is_that_of_small_steps(model, four_genes):
    (own,) = courses(model, four_genes, ["g0+g1"], (0.0, 0.25, 1.0), cells=4, key=jr.key(0))
    tokens = model.names.tokens(["g0+g1"], model.config.max_tokens)[0]
    condition, z, steps = model.pure.condition(tokens), jnp.asarray(own.latents[0]), 400
    ways = [z]
    for step in range(steps):
        velocity = [model.pure.velocity(jnp.asarray(step / steps), x, condition) for x in z]
        z = z + jnp.stack(velocity) / steps
        ways.append(z)
    np.testing.assert_allclose(own.latents[1], ways[steps // 4], atol=5e-3)
    np.testing.assert_allclose(own.latents[2], ways[-1], atol=1e-2)


def test_the_plane_is_that_of_principal_components(model, four_genes):
    given: Any = {"times": 3, "cells": 5, "key": jr.key(1)}
    table = analysis.trajectories(model, four_genes, CONDITIONS, **given)
    assert len(table) == 2 * 5 * 3
    assert {*table["start"]} == {"control"}
    found = [*courses(model, four_genes, CONDITIONS, (0, 0.5, 1), cells=5, key=jr.key(1))]
    whole = np.concatenate([own.latents.reshape(15, -1) for own in found]).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(whole.T))
    axes = vectors[:, ::-1][:, :2]
    expected = (whole - whole.mean(axis=0)) @ axes
    places = table[["x", "y"]].to_numpy()
    np.testing.assert_allclose(np.abs(places), np.abs(expected), atol=1e-4)
    share = values[::-1][:2].sum() / values.sum()
    np.testing.assert_allclose(table["share"], share, rtol=1e-4)
    # Each axis points where cells go.
    at: Any = {time: own[["x", "y"]].to_numpy() for time, own in table.groupby("time")}
    starts, ends = at[0.0], at[1.0]
    assert ((ends - starts).sum(axis=0) >= 0).all()


def test_programs_change_from_nothing_to_what_is_predicted(model, four_genes):
    given: Any = {"times": 4, "cells": 20, "key": jr.key(2)}
    table = analysis.program_course(model, four_genes, ["g2"], **given)
    assert len(table) == 4 * 4
    assert (table[table["time"] == 0.0][["response", "low", "high"]] == 0).all(axis=None)
    (own,) = courses(model, four_genes, ["g2"], (0, 1), cells=20, key=jr.key(2))
    for program in range(4):
        change = (own.expression[1] - own.expression[0])[:, program::4].mean(axis=1)
        row: Any = table[(table["time"] == 1.0) & (table["program"] == program)].iloc[0]
        np.testing.assert_allclose(row["response"], change.mean(), atol=1e-5)
        half = 1.96 * change.std() / np.sqrt(20)
        np.testing.assert_allclose(row["high"] - row["low"], 2 * half, rtol=0.25, atol=1e-6)


def test_what_has_no_course_is_named(model, four_genes):
    ask = lambda times, names=("g2",): [
        *courses(model, four_genes, list(names), times, cells=2, key=jr.key(0))
    ]
    for times in ((0.5, 0.2), (-0.1, 1.0), (0.0, 1.1), ()):
        with pytest.raises(ValueError, match="Flow times increase from 0 to 1"):
            ask(times)
    with pytest.raises(ValueError, match="list of labels"):
        ask((0, 1), ())
    with pytest.raises(ValueError, match="'none'"):
        ask((0, 1), ("none",))
    with pytest.raises(ValueError, match="at least two times; got 1"):
        analysis.trajectories(model, four_genes, ["g2"], times=1, key=jr.key(0))


def test_a_solve_that_does_not_end_names_its_population(four_genes):
    model = untrained(four_genes, 0, transport=adaptive(1e-6, 1e-6, max_steps=2))
    with pytest.raises(NumericalFailure, match="The solve for g2 ran out of 2 steps"):
        list(courses(model, four_genes, ["g2"], (0, 1), cells=2, key=jr.key(0)))


class Raised(AbstractFittedAnchor):
    """An anchor that raises every gene by a half."""

    def moves(self, conditions: Sequence[Condition], contexts: Sequence[str]) -> Moves:
        number, genes = len(conditions), 20
        still, shift = jnp.zeros((number, genes)), jnp.full((number, genes), 0.5)
        axes, stretch = jnp.zeros((1, genes)), jnp.zeros((number, 1, 1))
        return Moves(shift, stretch, axes, still, jnp.ones(number))

    def deviations(self, conditions: Sequence[Condition], contexts: Sequence[str]) -> np.ndarray:
        return np.zeros((len(conditions), 20))


def test_with_an_anchor_the_start_is_a_moved_control_and_the_course_leaves_its_move_out(
    four_genes,
):
    plain = untrained(four_genes, 0, emission=Changed(), transport=adaptive(1e-6, 1e-6))
    model = dataclasses.replace(plain, anchor=Raised())
    given: Any = {"cells": 6, "key": jr.key(3)}
    table = analysis.trajectories(model, four_genes, ["g2"], times=2, **given)
    assert {*table["start"]} == {"control moved by the anchor"}
    (way,) = courses(model, four_genes, ["g2"], (0, 1), **given)
    controls: Any = four_genes.to_anndata()[[*way.sources]].X
    np.testing.assert_allclose(way.expression[0], controls.toarray() + 0.5, atol=1e-5)
    table = analysis.program_course(model, four_genes, ["g2"], times=2, **given)
    whole = (way.expression[1] - controls.toarray()).mean(axis=0).reshape(5, 4).mean(axis=0)
    end = table[table["time"] == 1.0]["response"]
    np.testing.assert_allclose(end, whole - 0.5, atol=1e-4)


def test_ways_and_pairs_are_drawn(model, four_genes, tmp_path):
    table = analysis.trajectories(model, four_genes, CONDITIONS, cells=3, key=jr.key(1))
    figure = plotting.trajectories(table)
    assert [panel.get_title() for panel in figure.axes] == CONDITIONS
    ways: Any = [line for line in figure.axes[0].lines if line.get_marker() in ("None", "")]
    assert len(ways) == 3
    own = table[(table["condition"] == "g0+g1") & (table["number"] == 0)]
    np.testing.assert_allclose(ways[0].get_xdata(), own["x"])
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["start: control", "way along the flow", "end of the flow"]
    moved = plotting.trajectories(table.assign(start="something else"))
    assert moved.legends[0].get_texts()[0].get_text() == "start: something else"
    plotting.save(figure, tmp_path / "ways.png")
    with pytest.raises(ValueError, match="no condition 'g3'"):
        plotting.trajectories(table, conditions=["g3"])
    with pytest.raises(ValueError, match="0 contexts"):
        plotting.trajectories(table.iloc[:0])
    pairs = analysis.genetic_interactions(four_genes)
    figure = plotting.interaction_map(pairs)
    square: Any = figure.axes[0].images[0].get_array()
    assert square is not None
    names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert names == ["g0", "g1", "g2", "g3"]
    value = pairs.set_index("condition")["magnitude"]["g0+g2"]
    np.testing.assert_allclose([square[0, 2], square[2, 0]], value)
    assert np.ma.getmaskarray(square)[1, 2]  # a pair that was not measured
    low, high = figure.axes[0].images[0].get_clim()
    np.testing.assert_allclose((low + high) / 2, 2**0.5)
    handles: Any = figure.legends[0].legend_handles
    colours = {own.get_label(): own for own in handles}
    image: Any = figure.axes[0].images[0]
    for words, at in (("synergy: more", high), ("the sum", 2**0.5), ("buffering: less", low)):
        (own,) = [colours[name] for name in colours if name.startswith(words)]
        np.testing.assert_allclose(own.get_facecolor(), image.to_rgba(at), atol=0.01)
    assert "no such pair" in colours
    # Colours of values that none has are not shown.
    assert figure.axes[1].get_ylim()[0] == max(low, 0.0)
    plotting.save(figure, tmp_path / "map.png")
    wide = plotting.interaction_map(pairs, bound=2.0, title="measured")
    np.testing.assert_allclose(wide.axes[0].images[0].get_clim(), [2**0.5 - 2, 2**0.5 + 2])
    assert wide.axes[1].get_ylim()[0] == 0.0
    assert wide.axes[0].get_title() == "measured"
    with pytest.raises(ValueError, match="no column 'x'"):
        plotting.interaction_map(pairs, value="x")
    with pytest.raises(ValueError, match="at least one"):
        plotting.interaction_map(pairs.iloc[:0])


def test_a_fixed_solver_has_a_course_too(four_genes):
    model = untrained(four_genes, 1, transport=fixed(4))
    (own,) = courses(model, four_genes, ["g2"], (0, 0.5, 1), cells=2, key=jr.key(0))
    guess: Any = model.predict(four_genes, ["g2"], cells=2, nonnegative=False, key=jr.key(0))
    np.testing.assert_allclose(own.expression[-1], guess.X, atol=1e-5)
