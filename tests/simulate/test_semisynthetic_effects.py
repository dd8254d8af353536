"""Given effects: read, traced back to the counts they came from, and freed of their noise."""

import json
import math
import pathlib
import runpy
from typing import Any

import anndata as ad
import numpy as np
import pytest

from scbig.data import Condition
from scbig.simulate import (
    CountModel,
    Effects,
    Pseudobulk,
    SemiSyntheticConfig,
    count_model,
    read_effects,
    recover_pseudobulk,
    semi_synthetic_screen,
    shrink_effects,
)

CONFIG = SemiSyntheticConfig(strata=3)
GENES, SINGLES, DOUBLES = 300, 20, 15


def simulated(seed=0, *, scale=1e6, base=math.e, dispersion=0.2):
    """Counts summed over cells drawn one by one, and the npz arrays of their changes."""
    rng = np.random.default_rng(seed)
    names = [f"P{i}" for i in range(SINGLES)] + [f"P{i}+P{i + 1}" for i in range(DOUBLES)]
    conditions = len(names)
    rate = np.exp(rng.uniform(np.log(1e-7), np.log(2e-3), GENES))
    moved = rng.random((conditions, GENES)) < 0.15
    truth = np.where(moved, rng.normal(0, 0.8, (conditions, GENES)), 0.0)
    truth[:, 0], rate[0] = 3.0, 1e-5
    cells = np.concatenate([[2000], rng.integers(30, 600, conditions)])
    effect = np.concatenate([np.zeros((1, GENES)), truth])
    counts, totals = [], []
    for n, change in zip(cells, effect, strict=True):
        library = 13500 * np.exp(0.37 * rng.standard_normal(n))
        mean = library[:, None] * rate * np.exp(change)
        counts.append(rng.negative_binomial(1 / dispersion, 1 / (1 + dispersion * mean)).sum(0))
        totals.append(rng.poisson(library).sum())
    counts, totals = np.array(counts), np.array(totals)
    logs = np.log(counts / totals[:, None] * scale + 1)
    changes = ((logs[1:] - logs[0]) / math.log(base)).astype(np.float32)
    arrays = {
        "genes": np.array([f"G{i}" for i in range(GENES)]),
        "single_conditions": np.array(names[:SINGLES]),
        "single_lfc": changes[:SINGLES],
        "double_conditions": np.array(names[SINGLES:]),
        "double_lfc": changes[SINGLES:],
    }
    return arrays, counts, totals, truth


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    arrays, counts, totals, truth = simulated()
    path = tmp_path_factory.mktemp("effects") / "effects.npz"
    np.savez(path, **arrays)
    return read_effects(path), counts, totals, truth


def test_a_file_is_read_as_it_is(tmp_path):
    arrays, *_ = simulated()
    arrays["double_conditions"][0] = "P1+P0"
    np.savez(tmp_path / "e.npz", **arrays)
    effects = read_effects(tmp_path / "e.npz")
    assert effects.genes == tuple(arrays["genes"])
    assert effects.changes.shape == (SINGLES + DOUBLES, GENES)
    np.testing.assert_array_equal(effects.of("P3"), arrays["single_lfc"][3])
    np.testing.assert_array_equal(effects.of("P0+P1"), arrays["double_lfc"][0])
    with pytest.raises(ValueError, match="no effect of 'P99'"):
        effects.of("P99")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"genes": None}, "lacks the arrays 'genes'"),
        ({"double_lfc": np.zeros((3, 4), np.float32)}, r"double_lfc is \(3, 4\), but there are 15"),
        ({"single_lfc": np.zeros((SINGLES, GENES), int)}, "not floating-point"),
        ({"genes": np.array(["G"] * GENES)}, "1 gene names are there more than once: 'G'"),
        ({"genes": np.zeros((2, 2))}, "genes must be a list"),
        ({"single_conditions": np.array(["P0"] * SINGLES)}, "1 condition names .* 'P0'"),
        (
            {"single_conditions": np.array(["A+B"] + [f"P{i}" for i in range(1, SINGLES)])},
            "single_conditions do not perturb 1 gene",
        ),
        (
            {"single_conditions": np.array(["ctrl"] + [f"P{i}" for i in range(1, SINGLES)])},
            "single_conditions do not perturb 1 gene",
        ),
        ({"genes": np.array([{}] * GENES, dtype=object)}, "not an npz file of effects"),
    ],
)
def test_what_is_wrong_in_a_file_is_said(tmp_path, change, said):
    arrays, *_ = simulated()
    arrays = {k: v for k, v in (arrays | change).items() if v is not None}
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(ValueError, match=said):
        read_effects(tmp_path / "e.npz")


def test_nan_and_other_files_are_refused(tmp_path):
    arrays, *_ = simulated()
    arrays["double_lfc"][1, 2] = np.nan
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(ValueError, match=r"1 conditions have NaN or infinite effects: 'P1\+P2'"):
        read_effects(tmp_path / "e.npz")
    (tmp_path / "e.npz").write_text("not an npz")
    with pytest.raises(ValueError, match="not an npz file of effects"):
        read_effects(tmp_path / "e.npz")
    np.save(tmp_path / "e.npy", np.zeros(3))
    with pytest.raises(ValueError, match="not an npz file of effects"):
        read_effects(tmp_path / "e.npy")
    with pytest.raises(ValueError, match="base of a logarithm"):
        read_effects(tmp_path / "e.npy", base=1.0)


def test_the_checksum_changes_with_every_part():
    effects = Effects(genes=("a",), conditions=(Condition(("A",)),), changes=np.zeros((1, 1)))
    others = [
        Effects(genes=("b",), conditions=(Condition(("A",)),), changes=np.zeros((1, 1))),
        Effects(genes=("a",), conditions=(Condition(("B",)),), changes=np.zeros((1, 1))),
        Effects(genes=("a",), conditions=(Condition(("A",)),), changes=np.ones((1, 1))),
        Effects(genes=("a",), conditions=(Condition(("A",)),), changes=np.zeros((1, 1)), scale=1e4),
    ]
    assert len({e.checksum for e in [effects, *others]}) == 5


def test_the_counts_behind_the_effects_come_back_exactly(screen):
    """From changes in float32 alone: every count, the depths and the base line."""
    effects, counts, totals, _ = screen
    bulk = recover_pseudobulk(effects)
    np.testing.assert_array_equal(bulk.counts, counts[1:])
    np.testing.assert_array_equal(bulk.control_counts, counts[0])
    np.testing.assert_allclose(bulk.totals, totals[1:], rtol=1e-6)
    np.testing.assert_allclose(bulk.control_total, totals[0], rtol=1e-6)


def test_another_logarithm_and_scale_need_to_be_said(tmp_path):
    arrays, counts, totals, _ = simulated(1, scale=1e5, base=2.0)
    np.savez(tmp_path / "e.npz", **arrays)
    bulk = recover_pseudobulk(read_effects(tmp_path / "e.npz", base=2.0, scale=1e5))
    np.testing.assert_array_equal(bulk.counts, counts[1:])
    np.testing.assert_allclose(bulk.totals, totals[1:], rtol=1e-6)
    with pytest.raises(ValueError, match=r"do not come from whole counts.*from_effects"):
        recover_pseudobulk(read_effects(tmp_path / "e.npz"))


def test_effects_without_counts_behind_them_need_a_base_line(screen):
    effects, counts, totals, _ = screen
    noisy = Effects(
        genes=effects.genes,
        conditions=effects.conditions,
        changes=np.random.default_rng(0).normal(size=effects.changes.shape),
    )
    with pytest.raises(ValueError, match=r"Only 0 genes are undetected.*from_effects"):
        count_model(noisy, CONFIG)
    bulk = Pseudobulk.from_effects(
        effects,
        control_mean=counts[0] / totals[0] * 1e6,
        totals=totals[1:].astype(float),
        control_total=float(totals[0]),
    )
    np.testing.assert_allclose(bulk.counts, counts[1:], rtol=1e-4, atol=1e-4)
    model = count_model(effects, CONFIG, pseudobulk=bulk)
    assert model.checksum != count_model(effects, CONFIG).checksum
    with pytest.raises(ValueError, match="must not be negative"):
        Pseudobulk.from_effects(
            effects,
            control_mean=np.full(GENES, -1.0),
            totals=totals[1:].astype(float),
            control_total=1.0,
        )


def test_one_gene_that_was_altered_is_named(screen):
    effects, *_ = screen
    changes = effects.changes.copy()
    deep = np.argmax(recover_pseudobulk(effects).control_counts)
    changes[:, deep] += np.random.default_rng(0).normal(0, 0.01, len(changes))
    altered = Effects(genes=effects.genes, conditions=effects.conditions, changes=changes)
    with pytest.raises(ValueError, match=f"1 genes cannot be found.*'G{deep}'"):
        recover_pseudobulk(altered)


@pytest.fixture(scope="module")
def shrunk(screen):
    return shrink_effects(recover_pseudobulk(screen[0]), CONFIG)


def plain_changes(screen):
    """Log ratios with half a count added: unbiased where there are many counts."""
    _, counts, totals, _ = screen
    logs = np.log((counts + 0.5) / totals[:, None])
    return logs[1:] - logs[0]


def test_shrunken_effects_are_nearer_to_the_truth(screen, shrunk):
    truth = screen[3]
    raw, given = plain_changes(screen), screen[0].changes
    error = lambda x, genes: np.mean((x - truth)[:, genes] ** 2)
    control = screen[1][0]
    for genes in (control < 30, (control >= 30) & (control < 1000), control >= 1000):
        assert genes.sum() > 20
        assert error(shrunk, genes) < 0.8 * error(raw, genes)
    everything = np.ones(GENES, bool)
    assert error(shrunk, everything) < 0.5 * error(raw, everything)
    assert error(shrunk, everything) < 0.8 * error(given, everything)
    # Null effects go to zero, on average to a small part of their estimates.
    null = (truth == 0) & (control >= 30)
    assert np.std(shrunk[null]) < 0.5 * np.std(raw[null])


def test_big_effects_are_kept(screen, shrunk):
    truth, control = screen[3], screen[1][0]
    big = (np.abs(truth) > 1.2) & (control >= 3000)
    assert big.sum() > 50
    slope = np.sum(shrunk[big] * truth[big]) / np.sum(truth[big] ** 2)
    assert 0.95 < slope < 1.05
    assert np.corrcoef(shrunk[big], truth[big])[0, 1] > 0.98
    # What all perturbations do alike is kept too.
    np.testing.assert_allclose(shrunk[:, 0].mean(), 3.0, atol=0.3)


def test_rare_genes_and_shallow_conditions_are_pulled_in_more():
    """The same estimate, from few counts and from many."""
    rng = np.random.default_rng(0)
    conditions = tuple(Condition((f"P{i:02d}",)) for i in range(40))
    rate = np.repeat([2e-6, 2e-4], 100)
    totals = np.where(np.arange(40) < 20, 5e5, 5e6)
    change = rng.normal(0, 0.5, (40, 200)) * (rng.random((40, 200)) < 0.2)
    counts = rng.poisson(totals[:, None] * rate * np.exp(change)).astype(float)
    # One gene of each kind appears three times as high as in the controls, in one of each kind.
    for gene in (0, 100):
        for place in (0, 20):
            counts[place, gene] = 3 * totals[place] * rate[gene]
    bulk = Pseudobulk(
        genes=tuple(f"G{i}" for i in range(200)),
        conditions=conditions,
        counts=counts,
        totals=totals,
        control_counts=rate * 1e9,
        control_total=1e9,
    )
    result = shrink_effects(bulk, SemiSyntheticConfig(strata=2))
    rare, common = result[[0, 20], 0], result[[0, 20], 100]
    # Three counts in place of one, against thirty, three hundred, three thousand.
    assert 0 <= rare[0] < 0.3
    assert min(rare[1], common[0]) > 0.8
    assert common[1] == pytest.approx(np.log(3), abs=0.1)


def test_effects_can_be_taken_as_they_are(screen):
    model = count_model(screen[0], SemiSyntheticConfig(shrink=False))
    np.testing.assert_array_equal(model.effects, screen[0].changes)


def test_effects_become_a_screen_in_one_call(screen):
    config = SemiSyntheticConfig(cells_per_condition=5, control_cells=20)
    adata: Any = semi_synthetic_screen(screen[0], config, seed=4)
    again: Any = semi_synthetic_screen(count_model(screen[0], config), seed=4)
    assert adata.shape == (20 + 35 * 5, GENES)
    np.testing.assert_array_equal(adata.X.toarray(), again.X.toarray())
    found = CountModel.from_anndata(adata)
    np.testing.assert_array_equal(
        found.effects, shrink_effects(recover_pseudobulk(screen[0]), config)
    )
    assert found.checksum == screen[0].checksum


# The additive protocol on the raw effects: Pearson delta and mean squared error by NumPy alone.
ANCHORS = {
    "1": {"additive": (0.678, 0.264), "matching": (0.678, 0.218), "perturbed": (0.413, 0.350)},
    "2": {"additive": (0.694, 0.218), "matching": (0.694, 0.161), "perturbed": (0.384, 0.266)},
}


@pytest.mark.parametrize("split", ["1", "2"])
def test_the_anchors_of_the_additive_protocol(shared_file, split):
    """Matching mean is the mean of the two singles; perturbed mean is over training conditions.

    The file lacks one of the 32 test doubles of either split, and one or two of training.
    """
    effects = read_effects(shared_file("data/norman19_effects_234x2000.npz"))
    lists = json.loads(shared_file("splits/norman19_additive_seeds1-5.json").read_text())[split]
    known = {c.name: effects.of(c) for c in effects.conditions}
    name = lambda label: "+".join(sorted(x for x in label.split("+") if x != "ctrl"))
    train = [known[name(x)] for x in lists["train"] if name(x) in known]
    scores = {rule: [] for rule in ANCHORS[split]}
    for double in map(name, lists["test"]):
        first, second = double.split("+")
        if not {double, first, second} <= known.keys():
            continue
        a, b = known[first], known[second]
        guesses = {"additive": a + b, "matching": (a + b) / 2, "perturbed": np.mean(train, axis=0)}
        for rule, guess in guesses.items():
            error = np.mean((guess - known[double]) ** 2)
            scores[rule].append((np.corrcoef(guess, known[double])[0, 1], error))
    assert {len(values) for values in scores.values()} == {31}
    for rule, values in scores.items():
        np.testing.assert_allclose(np.mean(values, axis=0), ANCHORS[split][rule], atol=6e-4)


@pytest.mark.slow
def test_the_real_effects_are_whole_counts(shared_file):
    """All 2,000 genes of 234 conditions, so that the base line and the depths are the real ones."""
    effects = read_effects(shared_file("data/norman19_effects_234x2000.npz"))
    assert [len(c.perturbations) for c in effects.conditions] == [1] * 104 + [2] * 130
    bulk = recover_pseudobulk(effects)
    again = np.log(bulk.counts / bulk.totals[:, None] * 1e6 + 1)
    again -= np.log(bulk.control_counts / bulk.control_total * 1e6 + 1)
    np.testing.assert_allclose(again, effects.changes, atol=1e-6)
    assert bulk.control_total == pytest.approx(150.1e6, rel=1e-3)
    assert 3e5 < bulk.totals.min() < bulk.totals.max() < 3e7
    assert bulk.genes[bulk.control_counts.argmax()] == "MALAT1"
    assert 0.02 < bulk.control_rate.sum() < 0.05


def test_the_script_has_a_pulse(tmp_path, capsys):
    """From an npz and a list of splits to a screen on disk and a table of scores."""
    arrays, *_ = simulated()
    np.savez(tmp_path / "effects.npz", **arrays)
    doubles = arrays["double_conditions"].tolist()
    train = [f"{name}+ctrl" for name in arrays["single_conditions"]] + doubles[:6] + ["ctrl", "X+Y"]
    lists = {"1": {"train": train, "test": [*doubles[6:10], "X+Z"]}}
    (tmp_path / "splits.json").write_text(json.dumps(lists))
    path = pathlib.Path(__file__).parents[2] / "experiments" / "semisynthetic.py"
    script = runpy.run_path(str(path))
    run = script["SemiSynthetic"](
        effects=tmp_path / "effects.npz",
        splits=tmp_path / "splits.json",
        out=tmp_path / "out",
        screen=SemiSyntheticConfig(log_normalise=True, cells_per_condition=40, control_cells=300),
        cells=40,
    )
    tables = script["main"](run)
    assert "effects of 26 training and 4 test conditions" in capsys.readouterr().out
    assert ad.read_h5ad(tmp_path / "out" / "screen.h5ad").shape == (300 + 35 * 40, GENES)
    table = tables["cells"]
    rules = ["control", "additive", "matching mean", "perturbed mean", "truth", "split-half"]
    assert list(table.index) == rules
    # The truth beats every rule, and half of the cells cannot beat it.
    others = table.drop(index=["truth", "control"])["pearson_delta"]
    assert others.max() < table.loc["truth", "pearson_delta"]
    assert table.loc["truth", "mse"] == table["mse"].min()
    known = dict(zip(arrays["single_conditions"], arrays["single_lfc"], strict=True))
    known |= dict(zip(doubles, arrays["double_lfc"], strict=True))
    parts = [(known[d], sum(known[x] for x in d.split("+"))) for d in doubles[6:10]]
    expected = np.mean([np.corrcoef(truth, guess)[0, 1] for truth, guess in parts])
    assert next(iter(tables.values())).loc["additive", "pearson_delta"] == pytest.approx(
        expected, abs=1e-5
    )
