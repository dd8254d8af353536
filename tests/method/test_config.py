"""Configurations are values: checked when made, and the same after a round trip."""

import dataclasses
import json
import re
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import jaxtyping
import pytest

from scbig import method as m, nn, objective, programs
from scbig._value import walk
from scbig.alignment import PathwayAlignment
from scbig.anchor import ResponseAnchor
from scbig.flow import BrownianBridge, Transport, adaptive, fixed


def stored() -> m.ScBIGConfig:
    return m.on_disk(m.paper())


def started() -> m.ScBIGConfig:
    return m.anchored(m.cpu())


def plain() -> m.ScBIGConfig:
    return m.cellflow_like(m.cpu())


PRESETS = [m.paper, m.released, m.cpu, m.wide, m.cellflow, started, stored, plain]


@pytest.fixture
def unchecked():
    """Without the tests' type checker, which users do not have and which would refuse first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_survives_json(preset):
    text = json.dumps(preset().to_dict(), allow_nan=False)
    again = m.ScBIGConfig.from_dict(json.loads(text))
    assert again == preset()
    assert hash(again) == hash(preset())
    assert m.fingerprint(again) == m.fingerprint(preset())
    assert json.dumps(again.to_dict()) == text


def test_presets_differ_and_so_do_their_fingerprints():
    assert len({m.fingerprint(p()) for p in PRESETS}) == len(PRESETS)
    assert len({hash(p()) for p in PRESETS}) == len(PRESETS)


def test_the_paper_is_the_default_and_its_numbers_are_those_of_table_16():
    paper: Any = m.paper()
    assert paper == m.ScBIGConfig()
    for part in (paper.encoder, paper.decoder):
        assert (part.width, part.layers, part.heads) == (256, 3, 8)
        assert part.mixing == nn.InducingPoints(8)
    assert paper.encoder.latent == 50
    assert paper.programs.clusters == 32
    velocity = paper.velocity
    assert (velocity.depth, velocity.hidden, velocity.dropout) == (2, 1024, 0.1)
    assert paper.condition.width == 256
    first, second = paper.stage1, paper.stage2
    assert (first.epochs, first.batch, first.optimiser.learning_rate) == (100, 256, 1e-4)
    assert (second.steps, second.accumulate) == (500_000, 20)
    assert paper.flow.groups * paper.flow.cells == 1024
    assert second.optimiser == objective.Adam(5e-5, clip_norm=1.0)
    (part,) = paper.terms
    assert part.weight == 1
    assert part.term.period == 1
    assert [loss.weight for loss in part.term.losses] == [0.1, 0.1]


def parameters(config: m.ScBIGConfig, token: int) -> dict[str, int]:
    """Of each network at the published sizes: 2,051 genes, and embeddings of 768 entries."""
    sizes = nn.Sizes(
        programs=32, slots=65, embedding=768, token=token, context=None, latent=50, condition=256
    )
    count = lambda spec: sum(
        leaf.size
        for leaf in jax.tree.leaves(
            jax.eval_shape(lambda: eqx.filter(spec.build(sizes, key=jr.key(0)), eqx.is_array))
        )
    )
    names = ("encoder", "decoder", "condition", "velocity")
    return {name: count(getattr(config, name)) for name in names}


def test_the_released_networks_have_the_published_numbers_of_parameters():
    found = {token: parameters(m.released(), token) for token in (128, 5120)}
    flow = {token: own["velocity"] + own["condition"] for token, own in found.items()}
    # The vectors of programs whose genes have no embedding are this library's.
    own_positions = 32 * 256
    for part in ("encoder", "decoder"):
        assert round((found[128][part] - own_positions) / 1e6, 2) == 3.39
    assert round(flow[128] / 1e6, 2) == 6.70
    assert round(flow[5120] / 1e6, 2) == 7.34


def test_the_released_training_has_its_own_updates_and_its_own_stop():
    settings = m.released()
    assert settings.stage2.optimiser == objective.Adam(5e-5, clip_norm=1.0)
    assert settings.stage2.apart == objective.Adam(5e-5, clip_norm=None, clip_entries=1.0)
    assert settings.terms[0].term.every == settings.stage2.steps_per_call == 1000
    assert (settings.stage1.validate_every, settings.stage1.patience) == (5, 4)
    assert m.paper().stage2.apart is None


def test_what_the_paper_preset_adds_and_saves_beside_the_published_numbers():
    paper, released = (parameters(preset(), 128) for preset in (m.paper, m.released))
    # Eq. 2 has a second stream, which the released encoder lacks.
    assert paper["encoder"] - released["encoder"] == 768 * 256
    assert paper["decoder"] == released["decoder"]
    # 64 time features in place of 1,024; three LayerNorms.
    norms = 2 * (1024 + 1024 + 256)
    assert paper["velocity"] - released["velocity"] == norms - (1024 - 64) * 1024
    flow = lambda entries: sum(
        parameters(m.paper(), entries)[part] for part in ("velocity", "condition")
    )
    assert (flow(128), flow(5120)) == (5_980_211, 7_258_163)


@pytest.mark.parametrize("base", [m.paper(), m.cpu()])
def test_a_run_on_disk_changes_what_is_read_at_once_and_nothing_else(base):
    found = m.on_disk(base)
    assert (found.stage1.buffer, found.stage1.block) == (16_384, 256)
    pools = [value.pool for value in walk(found) if isinstance(value, PathwayAlignment)]
    assert pools == [512]
    back = {"stage1.buffer": None, "stage1.block": 1, "terms.Consistency.losses.1.term.pool": None}
    assert m.but(found, **back) == base
    assert m.on_disk(m.but(base, terms=())).terms == ()


@pytest.mark.parametrize("base", [m.paper(), m.anchored(m.cpu())])
def test_a_flow_like_cellflow_is_between_components_without_programs_and_alignment(base):
    found = m.cellflow_like(base)
    assert (found.programs, found.terms, found.anchor) == (programs.FileOrder(1), (), None)
    assert (found.encoder, found.decoder) == (nn.PCAEncoderSpec(50), nn.PCADecoderSpec())
    for name in ("condition", "velocity", "transport", "stage2"):
        assert getattr(found, name) == getattr(base, name)


WRONG = [
    (lambda: nn.GeneClusterEncoderSpec(width=30, heads=4), "width must be a multiple of heads"),
    (lambda: nn.GeneClusterDecoderSpec(width=30, heads=4), "width must be a multiple of heads"),
    (lambda: nn.GeneClusterEncoderSpec(heads=0), "heads must be a whole number >= 1; got 0"),
    (lambda: m.Weighted(PathwayAlignment(), -1.0), "Weighted: weight must be .* >= 0; got -1.0"),
    (lambda: PathwayAlignment(epsilon=0.0), "epsilon must be a finite number and > 0; got 0.0"),
    (lambda: objective.Adam(learning_rate=-1.0), "learning_rate must be .* > 0; got -1.0"),
    (lambda: objective.WarmupCosine(10, 10), "warmup must be less than updates"),
    (lambda: m.ScBIGConfig(max_tokens=0), "max_tokens must be a whole number >= 1; got 0"),
    (
        lambda: m.but(m.paper(), **{"terms.Consistency.period": 7}),
        "must be a multiple of the 7 steps between two evaluations of Consistency",
    ),
    (lambda: objective.Consistency(losses=()), "no loss has a weight"),
    (lambda: m.AutoencoderTraining(batch=64, buffer=63), "buffer >= batch"),
    (lambda: m.FlowTraining(trains=()), "trains must name some of"),
    (lambda: m.FlowTraining(trains=("decoder", "decoder")), "trains must name some of"),
    (lambda: m.FlowTraining(trains=("programs",)), "trains must name some of"),
]


@pytest.mark.parametrize(("make", "message"), WRONG)
def test_a_value_that_means_nothing_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


CHOICES: list[tuple[type, str, Any, str]] = [
    (nn.GeneClusterEncoderSpec, "norm", "pre", "'PostNorm', 'PreNorm'"),
    (nn.GeneClusterEncoderSpec, "norm", nn.PreNorm, "'PostNorm', 'PreNorm'"),
    (nn.GeneClusterEncoderSpec, "semantics", nn.MeanPooling(), "'MeanSemantics'"),
    (nn.ConditionEncoderSpec, "pooling", "sum", "'SumPooling'"),
    (objective.FlowMatching, "coupling", None, "'SinkhornCoupling'"),
    (Transport, "adjoint", "none", "AbstractAdjoint"),
    (m.FlowTraining, "criterion", "pearson", "'ResponseCriterion'"),
    (m.FlowTraining, "trains", ["velocity"], "a tuple of str"),
    (m.ScBIGConfig, "terms", (objective.Consistency(),), "a tuple of Weighted"),
    (m.ScBIGConfig, "terms", (m.Weighted(PathwayAlignment()),), "a tuple of Weighted"),
    (m.ScBIGConfig, "standardise_latents", "no", "bool"),
    (programs.GRC, "confidence", 1, "bool"),
]


@pytest.mark.parametrize(("cls", "field", "value", "known"), CHOICES)
def test_a_choice_that_is_none_of_the_choices_is_refused(unchecked, cls, field, value, known):
    with pytest.raises(ValueError, match=rf"{cls.__name__}: {field} must be ") as found:
        cls(**{field: value})
    assert known in str(found.value)


def numbers():
    """Every field of every class that a configuration can be made of here, if it is a number."""
    made = [preset() for preset in PRESETS]
    others = [
        BrownianBridge(), fixed(3), programs.KMeans(), programs.FileOrder(), programs.Feedback(),
        programs.RandomPrograms(), programs.Soft(), programs.Coexpression(), nn.SeedPooling(),
        objective.WarmupCosine(), objective.Reconstruction(), adaptive(),
    ]  # fmt: skip
    found = {}
    for value in walk([*made, *others]):
        if type(value).__module__.startswith("scbig."):
            for field in dataclasses.fields(value):
                known = getattr(value, field.name)
                number = isinstance(known, int | float) and not isinstance(known, bool)
                if number or "scbig" in field.metadata:
                    found.setdefault((type(value).__name__, field.name), (value, field))
    return found


NUMBERS = numbers()


def test_every_number_of_the_library_is_there():
    assert len(NUMBERS) > 60
    for name in [
        ("AutoencoderTraining", "patience"), ("ResponseCriterion", "cells"),
        ("Transport", "max_steps"), ("ConditionEncoderSpec", "hidden"),
        ("VelocityFieldSpec", "top_frequency"), ("SinkhornCoupling", "threshold"),
        ("FlowTraining", "steps"), ("Adam", "learning_rate"), ("Weighted", "weight"),
    ]:  # fmt: skip
        assert name in NUMBERS


ALWAYS = [-1, float("nan"), float("inf"), -float("inf"), True, "3", [3], (3,), {}, 1 + 0j]


@pytest.mark.parametrize("name", NUMBERS, ids=".".join)
def test_a_number_that_a_field_cannot_hold_is_refused_where_it_is_defined(name, unchecked):
    value, field = NUMBERS[name]
    assert "scbig" in field.metadata, "this field is not checked: make it of `real` or `whole`"
    wrong = list(ALWAYS)
    if field.type in (int, int | None):
        wrong += [1.5, 3.0]
    if type(value).__name__ in ("GeneClusterEncoderSpec", "GeneClusterDecoderSpec"):
        zero = field.name not in ("layers", "dropout")
    else:
        zero = field.name not in (
            "dropout", "sigma", "weight", "semantic_weight", "interaction_weight", "tolerance",
            "weight_decay", "warmup", "final", "hold_out", "shrinkage", "mean",
            "identity", "states",
        )  # fmt: skip
    wrong += [0] if zero else []
    wrong += [] if type(None) in getattr(field.type, "__args__", ()) else [None]
    said = re.escape(f"{type(value).__name__}: {field.name} must be a ")
    for number in wrong:
        with pytest.raises(ValueError, match=rf"{said}.*; got {re.escape(repr(number))}"):
            m.but(value, **{field.name: number})
    if not zero:
        assert getattr(m.but(value, **{field.name: 0}), field.name) == 0


def test_a_change_of_any_field_changes_the_fingerprint():
    for value, field in NUMBERS.values():
        known = getattr(value, field.name)
        for other in (7, 1, 2, 0.5, 0.25, 16, 512, 5000):
            try:
                changed = m.but(value, **{field.name: other})
            except ValueError:
                continue
            if other != known:
                assert m.fingerprint(changed) != m.fingerprint(value)
                assert changed != value
                assert m.read(type(value), m.plain(changed)) == changed
                break
        else:
            pytest.fail(f"no other number fits {field.name}")


def test_an_unknown_field_is_named():
    data = m.paper().to_dict()
    data["stage2"]["stepz"] = 3
    with pytest.raises(ValueError, match=r"config.stage2: FlowTraining has no field 'stepz'"):
        m.ScBIGConfig.from_dict(data)


def test_a_configuration_of_an_older_version_is_named():
    with pytest.raises(ValueError, match="written by scBIG 0.1"):
        m.ScBIGConfig.from_dict({"stage2": {"steps": 3}})


def test_the_objective_begins_with_the_flow():
    config = m.paper()
    assert config.objective == (m.Weighted(config.flow, 1.0), *config.terms)
    assert config.networks.condition is config.condition


def test_an_anchor_is_not_decoded_away():
    with pytest.raises(ValueError, match="take emission=Changed"):
        m.but(m.cpu(), anchor=ResponseAnchor())


def test_what_does_not_go_with_an_anchor_is_refused():
    base = m.anchored(m.cpu())
    with pytest.raises(ValueError, match="PopulationCriterion"):
        m.but(base, **{"stage2.criterion": objective.FlowCriterion()})
    with pytest.raises(ValueError, match=r"programs\.feedback"):
        m.but(base, **{"programs.feedback": programs.Feedback()})


def test_what_is_switched_off_stays_off_with_an_anchor():
    assert m.anchored(m.but(m.cpu(), **{"terms.0.weight": 0.0})).terms[0].weight == 0


def test_fifty_updates_lie_between_two_validations_of_an_anchored_flow():
    for base in (m.cpu(), m.paper(), m.released()):
        settings = m.anchored(base).stage2
        between = settings.steps_per_call * settings.validate_every / settings.accumulate
        assert 50 <= between < 51 + settings.steps_per_call


@pytest.mark.parametrize("steps", [3, 5, 50, 100, 77])
def test_any_number_of_steps_a_call_can_be_anchored(steps):
    base = m.but(m.cpu(), **{"stage2.steps_per_call": steps})
    found = m.anchored(base)
    assert found.stage2.steps_per_call % 2 == 0
    odd = {"terms.Consistency.period": 3, "stage2.steps_per_call": 3 * steps}
    assert m.anchored(m.but(m.cpu(), **odd)).stage2.steps_per_call % 6 == 0
