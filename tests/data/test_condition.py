"""Labels become unordered sets."""

import pytest

from scbig.data import GUIDE, Condition


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
        Condition.parse("A+B_C", separator="_")


def test_brackets_keep_a_name_together():
    assert Condition.parse("(+)-JQ1").perturbations == ("(+)-JQ1",)
    assert Condition.parse("B+(+)-JQ1+A").perturbations == ("(+)-JQ1", "A", "B")
    assert Condition.parse("[a_(b_c)]_A", separator="_").perturbations == ("A", "[a_(b_c)]")
    for label in ("(+)-JQ1@0.1+DMSO", "(-)-X+(+)-X"):
        condition = Condition.parse(label)
        assert Condition.parse(condition.name) == condition
    # A bracket that is left open, or that was not opened, holds nothing together.
    assert Condition.parse("A(+B").perturbations == ("A(", "B")
    assert Condition.parse("A)+B").perturbations == ("A)", "B")


GUIDES = [
    "KLF1_2",
    "KLF1-sg2",
    "KLF1_g2",
    "KLF1_sg2",
    "KLF1g2",
    "KLF1sg2",
    "KLF1.g2",
    "KLF1-gRNA-2",
]


@pytest.mark.parametrize("label", GUIDES)
def test_guides_of_a_gene_are_that_gene(label):
    parse = lambda label: Condition.parse(label, guide=GUIDE)
    assert parse(label).name == "KLF1"
    assert parse(f"{label}+GATA1_1").name == "GATA1+KLF1"
    assert parse(f"{label}+KLF1_1").name == "KLF1"
    assert parse(f"{label}+non-targeting_3").name == "KLF1"
    assert parse(f"{label}@0.1").name == "KLF1@0.1"
    assert Condition.parse(label).name == label


def test_what_ends_in_a_number_may_be_a_gene():
    for gene in ("KLF1", "NKX2-1", "HLA-DRB1", "ALG13", "Alg13", "SNORD116-2"):
        assert Condition.parse(gene, guide=GUIDE).name == gene


@pytest.mark.parametrize("names", [("B", "A"), ("A", "A"), ("",), (" A",)])
def test_only_canonical_sets_can_be_built(names):
    with pytest.raises(ValueError, match="perturbation"):
        Condition(names)


@pytest.mark.parametrize(
    ("label", "perturbations", "doses", "name"),
    [
        ("A@0.10", ("A",), (0.1,), "A@0.1"),
        ("B+A@10.0", ("A", "B"), (10.0, None), "A@10+B"),
        ("Sorafenib + Panobinostat @ 0.1", ("Panobinostat", "Sorafenib"), (0.1, None), None),
        ("B@2+A@1", ("A", "B"), (1.0, 2.0), "A@1+B@2"),
        ("A@1e-5", ("A",), (1e-5,), "A@1e-05"),
        ("A@.5+ctrl@7", ("A",), (0.5,), "A@0.5"),
        ("ctrl@0+control@nan", (), (), "control"),
        ("IGH@", ("IGH@",), (None,), "IGH@"),
        ("IGH@@3", ("IGH@",), (3.0,), "IGH@@3"),
        ("A@10uM", ("A@10uM",), (None,), "A@10uM"),
        ("A@B", ("A@B",), (None,), "A@B"),
    ],
)
def test_a_dose_is_a_number_behind_the_last_at(label, perturbations, doses, name):
    condition = Condition.parse(label)
    assert condition == Condition(perturbations, doses)
    assert (condition.perturbations, condition.doses) == (perturbations, doses)
    assert name is None or condition.name == name
    assert condition.is_control == (not perturbations)


def test_two_doses_are_two_conditions_and_two_spellings_are_one():
    labels = ["A", "A@1", "A@1.0", "A@1e0", "A@10", "A+B@1", "A@1+B", "B+A@1.00"]
    parsed = [Condition.parse(label) for label in labels]
    assert len(set(parsed)) == len({c.name for c in parsed}) == 5
    assert parsed[1] == parsed[2] == parsed[3] != parsed[0]
    assert parsed[5] != parsed[6] == parsed[7]


def test_a_huge_dose_is_spelt_without_the_sign_that_joins_names():
    condition = Condition(("A", "B"), (1e16, 2e-9))
    assert condition.name == "A@1e16+B@2e-09"
    assert Condition.parse(condition.name) == condition
    with pytest.raises(ValueError, match="'A@1e' ends in its exponent"):
        Condition.parse("A@1e+16")


@pytest.mark.parametrize("dose", ["0", "-1", "0.0", "nan", "inf", "-inf", "1e-999", "1e999"])
def test_a_dose_that_is_no_positive_number_is_an_error(dose):
    for call in (
        lambda: Condition.parse(f"B+A@{dose}"),
        lambda: Condition.parse("B+A", doses=f"1+{dose}"),
        lambda: Condition(("A",), (float(dose),)),
    ):
        with pytest.raises(ValueError, match="dose .* of 'A' is not a positive number"):
            call()


@pytest.mark.parametrize("label", ["A@1+A@2", "A@1+A", "@1", "A@1+"])
def test_doses_do_not_excuse_a_repeated_or_empty_name(label):
    with pytest.raises(ValueError, match="twice|empty"):
        Condition.parse(label)


@pytest.mark.parametrize(
    ("label", "doses", "name"),
    [
        ("B+A", "0.1+10", "A@10+B@0.1"),
        ("B+A", " 0.1 + 10", "A@10+B@0.1"),
        ("ctrl+A", "0+5", "A@5"),
        ("A+ctrl", "5", "A@5"),
        ("A", "1e+16", "A@1e16"),
        ("ctrl", "nan", "control"),
        ("ctrl+ctrl", "what", "control"),
    ],
)
def test_doses_given_apart_are_in_the_order_of_the_label(label, doses, name):
    assert Condition.parse(label, doses=doses).name == name


def test_doses_given_apart_are_joined_as_the_names_or_by_plus():
    parse = lambda doses: Condition.parse("B_A", separator="_", doses=doses).name
    assert parse("1_2") == parse("1+2") == "A@2+B@1"


@pytest.mark.parametrize(
    ("label", "doses", "message"),
    [
        ("A+B", "1", "other names than the doses '1'"),
        ("A", "1+2", "other names"),
        ("A+ctrl", "1+2+3", "other names"),
        ("A@1", "1", "dose 1 in its label and 1 beside"),
        ("A", "high", "'high' of 'A' is not a number"),
        ("A+B", "1+", "'' of 'B' is not a number"),
    ],
)
def test_doses_that_do_not_go_with_the_label_are_an_error(label, doses, message):
    with pytest.raises(ValueError, match=message):
        Condition.parse(label, doses=doses)


@pytest.mark.parametrize(("names", "doses"), [(("A", "B"), (1.0,)), ((), (1.0,)), (("A@1",), ())])
def test_only_doses_that_read_back_can_be_built(names, doses):
    with pytest.raises(ValueError, match=r"doses for|ends in a dose"):
        Condition(names, doses)
