"""Sizes and strengths that mean nothing are refused, by name and value."""

import subprocess
import sys

import pytest

from scbig.simulate import SimulationConfig

# Without the type checker that watches the tests.
CODE = """
import dataclasses, math
from scbig.simulate import SemiSyntheticConfig, SimulationConfig
zero = {"doubles", "edges_within", "edges_between", "effect", "interaction", "embedding_noise",
    "program_noise", "library_spread"}
for config in (SimulationConfig, SemiSyntheticConfig):
    for field in dataclasses.fields(config):
        if field.type is bool:
            continue
        wrong = [-1, math.nan, math.inf, "5", True, None]
        wrong += [] if field.name in zero else [0]
        wrong += [2.5] if field.type is int or field.name.startswith("edges") else []
        for value in wrong:
            try:
                config(**{field.name: value})
            except ValueError as error:
                assert field.name in str(error) and repr(value) in str(error), error
            else:
                raise AssertionError((config, field.name, value))
        if field.name in zero:
            config(**{field.name: 0})
print("all refused")
"""


def test_every_number_is_checked():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout.strip() == "all refused", done.stderr


@pytest.mark.parametrize(
    ("name", "value", "most"),
    [("programs", 241, 240), ("perturbations", 241, 240), ("doubles", 121, 120)],
)
def test_no_more_can_be_asked_for_than_there_is(name, value, most):
    with pytest.raises(ValueError, match=rf"{name} must be at most {most}, .* got {value}"):
        SimulationConfig(**{name: value})
