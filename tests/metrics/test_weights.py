"""Weighted errors and genetic interactions in the table, against SciPy and the definitions."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from scbig import metrics
from scbig.data import Columns, Screen
from scbig.metrics._weights import Spread, gene_weights

GENES = [f"g{place}" for place in range(15)]
SIZES = {"control": 14, "A": 6, "B": 9, "C+ctrl": 1, "B+A": 7, "C+A": 5, "A+D": 4, "A+B+C": 4}
LINE = Columns(context="line")
WEIGHTED = ["wmse", "r2_delta"]


def make(seed, storage: Any = np.asarray) -> Any:
    rng = np.random.default_rng(seed)
    pairs = [(label, line) for line in "xy" for label, size in SIZES.items() for _ in range(size)]
    effects = {pair: np.random.default_rng(sum(map(ord, "".join(pair)))) for pair in set(pairs)}
    rates = {pair: own.gamma(2, 1.0, 15) for pair, own in effects.items()}
    values = np.log1p(rng.poisson(np.stack([rates[pair] for pair in pairs])) * 1.3)
    values[:, 4] = 1.7  # the same everywhere
    obs = pd.DataFrame(pairs, columns=pd.Index(["condition", "line"]))
    obs.index = pd.Index([f"c{row}" for row in range(len(pairs))])
    var = pd.DataFrame(index=pd.Index(GENES))
    return ad.AnnData(storage(values), obs=obs, var=var)


def of(adata, label, line="x") -> Any:
    chosen = (adata.obs["condition"] == label) & (adata.obs["line"] == line)
    found: Any = adata.X[chosen.to_numpy()]
    return found.toarray() if sparse.issparse(found) else np.asarray(found)


@pytest.mark.parametrize("against", ["rest", "controls"])
@pytest.mark.parametrize("storage", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_weighted_scores_are_those_of_students_t(against, storage):
    predicted, observed = make(1), make(0, storage)
    table: Any = metrics.evaluate(predicted, observed, LINE, weighted=against)
    for line in "xy":
        for label in ("A", "B+A", "C+ctrl"):
            others = [own for own in SIZES if own != label] if against == "rest" else ["control"]
            own = of(observed, label, line)
            rest = np.concatenate([of(observed, other, line) for other in others])
            with np.errstate(all="ignore"):
                t: Any = stats.ttest_ind(np.delete(own, 4, 1), np.delete(rest, 4, 1))
            weights = np.insert(np.abs(t.statistic), 4, 0.0)  # no difference, no weight
            share = weights / weights.sum()
            truth, guess = own.mean(0), of(predicted, label, line).mean(0)
            delta = truth - of(observed, "control", line).mean(0)
            spread = np.sum(share * (delta - np.sum(share * delta)) ** 2)
            error = np.sum(share * (guess - truth) ** 2)
            name = {"B+A": "A+B", "C+ctrl": "C"}.get(label, label)
            assert table.loc[(line, name), "wmse"] == pytest.approx(error)
            assert table.loc[(line, name), "r2_delta"] == pytest.approx(1 - error / spread)
    assert not {*WEIGHTED} & {*metrics.evaluate(predicted, observed, LINE)}


def test_genes_that_one_cannot_weigh():
    cells = np.array([[1.0, 2.0, 0.1], [1.0, 2.0, 0.1]])
    moved = Spread.of(cells + [0.0, 1.0, 0.0])
    same, constant = (gene_weights(Spread.of(cells), other) for other in (Spread.of(cells), moved))
    few = gene_weights(Spread.of(cells[:1]), Spread.of(cells[:1]))
    np.testing.assert_array_equal(same, 0)
    np.testing.assert_array_equal(constant, [0, np.nan, 0])
    assert np.isnan(few).all()
    flat: Any = make(0)[:40].copy()
    flat.obs["condition"] = ["control"] * 20 + ["A"] * 20
    flat.X = np.full((40, 15), 0.7)
    table: Any = metrics.evaluate(flat, flat, weighted="rest")
    assert table[WEIGHTED].isna().all(axis=None)


@pytest.mark.parametrize("kind", [lambda a: a, Screen.from_anndata], ids=["AnnData", "Screen"])
def test_interactions_are_the_deviations_from_measured_singles(kind):
    training = make(3)
    in_x = training[(training.obs["line"] == "x").to_numpy()].copy()
    if kind is Screen.from_anndata:
        singles = metrics.single_profiles(Screen.from_anndata(training, LINE))
    else:
        singles = metrics.single_profiles(training, LINE)
    assert singles.index.to_list() == [(c, n) for c in "xy" for n in "ABC"]
    np.testing.assert_allclose(singles.loc[("y", "C")], of(training, "C+ctrl", "y")[0], rtol=1e-6)
    predicted, observed = make(1), make(0)
    table: Any = metrics.evaluate(predicted, observed, LINE, singles=singles.iloc[::-1, ::-1])
    columns = [column for column in table if str(column).startswith("gi_")]
    assert columns == list(table)[-6:]
    for line in "xy":
        origin = of(observed, "control", line).mean(0)
        for label, name, parts in (("B+A", "A+B", ("A", "B")), ("C+A", "A+C", ("A", "C+ctrl"))):
            one, other = (of(training, part, line).mean(0) - origin for part in parts)
            guess, truth = (of(own, label, line).mean(0) - origin for own in (predicted, observed))
            row, total = table.loc[(line, name)], one + other
            r: Any = stats.pearsonr(guess - total, truth - total)
            assert row["gi_pearson"] == pytest.approx(r.statistic, rel=1e-5)
            error = np.sum((guess - truth) ** 2) / np.sum((truth - total) ** 2)
            assert row["gi_error"] == pytest.approx(error, rel=1e-5)
            fit = [np.linalg.lstsq(np.stack([one, other], 1), y)[0] for y in (guess, truth)]
            sizes = np.linalg.norm(fit, axis=1)
            assert row["gi_magnitude"] == pytest.approx(sizes[0] - sizes[1], rel=1e-4)
        # Single, of three, of a single that was never measured.
        assert table.loc[[(line, name) for name in ("A", "A+B+C", "A+D")], columns].isna().all(None)
    only_x: Any = metrics.evaluate(predicted, observed, LINE, singles=singles.loc[["x"]])
    assert only_x.loc["y", columns].isna().all(axis=None)
    alone = metrics.single_profiles(in_x)
    there = [own[(own.obs["line"] == "x").to_numpy()] for own in (predicted, observed)]
    pd.testing.assert_frame_equal(
        metrics.evaluate(*there, singles=alone)[columns], only_x.loc["x", columns], rtol=1e-4
    )


def test_profiles_that_do_not_serve_are_refused():
    cells = make(0)
    singles = metrics.single_profiles(cells, LINE)
    with pytest.raises(ValueError, match=r"singles lack 1 genes \('g3'\)"):
        metrics.evaluate(cells, cells, LINE, singles=singles.drop(columns="g3"))
    with pytest.raises(ValueError, match="their index has 1 levels"):
        metrics.evaluate(cells, cells, LINE, singles=singles.loc["x"])
    doubles = cells[cells.obs["condition"].isin(["control", "B+A"]).to_numpy()].copy()
    with pytest.raises(ValueError, match="no single perturbation among the training cells"):
        metrics.single_profiles(doubles, LINE)
