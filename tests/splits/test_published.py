"""Published splits, draw for draw: lists made by others' code, and counts that others printed."""

import json

import numpy as np
import pytest

from scbig.splits import Split, additive, combosciplex, gears, holdout, kfold, scdfm


def same_sets(labels):
    """Labels as sets of genes, without the control."""
    return {frozenset(label.split("+")) - {"ctrl", "control"} for label in labels}


@pytest.fixture
def norman(shared_file):
    """The genes and doubles of GEARS's Norman file, and what its GO graph lacks."""
    return json.loads(shared_file("splits/norman19_conditions.json").read_text())


def spelled(norman, *, go_only):
    """The labels of GEARS's file: singles with the control second, first, or both."""
    labels = [f"{g}+ctrl" for g in norman["single_genes"] if g != "SLC38A2"]
    labels += [f"ctrl+{g}" for g in norman["genes_that_also_occur_as_ctrl_first"]]
    labels += norman["doubles"]
    if go_only:
        gone = {"RHOXF2BB", "IER5L", "KIAA1804"}
        labels = [label for label in labels if not gone & set(label.split("+"))]
    return [*labels, "ctrl"]


@pytest.fixture
def published_folds(shared_file):
    """The folds, and the labels of the file that they were drawn from."""
    published = json.loads(shared_file("splits/norman19_scdfm_folds.json").read_text())
    first = published["folds"][0]["additive"]
    doubles = [*first["train_doubles"], *first["test_doubles"]]
    genes = sorted({gene for double in doubles for gene in double.split("+")})
    return published["folds"], [*(f"{gene}+control" for gene in genes), "control", *doubles]


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_published_additive_lists_come_out_exactly(shared_file, norman, seed):
    lists = json.loads(shared_file("splits/norman19_additive_seeds1-5.json").read_text())
    wanted = lists[str(seed)]
    labels = spelled(norman, go_only=False)
    exclude = norman["not_in_the_GO_graph"]
    split = additive(labels, seed=seed, variant="published", exclude=exclude)
    assert (len(split.train), len(split.validation), len(split.test)) == (167, 32, 32)
    for ours, theirs in (("train", "train"), ("validation", "val"), ("test", "test")):
        assert same_sets(getattr(split, ours)) == same_sets(wanted[theirs])
        assert len(getattr(split, ours)) == len(wanted[theirs])
    assert same_sets(split.dropped) == same_sets(exclude)
    random = additive(labels, seed=seed, exclude=exclude)
    assert (len(random.train), len(random.validation), len(random.test)) == (167, 32, 32)
    assert random.train == split.train
    assert random.test != split.test


def test_norman_without_the_go_graph_is_103_singles_with_the_control_and_128_doubles(norman):
    split = additive(spelled(norman, go_only=False), seed=1, exclude=norman["not_in_the_GO_graph"])
    names = [*split.train, *split.validation, *split.test]
    assert len(names) == len(set(names)) == 103 + 128
    assert sum("+" in name for name in names) == 128


@pytest.mark.parametrize("fold", range(3))
def test_scdfm_folds_come_out_exactly(published_folds, fold):
    folds, labels = published_folds
    wanted = folds[fold]
    assert wanted["fold"] == fold
    additive = scdfm(labels, fold=fold)
    assert same_sets(additive.test) == same_sets(wanted["additive"]["test_doubles"])
    trained = [name for name in additive.train if "+" in name]
    assert same_sets(trained) == same_sets(wanted["additive"]["train_doubles"])
    assert (len(additive.test), len(trained)) == (37, 88)
    assert additive.leaks() == {}
    combination = scdfm(labels, fold=fold, kind="combination")
    table = wanted["combinations_table2"]
    assert same_sets(combination.groups["doubles"]) == same_sets(table["test_doubles"])
    assert same_sets(combination.groups["singles"]) == same_sets(table["test_singles"])
    assert set(combination.held_out) == set(combination.groups["singles"])
    assert set(combination.test) == {n for names in combination.groups.values() for n in names}


def test_scdfm_draws_from_labels_as_they_are_spelled(published_folds):
    folds, labels = published_folds
    by_order = [scdfm(list(order), fold=1) for order in (labels, reversed(labels))]
    assert by_order[0] == by_order[1]
    canonical = ["+".join(sorted(label.split("+"))) for label in labels]
    assert scdfm(canonical, fold=1).test != by_order[0].test


def test_the_leaks_of_scdfms_combinations_are_reported(published_folds, norman):
    folds, labels = published_folds
    for fold, wanted in enumerate(folds):
        held = {g for d in wanted["combinations_table2"]["test_doubles"] for g in d.split("+")}
        tested = same_sets(wanted["combinations_table2"]["test_doubles"])
        doubles = same_sets(label for label in labels if "control" not in label)
        leaking = {double for double in doubles - tested if double & held}
        leaks = scdfm(labels, fold=fold, kind="combination").leaks()
        assert same_sets(leaks) == leaking
        assert all(set(names) == set(name.split("+")) & held for name, names in leaks.items())
    # Counted on the 131 doubles of GEARS's file by those who found the leak.
    counts = [
        len(scdfm(spelled(norman, go_only=False), fold=fold, kind="combination").leaks())
        for fold in range(5)
    ]
    assert (min(counts), max(counts)) == (63, 84)


def legacy(seed):
    """The generator that GEARS seeds globally."""
    return np.random.RandomState(seed)


def naive_gears(labels, seed):
    """The two rounds of GEARS's simulation, one label at a time."""
    left, parts = sorted(set(labels) - {"ctrl"}), {}
    for part, share in (("test", 0.75), ("validation", 0.9)):
        genes = sorted({gene for label in left for gene in label.split("+")} - {"ctrl"})
        seen = legacy(seed).choice(genes, int(share * len(genes)), replace=False).tolist()
        out, doubles = [], []
        for label in left:
            if not all(gene in [*seen, "ctrl"] for gene in label.split("+")):
                out.append(label)
            elif "ctrl" not in label:
                doubles.append(label)
        kept = legacy(seed).choice(doubles, int(share * len(doubles)), replace=False).tolist()
        out += [double for double in doubles if double not in kept]
        left = [label for label in left if label not in out]
        parts[part] = same_sets(out)
    return parts | {"train": same_sets(left)}


@pytest.mark.parametrize(
    ("seed", "printed"),
    [
        (1, (9, 43, 19, 36)),
        (2, (12, 52, 16, 37)),
        (3, (4, 51, 19, 35)),
        (4, (4, 52, 18, 37)),
        (5, (3, 56, 18, 40)),
    ],
)
def test_gears_gives_the_subgroups_that_others_printed(norman, seed, printed):
    split = gears(spelled(norman, go_only=True), seed=seed)
    groups = ("seen0", "seen1", "seen2", "unseen_single")
    assert tuple(split.options["test_labels"][group] for group in groups) == printed
    # A double has one label; singles in both spellings are one condition.
    assert tuple(len(split.groups[group]) for group in groups[:3]) == printed[:3]
    assert len(split.groups["unseen_single"]) == len(split.held_out) == 26
    naive = naive_gears(spelled(norman, go_only=True), seed)
    for part in ("train", "validation", "test"):
        assert same_sets(getattr(split, part)) - {frozenset()} == naive[part]
    for name in split.groups["seen1"]:
        assert len(set(name.split("+")) & set(split.held_out)) == 1
    for name in split.groups["seen2"]:
        assert not set(name.split("+")) & set(split.held_out)


@pytest.mark.parametrize("kind", ["simulation", "simulation_single"])
def test_gears_on_a_screen_of_rpe1s_size(shared_file, kind):
    labels = shared_file("splits/replogle22_rpe1_gears_conditions.txt").read_text().split()
    counts = {}
    for number in (1536, len(labels)):
        split = gears([*labels[:number], "ctrl"], kind=kind)
        counts[number] = len(split.train), len(split.validation), len(split.test)
        # GEARS's two draws for a screen of singles, of genes in sorted order.
        genes = sorted(label.removesuffix("+ctrl") for label in labels[:number])
        seen = legacy(1).choice(genes, int(0.75 * number), replace=False)
        train = legacy(1).choice(sorted(seen), int(0.9 * len(seen)), replace=False)
        assert set(split.train) == {*train.tolist(), "control"}
        assert set(split.validation) == set(seen.tolist()) - set(train.tolist())
    assert counts == {1536: (1037, 116, 384), 1543: (1042, 116, 386)}


def test_gears_single_draws_genes_with_replacement_and_drops_their_doubles(norman):
    labels = spelled(norman, go_only=True)
    split = gears(labels, seed=3, kind="single")
    random = legacy(3)
    genes = sorted({g for label in labels for g in label.split("+")} - {"ctrl"})
    singles = [label for label in labels if "ctrl+" in label or "+ctrl" in label]
    held = set(random.choice(genes, int(0.1 * len(singles))).tolist())
    assert set(split.test) == set(split.held_out) == held
    left = [x for x in labels if x != "ctrl" and not held & set(x.split("+"))]
    genes = sorted({g for label in left for g in label.split("+")} - {"ctrl"})
    singles = [label for label in left if "ctrl" in label]
    chosen = set(random.choice(genes, int(0.1 * len(singles))).tolist())
    assert set(split.validation) == chosen
    touched = {x for x in same_sets(labels) if len(x) == 2 and x & (held | chosen)}
    assert same_sets(split.dropped) == touched
    assert all(len(name.split("+")) == 2 for name in split.dropped)


def test_holdout_gives_the_published_counts_where_five_doubles_have_both_genes(norman):
    labels = spelled(norman, go_only=False)
    fives = 0
    for seed in range(4):
        split = holdout(labels, seed=seed, strict=False)
        assert len(split.held_out) == len(split.groups["unseen_single"]) == 21
        both = len(split.groups["all_unseen"])
        assert len(split.test) == 21 + both
        assert len(split.train) + len(split.validation) + len(split.test) == 237
        if both == 5:
            fives += 1
            assert (len(split.train), len(split.validation)) == (190, 21)
        assert len(split.leaks()) > 20
        strict = holdout(labels, seed=seed)
        assert strict.held_out == split.held_out
        assert strict.leaks() == {}
        assert set(strict.groups["some_unseen"]) == {
            name
            for name in (*split.train, *split.validation)
            if set(name.split("+")) & set(split.held_out)
        }
        assert len(strict.train) + len(strict.validation) + len(strict.test) == 237
    assert fives


COMBOSCIPLEX = [
    "Panobinostat+Crizotinib",
    "Panobinostat+Curcumin",
    "Panobinostat+SRT1720",
    "Panobinostat+Sorafenib",
    "SRT2104+Alvespimycin",
    "control+Alvespimycin",
    "control+Dacinostat",
]


def test_combosciplex_tests_the_seven_in_any_spelling():
    others = ["control+control", "Panobinostat+Dasatinib", "Givinostat+SRT2104", "Cediranib"]
    split = combosciplex([*COMBOSCIPLEX, *others])
    assert same_sets(split.test) == same_sets(COMBOSCIPLEX)
    assert split.train == ("Cediranib", "Dasatinib+Panobinostat", "Givinostat+SRT2104", "control")
    assert split.validation == ()
    leaky = combosciplex([*COMBOSCIPLEX, *others, "Dacinostat+Panobinostat"])
    assert leaky.leaks() == {"Dacinostat+Panobinostat": ("Dacinostat",)}


def test_folds_of_norman_test_each_condition_once(norman):
    splits = kfold(spelled(norman, go_only=False), folds=5, seed=0, stratify="genes")
    tested = [name for split in splits for name in split.test]
    assert len(tested) == len(set(tested)) == 236
    # 131 doubles and 105 singles.
    assert {sum("+" in name for name in split.test) for split in splits} == {26, 27}
    assert {sum("+" not in name for name in split.test) for split in splits} == {21}


NORMAN = {
    "additive": lambda x, seed: [additive(x, seed=seed)],
    "additive, published": lambda x, seed: [additive(x, seed=seed, variant="published")],
    "holdout": lambda x, seed: [holdout(x, seed=seed)],
    "holdout, not strict": lambda x, seed: [holdout(x, seed=seed, strict=False)],
    "gears": lambda x, seed: [gears(x, seed=seed)],
    "gears, single": lambda x, seed: [gears(x, seed=seed, kind="single")],
    "scdfm": lambda x, seed: [scdfm(x, fold=seed)],
    "scdfm, combination": lambda x, seed: [scdfm(x, fold=seed, kind="combination")],
    "folds of all": lambda x, seed: kfold(x, folds=5, seed=seed),
    "folds of singles": lambda x, seed: kfold(x, folds=5, seed=seed, of="singles"),
    "folds of doubles": lambda x, seed: kfold(x, folds=5, seed=seed, of="doubles"),
    "folds of genes": lambda x, seed: kfold(x, folds=5, seed=seed, of="genes"),
}


@pytest.mark.parametrize("make", NORMAN.values(), ids=NORMAN)
def test_on_norman_nothing_tested_is_trained_on_and_nothing_is_lost(norman, make, tmp_path):
    labels = spelled(norman, go_only=False)
    everything = same_sets(labels) - {frozenset()}
    for seed in (0, 4):
        for split in make(labels, seed):
            shown, tested = same_sets([*split.train, *split.validation]), same_sets(split.test)
            assert not tested & shown
            assert not same_sets(split.validation) & same_sets(split.train)
            assert (tested | shown | same_sets(split.dropped)) - {frozenset()} == everything
            assert not (split.strict and any(names & set(split.held_out) for names in shown))
            split.save(tmp_path / "split.json")
            assert Split.read(tmp_path / "split.json") == split
