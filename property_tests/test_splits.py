"""Laws of splits: nothing tested is trained on, every condition has one place, draws repeat.

Conditions are compared as sets of names taken from the raw labels, not by the code under test.
"""

import itertools
import random as rnd

import pytest
from hypothesis import given, settings, strategies as st

from scbig.splits import Split, additive, combosciplex, cross_context, gears, holdout, kfold, scdfm

SEVEN = [
    "Panobinostat+Crizotinib",
    "Panobinostat+Curcumin",
    "Panobinostat+SRT1720",
    "Panobinostat+Sorafenib",
    "SRT2104+Alvespimycin",
    "Alvespimycin",
    "Dacinostat",
]
BASE = [frozenset(pair) for pair in (("G0", "G1"), ("G1", "G2"), ("G3", "G4"), ("G4", "G5"))]
SEEDS = st.integers(0, 2**32 - 1)
# Each law is tried on every algorithm, so a few lists for each will do; more under "thorough".
EXAMPLES = max(4, settings().max_examples // 4)


def unless_empty(make):
    """The split, unless the few genes that were drawn are never perturbed alone."""
    try:
        return [make()]
    except ValueError as error:
        if "No perturbation is left in `test`" in str(error):
            return []
        raise


# Each takes labels and a seed, and returns splits. The second half reads labels as spelled.
FREE = {
    "additive": lambda x, seed, **kw: [additive(x, seed=seed, **kw)],
    "additive by size": lambda x, seed, **kw: [additive(x, seed=seed, stratify=sizes(x), **kw)],
    "holdout": lambda x, seed, **kw: [holdout(x, seed=seed, validation=0.2, **kw)],
    "holdout by genes": lambda x, seed, **kw: [
        holdout(x, seed=seed, validation=0.3, stratify="genes", **kw)
    ],
    "holdout, not strict": lambda x, seed, **kw: unless_empty(
        lambda: holdout(x, seed=seed, strict=False, validation=0.0, **kw)
    ),
    "folds of all": lambda x, seed, **kw: kfold(x, folds=3, seed=seed, **kw),
    "folds of singles": lambda x, seed, **kw: kfold(
        x, folds=4, seed=seed, of="singles", stratify=sizes(x), **kw
    ),
    "folds of doubles": lambda x, seed, **kw: kfold(
        x, folds=2, seed=seed, of="doubles", validation=0.4, **kw
    ),
    "folds of genes": lambda x, seed, **kw: kfold(x, folds=3, seed=seed, of="genes", **kw),
    "combosciplex": lambda x, seed, **kw: [combosciplex(x, **kw)],
}
SPELLED = {
    "gears": lambda x, seed, **kw: [gears(x, seed=seed, **kw)],
    "gears, single": lambda x, seed, **kw: unless_empty(
        lambda: gears(x, seed=seed, kind="single", **kw)
    ),
    "scdfm": lambda x, seed, **kw: [scdfm(x, fold=seed % 5, **kw)],
    "scdfm, combination": lambda x, seed, **kw: [scdfm(x, fold=seed % 5, kind="combination", **kw)],
}
ALL = FREE | SPELLED


def as_set(label):
    return frozenset(label.split("+")) - {"ctrl", "control"}


def as_sets(labels):
    return {as_set(label) for label in labels} - {frozenset()}


def sizes(labels):
    """Some numbers to stratify by, the same for every spelling."""
    return {x: float(sum(map(ord, "".join(as_set(x)))) % 7) for x in labels if as_set(x)}


@st.composite
def screens(draw):
    """Labels of at least 10 singles and 4 doubles, as spelled in some file.

    The gene Z is in doubles only. ComboSciPlex's seven are always there.
    """
    genes = [f"G{i}" for i in range(draw(st.integers(8, 12)))]
    pairs = list(itertools.combinations([*genes, "Z"], 2))
    doubles = {tuple(sorted(pair)) for pair in BASE}
    doubles |= draw(st.sets(st.sampled_from(pairs), max_size=25))
    singles = ["{}", "{}+ctrl", "ctrl+{}", "{}+control"]
    labels = [draw(st.sampled_from(singles)).format(gene) for gene in genes]
    if draw(st.booleans()):
        labels.append("ctrl+G0" if "G0+ctrl" in labels else "G0+ctrl")
    labels += ["+".join(draw(st.permutations(double))) for double in sorted(doubles)]
    return [*draw(st.permutations(labels)), *SEVEN, draw(st.sampled_from(["ctrl", "control"]))]


def respelled(labels, random):
    """The same conditions in another order, and other spellings of each."""
    others = []
    for label in random.sample(labels, len(labels)):
        names = sorted(as_set(label))
        random.shuffle(names)
        others.append("+".join(names) or "control")
    return others


def check_places(split, labels):
    parts = [split.train, split.validation, split.test, split.dropped]
    placed = [as_set(name) for part in parts for name in part if name != "control"]
    assert len(placed) == len(set(placed))
    assert set(placed) == as_sets(labels)
    assert "control" in split.train
    assert all(list(part) == sorted(set(part)) for part in parts)
    shown = as_sets([*split.train, *split.validation])
    assert as_sets(split.test)
    assert not as_sets(split.test) & shown
    grouped = [name for names in split.groups.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert not grouped or set(grouped) == set(split.test)


def check_claims(split):
    held = set(split.held_out)
    shown = {n for n in (*split.train, *split.validation) if as_set(n) & held}
    assert not (split.strict and shown)
    claimed = held | {n for n in split.test if len(as_set(n)) == 1}
    shown = {n for n in (*split.train, *split.validation) if as_set(n) & claimed}
    leaks = split.leaks()
    assert set(leaks) == shown
    assert all(set(names) == as_set(name) & claimed for name, names in leaks.items())


def check_file(split, path):
    split.save(path)
    read = Split.read(path)
    assert read == split
    assert (read.hash, hash(read)) == (split.hash, hash(split))


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@given(labels=screens(), seed=SEEDS)
@settings(max_examples=EXAMPLES)
def test_one_place_for_each_and_nothing_tested_or_strictly_held_out_is_trained_on(
    make, labels, seed, tmp_path_factory
):
    path = tmp_path_factory.mktemp("split") / "split.json"
    for split in make(labels, seed):
        check_places(split, labels)
        check_claims(split)
        check_file(split, path)


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@given(labels=screens(), seed=SEEDS, random=st.integers(0, 99))
@settings(max_examples=EXAMPLES)
def test_a_seed_gives_one_split_whatever_the_order(make, labels, seed, random):
    shuffled = rnd.Random(random).sample(labels, len(labels))
    first, again = make(labels, seed), make([*shuffled, *shuffled[:3]], seed)
    assert list(first) == list(again)
    assert [split.hash for split in first] == [split.hash for split in again]


@pytest.mark.parametrize("make", FREE.values(), ids=FREE)
@given(labels=screens(), seed=SEEDS, random=st.integers(0, 99))
@settings(max_examples=EXAMPLES)
def test_where_labels_are_read_as_sets_no_spelling_matters(make, labels, seed, random):
    others = respelled(labels, rnd.Random(random))
    assert list(make(labels, seed)) == list(make(others, seed))


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
@given(labels=screens(), seed=SEEDS, random=st.integers(0, 99))
@settings(max_examples=EXAMPLES)
def test_what_is_excluded_is_in_no_part_and_is_named(make, labels, seed, random):
    free = [x for x in labels if len(as_set(x)) == 2 and as_set(x) not in BASE and x not in SEVEN]
    gone = rnd.Random(random).sample(free, len(free) // 2)
    for split in make(labels, seed, exclude=gone):
        assert as_sets(split.dropped) >= as_sets(gone)
        check_places(split, labels)


@given(screens(), SEEDS)
def test_additive_tests_only_doubles_whose_genes_are_trained_on_alone(labels, seed):
    split = additive(labels, seed=seed)
    alone = {next(iter(as_set(name))) for name in split.train if len(as_set(name)) == 1}
    for name in (*split.test, *split.validation):
        assert len(as_set(name)) == 2
        assert as_set(name) <= alone
    doubles = [x for x in as_sets(labels) if len(x) == 2 and x <= alone]
    trained = as_sets(split.train) & set(doubles)
    assert len(trained) == len(doubles) // 2
    assert 0 <= len(split.validation) - len(split.test) <= 1


@given(screens(), SEEDS, st.booleans())
def test_holdout_sorts_by_how_many_genes_are_held_out(labels, seed, strict):
    split = holdout(labels, seed=seed, strict=strict)
    held = set(split.held_out)
    genes = frozenset().union(*as_sets(labels))
    assert len(held) == len(genes) // 5
    wanted = {"unseen_single": set(), "all_unseen": set(), "some_unseen": set()}
    for names in as_sets(labels):
        if names <= held:
            wanted["unseen_single" if len(names) == 1 else "all_unseen"].add(names)
        elif names & held and strict:
            wanted["some_unseen"].add(names)
    if not strict:
        del wanted["some_unseen"]
    assert {group: as_sets(names) for group, names in split.groups.items()} == wanted


@given(screens(), SEEDS, st.sampled_from(["all", "singles", "doubles", "genes"]))
def test_folds_partition_what_they_are_of(labels, seed, of):
    splits = kfold(labels, folds=3, seed=seed, of=of)
    everything = as_sets(labels)
    if of == "genes":
        dealt = [name for split in splits for name in split.held_out]
        assert sorted(dealt) == sorted(frozenset().union(*everything))
        dealt = [as_set(n) for split in splits for n in split.groups["unseen_single"]]
        wanted = {x for x in everything if len(x) == 1}
    else:
        dealt = [as_set(name) for split in splits for name in split.test]
        number = {"singles": {1}, "doubles": {2}, "all": {1, 2}}[of]
        wanted = {x for x in everything if len(x) in number}
        counts = [len(split.test) for split in splits]
        assert max(counts) - min(counts) <= 1
    assert len(dealt) == len(set(dealt))
    assert set(dealt) == wanted


@given(screens(), SEEDS)
def test_stratified_folds_and_draws_have_every_stratum_in_proportion(labels, seed):
    splits = kfold(labels, folds=3, seed=seed, stratify="genes", validation=0.25)
    for number in (1, 2):
        tested = [sum(len(as_set(n)) == number for n in split.test) for split in splits]
        assert max(tested) - min(tested) <= 1
    for split in splits:
        rest = [n for n in (*split.train, *split.validation) if n != "control"]
        share = len(split.validation) / len(rest)
        for number in (1, 2):
            there = sum(len(as_set(n)) == number for n in rest)
            drawn = sum(len(as_set(n)) == number for n in split.validation)
            assert abs(drawn - share * there) < 1


@given(screens(), SEEDS)
def test_quarters_by_size_are_in_proportion(labels, seed):
    ranked = sorted(as_sets(labels), key=lambda names: (len(names), sorted(names)[::-1]))
    effect = {"+".join(names): float(rank) for rank, names in enumerate(ranked)}
    splits = kfold(labels, folds=3, seed=seed, stratify=effect)
    quarters = [set() for _ in range(4)]
    for rank, names in enumerate(ranked):
        quarters[4 * rank // len(ranked)].add(names)
    for quarter in quarters:
        tested = [len(as_sets(split.test) & quarter) for split in splits]
        assert max(tested) - min(tested) <= 1


@given(screens(), screens(), SEEDS, st.sampled_from(["shared", "all"]), st.sampled_from([0.5, 1.0]))
def test_across_contexts_only_the_training_context_is_trained_on(here, there, seed, of, share):
    measured = {"x": here, "y": there}
    split = cross_context(
        measured, train="x", test="y", seed=seed, of=of, share=share, validation=0.3
    )
    train, validation = as_sets(split.train), as_sets(split.validation)
    test, dropped = as_sets(split.test), as_sets(split.dropped)
    assert train | validation == as_sets(here)
    assert not train & validation
    assert not test & validation
    assert test <= as_sets(there)
    assert dropped == as_sets(there) - as_sets(here) - test
    assert test <= (train if of == "shared" else train | as_sets(there) - as_sets(here))
    assert as_sets(split.groups["trained_elsewhere"]) == test & train
    assert (split.train_contexts, split.test_contexts) == (("x",), ("y",))


@given(screens(), SEEDS, st.data())
def test_no_list_from_elsewhere_that_leaks_can_be_made_a_split(labels, seed, data):
    split = holdout(labels, seed=seed)
    lists = {part: list(getattr(split, part)) for part in ("train", "validation", "test")}
    make = lambda: Split.of(
        name="theirs",
        train=lists["train"],
        validation=lists["validation"],
        test=lists["test"],
        held_out=split.held_out,
        strict=True,
    )
    assert make().test == split.test
    source, target = data.draw(st.permutations(["train", "validation", "test"]))[:2]
    movable = [name for name in lists[source] if name != "control"]
    if not movable:
        return
    name = data.draw(st.sampled_from(movable))
    spelling = "+".join(data.draw(st.permutations([*as_set(name), "ctrl"])))
    lists[target].append(spelling)
    with pytest.raises(ValueError, match=f"are in `.*` and in `.*{name.replace('+', '.')}"):
        make()
