"""What stands beside every comparison: a replicate, and the same encoded and decoded."""

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig import metrics
from scbig.baselines import AUTOENCODER, CEILING, Additive, averages, compare
from scbig.data import Columns, Screen

GENES = ("g3", "g1", "g0", "g2", "g4")
SIZES = {"control": 9, "A": 5, "B+ctrl": 8, "B+A": 7}
LINE = Columns(context="line")
OPTIONS = {"key": jr.key(0), "components": 3}


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    labels = [(label, line) for line in "xy" for label, size in SIZES.items() for _ in range(size)]
    values = np.log1p(rng.gamma(1.0, size=(len(labels), len(GENES)))).astype(np.float32)
    values[[line == "y" for _, line in labels]] += 1
    index = pd.Index([f"c{i}" for i in range(len(labels))])
    obs = pd.DataFrame(labels, columns=pd.Index(["condition", "line"]), index=index)
    return ad.AnnData(values, obs=obs, var=pd.DataFrame(index=pd.Index(GENES)))


@pytest.fixture
def controls(cells):
    return cells[cells.obs["condition"] == "control"].copy()


@pytest.fixture
def predictors(cells):
    return {"additive": Additive.fit(Screen.from_anndata(cells, LINE))}


class Bottleneck:
    """Loses much of what it is given, and keeps what it was given."""

    def __init__(self):
        self.given = []
        self.genes = set()

    def __call__(self, cells, genes):
        self.given.append(np.array(cells))
        self.genes.add(tuple(genes))
        return self.pure(cells)

    @staticmethod
    def pure(cells):
        return (0.5 * cells + 0.2 * np.roll(cells, 1, axis=1) + 0.1).astype(np.float32)


def unchanged(cells, genes):
    return cells


def test_with_a_perfect_autoencoder_both_ceilings_are_the_same(cells, controls, predictors):
    table = compare(predictors, controls, cells, ["A"], LINE, round_trip=unchanged, **OPTIONS)
    assert table.index.unique("predictor").tolist() == ["additive", AUTOENCODER, CEILING]
    pd.testing.assert_frame_equal(table.loc[AUTOENCODER], table.loc[CEILING])
    assert averages(table).index.tolist() == ["additive", "autoencoder ceiling", "split-half"]


def rows_of(values, cells):
    """The rows of these cells among all, found by their expression."""
    everything = [row.tobytes() for row in np.asarray(cells.X)]
    return [everything.index(row.tobytes()) for row in values]


@pytest.mark.parametrize("seed", [0, 3])
def test_one_half_goes_through_the_autoencoder_and_the_other_is_the_truth(
    cells, controls, predictors, seed
):
    through, controls = Bottleneck(), controls[::2]  # not those beside the observed cells
    options = {**OPTIONS, "seed": seed, "reference": cells[::2].copy()}
    names = ["A", "A+B", "B"]
    table = compare(predictors, controls, cells, names, LINE, round_trip=through, **options)
    assert through.genes == {GENES}
    groups = [(line, name) for line in "xy" for name in names]
    spelled = dict(zip(names, ["A", "B+A", "B+ctrl"], strict=True))
    assert len(through.given) == len(groups)
    parts, used = [], []
    for (line, name), values in zip(groups, through.given, strict=True):
        rows = rows_of(values, cells)
        assert len(set(rows)) == len(rows) == SIZES[spelled[name]] // 2
        assert set(cells.obs["condition"].iloc[rows]) == {spelled[name]}
        assert set(cells.obs["line"].iloc[rows]) == {line}
        used += rows
        decoded = cells[rows].copy()
        decoded.X = through.pure(values)
        parts.append(decoded)
    rest = cells[np.setdiff1d(np.arange(cells.n_obs), used)]
    options.pop("key")
    expected = metrics.evaluate(ad.concat(parts), rest, LINE, controls=controls, **options)
    pd.testing.assert_frame_equal(table.loc[AUTOENCODER], expected, rtol=1e-5)
    replicate = metrics.evaluate(cells[used], rest, LINE, controls=controls, **options)
    pd.testing.assert_frame_equal(table.loc[CEILING], replicate, rtol=1e-5)
    assert (expected["l2"] > replicate["l2"]).any()


def test_the_halves_are_drawn_by_the_seed(cells, controls, predictors):
    drawn = {}
    for seed in (0, 0, 3):
        through, options = Bottleneck(), {**OPTIONS, "seed": seed}
        compare(predictors, controls, cells, ["B"], LINE, round_trip=through, **options)
        rows = rows_of(through.given[0], cells)
        assert drawn.setdefault(seed, rows) == rows
    assert drawn[0] != drawn[3]


def test_the_other_rows_do_not_know_of_it(cells, controls, predictors):
    asked = predictors, controls, cells, ["A", "A+B"], LINE
    table = compare(*asked, round_trip=Bottleneck(), **OPTIONS)
    pd.testing.assert_frame_equal(table.drop(index=AUTOENCODER), compare(*asked, **OPTIONS))


def test_cells_may_be_sparse_a_screen_or_on_disk(cells, controls, predictors, tmp_path):
    run = lambda *given: compare(
        predictors, *given, round_trip=Bottleneck(), unbiased=True, **OPTIONS
    )
    expected = run(controls, cells, ["A", "A+B"], LINE)
    thin = cells.copy()
    thin.X = sparse.csr_matrix(thin.X)
    pd.testing.assert_frame_equal(run(controls, thin, ["A", "A+B"], LINE), expected, rtol=1e-5)
    cells.write_h5ad(tmp_path / "screen.h5ad")
    for screen in (Screen.from_anndata(cells, LINE), Screen.open(tmp_path / "screen.h5ad", LINE)):
        pd.testing.assert_frame_equal(run(screen, screen, ["A", "A+B"]), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda cells, genes: cells[1:], r"A in x made \(1, 5\) cells and genes of \(2, 5\)"),
        (lambda cells, genes: cells[:, 1:], r"A in x made \(2, 4\)"),
        (lambda cells, genes: cells * np.float32("nan"), "A in x .* 0 of 10 values finite"),
    ],
)
def test_a_round_trip_must_keep_cells_and_genes(cells, controls, predictors, broken, said):
    with pytest.raises(ValueError, match=said):
        compare(predictors, controls, cells, ["A"], LINE, round_trip=broken, **OPTIONS)
