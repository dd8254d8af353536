"""The readers of the small real screens, with the numbers that the files are known to have."""

import pathlib
import runpy

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig import data

SCRIPT = runpy.run_path(str(pathlib.Path(__file__).parents[1] / "experiments" / "screens.py"))
NORMAN = "data/norman19_k562_3375x500.h5ad"
MCFALINE = "data/mcfaline23_glioma_2586x500.h5ad"
PAPALEXI = "data/papalexi21_thp1_20729x299.h5ad"
KINASES = [
    *("MAP2K3", "MAP2K6", "MAP3K21", "MAP4K3", "MAP4K5", "MAPK1", "PLK4", "SGK1", "TGFBR2"),
]


def test_norman(shared_file):
    screen = SCRIPT["norman"](shared_file(NORMAN))
    row = SCRIPT["describe"](screen)
    assert (row["cells"], row["genes"], row["conditions"]) == (3375, 500, 34)
    assert (row["singles"], row["doubles"], row["controls"]) == (18, 15, 100)
    assert row["targets measured"] == 1
    assert set(screen.perturbations) & set(screen.genes) == {"TMSB4X"}


def test_mcfaline(shared_file):
    screen = SCRIPT["mcfaline"](shared_file(MCFALINE))
    assert screen.expression.shape == (2586, 500)
    assert screen.contexts == ("A172", "T98G", "U87MG")
    assert [c.name for c in screen.conditions] == [*KINASES, "control"]
    for context in screen.contexts:
        assert all(screen.rows(c, context).size for c in screen.conditions)
        assert len(screen.rows("control", context)) == 100


def test_papalexi_whole(shared_file):
    screen = SCRIPT["papalexi"](shared_file(PAPALEXI), guide_fraction=0.0)
    row = SCRIPT["describe"](screen)
    assert (row["cells"], row["genes"], row["singles"], row["doubles"]) == (20729, 299, 25, 0)
    assert row["controls"] == 2386
    assert screen.contexts == ("rep_1", "rep_2", "rep_3")
    # Log-normalised to 10,000 a cell.
    totals = np.expm1(screen.dense(np.arange(50)).astype(float)).sum(1)
    np.testing.assert_allclose(totals, 1e4, rtol=1e-4)


def test_papalexi_keeps_the_cells_with_a_sure_guide(shared_file):
    path = shared_file(PAPALEXI)
    obs = ad.read_h5ad(path).obs
    sure = obs[obs["top_guide_frac"] >= 0.8]
    screen = SCRIPT["papalexi"](path)
    assert screen.num_cells == len(sure) < len(obs)
    assert list(screen.cells) == list(sure.index)
    counts = sure.groupby(["target", "batch"], observed=True).size()
    for condition in screen.conditions:
        label = "non-targeting" if condition.is_control else condition.name
        for context in screen.contexts:
            assert len(screen.rows(condition, context)) == counts[label, context]


def test_the_table_of_all_three(shared_file, tmp_path, capsys):
    run = SCRIPT["Screens"](
        norman=shared_file(NORMAN),
        mcfaline=shared_file(MCFALINE),
        papalexi=shared_file(PAPALEXI),
        out=tmp_path / "new",
    )
    tables = SCRIPT["main"](run)
    screens = tables["screens"]
    assert list(screens["cells in file"]) == [3375, 2586, 20729]
    assert list(screens["cells"]) == [3375, 2586, 16192]
    assert list(screens["fewest controls"]) == [100, 100, 600]
    assert list(screens["contexts"]) == [1, 3, 3]
    said = capsys.readouterr().out
    assert all(name in said for name in ("papalexi", "fewest controls", "U87MG", "split-half"))
    written = pd.read_csv(tmp_path / "new" / "screens.csv", index_col=0)
    pd.testing.assert_frame_equal(written, screens)
    again = data.Screen.from_anndata(
        data.read_h5ad(tmp_path / "new" / "papalexi.h5ad"), data.Columns(context="context")
    )
    assert SCRIPT["describe"](again) == SCRIPT["describe"](SCRIPT["papalexi"](run.papalexi))
    scores = pd.read_csv(tmp_path / "new" / "transfer.csv", index_col=[0, 1, 2])
    check_transfer(scores, ad.read_h5ad(shared_file(MCFALINE)))


def check_transfer(scores, cells):
    """Each line is predicted from its own controls and from the effects in the other lines."""
    lines = ["A172", "T98G", "U87MG"]
    assert scores.index.unique("context").tolist() == lines
    assert scores.index.unique("condition").tolist() == KINASES
    assert len(scores) == 4 * 3 * 9
    mean = lambda line, label: np.asarray(
        cells[(cells.obs["cell_type"] == line) & (cells.obs["condition"] == label)].X.mean(axis=0)
    ).ravel()
    effect = lambda line, label: mean(line, label) - mean(line, "control")
    found, raw = [], []
    for line in lines:
        others = [other for other in lines if other != line]
        for label in KINASES:
            change = np.mean([effect(other, label) for other in others], axis=0)
            # Predicted cells cannot be negative, and so neither can their mean.
            guess = np.maximum(mean(line, "control") + change, 0) - mean(line, "control")
            raw.append(np.corrcoef(guess, effect(line, label))[0, 1])
            found.append(scores.loc[("additive", line, label), "pearson_delta"])
    np.testing.assert_allclose(found, raw, atol=1e-3)
    # No more than a hint crosses between these lines; a replicate shows that there is more to find.
    averages = scores["pearson_delta"].groupby(level="predictor").mean()
    assert 0.03 < averages["additive"] < 0.2 < averages["split-half"] < 0.5


def test_no_file_is_an_error():
    with pytest.raises(SystemExit, match="at least one file"):
        SCRIPT["main"](SCRIPT["Screens"]())
