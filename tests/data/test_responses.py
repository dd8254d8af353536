"""Mean responses of a screen, against loops over its cells."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.data import Columns, Condition, Screen, _stored

SIZES = {
    ("y", "control"): 7,
    ("x", "B"): 3,
    ("x", "ctrl"): 4,
    ("y", "B+A"): 5,
    ("x", "A"): 6,
    ("y", "B"): 2,
}


def make_adata(sizes=SIZES):
    rng = np.random.default_rng(0)
    cells = [pair for pair, size in sizes.items() for _ in range(size)]
    cells = [cells[i] for i in rng.permutation(len(cells))]
    values = np.log1p(rng.gamma(1.0, size=(len(cells), 5))).astype(np.float32)
    values *= rng.uniform(size=values.shape) < 0.6
    index = pd.Index([f"cell{i}" for i in range(len(cells))])
    obs = pd.DataFrame(cells, columns=pd.Index(["line", "condition"]), index=index)
    return ad.AnnData(values, obs=obs)


@pytest.fixture(params=["memory", "stored"])
def screen(request, tmp_path, monkeypatch):
    monkeypatch.setattr(_stored, "BLOCK", 4)
    adata = make_adata()
    if request.param == "memory":
        return Screen.from_anndata(adata, Columns(context="line"))
    adata.write_h5ad(tmp_path / "screen.h5ad")
    return Screen.open(tmp_path / "screen.h5ad", Columns(context="line"))


def profile(line, *names):
    adata = make_adata()
    chosen = (adata.obs["line"] == line) & adata.obs["condition"].isin(names)
    return np.asarray(adata.X)[chosen.to_numpy()].astype(np.float64).mean(axis=0)


def test_each_group_is_compared_with_the_controls_of_its_context(screen):
    found = screen.responses()
    pairs = [
        (found.conditions[c].name, found.contexts[x])
        for c, x in zip(found.condition_index, found.context_index, strict=True)
    ]
    assert pairs == [("A", "x"), ("A+B", "y"), ("B", "x"), ("B", "y")]
    assert found.cells.tolist() == [6, 5, 3, 2]
    assert found.control_cells.tolist() == [4, 7]
    spelled = {"A": "A", "A+B": "B+A", "B": "B"}
    for (name, line), change in zip(pairs, found.changes, strict=True):
        expected = profile(line, spelled[name]) - profile(line, "control", "ctrl")
        np.testing.assert_allclose(change, expected, rtol=1e-5, atol=1e-6)
    for line, origin in zip(found.contexts, found.origins, strict=True):
        np.testing.assert_allclose(origin, profile(line, "control", "ctrl"), rtol=1e-6)
    norms = [np.sqrt(sum(float(v) ** 2 for v in change)) for change in found.changes]
    np.testing.assert_allclose(found.norms(), norms, rtol=1e-6)


def test_contexts_weigh_the_same_in_a_condition_and_cells_in_the_control(screen):
    found = screen.responses()
    assert found.perturbed == (Condition(("A",)), Condition(("A", "B")), Condition(("B",)))
    change = lambda line: profile(line, "B") - profile(line, "control", "ctrl")
    expected = (change("x") + change("y")) / 2
    np.testing.assert_allclose(found.by_condition()[2], expected, rtol=1e-5, atol=1e-6)
    is_control = make_adata().obs["condition"].isin(["control", "ctrl"]).to_numpy()
    expected = np.asarray(make_adata().X)[is_control].mean(axis=0)
    np.testing.assert_allclose(found.control_mean(), expected, rtol=1e-6)


def test_controls_are_a_screen_that_stays_where_it_is(screen):
    controls = screen.controls
    assert controls.stored == screen.stored
    assert controls.conditions == (Condition(),)
    assert controls.contexts == ("x", "y")
    np.testing.assert_array_equal(controls.dense(), screen.dense(screen.rows("control")))
    assert controls.responses().perturbed == ()
    with pytest.raises(ValueError, match="no perturbation, only controls"):
        controls.responses().by_condition()


def test_a_stored_screen_is_read_once_and_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(_stored, "BLOCK", 4)
    make_adata().write_h5ad(tmp_path / "screen.h5ad")
    screen = Screen.open(tmp_path / "screen.h5ad", Columns(context="line"))
    read = []
    inner = _stored.StoredMatrix.__getitem__

    def spy(matrix, rows):
        read.append(matrix.rows[rows])
        return inner(matrix, rows)

    monkeypatch.setattr(_stored.StoredMatrix, "__getitem__", spy)
    screen.responses()
    assert max(map(len, read)) == 4
    np.testing.assert_array_equal(np.concatenate(read), np.arange(screen.num_cells))
