"""Values as JSON, and back."""

import json
import subprocess
import sys
from typing import Any

import diffrax as dfx
import equinox as eqx
import jax.numpy as jnp
import pytest

from scbig import method as m
from scbig._value import (
    Value,
    Weighted,
    but,
    find_class,
    fingerprint,
    plain,
    read,
    real,
)
from scbig.flow import (
    AbstractProbabilityPath,
    BrownianBridge,
    LinearPath,
    Transport,
    adaptive,
    fixed,
)
from scbig.objective import Consistency, FlowMatching, Reconstruction
from scbig.ot import AbstractCoupling, IndependentCoupling, SinkhornCoupling

PAPER = m.paper()


class Ripple(AbstractProbabilityPath):
    """A user's own path."""

    height: float = real(0.5, above=0)
    inner: LinearPath = LinearPath()
    name: str = "plain"

    def __call__(self, t, start, end, *, key):
        return start + self.height * t, end


FOREIGN = [
    fixed(7), fixed(3, dfx.Heun()), adaptive(1e-2, solver=dfx.Dopri5()),
    adaptive(solver=dfx.Kvaerno3()),
    adaptive(adjoint=dfx.DirectAdjoint()), adaptive(adjoint=dfx.ForwardMode()),
    adaptive(adjoint=dfx.BacksolveAdjoint(stepsize_controller=dfx.PIDController(1e-4, 1e-3))),
    adaptive(adjoint=dfx.RecursiveCheckpointAdjoint(checkpoints=5)),
    Transport(controller=dfx.PIDController(1e-3, 1e-4, pcoeff=0.3, dtmax=0.5), first_step=0.1),
]  # fmt: skip


@pytest.mark.parametrize("value", [*FOREIGN, Ripple(), Ripple(0.25, LinearPath(0.5), "é")])
def test_a_value_comes_back_from_json(value):
    text = json.dumps(plain(value), allow_nan=False)
    again = read(type(value), json.loads(text))
    assert type(again) is type(value)
    assert again == value
    assert fingerprint(again) == fingerprint(value)


def test_a_users_class_comes_back_wherever_its_abstract_class_may_stand():
    config = but(PAPER, **{"flow.path": Ripple(0.25)})
    again = m.ScBIGConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert isinstance(again.flow, FlowMatching)
    assert type(again.flow.path) is Ripple
    assert fingerprint(again) != fingerprint(PAPER)
    assert find_class("Ripple", AbstractProbabilityPath, "x") is Ripple


def test_a_class_that_is_not_imported_is_named_and_nothing_is_imported():
    data = PAPER.to_dict()
    data["flow"]["path"] = {"is": "this", "module": "this"}
    with pytest.raises(ValueError) as found:  # noqa: PT011
        m.ScBIGConfig.from_dict(data)
    said = str(found.value)
    assert (
        "config.flow.path: 0 imported classes called 'this' are a AbstractProbabilityPath" in said
    )
    assert "Import the module that defines it first" in said
    assert "'BrownianBridge'" in said
    assert "'LinearPath'" in said
    assert "this" not in sys.modules


def test_a_file_names_no_class_but_those_that_belong_into_the_field():
    """A class of the same name elsewhere, or one that is no part of a configuration, is none."""
    data: dict[str, Any] = PAPER.to_dict()
    for name in ("SinkhornCoupling", "Popen", "os.system", "builtins.eval"):
        data["flow"]["path"] = {"is": name}
        with pytest.raises(ValueError, match=f"called {name!r} are a AbstractProbabilityPath"):
            m.ScBIGConfig.from_dict(data)


def test_reading_a_file_imports_nothing():
    code = """
import json, sys
from scbig import method as m
text = json.loads(sys.stdin.read())
before = set(sys.modules)
m.ScBIGConfig.from_dict(text)
print(sorted(set(sys.modules) - before))
"""
    text = json.dumps(m.cpu().to_dict())
    ran = subprocess.run(
        [sys.executable, "-c", code], input=text, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_two_classes_of_one_name_are_an_error_and_one_defined_again_is_not():
    def define(module: str):
        return type(
            "Twin", (AbstractProbabilityPath,), {"__call__": Ripple.__call__, "__module__": module}
        )

    first, again = define("notebook"), define("notebook")
    assert find_class("Twin", AbstractProbabilityPath, "here") is again
    assert first is not again
    other = define("elsewhere")
    with pytest.raises(ValueError, match="here: 2 imported classes called 'Twin'.*another name"):
        find_class("Twin", AbstractProbabilityPath, "here")
    assert other is not again


def test_a_number_that_its_class_refuses_is_refused_from_a_file_too():
    data = PAPER.to_dict()
    data["flow"]["coupling"]["epsilon"] = -1
    with pytest.raises(ValueError, match="SinkhornCoupling: epsilon must be"):
        m.ScBIGConfig.from_dict(data)


def test_a_field_that_is_lacking_has_its_default_and_one_without_is_named():
    data = PAPER.to_dict()
    del data["flow"]["coupling"]["epsilon"]
    assert m.ScBIGConfig.from_dict(data) == PAPER
    with pytest.raises(ValueError, match="Weighted cannot be made of"):
        read(Weighted[AbstractProbabilityPath], {"is": "Weighted", "weight": 1.0})


class Listener(Value):
    """Holds a function, which has no form in JSON."""

    listen: Any = jnp.tanh


def test_what_has_no_form_in_json_is_named_unless_it_is_the_default():
    assert read(Listener, plain(Listener())) == Listener()
    with pytest.raises(ValueError, match="value.listen is a .*, which has no form in JSON"):
        plain(Listener(jnp.sin))
    with pytest.raises(ValueError, match=r"value.height is a .*Array.*no form in JSON"):
        plain(eqx.tree_at(lambda w: w.height, Ripple(), jnp.ones(())))


def test_the_order_of_terms_is_part_of_a_value():
    parts = Weighted(Consistency()), Weighted(Reconstruction())
    trains = {"stage2.trains": ("velocity", "decoder")}
    one, other = (but(PAPER, terms=order, **trains) for order in (parts, parts[::-1]))
    assert one != other
    assert fingerprint(one) != fingerprint(other)
    assert SinkhornCoupling() == SinkhornCoupling(0.1, 500, 1e-2)


class Two(Value):
    """A tuple of one of each."""

    parts: tuple[AbstractProbabilityPath, AbstractCoupling] = (LinearPath(), IndependentCoupling())


def test_a_tuple_of_different_parts_is_read_part_by_part():
    value = Two((BrownianBridge(0.3), SinkhornCoupling()))
    assert read(Two, json.loads(json.dumps(plain(value)))) == value
    with pytest.raises(ValueError, match="parts must be a tuple"):
        Two((SinkhornCoupling(), BrownianBridge(0.3)))  # pyright: ignore[reportArgumentType]
