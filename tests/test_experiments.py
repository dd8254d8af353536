"""Every script runs from end to end, small, and says what it promises to say."""

import dataclasses
import json
import pathlib
import runpy
import types
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scbig
from scbig import cli, simulate
from scbig.simulate import SimulationConfig

EXPERIMENTS = pathlib.Path(__file__).parents[1] / "experiments"
SCRIPTS = sorted(EXPERIMENTS.glob("*.py"))
PRESET = scbig.cpu()
# Just enough to see numbers move.
FEW = {
    "programs.clusters": 4,
    "programs.start.tries": 1,
    **{f"{part}.{name}": 8 for part in ("encoder", "decoder") for name in ("width", "mlp_width")},
    **{f"{part}.inducing": 2 for part in ("encoder", "decoder")},
    "encoder.latent": 4,
    "condition.hidden": 8,
    "condition.width": 8,
    "velocity.hidden": 8,
    "velocity.depth": 1,
    "terms.Consistency.cells": 8,
    "terms.Consistency.losses.PathwayAlignment.iterations": 10,
    "stage1.epochs": 2,
    "flow.groups": 2,
    "flow.cells": 8,
    "stage2.steps": 4,
    "stage2.steps_per_call": 4,
    "stage2.criterion.cells": 8,
}


def smoke() -> scbig.ScBIGConfig:
    """The scripts' own preset, with just enough steps."""
    return scbig.but(PRESET, **FEW)


def check(averages: pd.DataFrame, out: pathlib.Path) -> None:
    expected = [
        "scBIG",
        "scBIG, as published",
        "control",
        "perturbed mean",
        "linear",
        "additive",
        "additive x slope",
        "residual transfer",
        "mixed effects",
        "anchor",
        "autoencoder ceiling",
        "split-half",
    ]
    assert list(averages.index) == expected
    assert not averages.drop(index="control").isna().to_numpy().any()
    files = {path.name for path in out.iterdir()}
    promised = {"scores.csv", "averages.csv", "comparison.png", "training.png", "metrics.jsonl"}
    assert promised | {"model.scbig", "config.json"} <= files
    written = pd.read_csv(out / "averages.csv", index_col=0)
    pd.testing.assert_frame_equal(written, averages, check_dtype=False)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself(script, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")
    assert not left.value.code
    assert "--out" in capsys.readouterr().out


def test_genes_that_nobody_perturbed_are_predicted_by_their_like(tmp_path, capsys):
    """Effects of three pathways: membership is worth something, the same names shuffled little."""
    script = runpy.run_path(str(EXPERIMENTS / "unseen_genes.py"))
    rng = np.random.default_rng(0)
    genes = [f"{group}{number}" for group in "PQR" for number in range(10)]
    own = {group: rng.normal(size=25) for group in "PQR"}
    effect = {gene: own[gene[0]] + 0.3 * rng.normal(size=25) for gene in genes}
    pairs = [(genes[i], genes[(7 * i + 11) % 30]) for i in range(30)]
    np.savez(
        tmp_path / "effects.npz",
        genes=np.array([f"g{i}" for i in range(25)]),
        single_conditions=np.array(genes),
        single_lfc=np.array([effect[gene] for gene in genes]),
        double_conditions=np.array(["+".join(pair) for pair in pairs]),
        double_lfc=np.array([effect[a] + effect[b] for a, b in pairs]),
    )
    lines = [f"{group}\t\t" + "\t".join(f"{group}{i}" for i in range(10)) for group in "PQR"]
    (tmp_path / "sets.gmt").write_text("\n".join(lines))
    edges = [f"{a}\t{b}" for a in genes for b in genes if a[0] == b[0] and a < b]
    (tmp_path / "edges.tsv").write_text("\n".join(["first\tsecond", *edges]))
    run = script["UnseenGenes"](
        effects=tmp_path / "effects.npz",
        interactions=tmp_path / "edges.tsv",
        pathways=tmp_path / "sets.gmt",
        seeds=(6, 7),
        log_means=False,
        out=tmp_path / "new",
    )
    table = script["main"](run)
    said = capsys.readouterr().out
    assert "ahead of none" in said
    mean = table.groupby(["kind", "relation"])["pearson"].mean()
    for kind in ("single", "one of two"):
        for relation in ("interactions", "pathways"):
            assert mean[kind, relation] > mean[kind, "none"] + 0.05
            assert mean[kind, relation] > mean[kind, f"{relation}, shuffled"] + 0.05
    assert len(pd.read_csv(tmp_path / "new" / "unseen_genes.csv")) == len(table)


def write_counted_effects(path: pathlib.Path) -> None:
    """Log fold changes of whole counts: 12 singles, and 24 doubles that are nearly their sums."""
    rng = np.random.default_rng(0)
    singles = [f"P{i}" for i in range(12)]
    doubles = [f"P{i}+P{(i + k) % 12}" for k in (1, 5) for i in range(12)]
    rate = np.exp(rng.uniform(np.log(1e-8), np.log(2e-3), 120))
    own = {name: rng.normal(0, 0.7, 120) for name in singles}
    sums = [sum(own[part] for part in name.split("+")) for name in doubles]
    effects = np.array([np.zeros(120), *own.values(), *sums])
    totals = rng.integers(2_000_000, 4_000_000, len(effects))
    counts = rng.poisson(totals[:, None] * rate * np.exp(effects))
    logs = np.log(counts / totals[:, None] * 1e6 + 1)
    changes = (logs[1:] - logs[0]).astype(np.float32)
    genes = np.array([f"P{i}" for i in range(120)])
    named = {"single_conditions": np.array(singles), "double_conditions": np.array(doubles)}
    parts = {"single_lfc": changes[:12], "double_lfc": changes[12:]}
    np.savez(path, genes=genes, **named, **parts)


def test_closed_forms_are_scored_on_mean_responses_that_no_test_list_has(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "pseudobulk.py"))
    write_counted_effects(tmp_path / "effects.npz")
    kept_back = [f"P{i + 1}+P{i}" for i in range(3)]
    (tmp_path / "lists.json").write_text(json.dumps({"1": {"test": kept_back}}))
    files = {"effects": tmp_path / "effects.npz", "splits": tmp_path / "lists.json"}
    run = script["Pseudobulk"](**files, seeds=(6, 7), scales=(1e4,), out=tmp_path / "out")
    table = script["main"](run)[1e4]
    tested = set(table.index.get_level_values("condition"))
    assert tested
    assert not tested & {"P0+P1", "P1+P2", "P2+P3"}
    mean = table.groupby("predictor").pearson_delta.mean()
    assert mean["perturbed mean"] < mean["additive"] - 0.2
    assert mean["mixed effects"] > mean["additive"] - 0.02
    assert "less additive" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out" / "per10000.csv")) == len(table)

    found = simulate.recover_pseudobulk(simulate.read_effects(run.effects))
    one, other = script["halved"](found)
    for half in (one, other):
        np.testing.assert_allclose(half.counts.sum() / found.counts.sum(), 0.5, atol=0.01)
        np.testing.assert_allclose(
            half.control_counts.sum() / found.control_counts.sum(), 0.5, atol=0.02
        )
        np.testing.assert_array_equal(half.totals, found.totals / 2)
    some = found.counts > 100
    assert np.abs(one.counts[some] / found.counts[some] - 0.5).max() > 0.02


def test_ways_to_make_counts_are_held_against_measured_cells(four_genes, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "counts.py"))
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    run = script["Counts"](
        data=tmp_path / "cells.h5ad", least=10, seeds=(0,), out=tmp_path / "out"
    )  # fmt: skip
    mean = script["main"](run).groupby("predictor").mean()
    # Noise on the noise that cells have.
    assert mean.e_distance["Poisson"] > 2 * mean.e_distance["rounded in log1p"]
    assert mean.expressed["as they are"] > 1.02 * mean.expressed["rounded in log1p"]
    np.testing.assert_allclose(mean.library, 1, atol=0.1)
    assert "9 populations, 1 halves" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out" / "counts.csv")) == 4 * 9


@pytest.mark.slow
def test_the_quick_start_has_a_pulse(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "quickstart.py"))
    simulation = SimulationConfig(
        genes=40, programs=4, perturbations=5, doubles=6, control_cells=60, cells_per_condition=12
    )
    run = script["Quickstart"](
        simulation=simulation, model=smoke(), test=3, validation=2, out=tmp_path
    )
    check(script["main"](run), tmp_path)
    said = capsys.readouterr().out
    assert "adjusted Rand index" in said
    assert "scBIG ahead by" in said


@pytest.mark.slow
def test_the_norman_script_has_a_pulse_on_real_cells(shared_file, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "norman_subset.py"))
    run = script["NormanSubset"](
        data=shared_file("data/norman19_k562_3375x500.h5ad"),
        embeddings=shared_file("priors/enformer_tss_19685x32.npz"),
        interactions=shared_file("priors/string_v12_ge800.tsv.gz"),
        pathways=shared_file("priors/ReactomePathways.gmt"),
        model=smoke(),
        out=tmp_path,
    )
    averages = script["main"](run)
    check(averages, tmp_path)
    scores = pd.read_csv(tmp_path / "scores.csv")
    doubles = {
        "KLF1+MAP2K6",
        "KLF1+TGFBR2",
        "MAPK1+TGFBR2",
        "MAP2K3+MAP2K6",
        "MAP2K3+SLC38A2",
    }
    assert set(scores["condition"]) == doubles
    # Measured on the raw means with NumPy alone.
    additive = scores[(scores["predictor"] == "additive") & (scores["condition"] == "KLF1+MAP2K6")]
    assert abs(additive["pearson_delta"].item() - 0.981) < 0.005
    assert "445 of 500 genes" in capsys.readouterr().out


def one_cell_of_each(labels):
    cells = ad.AnnData(
        np.log1p(np.random.default_rng(0).gamma(2.0, size=(len(labels), 2))).astype(np.float32),
        obs=pd.DataFrame(
            {"condition": labels}, index=pd.Index([f"c{n}" for n in range(len(labels))])
        ),
        var=pd.DataFrame(index=pd.Index(["g", "h"])),
    )
    return scbig.Screen.from_anndata(cells)


def test_a_fold_of_unseen_singles_hides_their_doubles_too(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    labels = ["control", "A", "B", "C", "D", "A+B", "C+D", "E+F"]
    screen = one_cell_of_each(labels)
    nowhere = dict.fromkeys(("data", "embeddings", "interactions", "pathways"), tmp_path)
    make = lambda **options: script["Accuracy"](**nowhere, out=tmp_path, **options)
    singles = script["folds"](make(unseen="singles", held=1), screen, 0)
    assert sorted(fold.test for fold in singles) == [["A"], ["B"], ["C"], ["D"]]
    hidden = {fold.test[0]: {*fold.without} for fold in singles}
    assert hidden["A"] == {"A", "A+B"}
    assert hidden["D"] == {"D", "C+D"}
    doubles = script["folds"](make(held=2), screen, 0)
    assert sorted(name for fold in doubles for name in fold.test) == ["A+B", "C+D", "E+F"]
    assert all(fold.test == fold.without for fold in doubles)
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"7": {"train": ["A", "B", "D+C"], "test": ["B+A", "X+Y"]}}))
    (given,) = script["folds"](make(splits=path, split="7"), screen, 0)
    assert given.test == ["A+B"]
    assert {*given.without} == {"A+B", "C", "D", "E+F"}
    for wrong in ({"train": ["A"], "test": ["A", "A+B"]}, {"train": ["A"], "test": ["X"]}):
        path.write_text(json.dumps({"7": wrong}))
        with pytest.raises(SystemExit, match="Split 7"):
            script["folds"](make(splits=path, split="7"), screen, 0)
    script["claim"](make())
    script["claim"](make(seeds=5))
    with pytest.raises(SystemExit, match="scores of another run"):
        script["claim"](make(unseen="singles"))


def test_a_fold_hides_a_perturbation_at_every_dose(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    screen = types.SimpleNamespace(
        conditions=[scbig.Condition.parse(n) for n in ("control", "A@0.1", "A@1", "B@1", "A@1+B@1")]
    )
    assert script["linked"](screen, ["A@0.1"]) == ["A@0.1", "A@1", "A@1+B@1"]


def test_protocols_train_on_nothing_that_they_set_aside(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    singles = [f"G{n}" for n in range(8)]
    names = ["control", *singles, *(f"G{a}+G{b}" for b in range(8) for a in range(b))]
    screen = one_cell_of_each(names)
    nowhere = dict.fromkeys(("data", "embeddings", "interactions", "pathways"), tmp_path)
    for seed in range(3):
        run = script["Accuracy"](**nowhere, out=tmp_path, unseen="additive")
        (fold,) = script["folds"](run, screen, seed)
        assert len(fold.test) == 7
        assert len(fold.without) == 14
        assert {*fold.test} < {*fold.without} < {*names[9:]}
        run = script["Accuracy"](**nowhere, out=tmp_path, unseen="holdout")
        (fold,) = script["folds"](run, screen, seed)
        (gene,) = (name for name in fold.test if "+" not in name)
        assert {*fold.test} == {*fold.without} == {n for n in names if gene in n.split("+")}


@pytest.mark.slow
def test_unseen_doubles_are_scored_by_models_that_have_not_seen_them(shared_file, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "accuracy.py"))
    given = {
        "data": shared_file("data/norman19_k562_3375x500.h5ad"),
        "embeddings": shared_file("priors/enformer_tss_19685x32.npz"),
        "interactions": shared_file("priors/string_v12_ge800.tsv.gz"),
        "pathways": shared_file("priors/ReactomePathways.gmt"),
    }
    run = script["Accuracy"](**given, model=smoke(), out=tmp_path, seeds=1, held=8)
    averages = script["main"](run)
    assert averages.index[0] == "scBIG"
    assert {"scBIG, as published", "anchor", "additive", "autoencoder ceiling"} <= {*averages.index}
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert (scores.groupby("predictor").size() == 15).all()
    # A double that was learned from would be its own measured mean, shrunk.
    assert averages.pearson_delta["anchor"] < averages.pearson_delta["autoencoder ceiling"] + 0.5
    again = script["main"](run)
    pd.testing.assert_frame_equal(again, averages, check_exact=False)


@pytest.mark.slow
def test_one_part_is_changed_at_a_time(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "ablation.py"))
    simulation = SimulationConfig(
        genes=40, programs=4, perturbations=5, doubles=6, control_cells=60, cells_per_condition=12
    )
    arms = ("scBIG", "random programs")
    given = {"simulation": simulation, "model": smoke(), "screens": (3,), "scored": 3}
    run = script["Ablation"](**given, out=tmp_path, only=arms)
    averages = script["main"](run)
    assert set(arms) <= {*averages.index}
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert (scores.groupby(["screen", "predictor"]).size() == 3).all()
    page = (tmp_path / "ablation.md").read_text()
    assert "3 unseen doubles of 1 simulated screens" in page
    pd.testing.assert_frame_equal(script["main"](run), averages)
    with pytest.raises(SystemExit, match="No arm 'nothing'"):
        script["main"](script["Ablation"](**given, out=tmp_path, only=("nothing",)))


@pytest.mark.slow
def test_errors_are_held_against_what_the_prediction_says_of_itself(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "ensembles.py"))
    simulation = SimulationConfig(
        genes=40, programs=4, perturbations=5, doubles=6, control_cells=60, cells_per_condition=12
    )
    model = scbig.but(scbig.anchored(smoke()), **{"stage2.members": 2})
    given = {"simulation": simulation, "model": model, "screens": (3,), "scored": 3}
    told = script["main"](script["Ensembles"](**given, out=tmp_path))
    assert list(told.index) == ["noise", "anchor", "members", "both"]
    errors = pd.read_csv(tmp_path / "errors.csv")
    assert len(errors) == 3 * 40
    total = np.hypot(errors.anchor, errors.members)
    np.testing.assert_allclose(errors.both, total, rtol=1e-3, atol=1e-4)
    # Errors that a deviation tells exactly, and without noise.
    known = errors.assign(screen=3, error=errors.both, noise=0.0)
    exact = script["calibration"](known, "both")
    assert exact["genes"] == exact["conditions"] == pytest.approx(1.0)
    assert exact["covered"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("proportions", [0.0, 1.0])
def test_seen_conditions_are_compared_with_cells_that_were_held_out(tmp_path, proportions, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "shapes.py"))
    run = script["Shapes"](model=scbig.anchored(smoke()), out=tmp_path, proportions=proportions)
    means = script["main"](run)
    assert list(means.index) == ["own", "controls", "shift", "anchor", "scBIG"]
    # Types respond differently: a shift cannot be right within them, nor controls anywhere.
    assert means.within_types["own"] < 0.3 * means.within_types["shift"]
    assert means.e_distance["anchor"] < means.e_distance["controls"]
    assert len(pd.read_csv(tmp_path / "shapes.csv")) == 5 * 12
    assert "steps of the flow" in capsys.readouterr().out


@pytest.mark.slow
def test_counts_with_other_columns_are_compared_too(shared_file, tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "shapes.py"))
    cells = ad.read_h5ad(shared_file("data/papalexi21_thp1_20729x299.h5ad"))
    few = ["non-targeting", "STAT1", "IFNGR2", "SMAD4", "MYC", "JAK2"]
    chosen = cells[cells.obs["target"].isin(few)][::2]
    # As text that any anndata writes.
    obs, var = (
        pd.DataFrame(chosen.obs),
        pd.DataFrame(index=pd.Index([*chosen.var_names], dtype=object)),
    )
    obs = obs.astype({name: object for name in ("target", "batch")})
    obs.index = obs.index.astype(object)
    kept = pd.DataFrame(obs[["target", "batch", "top_guide_frac"]])
    part = ad.AnnData(chosen.X, obs=kept, var=var)
    part.write_h5ad(tmp_path / "cells.h5ad")
    means = script["main"](
        script["Shapes"](
            data=tmp_path / "cells.h5ad",
            embeddings=shared_file("priors/enformer_tss_19685x32.npz"),
            interactions=shared_file("priors/string_v12_ge800.tsv.gz"),
            pathways=shared_file("priors/ReactomePathways.gmt"),
            counts=True,
            condition="target",
            certain="top_guide_frac",
            model=scbig.anchored(smoke()),
            out=tmp_path,
        )
    )
    assert means.e_distance["shift"] < 0.5 * means.e_distance["controls"]


def write_priors(folder: pathlib.Path, genes: tuple[str, ...]) -> cli.PriorFiles:
    """Files of priors of these genes, as the comparison asks for them."""
    names = {"embeddings": "genes.csv", "interactions": "pairs.csv", "pathways": "sets.gmt"}
    files: Any = {kind: folder / name for kind, name in names.items()}
    vectors = np.random.default_rng(0).normal(size=(len(genes), 4))
    pd.DataFrame(vectors, index=pd.Index(genes, name="gene")).to_csv(files["embeddings"])
    pairs = [(genes[i], genes[(i + k) % len(genes)]) for i in range(len(genes)) for k in (1, 2)]
    lines = ["first,second", *(",".join(pair) for pair in pairs)]
    files["interactions"].write_text("\n".join(lines) + "\n")
    files["pathways"].write_text("SET\tx\t" + "\t".join(genes[:12]) + "\n")
    return cli.PriorFiles(**files)


def test_any_predictors_are_compared_and_stand_in_the_page(four_genes, tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    files = write_priors(tmp_path, four_genes.genes)
    published = tmp_path / "published.csv"
    published.write_text("method,pearson_delta\nadditive,0.123\nother,\n")
    run = script["Compare"](
        data=tmp_path / "cells.h5ad", out=tmp_path / "run", folds=2, files=files,
        predictors=("control", "perturbed mean", "additive", "Linear, gene vectors"),
        published=published,
    )  # fmt: skip
    scores = script["main"](run)
    tested = scores.xs("additive", level="predictor").index.get_level_values("condition")
    assert sorted(tested) == ["g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3"]
    assert {"comparison.md", "comparison.png", "scores.csv", "costs.csv"} <= {
        path.name for path in run.out.iterdir()
    }
    said = capsys.readouterr().out
    assert "published (their own split)" in said
    assert "0.123" in said
    again = script["main"](run)
    pd.testing.assert_frame_equal(scores, again)
    assert "fold 0" not in capsys.readouterr().out

    more = dataclasses.replace(run, predictors=(*run.predictors, "residual transfer"), fit=False)
    found = script["main"](more).index.get_level_values("predictor")
    assert "residual transfer" not in found
    assert "residual-transfer/fold0-seed0, " in (run.out / "comparison.md").read_text()

    apart = dataclasses.replace(
        run, out=tmp_path / "apart", predictors=("control", "additive"), hold_controls=True
    )
    script["main"](apart)
    assert "against 12 to 12 controls" in (apart.out / "comparison.md").read_text()

    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- compare: small -->\nold\n<!-- end -->\n\nAfter.\n")
    results = runpy.run_path(str(EXPERIMENTS / "results.py"))
    text = results["main"](results["Results"](runs=(f"small={run.out}",), out=page))
    assert text.startswith("Before.\n\n<!-- compare: small -->\n5 tested conditions")
    assert text.endswith("<!-- end -->\n\nAfter.\n")
    assert "\nold\n" not in text
    # An empty place is filled, and what follows it stays.
    page.write_text("<!-- compare: small -->\n<!-- end -->\n\nKept.\n" + text.replace("small", "b"))
    again = results["main"](results["Results"](runs=(f"small={run.out}",), out=page))
    assert again.endswith("\n<!-- end -->\n\nKept.\n" + text.replace("small", "b"))
    with pytest.raises(SystemExit, match="one place <!-- compare: other -->"):
        results["main"](results["Results"](runs=(f"other={run.out}",), out=page))


@pytest.mark.parametrize("protocol", ["additive", "singles", "contexts"])
def test_protocols_of_the_comparison_test_every_condition_once(four_genes, protocol):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    place = (np.arange(four_genes.num_cells) % 2).astype(np.int32)
    screen = four_genes
    if protocol == "contexts":
        screen = dataclasses.replace(screen, contexts=("a", "b"), context_index=place)
    files = dict.fromkeys(("data", "out"), pathlib.Path("nowhere"))
    run = script["Compare"](**files, split=protocol, folds=2, split_seeds=(1, 2))
    found = list(script["evaluations"](run, screen))
    assert [own.name for own in found] == [f"{protocol}-1", f"{protocol}-2"]
    sizes = {"additive": 1, "singles": 4, "contexts": 18}
    for own in found:
        assert sum(len(split.test) for split in own.splits) == sizes[protocol]


def test_a_table_of_a_gene_model_makes_rows(four_genes, tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    files = write_priors(tmp_path, four_genes.genes)
    given = {"data": tmp_path, "out": tmp_path}
    made = lambda *tables: script["chosen"](script["Compare"](**given, tables=tables))
    rows = made(f"scFoundation={files.embeddings}")
    assert {"Linear + scFoundation", "GEARS + scFoundation"} == {*rows} - {*made()}
    with pytest.raises(SystemExit, match="--tables takes name=FILE; got 'scFoundation'"):
        made("scFoundation")


def test_names_of_another_age_are_found_by_aliases(four_genes, tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    four_genes.to_anndata().write_h5ad(tmp_path / "cells.h5ad")
    renamed = tuple(f"new{name}" for name in four_genes.genes)
    files = write_priors(tmp_path, renamed)
    aliases = tmp_path / "aliases.csv"
    pairs = zip(four_genes.genes, renamed, strict=True)
    aliases.write_text("alias,symbol\n" + "".join(f"{old},{new}\n" for old, new in pairs))
    run = script["Compare"](
        data=tmp_path / "cells.h5ad", out=tmp_path / "run", folds=2,
        files=dataclasses.replace(files, aliases=aliases),
        predictors=("ridge on vectors", "Linear, gene vectors"),
    )  # fmt: skip
    found = script["main"](run).pearson_delta
    assert found.notna().all()
    # As the files by their own names, aliases or not.
    same = dataclasses.replace(
        run, out=tmp_path / "same", files=write_priors(tmp_path, four_genes.genes)
    )
    pd.testing.assert_series_equal(script["main"](same).pearson_delta, found, rtol=1e-4)


def test_a_predictor_that_is_not_there_is_named(tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "compare.py"))
    files = dict.fromkeys(("data", "out"), tmp_path)
    with pytest.raises(SystemExit, match="No predictor 'magic'"):
        script["chosen"](script["Compare"](**files, predictors=("magic",)))
