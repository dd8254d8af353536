"""What a run needs to start, what it may start from, and how far it goes."""

import dataclasses
import json
import subprocess
import sys

import jax.random as jr
import numpy as np
import pytest

from scbig._errors import NumericalFailure
from scbig.data import Screen
from scbig.flow import AbstractProbabilityPath, adaptive
from scbig.method import ScBIGConfig, but, plain, read, walk
from scbig.nn import LearnedPosition, ReleasedConditionSpec, ReleasedVelocitySpec
from scbig.priors import EmbeddingTable
from scbig.programs import GRC, Feedback, FileOrder, Given
from scbig.service import load, save
from scbig.train import Priors, fit, fit_autoencoder
from scbig.train._materials import identity_of

from .conftest import LEAN, TINY
from .test_fit import same

# Nothing in it reads a prior but the vectors of what is perturbed.
BARE = but(
    LEAN,
    programs=FileOrder(3),
    **{
        "encoder.semantics": None,
        "encoder.position": LearnedPosition(),
        "decoder.position": LearnedPosition(),
    },
)


def perturbed_only(priors: Priors, screen: Screen) -> Priors:
    assert priors.genes is not None
    return Priors(perturbations=priors.genes.select(screen.perturbations))


def test_priors_that_nothing_reads_are_not_asked_for(screen, priors):
    made = fit(screen, perturbed_only(priors, screen), BARE, progress=False, key=jr.key(0))
    assert made.coverage == ()
    blocks = np.sort(np.asarray(made.programs.partition.labels))
    np.testing.assert_array_equal(np.asarray(made.programs.partition.labels), blocks)
    assert made.history.query("stage == 'flow'").flow.notna().all()


class Derived(AbstractProbabilityPath):
    """A path whose field is no argument of its own, so that it does not come back from JSON."""

    sigma: float

    def __init__(self, variance: float = 1.0):
        self.sigma = variance**0.5

    def __call__(self, t, start, end, *, key):
        return start, end


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": but(BARE, **{"flow.path": Derived()})}, "Derived"),
        ({"validation": "A+B"}, "validation must be a list"),
    ],
)
def test_what_could_only_fail_at_the_end_is_said_first(screen, priors, tmp_path, change, message):
    given = {"screen": screen, "priors": priors, "config": BARE, **change}
    with pytest.raises(ValueError, match=message):
        fit(**given, out=tmp_path / "run", progress=False, key=jr.key(0))
    assert not (tmp_path / "run").exists()


WRONG = """
import jax.random as jr, numpy as np, scbig
from scbig.priors import EmbeddingTable
priors = scbig.Priors(perturbations=EmbeddingTable(("A",), np.ones((1, 2), np.float32)))
fit = lambda *given, **more: scbig.fit(*given, **more, key=jr.key(0))
for wrong in (
    lambda: fit(3, priors, scbig.cpu()),
    lambda: scbig.Priors(genes=3),
    lambda: scbig.Priors(perturbations=priors.perturbations, missing="foo"),
    lambda: scbig.Columns(control=3),
    lambda: scbig.Columns(dose=2),
):
    try:
        wrong()
    except ValueError as error:
        print(error)
"""


def test_what_is_no_screen_prior_or_column_is_named_without_the_type_checker():
    ran = subprocess.run([sys.executable, "-c", WRONG], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [
        "fit: screen is a int; Screen.from_anndata(adata) makes one.",
        "Priors: genes must be a scbig.priors.EmbeddingTable; got a int.",
        "Priors: missing must be one of error, zero, mean; got 'foo'.",
        "Columns: control must be a text or several; got 3.",
        "Columns: dose must be a text; got 2.",
    ]


def test_scores_of_interactions_that_have_no_weight_are_not_asked_for(screen, priors):
    config = but(BARE, programs=GRC(3, interaction_weight=0.0, confidence=True))
    with pytest.raises(ValueError, match="confidence"):
        fit(screen, priors, but(config, **{"programs.interaction_weight": 1.0}), key=jr.key(0))
    made = fit(screen, priors, config, progress=False, key=jr.key(0))
    assert made.clustering is not None


def test_priors_that_nothing_reads_are_not_looked_at(screen, priors):
    """Tables of another species would not align."""
    other = EmbeddingTable(("Trp53", "Myc"), np.eye(2, 4, dtype=np.float32))
    given = dataclasses.replace(perturbed_only(priors, screen), genes=other)
    config = but(BARE, **{"stage2.steps": 4})
    fit(screen, given, config, progress=False, key=jr.key(0))


@pytest.mark.parametrize(
    ("kind", "reader"),
    [("genes", "GRC"), ("interactions", "GRC"), ("pathways", "PathwayAlignment")],
)
def test_a_prior_that_is_missing_is_named_with_what_reads_it(screen, priors, kind, reader):
    tokens = priors.perturbations or priors.genes
    lacking = dataclasses.replace(priors, **{kind: None}, perturbations=tokens)
    with pytest.raises(ValueError, match=rf"reads {kind} \({reader}.*give Priors {kind}="):
        fit(screen, lacking, TINY, progress=False, key=jr.key(0))


@pytest.mark.slow
def test_pathways_are_not_needed_at_weight_zero(screen, priors):
    lacking = dataclasses.replace(priors, pathways=None)
    config = but(TINY, **{"terms.Consistency.losses.PathwayAlignment.weight": 0.0})
    made = fit(screen, lacking, config, progress=False, key=jr.key(0))
    assert "pathway" not in made.history
    assert made.history.query("stage == 'flow'").correlation.notna().all()


def test_vectors_of_perturbations_are_always_needed():
    with pytest.raises(ValueError, match="give perturbations=, or genes="):
        Priors()


def test_given_programs_must_be_given(screen, priors):
    with pytest.raises(ValueError, match=r"Given\(\): pass them to `fit`"):
        fit(screen, priors, but(TINY, programs=Given()), progress=False, key=jr.key(0))


@pytest.fixture(scope="module")
def whole(screen, priors, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    return fit(screen, priors, TINY, out=out, progress=False, key=jr.key(0)), out


@pytest.mark.slow
def test_the_flow_can_be_trained_on_a_given_autoencoder(whole, screen, priors, tmp_path):
    given = whole[0].model
    # Nothing else of stage 1 is asked for: neither how it would be trained, nor what it would read.
    config = but(TINY, **{"stage1.epochs": 7})
    lacking = dataclasses.replace(
        perturbed_only(priors, screen), pathways=priors.pathways, interactions=None
    )
    made = fit(
        *(screen, lacking, config),
        autoencoder=given,
        out=tmp_path,
        progress=False,
        key=jr.key(5),
    )
    assert set(made.history.stage) == {"flow"}
    for part in ("encoder", "decoder", "partition", "facts", "mean"):
        assert same(getattr(made.model.pure, part), getattr(given.pure, part)), part
    assert not same(made.model.pure.velocity, given.pure.velocity)
    assert same(load(tmp_path / "model.scbig"), made.model)
    longer = but(TINY, **{"stage1.epochs": 8, "stage2.steps": 16})
    options = {"autoencoder": given, "out": tmp_path, "progress": False, "key": jr.key(5)}
    assert fit(screen, lacking, longer, **options).history.step.tolist()[-1] == 16
    with pytest.raises(ValueError, match="another run"):
        fit(screen, priors, TINY, out=tmp_path, progress=False, key=jr.key(5))


@pytest.mark.slow
def test_an_autoencoder_that_does_not_fit_is_refused(whole, screen, priors):
    given = whole[0].model
    run = lambda cells, config, **more: fit(
        cells, priors, config, autoencoder=given, progress=False, key=jr.key(0), **more
    )
    with pytest.raises(ValueError, match="encoder is GeneClusterEncoderSpec"):
        run(screen, but(TINY, **{"encoder.latent": 5}))
    with pytest.raises(ValueError, match="leave programs= out"):
        run(screen, TINY, programs=whole[0].programs)
    names = (*screen.genes[:-1], "other")
    renamed = dataclasses.replace(screen, genes=names)
    with pytest.raises(ValueError, match=f"only one of them has .*'{screen.genes[-1]}'"):
        run(renamed, TINY)


@pytest.mark.slow
def test_a_finished_run_can_be_prolonged(whole, screen, priors, tmp_path):
    """To the numbers of a run that was as long from the start."""
    long = but(TINY, **{"stage2.steps": 20})
    at_once = fit(screen, priors, long, progress=False, key=jr.key(0))
    options = {"out": tmp_path, "progress": False, "key": jr.key(0)}
    fit(screen, priors, TINY, **options)
    longer = fit(screen, priors, long, **options)
    assert same(longer.model, at_once.model)
    assert list(longer.history.step) == list(at_once.history.step)
    written = json.loads((tmp_path / "config.json").read_text())["config"]
    assert written["stage2"]["steps"] == 20
    with pytest.raises(ValueError, match="a run of 20 steps of stage 2, and only 12 are asked for"):
        fit(screen, priors, TINY, **options)
    written = json.loads((tmp_path / "config.json").read_text())["config"]
    assert written["stage2"]["steps"] == 20


@pytest.mark.slow
def test_solves_that_never_end_stop_the_run_with_what_to_change(screen, priors, tmp_path):
    short = adaptive(1e-7, 1e-7, max_steps=1)
    config = but(TINY, **{"terms.Consistency.transport": short})
    with pytest.raises(
        NumericalFailure,
        match=r"'flow', by step 4: .*consistency .*'G0.*Raise terms\.0\.transport\.max_steps",
    ):
        fit(screen, priors, config, out=tmp_path, progress=False, key=jr.key(0))
    # What was made before is kept: the run goes on with what the message asks for.
    more = but(config, **{"terms.0.transport.max_steps": 1024})
    made = fit(screen, priors, more, out=tmp_path, progress=False, key=jr.key(0))
    assert made.history.consistency_unsolved_share.max() == 0
    stages = made.history.stage.tolist()
    assert stages.count("autoencoder") == TINY.stage1.epochs
    # One that has ended is a run of its own limits.
    with pytest.raises(ValueError, match="ended with another `max_steps`"):
        fit(screen, priors, config, out=tmp_path, progress=False, key=jr.key(0))


@pytest.mark.slow
def test_validation_that_cannot_be_solved_stops_the_run_too(screen, priors):
    config = but(TINY, transport=adaptive(1e-7, 1e-7, max_steps=1))
    with pytest.raises(
        NumericalFailure, match=r"'flow', by step 4: .*validation .*Raise transport\.max"
    ):
        fit(screen, priors, config, progress=False, key=jr.key(0))


def test_every_number_of_a_configuration_is_part_of_a_runs_identity(screen):
    identity = lambda config: identity_of(screen, config, (), (), jr.key(0))
    # Read from JSON, no value stands in two places.
    config = read(ScBIGConfig, plain(TINY))
    found = [
        identity(_doubled(config, value, field.name))
        for value in walk(config)
        for field in dataclasses.fields(value)
        if isinstance(getattr(value, field.name), int | float)
        and field.name not in ("steps", "max_steps")
    ]
    assert len(found) > 40
    assert len({identity(TINY), *found}) == len(found) + 1
    # How long it trains is none: a finished run can be prolonged.
    assert identity(but(TINY, **{"stage2.steps": 99})) == identity(TINY)


def _doubled(whole, target, name):
    """The configuration with one number of one of its values changed, whatever its domain."""
    if isinstance(whole, tuple):
        return tuple(_doubled(part, target, name) for part in whole)
    if not dataclasses.is_dataclass(whole):
        return whole
    new = object.__new__(type(whole))
    for field in dataclasses.fields(whole):
        old = getattr(whole, field.name)
        own = whole is target and field.name == name
        changed = (not old if isinstance(old, bool) else 2 * old + 1) if own else None
        object.__setattr__(new, field.name, changed if own else _doubled(old, target, name))
    return new


def test_the_first_stage_alone_is_that_of_a_whole_fit(screen, priors, tmp_path):
    given = {"progress": False, "key": jr.key(0)}
    whole = fit(screen, priors, LEAN, **given)
    first = fit_autoencoder(screen, priors, LEAN, out=tmp_path, **given)
    assert set(first.history.stage) == {"autoencoder"}
    parts = lambda made: (made.model.pure.encoder, made.model.pure.decoder)
    assert same(parts(first), parts(whole))
    np.testing.assert_array_equal(first.programs.partition.labels, whole.programs.partition.labels)
    # The folder has it, and nothing is trained again.
    again = fit_autoencoder(screen, priors, LEAN, out=tmp_path, **given)
    assert same(again.model.pure, first.model.pure)
    kept = load(tmp_path / "model.scbig")
    after = fit(screen, priors, LEAN, autoencoder=kept, **given)
    assert same(parts(after), parts(whole))
    assert "autoencoder" not in set(after.history.stage)


def test_programs_that_learn_from_a_flow_have_no_first_stage_alone(screen, priors):
    learning = but(LEAN, programs=GRC(clusters=3, feedback=Feedback()))
    with pytest.raises(ValueError, match="learns from what a flow misses"):
        fit_autoencoder(screen, priors, learning, progress=False, key=jr.key(0))


def test_the_released_networks_train_and_come_back_from_their_file(screen, priors, tmp_path):
    released = but(
        LEAN,
        condition=ReleasedConditionSpec(seed=4, heads=2, width=8),
        velocity=ReleasedVelocitySpec(frequencies=2, top_frequency=3.0, hidden=8, depth=1),
    )
    made = fit(screen, priors, released, progress=False, key=jr.key(0))
    assert made.history.query("stage == 'flow'").flow.notna().all()
    save(made.model, tmp_path / "model.scbig")
    assert same(load(tmp_path / "model.scbig"), made.model)
