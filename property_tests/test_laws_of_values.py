"""Every algorithm of the library is in the table, and is a value."""

import dataclasses
import json

import jax
import pytest

from scbig._json import plain, read
from scbig._value import but, fingerprint, walk
from scbig.method import anchored, cpu, on_disk, paper, released

from .subclasses import BUILT, TABLE, library, missing

VALUES = [(kind, value) for kind, instances in TABLE.items() for value in instances]
NAMES = [f"{kind.__name__}-{type(value).__name__}-{n}" for n, (kind, value) in enumerate(VALUES)]


def test_every_algorithm_of_the_library_is_under_law():
    assert missing() == []


def test_what_presets_are_made_of_is_under_law():
    kinds = tuple(TABLE)
    inside = {
        type(v)
        for p in (paper(), released(), cpu(), anchored(cpu()), on_disk(paper()))
        for v in walk(p)
    }
    known = {type(value) for _, value in VALUES}
    assert {cls for cls in inside if issubclass(cls, kinds)} <= known


def test_what_is_built_has_a_spec_of_each_kind():
    for built, kinds in BUILT.items():
        assert list(library(built))
        assert all(TABLE[kind] for kind in kinds)


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=NAMES)
def test_a_value_comes_back_from_json_and_stands_for_itself(kind, value):
    again = read(kind, json.loads(json.dumps(plain(value), allow_nan=False)))
    assert type(again) is type(value)
    assert again == value
    assert hash(again) == hash(value)
    assert fingerprint(again) == fingerprint(value)
    assert not [leaf for leaf in jax.tree.leaves(value) if isinstance(leaf, jax.Array)]


@pytest.mark.parametrize(("kind", "value"), VALUES, ids=NAMES)
def test_a_value_with_another_number_is_another_value(kind, value):
    for field in dataclasses.fields(value):
        known = getattr(value, field.name)
        if isinstance(known, bool):
            changed = but(value, **{field.name: not known})
        elif isinstance(known, int | float):
            try:
                changed = but(value, **{field.name: known * 2})
            except ValueError:
                continue
            if known == 0:
                continue
        else:
            continue
        assert changed != value
        assert fingerprint(changed) != fingerprint(value)


OURS = [(k, v) for k, v in VALUES if type(v).__module__.split(".")[0] == "scbig"]


@pytest.mark.parametrize(("kind", "value"), OURS, ids=lambda x: type(x).__name__)
def test_a_value_of_the_library_says_what_it_is(kind, value):
    assert type(value).__doc__
    assert isinstance(value, kind)
    numbers = [f.name for f in dataclasses.fields(value) if f.type in (int, float)]
    own = type(value).__doc__ or ""
    if "fields as in" not in own:
        assert [name for name in numbers if f"`{name}`" not in own] == []
