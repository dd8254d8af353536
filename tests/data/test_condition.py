"""Labels become unordered sets."""

import pytest

from scbig.data import Condition


@pytest.mark.parametrize(
    ("label", "perturbations"),
    [
        ("A", ("A",)),
        ("A+ctrl", ("A",)),
        ("ctrl+A", ("A",)),
        ("A+B", ("A", "B")),
        ("B+A", ("A", "B")),
        ("B + A", ("A", "B")),
        ("C+control+B", ("B", "C")),
        ("control", ()),
        ("ctrl", ()),
        ("ctrl+ctrl", ()),
    ],
)
def test_a_label_is_an_unordered_set(label, perturbations):
    condition = Condition.parse(label)
    assert condition == Condition(perturbations)
    assert condition.is_control == (not perturbations)


def test_names_are_sorted_and_the_control_has_one_name():
    assert Condition.parse("KLF1+CEBPE").name == "CEBPE+KLF1"
    assert Condition.parse("ctrl").name == "control"


@pytest.mark.parametrize("label", ["", " ", "A+", "+A", "A++B", "A+A", "A+ctrl+A"])
def test_an_empty_or_repeated_name_is_an_error(label):
    with pytest.raises(ValueError, match="condition"):
        Condition.parse(label)


def test_separator_and_control_names_can_be_chosen():
    parse = lambda label: Condition.parse(label, separator="_", controls=("NT", "safe"))
    assert parse("B_A").name == "A+B"
    assert parse("NT_A").name == "A"
    assert parse("NT_safe").is_control
    assert Condition.parse("non-targeting", controls="non-targeting").is_control
    with pytest.raises(ValueError, match="separator"):
        Condition.parse("A", separator="")


@pytest.mark.parametrize("name", ["ctrl", "control"])
def test_a_control_that_the_caller_forgot_is_an_error(name):
    with pytest.raises(ValueError, match=f"'{name}' is reserved.*control names"):
        Condition.parse(f"A+{name}", controls="non-targeting")


def test_a_name_that_would_read_as_two_is_an_error():
    with pytest.raises(ValueError, match="contains '\\+'.*Rename"):
        Condition.parse("(+)-JQ1_A", separator="_")


@pytest.mark.parametrize("names", [("B", "A"), ("A", "A"), ("",), (" A",)])
def test_only_canonical_sets_can_be_built(names):
    with pytest.raises(ValueError, match="perturbation"):
        Condition(names)
