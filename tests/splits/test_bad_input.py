"""What cannot be split gets one error that names the culprits."""

import subprocess
import sys

import pytest

from scbig.splits import Split, additive, combosciplex, cross_context, gears, holdout, kfold, scdfm

SINGLES = [f"G{i}" for i in range(10)]
DOUBLES = ["G0+G1", "G1+G2", "G2+G3", "G3+G4", "G4+G5"]
LABELS = [*SINGLES, *DOUBLES, "ctrl"]

CASES = {
    "a seed below 0": (lambda: additive(LABELS, seed=-1), r"from 0 to 2\*\*32 - 1, not -1"),
    "a seed too large": (lambda: gears(LABELS, seed=2**32), "from 0 to"),
    "a truth as seed": (lambda: holdout(LABELS, seed=True), "whole number, not True"),
    "a share of all": (
        lambda: holdout(LABELS, seed=0, share=1.0),
        "`share` is 1.0; .*\\(0, 1",
    ),
    "no share": (lambda: holdout(LABELS, seed=0, share=0.0), "`share` is 0.0"),
    "a share of no gene": (
        lambda: holdout(LABELS, seed=0, share=0.01),
        "0.01 of 10 perturbed genes is none",
    ),
    "NaN as share": (lambda: holdout(LABELS, seed=0, share=float("nan")), "`share` is nan"),
    "validation with all": (
        lambda: kfold(LABELS, folds=2, seed=0, validation=1.0),
        "`validation` is 1.0; it must lie in \\[0, 1\\)",
    ),
    "GEARS's share": (
        lambda: gears(LABELS, train_gene_share=1.5),
        "`train_gene_share` is 1.5",
    ),
    "too few doubles": (
        lambda: additive([*SINGLES, *DOUBLES[:2]], seed=0),
        "at least 3 doubles.* there are 2",
    ),
    "doubles without singles": (
        lambda: additive(["A", "B", "A+B", "A+C", "B+C"], seed=0),
        "at least 3 doubles.* there are 1 among 3",
    ),
    "published without singles": (
        lambda: additive([*LABELS, "G1+Q"], seed=0, variant="published"),
        "1 doubles lack that: 'G1.Q'",
    ),
    "published, stratified": (
        lambda: additive(LABELS, seed=0, variant="published", stratify="genes"),
        "published variant is not stratified",
    ),
    "scDFM, too few doubles": (lambda: scdfm([*SINGLES, *DOUBLES[:3]], fold=0), "at least 4"),
    "scDFM, sixth fold": (lambda: scdfm(LABELS, fold=5), "no fold 5"),
    "two orders": (
        lambda: scdfm([*LABELS, "G1+G0", "G5+G4"], fold=0),
        "2 combinations are there in two spellings: 'G0.G1 = G1.G0', 'G4.G5 = G5.G4'",
    ),
    "two orders in one part": (
        lambda: Split.of(name="", train=["A+B", "B+A"], test=["C"]),
        "1 combinations are there in two spellings",
    ),
    "two orders in two parts": (
        lambda: Split.of(name="", train=["A+B"], test=["B+A"]),
        "in `train` and in `test`: 'A.B'",
    ),
    "a word for no label": (lambda: holdout([*LABELS, "unassigned"], seed=0), "none: 'unassigned'"),
    "a word for no label in one part": (
        lambda: Split.of(name="", train=["A", "nan"], test=["B"]),
        "1 of 3 condition labels say that a cell has none: 'nan'",
    ),
    "another joint": (lambda: gears([*LABELS, "G1_G3"]), "by '_' and not by '.'"),
    "another joint in one part": (
        lambda: Split.of(name="", train=["A", "B"], test=["A_B"]),
        "by '_' and not by '.': 'A_B'",
    ),
    "a control behind another joint": (
        lambda: Split.of(name="", train=["A_ctrl"], test=["B"]),
        "by '_' and not by '.': 'A_ctrl'",
    ),
    "a repeated gene": (
        lambda: holdout([*LABELS, "A+A"], seed=0),
        "'A.A' names one .* twice",
    ),
    "only the control": (lambda: holdout(["ctrl"], seed=0), "no perturbed condition"),
    "nothing": (lambda: kfold([], folds=2, seed=0), "no perturbed condition"),
    "one name": (lambda: holdout("G0+G1", seed=0), "not the one condition 'G0.G1'"),
    "one held-out name": (
        lambda: Split.of(name="", train=["A"], test=["B"], held_out="B"),
        "not the one name 'B'",
    ),
    "one fold": (lambda: kfold(LABELS, folds=1, seed=0), "from 2 to .* 15; got 1"),
    "more folds than doubles": (
        lambda: kfold(LABELS, folds=6, seed=0, of="doubles"),
        "the number of doubles to deal out, which is 5; got 6",
    ),
    "nothing left to train on": (
        lambda: gears(["A", "B"]),
        "No perturbation is left in `train`",
    ),
    "excluding what is not there": (
        lambda: gears(LABELS, exclude=["Q", "G1+G0"]),
        "1 conditions to exclude are not .*: 'Q'",
    ),
    "excluding the control": (
        lambda: gears(LABELS, exclude=["ctrl"]),
        "are the control: 'control'",
    ),
    "a triple in GEARS": (
        lambda: gears([*LABELS, "A+B+C"]),
        "at most 2 .*1 have more: 'A.B.C'",
    ),
    "a double among singles": (
        lambda: gears(LABELS, kind="simulation_single"),
        "at most 1 .*5 have more: 'G0.G1'",
    ),
    "no ComboSciPlex": (
        lambda: combosciplex([*LABELS, "Dacinostat"]),
        "6 of the 7 test conditions .* 'Alvespimycin', 'Alvespimycin.SRT2104'",
    ),
    "numbers missing": (
        lambda: kfold(LABELS, folds=2, seed=0, stratify={x: 1.0 for x in SINGLES}),
        "no number for 5 of the names to draw from: 'G0.G1'",
    ),
    "numbers not finite": (
        lambda: additive(LABELS, seed=0, stratify={"G0": float("nan")}),
        "not finite for 1 names: 'G0'",
    ),
    "two numbers for one": (
        lambda: additive(LABELS, seed=0, stratify={"G0": 1.0, "G0+ctrl": 2.0}),
        "two numbers for 1 conditions.*'G0'",
    ),
    "one context twice": (
        lambda: cross_context({"x": LABELS, "y": LABELS}, train="x", test="x", seed=0),
        "On both sides: 'x'; unknown: none",
    ),
    "an unknown context": (
        lambda: cross_context({"x": LABELS, "y": LABELS}, train="x", test=["w"], seed=0),
        "of 'x', 'y'. On both sides: none; unknown: 'w'",
    ),
    "no context": (
        lambda: cross_context({"x": LABELS, "y": LABELS}, train="x", test=[], seed=0),
        "must name different contexts",
    ),
    "nothing shared": (
        lambda: cross_context({"x": LABELS, "y": ["A", "B"]}, train="x", test="y", seed=0),
        "No condition is measured on both sides.*test has 'A', 'B'",
    ),
}


@pytest.mark.parametrize(("call", "match"), CASES.values(), ids=CASES)
def test_one_error_says_what_is_wrong(call, match):
    with pytest.raises(ValueError, match=match):
        call()


# Without the type checker that watches the tests.
UNCHECKED = """
import math, numpy as np, scbig.splits as d
labels = [*"ABCDEFGHIJ", "A+B", "B+C", "C+D"]
for call, words in (
    (lambda: d.additive(labels, seed=1.5), "whole number, not 1.5"),
    (lambda: d.holdout(labels, seed=None), "whole number, not None"),
    (lambda: d.holdout([*labels, math.nan, 3], seed=0), "2 condition labels are not text: "),
    (lambda: d.holdout(labels, seed=0, stratify="size"), "'genes' or a mapping"),
    (lambda: d.Split(name="", train=["A", "control"], test=("B",)), "`train` must be a tuple"),
    (lambda: d.additive(labels, seed=0, variant="other"), "`variant` is 'other'; it must be"),
    (lambda: d.gears(labels, kind="other"), "`kind` is 'other'"),
    (lambda: d.scdfm(labels, fold=0, kind="other"), "one of 'additive', 'combination'"),
    (lambda: d.scdfm(labels, fold=0.5), "there is no fold 0.5"),
    (lambda: d.kfold(labels, folds=2, seed=0, of="other"), "`of` is 'other'"),
):
    try:
        call()
    except ValueError as error:
        assert words in str(error), (words, error)
    else:
        raise AssertionError(words)
assert d.additive(labels, seed=np.int64(3)) == d.additive(labels, seed=3)
"""


def test_a_split_that_is_not_there_is_named_with_what_it_should_be(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no file .*none\.json: it should be a split, a JSON"
    ):
        Split.read(tmp_path / "none.json")
    with pytest.raises(IsADirectoryError, match="is a folder: it should be a split"):
        Split.read(tmp_path)


def test_wrong_types_are_named_where_no_checker_watches():
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
