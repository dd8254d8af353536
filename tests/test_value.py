"""Values: checked where they are defined, and replaced in part."""

import json
import runpy
from typing import Any

import diffrax as dfx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scbig import method as m
from scbig._value import (
    Value,
    Weighted,
    but,
    fingerprint,
    label_of,
    plain,
    real,
    walk,
    whole,
)
from scbig.alignment import CorrelationAlignment, PathwayAlignment
from scbig.flow import (
    AbstractProbabilityPath,
    BrownianBridge,
    LinearPath,
    Transport,
    adaptive,
    fixed,
)
from scbig.objective import Consistency, FlowMatching
from scbig.ot import SinkhornCoupling


class Numbers(Value):
    """A user's own value."""

    share: float = real(0.5, above=0, below=1)
    size: int = whole(3, least=2)
    free: float = real(0.0)
    most: float = real(1.0, least=0, most=2)
    maybe: float | None = real(None, above=0)
    count: int | None = whole(None)
    flag: bool = False
    name: str = "plain"

    def __check_init__(self) -> None:
        if self.size * self.share > 100:
            raise ValueError("Numbers: too large together")


class Wave(AbstractProbabilityPath):
    """A user's own path."""

    height: float = real(0.5, above=0)
    inner: Numbers = Numbers()

    def __call__(self, t, start, end, *, key):
        return start + self.height * t, end


BAD = [
    (
        "share",
        [0, 1, -0.1, 1.5, float("nan"), float("inf"), True, None, "x", [0.5], 1j],
    ),
    (
        "size",
        [1, 0, -3, 2.5, 3.0, float("nan"), True, "3", [3], np.float32(3)],
    ),
    ("free", [float("nan"), float("inf"), -float("inf"), False, None, "0"]),
    ("most", [-0.001, 2.001, float("nan")]),
    ("maybe", [0, -1, float("inf"), True, ()]),
    ("count", [0, -1, 0.5, True, ()]),
    ("flag", [0, 1, None, "no", np.bool_(True)]),
    ("name", [None, 3, b"x"]),
]


@pytest.mark.parametrize(("field", "wrong"), BAD)
def test_a_field_is_checked_where_it_is_made(field, wrong):
    for value in wrong:
        with pytest.raises(ValueError, match=rf"Numbers: {field} must be ") as found:
            Numbers(**{field: value})
        assert repr(value) in str(found.value)
        with pytest.raises(ValueError, match=rf"Numbers: {field} must be "):
            but(Numbers(), **{field: value})


@pytest.mark.parametrize(
    ("field", "right"),
    [
        ("share", [0.5, 1e-30, np.float32(0.25), np.float64(0.25)]),
        ("size", [2, 150, np.int32(4)]),
        ("free", [-1e30, 0, 3, np.int64(2)]),
        ("most", [0, 2, 0.0, 2.0]),
        ("maybe", [None, 1, 0.1]),
        ("count", [None, 1, np.uint8(7)]),
        ("flag", [True, False]),
        ("name", ["", "x"]),
    ],
)
def test_what_a_field_is_for_it_holds_in_one_form(field, right):
    for value in right:
        held = getattr(Numbers(**{field: value}), field)
        assert held == value
        form = type(getattr(Numbers(), field)) if getattr(Numbers(), field) is not None else None
        assert type(held) in {form, int, float, type(None)}
        assert not isinstance(held, np.generic)
    assert Numbers(most=2) == Numbers(most=2.0)
    assert fingerprint(Numbers(most=2)) == fingerprint(Numbers(most=2.0))


def test_what_fields_must_be_together_is_checked_after_each_alone():
    with pytest.raises(ValueError, match="too large together"):
        Numbers(share=0.9, size=1000)
    with pytest.raises(ValueError, match="size must be a whole number"):
        Numbers(share=0.9, size="many")  # pyright: ignore[reportArgumentType]


def test_a_number_that_changes_has_no_value_to_check():
    made = jax.jit(lambda x: BrownianBridge(x).sigma * 2)(jnp.asarray(0.3))
    np.testing.assert_allclose(made, 0.6, rtol=1e-6)
    slope = jax.grad(lambda x: SinkhornCoupling(epsilon=x).epsilon ** 2)(jnp.asarray(0.3))
    np.testing.assert_allclose(slope, 0.6, rtol=1e-6)


def test_values_are_equal_and_hash_alike_where_all_their_parts_are():
    first, same = (Wave(0.25, Numbers(size=5)) for _ in range(2))
    assert first == same
    assert first is not same
    assert hash(first) == hash(same)
    for other in (Wave(0.5, Numbers(size=5)), Wave(0.25), LinearPath(0.25)):
        assert first != other
        assert hash(first) != hash(other)
    with pytest.raises(AttributeError):
        first.height = 1.0  # pyright: ignore[reportAttributeAccessIssue]


def test_a_weight_is_at_least_zero():
    assert Weighted(LinearPath(), 0).weight == 0.0
    with pytest.raises(ValueError, match="Weighted: weight must be a finite number and >= 0"):
        Weighted(LinearPath(), -1e-9)


def test_a_label_is_the_class_attribute_or_the_name_of_the_class():
    assert label_of(PathwayAlignment()) == "pathway"
    assert label_of(Numbers()) == "Numbers"


def test_walking_meets_every_value_the_outermost_first():
    terms = (Weighted(Consistency((Weighted(CorrelationAlignment()),))), Weighted(FlowMatching()))
    names = [type(value).__name__ for value in walk(terms)]
    assert names[:4] == ["Weighted", "Consistency", "Weighted", "CorrelationAlignment"]
    assert names[-4:] == ["Weighted", "FlowMatching", "LinearPath", "SinkhornCoupling"]
    assert "PIDController" in names


PAPER = m.paper()


@pytest.mark.parametrize(
    ("path", "new", "reach"),
    [
        ("max_tokens", 3, lambda c: c.max_tokens),
        ("flow.path", BrownianBridge(0.2), lambda c: c.flow.path),
        ("flow.coupling.epsilon", 0.5, lambda c: c.flow.coupling.epsilon),
        ("terms.0.weight", 0.5, lambda c: c.terms[0].weight),
        ("terms.Consistency.weight", 0.5, lambda c: c.terms[0].weight),
        ("terms.Consistency.period", 50, lambda c: c.terms[0].term.period),
        ("terms.Consistency.term.period", 50, lambda c: c.terms[0].term.period),
        ("terms.0.losses.1.epsilon", 0.5, lambda c: c.terms[0].term.losses[1].term.epsilon),
        (
            "terms.Consistency.losses.PathwayAlignment.weight",
            2.0,
            lambda c: c.terms[0].term.losses[1].weight,
        ),
        ("terms", (), lambda c: c.terms),
        ("stage2.ema", None, lambda c: c.stage2.ema),
        ("transport.controller.rtol", 1e-2, lambda c: c.transport.controller.rtol),
    ],
)
def test_one_part_is_replaced_and_nothing_else(path, new, reach):
    changed = but(PAPER, **{path: new})
    assert reach(changed) == new
    before = json.dumps(plain(PAPER)).split(", ")
    after = json.dumps(plain(changed)).split(", ")
    if len(before) == len(after) and path != "flow.path":
        assert sum(a != b for a, b in zip(before, after, strict=True)) == (reach(PAPER) != new)
    assert m.paper() == PAPER


def test_a_part_can_be_replaced_whole_and_in_part_at_once():
    changed = but(PAPER, **{"flow.path.sigma": 0.3, "flow": FlowMatching(groups=7)})
    assert changed.flow == FlowMatching(path=LinearPath(0.3), groups=7)


class Bare(Value):
    """A user's value that does not say what its numbers may be."""

    size: float = 1.0
    count: int = 1


@pytest.mark.parametrize(
    ("field", "wrong"), [("size", "abc"), ("size", float("nan")), ("size", True), ("count", 1.5)]
)
def test_a_field_typed_as_a_number_holds_a_finite_one(field, wrong):
    with pytest.raises(ValueError, match=f"Bare: {field} must be"):
        Bare(**{field: wrong})


def test_parts_that_only_fit_together_are_replaced_together():
    changed = but(PAPER, **{"encoder.width": 30, "encoder.heads": 5, "terms.0.period": 50})
    assert changed.encoder == but(PAPER.encoder, width=30, heads=5)
    both = {"stage2.steps_per_call": 49, "terms.Consistency.period": 7}
    assert but(PAPER, **both).stage2.steps_per_call == 49
    with pytest.raises(ValueError, match="multiple of"):
        but(PAPER, **{"terms.Consistency.period": 7})


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("stage3", "ScBIGConfig has no part 'stage3'; it is a ScBIGConfig with 'programs', "),
        (
            "stage2.step",
            "stage2 has no part 'step'; it is a FlowTraining with 'optimiser'",
        ),
        ("max_tokens.x", "max_tokens has no part 'x'; it is a int with no parts"),
        ("terms.1.weight", "terms has 0 parts '1'; it has 'Consistency', in this order"),
        ("terms.Flow.weight", "terms has 0 parts 'Flow'; it has 'Consistency'"),
        ("terms.Consistency.peroid", "terms.Consistency.term has no part 'peroid'; it is a Cons"),
        ("terms.0.losses.-1.weight", "losses has 0 parts '-1'; it has 'CorrelationAlignment', 'P"),
        ("flow.path.", "flow.path has no part ''"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(path, message):
    with pytest.raises(ValueError, match=message) as found:
        but(PAPER, **{path: 1})
    assert found.value.__cause__ is None
    assert len(str(found.value)) < 600


def test_a_class_that_is_there_twice_is_found_by_its_place_alone():
    twice = (Weighted(PathwayAlignment(0.1)), Weighted(PathwayAlignment(0.2)))
    both = Consistency(twice)
    with pytest.raises(ValueError, match="losses has 2 parts 'PathwayAlignment'"):
        but(both, **{"losses.PathwayAlignment.epsilon": 1.0})
    assert but(both, **{"losses.1.epsilon": 1.0}).losses[1].term == PathwayAlignment(1.0)


def test_annotations_as_text_are_read_like_others(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from __future__ import annotations\n"
        "from scbig.method import Value, real\n"
        "class Late(Value):\n"
        "    sigma: float | None = real(None, least=0)\n"
    )
    space = runpy.run_path(str(path))
    assert space["Late"]().sigma is None
    with pytest.raises(ValueError, match="sigma must be a finite number"):
        space["Late"](-1.0)


def test_a_number_in_an_array_is_that_number_and_others_are_refused():
    bridge: Any = BrownianBridge
    assert bridge(jnp.float32(0.5)) == BrownianBridge(0.5)
    with pytest.raises(ValueError, match="sigma must be a finite number"):
        bridge(jnp.float32(-1))
    with pytest.raises(ValueError, match="sigma must be a finite number"):
        bridge(jnp.ones(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rtol": "a"}, "controller.rtol must be a positive number"),
        ({"dtmin": "x"}, "controller.dtmin must be a number"),
        ({"atol": -1.0}, "controller.atol must be a positive number"),
    ],
)
def test_a_controllers_numbers_are_checked_too(change, message):
    controller = dfx.PIDController(**{"rtol": 1e-3, "atol": 1e-3, **change})
    with pytest.raises(ValueError, match=message):
        Transport(controller=controller)


@pytest.mark.parametrize("solver", [dfx.KenCarp3(), dfx.SemiImplicitEuler(), dfx.EulerHeun()])
def test_solvers_of_other_equations_are_refused(solver):
    with pytest.raises(ValueError, match=f"{type(solver).__name__} solves sums of several terms"):
        fixed(4, solver)


def test_a_solve_without_a_gradient_is_no_term():
    with pytest.raises(ValueError, match=r"transport.adjoint=ForwardMode\(\) has no gradient"):
        Consistency(transport=adaptive(1e-2, 1e-2, adjoint=dfx.ForwardMode()))


def test_constant_steps_must_reach_the_end():
    assert fixed(10).max_steps * (fixed(10).first_step or 0) >= 1
    with pytest.raises(ValueError, match=r"3 steps of 0.1 do not reach the end"):
        Transport(dfx.Euler(), dfx.ConstantStepSize(), first_step=0.1, max_steps=3)
