"""The cells of a split's parts, in their contexts."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.data import Columns, Screen
from scbig.splits import Split, cross_context, effect_sizes, holdout, kfold

CELLS = [
    *[("x", c) for c in ("control", "control", "A", "A", "B", "A+B", "C")],
    *[("y", c) for c in ("control", "A", "B", "B", "D")],
    *[("z", c) for c in ("control", "A", "E")],
]


def make_screen(cells=CELLS):
    contexts, conditions = zip(*cells, strict=True)
    values = np.random.default_rng(0).random((len(cells), 3)).astype(np.float32)
    obs = pd.DataFrame(
        {"condition": conditions, "line": contexts},
        index=pd.Index([f"cell{i}" for i in range(len(cells))]),
    )
    adata = ad.AnnData(values, obs=obs)
    return Screen.from_anndata(adata, Columns(context="line"))


@pytest.fixture(scope="module")
def screen():
    return make_screen()


def pairs(screen):
    """(context, condition) of each cell."""
    return [
        (screen.contexts[i], screen.conditions[j].name)
        for i, j in zip(screen.context_index, screen.condition_index, strict=True)
    ]


def expected(keep):
    return [pair for pair in CELLS if keep(*pair)]


def test_parts_are_their_conditions_and_all_controls(screen):
    split = Split.of(name="", train=["A", "C"], validation=["B"], test=["B+A"], dropped=["D", "E"])
    for parts, names in (
        (("train",), {"A", "C"}),
        (("train", "validation"), {"A", "B", "C"}),
        (("validation",), {"B"}),
        (("test",), {"A+B"}),
    ):
        cells = split.cells(screen, *parts)
        assert pairs(cells) == expected(lambda _, c, n=names: c in n or c == "control")
        assert cells.contexts == ("x", "y", "z")
    test = split.cells(screen, "test")
    rows = [screen.cells.index(cell) for cell in test.cells]
    np.testing.assert_array_equal(test.dense(), screen.dense(np.array(rows)))


def test_across_contexts_each_part_has_its_own(screen):
    split = Split.of(
        name="",
        train=["A", "B"],
        validation=["C"],
        test=["A", "B", "D"],
        train_contexts=["x"],
        test_contexts=["y"],
    )
    control = lambda line, c: c == "control" and line != "z"
    train = split.cells(screen, "train")
    assert pairs(train) == expected(lambda x, c: (x == "x" and c in "AB") or control(x, c))
    assert train.contexts == ("x", "y")
    both = split.cells(screen, "train", "validation")
    assert pairs(both) == expected(lambda x, c: (x == "x" and c in "ABC") or control(x, c))
    test = split.cells(screen, "test")
    assert pairs(test) == expected(lambda x, c: (x == "y" and c in "ABD") or control(x, c))
    everything = split.cells(screen, "train", "validation", "test")
    assert set(everything.cells) == {*both.cells, *test.cells}
    shown = {cell for cell, (_, c) in zip(both.cells, pairs(both), strict=True) if c != "control"}
    assert not shown.intersection(test.cells) - {"control"}


def test_no_test_context_means_every_context(screen):
    split = Split.of(name="", train=["C"], test=["A"], train_contexts=["x"])
    assert pairs(split.cells(screen, "train")) == expected(
        lambda line, c: c == "control" or (line == "x" and c == "C")
    )
    assert pairs(split.cells(screen, "test")) == expected(lambda _, c: c in ("control", "A"))


def test_what_the_screen_lacks_is_named(screen):
    missing = Split.of(name="", train=["A", "F", "A+G"], test=["C"])
    with pytest.raises(ValueError, match="2 conditions of the split have no cells: 'A.G', 'F'"):
        missing.cells(screen, "train")
    assert missing.cells(screen, "test").num_cells == 5
    elsewhere = Split.of(
        name="", train=["A", "D"], test=["B"], train_contexts=["x"], test_contexts=["y"]
    )
    with pytest.raises(ValueError, match="1 conditions .* no cells in the split's contexts: 'D'"):
        elsewhere.cells(screen, "train")
    unknown = Split.of(name="", train=["A"], test=["B"], train_contexts=["w"], test_contexts=["y"])
    with pytest.raises(
        ValueError, match="lacks 1 contexts that are asked for: 'w'; it has 'x', 'y', 'z'"
    ):
        unknown.cells(screen, "train")
    with pytest.raises(ValueError, match="lacks 1 contexts .*: 'w'"):
        unknown.cells(screen, "test")


def test_only_parts_can_be_asked_for(screen):
    split = Split.of(name="", train=["A"], test=["B"], dropped=["C"])
    for parts in ((), ("dropped",), ("train", "valid")):
        with pytest.raises(ValueError, match="Choose from the parts"):
            split.cells(screen, *parts)
    with pytest.raises(ValueError, match="no condition in validation"):
        split.cells(screen, "validation")
    assert (
        split.cells(screen, "train", "validation").num_cells
        == split.cells(screen, "train").num_cells
    )


def test_a_cross_context_split_of_a_screen(screen):
    split = cross_context(screen, train="x", test=["y"], seed=0, validation=0.0)
    assert split.train == ("A", "A+B", "B", "C", "control")
    assert split.test == ("A", "B")
    assert split.dropped == ("D",)
    assert split.leaks() == {}
    both = cross_context(screen, train=["z", "x"], test="y", seed=0, of="all", validation=0.0)
    assert both.test == ("A", "B", "D")
    assert both.groups == {"trained_elsewhere": ("A", "B"), "new": ("D",)}
    assert both.train_contexts == ("x", "z")
    train = both.cells(screen, "train", "validation")
    assert {line for line, c in pairs(train) if c != "control"} == {"x", "z"}
    assert {line for line, c in pairs(both.cells(screen, "test")) if c != "control"} == {"y"}


def test_a_screen_gives_its_conditions(screen):
    names = [condition.name for condition in screen.conditions]
    assert holdout(screen, seed=1) == holdout(names, seed=1)
    assert kfold(screen, folds=2, seed=1) == kfold(screen.conditions, folds=2, seed=1)


def test_effect_sizes_are_distances_from_the_controls_of_the_context(screen):
    sizes = effect_sizes(screen)
    dense = screen.dense()
    mean = lambda *wanted: dense[[pair in wanted for pair in CELLS]].mean(axis=0)
    in_y = np.linalg.norm(mean(("y", "B")) - mean(("y", "control")))
    in_x = np.linalg.norm(mean(("x", "B")) - mean(("x", "control")))
    assert sizes["B"] == pytest.approx((2 * in_y + in_x) / 3, rel=1e-5)
    assert set(sizes) == {"A", "A+B", "B", "C", "D", "E"}
    kfold(screen, folds=2, seed=0, stratify=sizes)


def test_real_cells_of_one_line_train_and_those_of_another_are_tested(shared_file):
    adata = ad.read_h5ad(shared_file("data/mcfaline23_glioma_2586x500.h5ad"))
    real = Screen.from_anndata(adata, Columns(context="cell_type"))
    split = cross_context(real, train=["A172", "T98G"], test="U87MG", seed=0)
    # Nine kinases in each line.
    assert len(split.train) + len(split.validation) == 10
    train = split.cells(real, "train", "validation")
    line, condition = adata.obs["cell_type"].to_numpy(str), adata.obs["condition"].to_numpy(str)
    wanted = (line != "U87MG") | (condition == "control")
    assert list(train.cells) == list(adata.obs_names[wanted])
    test = split.cells(real, "test")
    tested = (line == "U87MG") & np.isin(condition, split.test)
    assert list(test.cells) == list(adata.obs_names[tested | (condition == "control")])
    assert set(train.cells) & set(test.cells) == set(adata.obs_names[condition == "control"])
