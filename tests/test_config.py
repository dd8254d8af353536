"""Configurations are values: checked when made, and the same after a round trip."""

import json
import subprocess
import sys

import pytest

from scbig import config as C


@pytest.mark.parametrize("preset", [C.paper, C.released, C.cpu])
def test_a_preset_survives_json(preset):
    text = json.dumps(preset().to_dict())
    again = C.ScBIGConfig.from_dict(json.loads(text))
    assert again == preset()
    assert hash(again) == hash(preset())
    assert C.fingerprint(again) == C.fingerprint(preset())


def test_presets_differ_and_so_do_their_fingerprints():
    assert len({C.fingerprint(p()) for p in (C.paper, C.released, C.cpu)}) == 3


@pytest.mark.parametrize(
    "make",
    [
        lambda: C.AutoencoderConfig(width=30, heads=4),
        lambda: C.AutoencoderConfig(heads=0),
        lambda: C.TransportConfig(solver="euler"),
        lambda: C.AlignmentConfig(pathway_weight=-1.0),
        lambda: C.AlignmentConfig(epsilon=0.0),
        lambda: C.FlowTraining(learning_rate=-1.0),
        lambda: C.ScBIGConfig(max_tokens=0),
        lambda: C.ScBIGConfig(alignment=C.AlignmentConfig(period=7)),
    ],
)
def test_a_value_that_means_nothing_is_refused(make):
    with pytest.raises(ValueError, match=r"(must|multiple|euler|<=)"):
        make()


WRONG_CHOICES = [
    ("AutoencoderConfig", "norm", "Pre"),
    ("ConditionConfig", "pooling", "Sum"),
    ("CouplingConfig", "kind", "ot"),
    ("TransportConfig", "adjoint", "none"),
    ("FlowTraining", "criterion", "pearson"),
]


def test_a_choice_that_is_none_of_the_choices_is_refused():
    """In a process without the tests' type checker, which would refuse it first."""
    code = "import sys, scbig.config as C\nfor cls, field, value in eval(sys.argv[1]):\n"
    code += "    try: getattr(C, cls)(**{field: value})\n    except ValueError as e: print(e)\n"
    ran = subprocess.run(
        [sys.executable, "-c", code, repr(WRONG_CHOICES)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = ran.stdout.splitlines()
    assert len(said) == len(WRONG_CHOICES)
    for line, (cls, field, value) in zip(said, WRONG_CHOICES, strict=True):
        assert f"{cls}: {field} must be one of" in line
        assert value in line


def test_an_unknown_field_is_named():
    with pytest.raises(ValueError, match=r"config.stage2: no such field: stepz"):
        C.ScBIGConfig.from_dict({"stage2": {"stepz": 3}})
