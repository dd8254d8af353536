"""One set of control names, wherever labels are read."""

import dataclasses

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig import metrics, splits
from scbig.cli._options import Labels
from scbig.data import CONTROLS, Columns, Condition, Controls, Screen, condition_names
from scbig.preprocess import PreprocessConfig, preprocess

NUMBERED = ("non-targeting_001", "NT-12", "NTC3", "ctrl_3", "control1", "sgNT_2", "dmso", "Control")
NAMES = (*CONTROLS, *NUMBERED)
# Old and present names of genes, and what is a control in some screens only.
NOT_CONTROLS = (
    "CTRL",
    "Ctrl",
    "NT3",
    "NT5",
    "NTS",
    "AAVS1",
    "GFP",
    "DMSO2B",
    "controlled",
    "MOCKX",
)


def make_adata(labels):
    rng = np.random.default_rng(0)
    counts = rng.poisson(2.0, (len(labels), 4)).astype(np.float32)
    index = pd.Index([f"cell{i}" for i in range(len(labels))])
    return ad.AnnData(counts, obs=pd.DataFrame({"condition": labels}, index=index))


def logged(adata):
    adata.X = np.log1p(adata.X * 1.37)
    return adata


@pytest.mark.parametrize("name", NAMES)
def test_a_usual_name_is_a_control_everywhere(name, tmp_path):
    labels = [name, "A", f"A+{name}", f"{name}+B", name, "A", "B", "A+B"]
    expected = ["A", "A+B", "B", "control"]
    counts = make_adata(labels)
    path = tmp_path / "counts.h5ad"
    counts.write_h5ad(path)
    assert Condition.parse(name).is_control
    assert condition_names(path) == condition_names(path, Labels().columns) == expected
    config = PreprocessConfig(min_genes=0, min_cells=0)
    prepared = preprocess(counts, config)
    prepared.write_h5ad(tmp_path / "prepared.h5ad")
    for screen in (
        Screen.from_anndata(prepared),
        Screen.from_anndata(prepared, Labels().columns),
        Screen.open(tmp_path / "prepared.h5ad"),
        Screen.open(tmp_path / "prepared.h5ad", Labels().columns),
    ):
        assert [c.name for c in screen.conditions] == expected
        np.testing.assert_array_equal(screen.rows("A"), [1, 2, 5])
    assert splits.Split.of(name="mine", train=["A", name], test=["B"]).train == ("A", "control")
    scores = metrics.evaluate(prepared, prepared, components=1)
    assert scores.index.tolist() == ["A", "A+B", "B"]


def test_what_may_be_a_gene_is_no_control():
    assert not [name for name in NOT_CONTROLS if name in Controls()]
    assert [Condition.parse(name).name for name in NOT_CONTROLS] == list(NOT_CONTROLS)


@pytest.mark.parametrize("separator", ["_", "-", " "])
def test_a_control_name_with_the_separator_in_it_stays_whole(separator):
    name = f"non-targeting{separator}001" if separator != "-" else "non-targeting-001"
    columns = Columns(separator=separator)
    assert columns.parse(name).is_control
    assert columns.parse(f"A{separator}{name}") == Condition(("A",))
    assert columns.parse(f"{name}{separator}A{separator}B") == Condition(("A", "B"))


def test_names_that_are_given_take_the_place_of_the_usual_ones():
    adata = logged(make_adata(["AAVS1", "NT-12", "A", "A+AAVS1"]))
    with pytest.raises(ValueError, match=r"'NT-12' is reserved.*leave those out for the usual"):
        Screen.from_anndata(adata, Columns(control="AAVS1"))
    screen = Screen.from_anndata(adata, Columns(control=("AAVS1", "NT-12")))
    assert [c.name for c in screen.conditions] == ["A", "control"]
    assert Labels(control=("AAVS1", "NT-12")).columns == Columns(control=("AAVS1", "NT-12"))


def test_without_a_control_the_error_shows_the_list_the_pattern_and_the_labels():
    with pytest.raises(ValueError, match="There are no control cells") as caught:
        Screen.from_anndata(logged(make_adata(["A", "WT", "B"])))
    message = str(caught.value)
    for name in CONTROLS:
        assert repr(name) in message
    assert "numbered, as 'non-targeting_001'" in message
    assert "The labels are 'A', 'WT', 'B'. These read like controls: 'WT'. Pass the" in message


def test_the_examples_in_the_error_are_read_as_controls():
    shown = str(Controls()).split("'")[1::2]
    assert len(shown) > len(CONTROLS)
    assert all(name in Controls() for name in shown)


def test_columns_are_one_value_however_they_are_given():
    given = Columns(control=["a", "b"], context=["x", "y"])
    assert given == Columns(control=("a", "b"), context=("x", "y"))
    assert hash(given) == hash(dataclasses.replace(given))
    with pytest.raises(ValueError, match="separator .* must not be empty"):
        Columns(separator="")
    with pytest.raises(ValueError, match="names no column"):
        Columns(context=())


def test_the_options_of_the_command_line_keep_their_names():
    names = [field.name for field in dataclasses.fields(Labels)]
    usual = ["condition_key", "control", "separator", "context_key", "dose_key"]
    assert names == [*usual, "guide_pattern", "gene_key"]
    assert Labels().columns == Columns()
