"""Predicted cells beside the controls that they are held against, averaged by hand."""

import pathlib
import re
from typing import Any

import anndata as ad
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import analysis
from scbig.anchor import nonnegative
from scbig.data import Columns, Screen
from scbig.model import Changed
from scbig.service import TrainedModel

from .test_ranking import untrained

ASKED = ["g0+g1", "g2"]


@pytest.fixture(scope="module", params=["decoded", "changed"])
def model(request, four_genes: Any) -> TrainedModel:
    return untrained(
        four_genes, 0, **({"emission": Changed()} if request.param == "changed" else {})
    )


def in_lines(screen: Screen) -> Screen:
    """Controls in two lines in turn, of which the second is higher in its first gene."""
    cells = screen.to_anndata()
    cells.obs["line"] = np.where(np.arange(len(cells)) % 2, "x", "y")
    dense = screen.dense()
    dense[1::2, 0] += 1.0
    cells.X = dense
    return Screen.from_anndata(cells, Columns(context="line"))


def expected(model: TrainedModel, screen: Screen, name: str, context: str | None) -> np.ndarray:
    """The mean change of one condition, predicted from the controls of one context alone."""
    cells = screen.dense(screen.rows("control", context))
    guess: Any = model.predict(
        ad.AnnData(cells, var=pd.DataFrame(index=pd.Index(screen.genes))), [name], key=jr.key(7)
    )
    origin = cells
    if not isinstance(model.config.emission, Changed):
        latents = model.pure.encode_cells(jnp.asarray(cells))
        origin = np.asarray(nonnegative(model.pure.decode_cells(latents)))
    return guess.X.mean(axis=0) - origin.mean(axis=0)


def changes(screen: Screen) -> dict[tuple[str, str], np.ndarray]:
    """The change of each condition from the controls of its context."""
    found = screen.responses()
    places = zip(found.context_index, found.condition_index, strict=True)
    names = [(found.contexts[c], found.conditions[p].name) for c, p in places]
    return dict(zip(names, found.changes, strict=True))


def test_changes_are_from_the_controls_as_the_model_has_them(model, four_genes):
    found = analysis.predicted_screen(model, four_genes, ASKED, key=jr.key(1))
    own = changes(found)
    assert {*own} == {("", "g0+g1"), ("", "g2")}
    for name in ASKED:
        np.testing.assert_allclose(
            own["", name], expected(model, four_genes, name, None), atol=2e-5
        )
    # Measured controls are others, unless the flow changes measured cells.
    controls = found.dense(found.rows("control"))
    measured = four_genes.dense(four_genes.rows("control"))
    apart = np.abs(controls.mean(axis=0) - measured.mean(axis=0)).max()
    assert (apart < 1e-6) == isinstance(model.config.emission, Changed)


def test_what_the_page_of_programs_says_works(model, four_genes):
    page = (pathlib.Path(__file__).parents[2] / "docs" / "programs.md").read_text()
    (code,) = [own for own in re.findall(r"```python\n(.*?)```", page, re.S) if "predicted_" in own]
    for screen in (four_genes, in_lines(four_genes)):
        names: Any = {"scbig": scbig, "jax": jax, "model": model, "screen": screen}
        exec(code.replace("A+B", "g0+g1"), names)
        table = names["table"]
        assert {*table["context"]} == {*screen.contexts}
        assert {*table["condition"]} == {"g0+g1"}
        assert {*table["cells"]} == {200}


def test_contexts_are_kept_each_with_its_own_controls(model, four_genes):
    screen = in_lines(four_genes)
    found = analysis.predicted_screen(model, screen, ASKED, key=jr.key(1))
    assert found.contexts == ("x", "y")
    own = changes(found)
    assert len(own) == 4
    for (context, name), change in own.items():
        np.testing.assert_allclose(change, expected(model, screen, name, context), atol=2e-5)
    # The tables of the room read it.
    table = analysis.program_response(found, model.pure.partition, draws=5)
    row: Any = table[(table["context"] == "x") & (table["condition"] == "g2")]
    weights = np.asarray(model.pure.partition.averaging())
    np.testing.assert_allclose(row["response"], own["x", "g2"] @ weights, atol=1e-5)


def test_so_many_cells_are_predicted_beside_all_controls_under_names_of_their_own(
    model, four_genes
):
    cells = four_genes.to_anndata()
    # A control that is called as a predicted cell will be.
    cells.obs_names = ["g2-0", *cells.obs_names[1:]]
    screen = Screen.from_anndata(cells)
    found = analysis.predicted_screen(model, screen, ["g2", "g1+g0"], cells=7, key=jr.key(1))
    sizes = {c.name: len(found.rows(c)) for c in found.conditions}
    assert sizes == {"control": 24, "g0+g1": 7, "g2": 7}
    assert len({*found.cells}) == found.num_cells
    again = model.predict(screen, ["g2", "g1+g0"], cells=7, key=jr.key(1))
    beside = analysis.beside_controls(model, again, screen)
    np.testing.assert_array_equal(beside.dense(), found.dense())
    assert beside.cells == found.cells


def test_cells_of_a_file_are_read_by_the_columns_that_it_tells(model, four_genes, tmp_path):
    screen = in_lines(four_genes)
    cells = screen.to_anndata(context_key="line")
    columns = Columns(context="line")
    guess = model.predict(cells, ASKED, columns, cells=5, key=jr.key(1))
    guess.write_h5ad(tmp_path / "predicted.h5ad")
    found = analysis.beside_controls(model, ad.read_h5ad(tmp_path / "predicted.h5ad"), screen)
    given: Any = {"cells": 5, "key": jr.key(1)}
    wanted = analysis.predicted_screen(model, screen, ASKED, **given)
    assert found.contexts == wanted.contexts
    for context in ("x", "y"):
        for name in ("control", *ASKED):
            one, other = (own.dense(own.rows(name, context)) for own in (found, wanted))
            np.testing.assert_allclose(one, other, atol=1e-5)


def test_genes_come_in_the_models_order_whatever_that_of_the_controls(model, four_genes):
    order = np.arange(20)[::-1]
    other = Screen.from_anndata(four_genes.to_anndata()[:, order].copy())
    one, two = (
        analysis.predicted_screen(model, screen, ["g2"], key=jr.key(1))
        for screen in (four_genes, other)
    )
    assert one.genes == two.genes == four_genes.genes
    np.testing.assert_allclose(one.dense(), two.dense(), atol=1e-5)


def test_what_cannot_stand_beside_is_named(model, four_genes):
    guess = model.predict(four_genes, ["g2"], cells=4, key=jr.key(0))
    with pytest.raises(ValueError, match=r"predicted cells: none; of the controls: 'x', 'y'\."):
        analysis.beside_controls(model, guess, in_lines(four_genes))
    with pytest.raises(ValueError, match="lack 1 .'g0'"):
        analysis.beside_controls(model, guess[:, 1:].copy(), four_genes)
    with pytest.raises(ValueError, match="leave control out of the conditions"):
        analysis.predicted_screen(model, four_genes, ["g2", "control"], cells=4, key=jr.key(0))
    guess.obs_names = ["a", "b", "a", "c"]
    with pytest.raises(ValueError, match="1 cell names are there more than once: 'a'"):
        analysis.beside_controls(model, guess, four_genes)
