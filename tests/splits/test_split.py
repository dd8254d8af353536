"""A split as a value: checked when made, saved and read, hashed."""

import copy
import dataclasses
import hashlib
import json

import numpy as np
import pandas as pd
import pytest

from scbig.data import GUIDE, Condition
from scbig.splits import Split, additive, holdout, kfold


def make(**changes):
    fields = dict(
        name="mine",
        train=("A", "A+B", "control"),
        validation=("B",),
        test=("C", "C+D"),
        held_out=("C", "D"),
        strict=True,
        groups={"single": ("C",), "double": ("C+D",)},
        dropped=("A+C",),
        options={"share": 0.5, "nested": {"list": [1, "x", None, True]}},
        seed=3,
    )
    return Split(**(fields | changes))  # pyright: ignore[reportArgumentType]


def test_lists_from_anywhere_become_canonical():
    split = Split.of(
        name="theirs",
        train=["ctrl", "B_A", "A_ctrl", "ctrl_A", "NT"],
        validation=pd.Series(["ctrl_B"]),
        test=np.array(["D_C", "C_ctrl"]),
        held_out=["D", "C", "C"],
        strict=True,
        groups={"double": {"C_D"}},
        dropped=["C_A"],
        test_contexts=["y", "x"],
        separator="_",
        controls=("ctrl", "NT"),
    )
    assert split.train == ("A", "A+B", "control")
    assert split.validation == ("B",)
    assert split.test == ("C", "C+D")
    assert split.held_out == ("C", "D")
    assert split.groups == {"double": ("C+D",)}
    assert split.dropped == ("A+C",)
    assert split.test_contexts == ("x", "y")
    assert Split.of(name="", train=[Condition(("A",))], test=["B"]).train == ("A", "control")


def test_a_split_cannot_be_changed():
    options = {"a": [1]}
    split = make(options=options)
    options["a"].append(2)
    assert split.options == {"a": (1,)}
    with pytest.raises(TypeError):
        split.groups["single"] = ()  # pyright: ignore[reportIndexIssue]
    with pytest.raises(dataclasses.FrozenInstanceError):
        split.name = "other"  # pyright: ignore[reportAttributeAccessIssue]
    assert {split: 1}[make(options={"a": [1]})] == 1
    assert copy.deepcopy(split) == split


def test_the_hash_is_of_the_whole_content_and_does_not_depend_on_the_order_of_options():
    split = make()
    assert len(split.hash) == 16
    assert make().hash == split.hash
    for change in (
        dict(name="other"),
        dict(seed=None),
        dict(validation=()),
        dict(strict=False),
        dict(groups={}),
        dict(dropped=()),
        dict(options={}),
        dict(train_contexts=("x",)),
    ):
        assert make(**change).hash != split.hash
    assert make(options={"a": 1, "b": 2}).hash == make(options={"b": 2, "a": 1}).hash


def test_the_hash_of_a_known_split_stays_as_it_is():
    # Hashes are written into results: a change of this one makes them worthless.
    assert make().hash == "e4b516b04404ca8f"


def test_a_split_is_read_as_it_was_saved(tmp_path):
    path = tmp_path / "deep" / "split.json"
    split = make(options={"text": np.str_("ü"), "double": np.float64(0.1)})
    split.save(path)
    read = Split.read(path)
    assert read == split
    assert type(read.options["double"]) is float
    assert [file.name for file in path.parent.iterdir()] == ["split.json"]
    content = json.loads(path.read_text())
    assert content["hash"] == split.hash
    assert content["split"]["train"] == ["A", "A+B", "control"]


def test_an_edited_file_is_refused(tmp_path):
    path = tmp_path / "split.json"
    make().save(path)
    text = path.read_text()
    for before, after in (('"C+D"', '"C+E"'), ('"seed": 3', '"seed": 4'), ("true", "false")):
        path.write_text(text.replace(before, after))
        with pytest.raises(ValueError, match="changed after it was saved.*Split.of"):
            Split.read(path)
    path.write_text(json.dumps(json.loads(text), indent=4))
    assert Split.read(path) == make()


def test_a_file_that_an_editor_saved_is_read(tmp_path):
    path = tmp_path / "split.json"
    make().save(path)
    text = path.read_text().replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Split.read(path) == make()


@pytest.mark.parametrize("change", [{"extra": 1}, {"test": [1]}, {"train": None}, {"test": "C"}])
def test_fields_that_are_none_are_an_error_though_the_hash_fits(change, tmp_path):
    path = tmp_path / "split.json"
    make().save(path)
    file = json.loads(path.read_text())
    file["split"] |= change
    text = json.dumps(file["split"], sort_keys=True, separators=(",", ":"))
    file["hash"] = hashlib.sha256(text.encode()).hexdigest()[:16]
    path.write_text(json.dumps(file))
    with pytest.raises(ValueError, match="does not hold the fields|must be a tuple"):
        Split.read(path)


def test_names_of_contexts_and_genes_are_tidy():
    split = Split.of(
        name="", train=["A"], test=["B"], held_out=["B "], test_contexts=["A549\u00a0", "K562"]
    )
    assert (split.held_out, split.test_contexts) == (("B",), ("A549", "K562"))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "truncated, or no JSON"),
        ("[1]", "not a file that Split.save wrote"),
        ('{"kind": "other"}', "not a file that Split.save wrote"),
        ('{"kind": "scBIG split", "format": 2}', "has format 2; this version reads 1"),
        ('{"kind": "scBIG split", "format": 1}', "changed after"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, text, match):
    path = tmp_path / "split.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=match):
        Split.read(path)


def test_a_truncated_file_is_refused_and_a_failed_save_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "split.json"
    make().save(path)
    whole = path.read_text()

    def full(*_, **__):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_text", full)
        with pytest.raises(OSError, match="No space"):
            make(seed=4).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["split.json"]
    assert Split.read(path) == make()
    path.write_text(whole[:-20])
    with pytest.raises(ValueError, match="truncated"):
        Split.read(path)


LEAKS = {
    "two parts": (dict(test=("A+B", "C")), "1 conditions are in `train` and in `test`: 'A.B'"),
    "validation": (dict(validation=("C",)), "in `validation` and in `test`: 'C'"),
    "chosen by": (dict(validation=("A",)), "in `train` and in `validation`: 'A'"),
    "dropped": (dict(dropped=("A",)), "in `train` and in `dropped`: 'A'"),
    "order": (dict(test=("D+C",)), "1 names in `test` are not canonical: 'D.C'.*Split.of"),
    "ctrl": (dict(validation=("B+ctrl",)), "not canonical: 'B.ctrl'"),
    "empty name": (dict(test=("",)), "not canonical: ''"),
    "unsorted": (dict(train=("control", "A")), "`train` are not sorted"),
    "twice": (dict(test=("C", "C")), "`test` are not sorted, or one is there twice"),
    "no control": (dict(train=("A",)), "`train` lacks 'control'"),
    "control tested": (dict(test=("C", "C+D", "control")), "'control' is in `test`"),
    "no test": (dict(test=(), groups={}), "No perturbation is left in `test`"),
    "no training": (dict(train=("control",)), "No perturbation is left in `train`"),
    "group": (dict(groups={"g": ("A", "C")}), "1 names in group 'g' are not in `test`: 'A'"),
    "group twice": (dict(groups={"g": ("C", "C")}), "group 'g' are not sorted"),
    "strict": (dict(train=("A", "B+D", "control")), "1 conditions .* touch a held-out name: 'B.D'"),
    "strict validation": (dict(validation=("D",)), "touch a held-out name: 'D'"),
    "typing error": (dict(held_out=("C", "Q")), "1 held-out names are perturbed in no .*: 'Q'"),
    "held out twice": (dict(held_out=("C", "C")), "`held_out` are not sorted"),
    "contexts": (dict(train_contexts=("y", "x")), "`train_contexts` is not sorted"),
    "several": (
        dict(validation=("A", "C"), train=("A", "control")),
        "'A'.*'C'.*touch a held-out name: 'C'",
    ),
}


@pytest.mark.parametrize(("change", "match"), LEAKS.values(), ids=LEAKS)
def test_a_split_that_leaks_or_is_incomplete_cannot_be_made(change, match):
    with pytest.raises(ValueError, match=f"The split 'mine' cannot be used.*{match}"):
        make(**change)


def test_another_context_may_test_what_is_trained_on_and_nothing_else():
    across = dict(train_contexts=("x",), test_contexts=("y", "z"), strict=False)
    both = dict(train=("A", "C", "control"), held_out=())
    assert make(**across, **both).leaks() == {}
    for overlapping in (
        dict(train_contexts=("x", "y"), test_contexts=("y",)),
        dict(train_contexts=("x",)),
        dict(test_contexts=("x",)),
        dict(),
    ):
        with pytest.raises(ValueError, match="in `train` and in `test`: 'C'"):
            make(**both, **overlapping)
    for change in (
        dict(validation=("C",), held_out=()),
        dict(validation=("A",)),
        dict(dropped=("C",), held_out=()),
        dict(dropped=("A",)),
    ):
        with pytest.raises(ValueError, match="conditions are in `"):
            make(**across, **change)
    with pytest.raises(ValueError, match="touch a held-out name: 'C'"):
        make(**(across | {"strict": True}), train=("C", "control"))


def test_leaks_are_reported_without_an_error():
    split = make(
        train=("A+C", "B", "B+D", "D+E", "control"),
        validation=("C+D",),
        test=("C", "E+F"),
        held_out=("D",),
        groups={},
        strict=False,
        dropped=("A+D",),
    )
    # C is tested alone, D is held out; E is tested in a double only, and claims nothing.
    assert split.leaks() == {"A+C": ("C",), "B+D": ("D",), "C+D": ("C", "D"), "D+E": ("D",)}
    split.check()


def test_another_guide_of_a_tested_gene_is_a_leak():
    split = Split.of(
        name="by guide",
        train=["KLF1_1", "AHR_2", "AHR_1+CEBPE_2", "NKX2-1", "JUN"],
        validation=["GATA1-sg1"],
        test=["KLF1_2", "AHR_2+CEBPE_1", "NKX2-5", "GATA1"],
    )
    assert split.leaks() == {
        "KLF1_1": ("KLF1_2",),
        "GATA1-sg1": ("GATA1",),
        "AHR_1+CEBPE_2": ("AHR_2", "CEBPE_1"),
    }
    held = Split.of(name="held", train=["KLF1_1"], test=["KLF1_2"], held_out=["KLF1_2"])
    assert held.leaks() == {"KLF1_1": ("KLF1_2",)}
    elsewhere = dataclasses.replace(held, held_out=(), train_contexts=("a",), test_contexts=("b",))
    assert elsewhere.leaks() == {}


def test_by_genes_guides_cannot_be_on_two_sides():
    train = ["KLF1_1", "KLF1_3", "A_1+B_1", "B_2+A_2"]
    split = Split.of(name="by gene", guide=GUIDE, train=train, test=["AHR_1", "AHR-sg2"])
    assert split.train == ("A+B", "KLF1", "control")
    assert split.test == ("AHR",)
    assert split.leaks() == {}
    held = Split.of(name="h", guide=GUIDE, train=train, test=["AHR_1"], held_out=["AHR_2", "AHR"])
    assert held.held_out == ("AHR",)
    with pytest.raises(ValueError, match="in `train` and in `test`: 'KLF1'"):
        Split.of(name="by gene", guide=GUIDE, train=["KLF1_1", "AHR"], test=["KLF1_2"])


def test_conditions_that_were_lost_leave_every_part():
    split = make(
        train=("A", "B", "control"),
        validation=("A+B",),
        test=("C", "D"),
        held_out=("C", "D"),
        groups={"first": ("C",), "second": ("D",)},
        strict=True,
        dropped=("A+D",),
    )
    left = split.without(["B", "A+B", "C", "elsewhere"])
    assert left.train == ("A", "control")
    assert left.validation == ()
    assert left.test == ("D",)
    assert left.held_out == ("D",)
    assert dict(left.groups) == {"first": (), "second": ("D",)}
    assert left.dropped == ("A+B", "A+D", "B", "C")
    assert split.without([]) == split
    assert split.without(["B+A"]).dropped == ("A+B", "A+D")
    with pytest.raises(ValueError, match="list of conditions is needed, not the one condition 'C'"):
        split.without("C")
    with pytest.raises(ValueError, match="No perturbation is left in `test`"):
        split.without(["C", "D"])


@pytest.mark.parametrize("value", [{1, 2}, np.arange(2), float("nan"), np.int64(1), {1: "a"}])
def test_options_must_be_plain_values(value):
    with pytest.raises(ValueError, match="`options"):
        make(options={"deep": [value]})


LABELS = [f"G{i}" for i in range(12)] + [f"G{i}+G{j}" for i in range(6) for j in range(i)]


def test_the_arguments_are_kept_as_options():
    split = holdout(LABELS, seed=2, share=0.3, validation=0.2, stratify="genes")
    assert split.options == {"share": 0.3, "validation": 0.2, "strict": True, "stratify": "genes"}
    assert split.seed == 2
    sizes = {label + "+ctrl": float(i) for i, label in enumerate(LABELS)}
    kept = additive(LABELS, seed=0, stratify=sizes).options["stratify"]
    assert kept["G1+G5"] == sizes["G5+G1+ctrl"]


def test_another_seed_is_another_split():
    for draw in (
        lambda seed: additive(LABELS, seed=seed),
        lambda seed: holdout(LABELS, seed=seed, stratify="genes"),
        lambda seed: kfold(LABELS, folds=3, seed=seed)[0],
        lambda seed: kfold(LABELS, folds=3, seed=seed, stratify="genes")[0],
    ):
        tests = {draw(seed).test for seed in range(6)}
        assert len(tests) == 6


def test_every_double_can_be_tested():
    # A draw with a preference would never reach some of them.
    plain = {name for s in range(40) for name in additive(LABELS, seed=s).test}
    sizes = {label: float(i % 5) for i, label in enumerate(LABELS)}
    by_size = {name for s in range(40) for name in additive(LABELS, seed=s, stratify=sizes).test}
    doubles = {Condition.parse(label).name for label in LABELS if "+" in label}
    assert plain == by_size == doubles
    published = {
        name for s in range(40) for name in additive(LABELS, seed=s, variant="published").test
    }
    assert published < doubles
