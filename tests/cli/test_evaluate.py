"""`scbig evaluate` on files from elsewhere: what is scored, what is left out, and what is said."""

from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd

from scbig import baselines, metrics
from scbig.cli import main
from scbig.data import record_columns


def test_what_was_not_measured_is_left_out_of_the_scores(tmp_path, capsys):
    """Two contexts: one condition is measured in one only, another by three cells."""
    rng = np.random.default_rng(0)
    labels = [("control", "x"), ("control", "y"), ("A", "x"), ("A", "y"), ("B", "x")]
    pairs = [pair for pair in labels for _ in range(9)] + [("C", "x")] * 3 + [("C", "y")] * 9
    counts = rng.poisson(3.0, (len(pairs), 6)).astype(np.float32)
    adata: Any = ad.AnnData(np.log1p(counts * 1.3))
    adata.obs_names = [f"cell{i}" for i in range(len(pairs))]
    adata.obs["what"], adata.obs["line"] = zip(*pairs, strict=True)
    adata.write_h5ad(tmp_path / "screen.h5ad")
    guess = adata[adata.obs["what"] != "control"].copy()
    extra = guess[guess.obs["what"] == "B"].copy()
    extra.obs["line"] = "y"
    ad.concat([guess, extra], index_unique="-").write_h5ad(tmp_path / "guess.h5ad")
    files = ("--predicted", "guess.h5ad", "--data", "screen.h5ad", "--out", "scores.csv")
    named = [str(tmp_path / word) if "." in word else word for word in files]
    keys = ("--condition-key", "what", "--context-key", "line")
    assert main(["evaluate", *named, *keys, "--equal-cells", "--no-ceiling"]) == 0
    said = capsys.readouterr().out
    assert "Too few cells, and without an E-distance: \"('x', 'C')\"" in said
    assert (
        "defined in fewer perturbations: e_distance in 4 of 5, e_distance_floor in 4 of 5." in said
    )
    scores = pd.read_csv(tmp_path / "scores.csv").set_index("cells").loc["predicted"]
    line = next(line for line in said.splitlines() if line.startswith("e_distance "))
    assert float(line.split()[1]) == round(scores["e_distance"].mean(), 3)
    assert "e_distance_floor" in pd.read_csv(tmp_path / "scores.csv")
    assert main(["evaluate", *named, *keys]) == 0
    said = capsys.readouterr().out
    assert "left out: 'B in y'" in said
    assert "without a ceiling: 'C'" in said
    assert "One cell alone" not in said
    assert "5 perturbations are scored, of 3 to 9 measured cells each, beside 9 controls." in said
    assert "2 contexts have too few control cells" in said
    scores = pd.read_csv(tmp_path / "scores.csv").set_index(["cells", "context", "condition"])
    scored = {*scores.loc["predicted"].index}
    assert scored == {("x", "A"), ("y", "A"), ("x", "B"), ("x", "C"), ("y", "C")}
    assert {*scores.loc["split-half"].index} == scored - {("x", "C")}


def test_predicted_cells_are_read_as_the_measured_ones(tmp_path, capsys):
    """By the same columns, separator and control names; what records its columns, by those."""
    rng = np.random.default_rng(0)
    labels = [label for label in ("AAVS1", "A", "B", "A_B") for _ in range(9)]
    adata: Any = ad.AnnData(np.log1p(rng.poisson(3.0, (36, 6)).astype(np.float32) * 1.3))
    adata.obs_names = [f"cell{i}" for i in range(36)]
    adata.obs["what"] = labels
    adata.write_h5ad(tmp_path / "screen.h5ad")
    adata.obs["what"] = [{"A_B": "B_A_AAVS1"}.get(label, label) for label in labels]
    files = {"predicted": "guess.h5ad", "data": "screen.h5ad", "out": "scores.csv"}
    named = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    keys = ("--condition-key", "what", "--control", "AAVS1", "--separator", "_", "--no-ceiling")
    usual: Any = adata.copy()
    usual.obs = usual.obs.rename(columns={"what": "condition"})
    recorded: Any = usual.copy()
    recorded.obs["what"] = "AAVS1"
    recorded.obs["condition"] = ["A+B"] * 18 + ["A"] * 9 + ["B"] * 9
    record_columns(recorded, None)
    for guess in (adata, usual, recorded):
        guess.write_h5ad(tmp_path / "guess.h5ad")
        assert main(["evaluate", *named, *keys]) == 0
        assert "left out" not in capsys.readouterr().out
        scores = pd.read_csv(tmp_path / "scores.csv").set_index("cells")
        assert list(scores.loc["predicted", "condition"]) == ["A", "A+B", "B"]


def test_two_columns_that_could_be_the_labels_are_the_users_to_choose(tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = [label for label in ("control", "A", "B") for _ in range(9)]
    adata: Any = ad.AnnData(np.log1p(rng.poisson(3.0, (27, 6)).astype(np.float32) * 1.3))
    adata.obs_names = [f"cell{i}" for i in range(27)]
    adata.obs["what"] = labels
    adata.write_h5ad(tmp_path / "screen.h5ad")
    adata.obs["condition"] = ["control"] * 9 + ["B"] * 9 + ["A"] * 9
    adata.write_h5ad(tmp_path / "guess.h5ad")
    files = {"predicted": "guess.h5ad", "data": "screen.h5ad", "out": "scores.csv"}
    named = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    run = ["evaluate", *named, "--condition-key", "what", "--no-ceiling"]
    assert main(run) == 1
    assert "differ in 18 of 27 cells (the first 'A' and 'B')" in capsys.readouterr().err
    for key, wrong in (("what", False), ("condition", True)):
        assert main([*run, "--predicted-condition-key", key]) == 0
        scores = pd.read_csv(tmp_path / "scores.csv")
        assert (scores["l2"] > 1e-6).all() == wrong


def test_conditions_of_other_contexts_are_named_with_both_sides(tmp_path, capsys):
    rng = np.random.default_rng(0)
    labels = [label for label in ("control", "A", "B") for _ in range(9)]
    adata: Any = ad.AnnData(np.log1p(rng.poisson(3.0, (27, 6)).astype(np.float32) * 1.3))
    adata.obs_names = [f"cell{i}" for i in range(27)]
    adata.obs["condition"], adata.obs["batch"] = labels, "first"
    adata.write_h5ad(tmp_path / "screen.h5ad")
    adata.obs["batch"] = "1st"
    adata.write_h5ad(tmp_path / "guess.h5ad")
    files = {"predicted": "guess.h5ad", "data": "screen.h5ad", "out": "scores.csv"}
    named = [word for name, file in files.items() for word in (f"--{name}", str(tmp_path / file))]
    assert main(["evaluate", *named, "--context-key", "batch"]) == 1
    errors = capsys.readouterr().err
    assert "predicted are 'A', 'B' in the contexts '1st'" in errors
    assert "and measured 'A', 'B' in the contexts 'first'" in errors


def test_simple_rules_stand_beside_the_prediction(tmp_path, capsys, four_genes):
    """The same scores as `compare` gives them; no training cell may be of what was predicted."""
    test = ["g0+g1", "g2+g3"]
    training = four_genes.without(test)
    guess = baselines.Additive.fit(training).predict(four_genes.controls, test, key=jr.key(0))
    paths = {name: tmp_path / f"{name}.h5ad" for name in ("predicted", "data", "training")}
    guess.write_h5ad(paths["predicted"])
    four_genes.to_anndata().write_h5ad(paths["data"])
    training.to_anndata()[:, ::-1].copy().write_h5ad(paths["training"])
    words = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    run = ["evaluate", *words, "--out", str(tmp_path / "scores.csv")]
    assert main(run) == 0
    said = capsys.readouterr().out
    for rule in ("control", "perturbed mean", "additive", "split-half"):
        assert rule in said
    scores = pd.read_csv(tmp_path / "scores.csv").set_index(["cells", "condition"])
    asked: Any = four_genes, four_genes, test
    rules: Any = {
        "control": baselines.Control.fit(training),
        "perturbed mean": baselines.PerturbedMean.fit(training),
        "additive": baselines.Additive.fit(training),
    }
    table = baselines.compare(rules, *asked, key=jr.key(0))
    for rule in rules:
        mine, theirs = scores.loc[rule], table.xs(rule, level="predictor")
        columns = ["pearson_delta", "acc", "l2", "mse", "pds", "e_distance"]
        np.testing.assert_allclose(mine[columns], theirs[columns], rtol=2e-4, atol=1e-5)
    leaking = [str(paths["data"]) if w == str(paths["training"]) else w for w in run]
    assert main(leaking) == 1
    assert "have 2 of the predicted conditions: 'g0+g1', 'g2+g3'" in capsys.readouterr().err


def test_the_table_has_what_it_is_asked_for(tmp_path, capsys, four_genes):
    """Changed genes, weights, interactions and held controls, as `evaluate` scores them."""
    test = ["g0+g1", "g2+g3"]
    screen, held = metrics.hold_controls(four_genes)
    training = screen.without(test)
    guess = baselines.Additive.fit(training).predict(screen.controls, test, key=jr.key(0))
    cells = {
        "predicted": guess,
        "data": screen.to_anndata(),
        "training": training.to_anndata(),
        "held-controls": held.to_anndata(),
    }
    for name, adata in cells.items():
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
    words = [word for name in cells for word in (f"--{name}", str(tmp_path / f"{name}.h5ad"))]
    asked = ["--changed", "bh", "--weighted", "rest", "--interactions"]
    out = ["--out", str(tmp_path / "scores.csv")]
    assert main(["evaluate", *words, *asked, *out]) == 0
    scores = pd.read_csv(tmp_path / "scores.csv").set_index(["cells", "condition"])
    wanted = metrics.evaluate(
        guess,
        screen.select(test),
        held_controls=held,
        changed="bh",
        weighted="rest",
        singles=metrics.single_profiles(training),
    )
    assert {"des", "wmse", "r2_delta", "gi_pearson"} <= {*wanted}
    pd.testing.assert_frame_equal(scores.loc["predicted"], wanted, rtol=1e-4, check_dtype=False)
    # The rule that made the prediction stands beside it with its scores: from held controls too.
    means = ["pearson_delta", "l2", "mse", "wmse", "gi_error"]
    np.testing.assert_allclose(
        scores.loc["additive", means], scores.loc["predicted", means], rtol=2e-4, atol=1e-5
    )
    halves = metrics.split_half(screen.select(test), held_controls=held)
    np.testing.assert_allclose(
        scores.loc["split-half", "pearson_delta"], halves["pearson_delta"], rtol=1e-4
    )
    alone = [word for word in words if "training" not in word]
    assert main(["evaluate", *alone, "--interactions", *out]) == 1
    assert "--interactions needs" in capsys.readouterr().err
