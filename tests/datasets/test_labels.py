"""Labels are cut only where it is clear how; gene names become unique; cells can be chosen."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig import datasets
from scbig.datasets import from_scperturb

NORMAN = datasets.sources()[0]


def labelled(labels: list[str], numbers: list[int] | None, genes: list[str]) -> Any:
    cells = pd.Index([f"cell{i}" for i in range(len(labels))])
    obs = pd.DataFrame({"perturbation": labels}, index=cells)
    if numbers is not None:
        obs["nperts"] = numbers
    counts = np.ones((len(labels), len(genes)), np.float32)
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=pd.Index(genes)))


def conditions(labels, numbers, genes) -> list[str]:
    return list(from_scperturb(labelled(labels, numbers, genes), NORMAN).obs["condition"])


def test_a_gene_with_an_underscore_is_not_cut():
    # Y_RNA is one gene. What is stated decides first, then what is measured.
    assert conditions(["control", "Y_RNA"], [0, 1], ["A", "B"]) == ["control", "Y_RNA"]
    assert conditions(["control", "Y_RNA"], None, ["A", "Y_RNA"]) == ["control", "Y_RNA"]
    three = ["control", "A_Y_RNA", "A"]
    assert conditions(three, [0, 2, 1], ["Y_RNA", "B"])[1] == "A+Y_RNA"
    assert conditions(three, None, ["Y_RNA", "B"])[1] == "A+Y_RNA"
    assert conditions(["control", "A_B", "A", "B"], None, ["C", "D"])[1] == "A+B"
    assert conditions(["control", "A_B"], [0, 2], ["C", "D"])[1] == "A+B"
    assert conditions(["control", "A_control", "A"], [0, 1, 1], ["C", "D"])[1] == "A"


@pytest.mark.parametrize(
    ("labels", "numbers", "genes", "ways"),
    [
        (["control", "A_B", "A", "B"], None, ["A_B", "C"], "in 2 ways"),
        (["control", "A_B"], None, ["C", "D"], "in 0 ways"),
        (["control", "A_B_C"], [0, 2], ["D", "E"], "in 0 ways"),
        (["control", "A_B_C", "A", "C"], [0, 2, 1, 1], ["A_B", "B_C"], "in 2 ways"),
        (["control", "A_B"], [0, 3], ["A", "B"], "in 0 ways"),
        (["control", "A"], [0, 2], ["A", "B"], "in 0 ways"),
    ],
)
def test_a_label_that_can_be_cut_in_several_ways_is_refused(labels, numbers, genes, ways):
    with pytest.raises(ValueError, match=ways) as caught:
        conditions(labels, numbers, genes)
    assert repr(labels[1]) in str(caught.value)


def test_without_identifiers_a_duplicate_gets_a_number():
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        made = labelled(["control", "A"], [0, 1], ["A", "D", "D"])
    assert list(from_scperturb(made, NORMAN).var_names) == ["A", "D", "D_2"]


def test_row_numbers_choose_in_the_order_of_the_file():
    made = labelled(["control", "A", "B", "A"], [0, 1, 1, 1], ["A", "B"])
    made.X = np.arange(8, dtype=np.float32).reshape(4, 2)
    tidy: Any = from_scperturb(made, NORMAN, cells=lambda obs: [3, 1, 3])
    assert list(tidy.obs_names) == ["cell1", "cell3"]
    np.testing.assert_array_equal(np.asarray(tidy.X.todense()), [[2, 3], [6, 7]])


@pytest.mark.parametrize("choice", [[], [-1], [4], np.zeros(4, bool), np.ones(3, bool), ["a"]])
def test_a_choice_of_cells_that_makes_no_sense_is_refused(choice):
    made = labelled(["control", "A", "B", "A"], [0, 1, 1, 1], ["A", "B"])
    with pytest.raises(ValueError, match="`cells`"):
        from_scperturb(made, NORMAN, cells=lambda obs: choice)
