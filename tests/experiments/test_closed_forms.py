"""The scripts that train nothing: mean responses, unseen genes, counts."""

import json
import pathlib
import runpy

import numpy as np
import pandas as pd

from scbig import simulate

from .small import EXPERIMENTS


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
