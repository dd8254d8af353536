"""Every example of docs/extending.md, used as its reader would use it: in a file of one's own."""

import dataclasses
import importlib.util
import json
import pathlib
import re
import shutil
import subprocess
import sys
import types

import diffrax as dfx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig.alignment import CorrelationAlignment
from scbig.method import Weighted, plain, read
from scbig.preprocess import PreprocessConfig, preprocess
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.simulate import simulate_screen
from scbig.train import Recorder

from .train.conftest import SIMULATION, TINY as SMALL

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "extending.md"
NOT_IN_A_CONFIG = ("neighbours", "code_shifts", "quantile_distance", "pathway_split")


def blocks() -> dict[str, str]:
    """The files of the page, by module, and below `module:use` the line that puts each to use."""
    found = {}
    for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        first = re.match(r"# (\w+)\.py\n", code)
        name = first.group(1) if first else f"{[*found][-1].removesuffix(':use')}:use"
        assert name not in found
        found[name] = code
    return found


BLOCKS = blocks()
MODULES = [name for name in BLOCKS if ":" not in name]
IN_A_CONFIG = [name for name in MODULES if name not in NOT_IN_A_CONFIG]

TINY = scbig.but(SMALL, **{"stage1.epochs": 2, "stage2.steps": 8})


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The page's files, each imported from a folder that has nothing to do with the library."""
    folder = tmp_path_factory.mktemp("mine")
    found = {}
    for name in MODULES:
        path = folder / f"{name}.py"
        path.write_text(BLOCKS[name])
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(found[name])
    yield found
    for name in found:
        del sys.modules[name]


@pytest.fixture(scope="module")
def simulated():
    return simulate_screen(SIMULATION, seed=0)


@pytest.fixture(scope="module")
def cells(simulated):
    return preprocess(simulated.counts, PreprocessConfig(min_genes=1, min_cells=1))


@pytest.fixture(scope="module")
def screen(cells):
    return scbig.Screen.from_anndata(cells)


@pytest.fixture(scope="module")
def priors(simulated):
    return scbig.Priors(
        genes=EmbeddingTable(simulated.genes, simulated.embeddings),
        interactions=InteractionGraph(*simulated.interactions),
        pathways=PathwayLibrary(simulated.pathways),
    )


def used(config, names, mine):
    """The configuration after the page's own lines for these files."""
    given = {"scbig": scbig, "Weighted": Weighted, "CorrelationAlignment": CorrelationAlignment}
    for name in names:
        space = {**given, **vars(mine[name]), "config": config}
        exec(compile(BLOCKS[f"{name}:use"], str(PAGE), "exec"), space)
        assert space["config"] != config
        config = space["config"]
    return config


def fit(screen, priors, config, out=None):
    return scbig.fit(screen, priors, config, out=out, progress=False, key=jr.key(0))


def predicted(model, cells):
    controls = cells[cells.obs["condition"] == "control"]
    return np.asarray(model.predict(controls, ["control"], cells=7, key=jr.key(1)).X)


def own_classes(value):
    """The names in a plain value of classes."""
    if isinstance(value, dict):
        return {value.get("is")} | set().union(*map(own_classes, value.values()))
    return set().union(*map(own_classes, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize("name", MODULES)
def test_a_file_is_short_and_uses_public_names_alone(name):
    code = BLOCKS[name]
    assert len(code.splitlines()) < 30
    assert max(map(len, code.splitlines())) <= 100
    imports = re.findall(r"^(?:from|import) (scbig\S*)", code, re.MULTILINE)
    assert imports or name == "quantile_distance"
    assert not [path for path in imports if "._" in path]
    assert not re.findall(r"import _|, _\w", code)


@pytest.mark.parametrize("name", IN_A_CONFIG)
def test_it_reads_back_from_json(name, mine):
    config = used(TINY, [name], mine)
    again = read(type(config), json.loads(json.dumps(plain(config))))
    assert again == config
    assert jax.tree.structure(again) == jax.tree.structure(config)
    assert own_classes(plain(config)) & set(vars(mine[name]))


@pytest.fixture(scope="module")
def everything(mine):
    """All of the page in one configuration; the encoder first, since it has the pooling in it."""
    config = used(TINY, sorted(IN_A_CONFIG, key="program_sum".__ne__), mine)
    denoised = {f"terms.Consistency.{name}": True for name in ("denoised", "relative")}
    # What `fit` makes of it where no condition is held out to judge means by.
    closed = {"emission.mean": 0.0}
    return scbig.but(config, **{"stage1.optimiser": config.stage2.optimiser}, **denoised, **closed)


@pytest.fixture(scope="module")
def run(everything, screen, priors, tmp_path_factory):
    """A training with all of the page, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    return fit(screen, priors, everything, folder), folder


def test_all_of_it_trains_and_is_written_down(run, everything):
    result, folder = run
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["stage"] == "flow"
    assert last["step"] == everything.stage2.steps
    assert {"moments", "correlation", "flow", "Straightness", "validation"} <= set(last)
    assert all(np.isfinite(last[name]) for name in ("moments", "flow", "validation"))
    assert len(result.history) == len(lines)
    written = json.loads((folder / "config.json").read_text())["config"]
    assert written == everything.to_dict()
    assert scbig.ScBIGConfig.from_dict(written) == everything
    assert {
        *("CosinePath", "ExactCoupling", "GatedPooling", "MomentAlignment", "EpistasisSpec"),
        *("ResidualSpec", "ProgramSumSpec", "Lion", "InverseRoot", "SSPRK3", "EnergyCriterion"),
        *("Spectral", "Straightness", "SumAnchor"),
    } <= own_classes(written)


def test_all_of_it_is_saved_and_loaded(run, everything, cells, screen):
    result, folder = run
    loaded = scbig.load(folder / "model.scbig", genes=screen.genes)
    assert loaded.config == everything
    np.testing.assert_array_equal(predicted(loaded, cells), predicted(result.model, cells))


class Stopped(Exception):
    pass


def test_all_of_it_goes_on_where_it_was_stopped(
    run, everything, screen, priors, tmp_path, monkeypatch
):
    write = Recorder.save

    def stopping(self, stage, state):
        write(self, stage, state)
        if stage == "flow":
            raise Stopped

    monkeypatch.setattr(Recorder, "save", stopping)
    with pytest.raises(Stopped):
        fit(screen, priors, everything, tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "model.scbig").exists()
    resumed = fit(screen, priors, everything, tmp_path)
    for new, old in zip(
        jax.tree.leaves(resumed.model.pure), jax.tree.leaves(run[0].model.pure), strict=True
    ):
        np.testing.assert_array_equal(new, old)


def test_another_number_is_another_run(run, everything, screen, priors):
    other = scbig.but(everything, **{"flow.path.sigma": 0.3})
    with pytest.raises(ValueError, match="belongs to another run"):
        fit(screen, priors, other, run[1])


def test_a_model_whose_class_is_not_imported_names_it(run):
    code = "import scbig, sys; scbig.load(sys.argv[1])"
    path = str(run[1] / "model.scbig")
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert done.returncode != 0
    assert "JAX has removed its internal frames" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: config.programs: 0 imported classes called 'Spectral'")
    assert "Import the module that defines it first" in last


LAWS = pathlib.Path(__file__).parents[1] / "property_tests"
UNDER_LAW = """
from .small_world import CONDITION
from .cosine_path import *; TABLE[flow.AbstractProbabilityPath].append(CosinePath())
from .exact_coupling import *; TABLE[ot.AbstractCoupling].append(ExactCoupling())
from .gated_pooling import *; TABLE[nn.AbstractPooling].append(GatedPooling())
from .moment_alignment import *; TABLE[alignment.AbstractAlignment].append(MomentAlignment())
from .straightness import *; TABLE[objective.AbstractTerm].append(Straightness())
from .epistasis import *; TABLE[nn.AbstractConditionSpec].append(EpistasisSpec(CONDITION))
from .residual_field import *; TABLE[nn.AbstractVelocitySpec].append(ResidualSpec())
from .program_sum import *; TABLE[nn.AbstractEncoderSpec].append(ProgramSumSpec(LATENT))
from .lion import *; TABLE[objective.AbstractOptimiser].append(Lion(0.01))
TABLE[objective.AbstractSchedule].append(InverseRoot())
from .sum_anchor import *; TABLE[anchor.AbstractAnchor].append(SumAnchor())
from .energy_criterion import *; TABLE[objective.AbstractCriterion].append(EnergyCriterion())
from .spectral import *; TABLE[programs.AbstractClustering].append(Spectral(PROGRAMS))
"""
"""What a contributor of each of the page's classes would add to the table of laws."""


@pytest.mark.slow
def test_all_of_it_obeys_the_laws_of_the_library(tmp_path):
    laws = tmp_path / "property_tests"
    shutil.copytree(
        LAWS, laws, ignore=shutil.ignore_patterns("__pycache__", "test_[!l]*", "test_le*")
    )
    for name in IN_A_CONFIG:
        (laws / f"{name}.py").write_text(BLOCKS[name])
    with (laws / "subclasses.py").open("a") as file:
        file.write(UNDER_LAW)
    # The library's own are under law where these laws are at home.
    kinds = re.findall(r"append\((\w+)\(", UNDER_LAW)
    assert len(kinds) == 13
    options = ["-v", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
    options += ["-k", " or ".join(["under_law", *kinds])]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(laws)],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:]
    assert all(f"[{name}" in ran.stdout or f"-{name}" in ran.stdout for name in kinds)


def test_its_numbers_are_flags(mine):
    path = mine["cosine_path"].CosinePath
    base = scbig.but(TINY, **{"flow.path": path(0.1)})
    parsed = scbig.cli.parse(_script(base), args=["--model.flow.path.sigma", "0.3"])
    assert parsed.model == scbig.but(base, **{"flow.path.sigma": 0.3})


def test_a_part_that_may_be_left_out_has_flags_where_it_is_there():
    base = scbig.anchored(TINY)
    parsed = scbig.cli.parse(_script(base), args=["--model.anchor.states", "0"])
    assert parsed.model == scbig.but(base, **{"anchor.states": 0})


def _script(base):
    model = dataclasses.field(default_factory=lambda: base)
    return dataclasses.make_dataclass("Script", [("model", scbig.ScBIGConfig, model)], frozen=True)


@pytest.fixture
def given(mine, screen, priors, monkeypatch, tmp_path):
    """What the page's last sections speak of."""
    monkeypatch.chdir(tmp_path)
    doubles = [c.name for c in screen.conditions if len(c.perturbations) == 2]
    test = doubles[:2]
    return {
        **{name: part for module in mine.values() for name, part in vars(module).items()},
        **{"scbig": scbig, "screen": screen, "priors": priors, "key": jr.key(0)},
        **{"test": test, "training": screen.without(test), "config": TINY},
    }


def use(name, given):
    exec(compile(BLOCKS[f"{name}:use"], str(PAGE), "exec"), given)
    return given


def test_the_baseline_is_compared(given):
    scores = use("neighbours", given)["scores"]
    own = scores.xs("neighbours", level="predictor")
    assert sorted(own.index) == sorted(given["test"])
    assert np.isfinite(own["mse"]).all()
    # With every training condition as a neighbour it is the perturbed mean.
    every = given["Neighbours"].fit(given["training"], given["priors"].genes, k=99)
    mean = scbig.baselines.PerturbedMean.fit(given["training"])
    conditions = [scbig.Condition.parse(label) for label in given["test"]]
    np.testing.assert_allclose(every.effects(conditions), mean.effects(conditions), atol=1e-5)
    assert not every.effects([scbig.Condition()]).any()


def test_the_learned_predictor_is_compared_and_learns_its_changes(given):
    scores = use("code_shifts", given)["scores"]
    own = scores.xs("code shifts", level="predictor")
    assert sorted(own.index) == sorted(given["test"])
    assert (own["pearson_delta"] > 0.5).all()
    assert given["model"].perturbations == given["screen"].perturbations
    # Of two perturbations it is the sum.
    network = given["model"].network
    code = scbig.rivals.Encoded(jnp.ones(len(network.table)), jnp.ones(1))
    made = network.carry(jnp.zeros((1, network.table.shape[1])), code, key=jr.key(0))
    np.testing.assert_allclose(made[0], network.table.sum(axis=0), rtol=1e-5)


def test_the_metric_stands_in_the_table_of_all_metrics(given):
    table = use("quantile_distance", given)["table"]
    own = table["quantile_distance"]
    assert sorted(own.index) == sorted(given["test"])
    screen, name = given["screen"], given["test"][0]
    guess = given["predicted"]
    guess = guess[guess.obs["condition"] == name, list(screen.genes)].to_df().to_numpy()
    truth = screen.dense(screen.rows(name))
    quantiles = [np.quantile(x, (np.arange(100) + 0.5) / 100, axis=0) for x in (guess, truth)]
    np.testing.assert_allclose(own[name], np.abs(quantiles[0] - quantiles[1]).mean(), rtol=1e-4)
    same = scbig.evaluate(screen, screen, metrics={"own": given["quantile_distance"]})
    assert not np.any(same["own"])
    with pytest.raises(ValueError, match="metrics called 'mse': choose other names"):
        scbig.evaluate(screen, screen, metrics={"mse": given["quantile_distance"]})


def test_the_split_lets_no_gene_of_the_pathway_into_training(given):
    screen, unseen = given["screen"], given["screen"].perturbations[0]
    given["pathway"], seen = "mine", []
    given["priors"] = dataclasses.replace(
        given["priors"], pathways=PathwayLibrary({"mine": (unseen, screen.genes[-1])})
    )
    given["scbig"] = types.SimpleNamespace(
        fit=lambda *args, **options: seen.append((args, options))
    )
    split = use("pathway_split", given)["split"]
    assert split.held_out == (unseen,)
    assert not split.leaks()
    assert scbig.Split.read("split.json") == split
    (training, _, _), options = seen[0]
    assert unseen not in training.perturbations
    assert options["validation"] == split.validation
    assert set(split.test) == {c.name for c in screen.conditions if unseen in c.perturbations}
    with pytest.raises(ValueError, match="held"):
        scbig.Split.of(
            name="leaks", train=split.test[:1], test=split.test[1:], held_out=[unseen], strict=True
        )


def test_the_path_moves_with_its_velocity(mine):
    path, key = mine["cosine_path"].CosinePath(0.3), jr.key(0)
    start, end = jr.normal(jr.key(1), (2, 5))
    place = lambda t: path(t, start, end, key=key)
    slope = jax.jvp(lambda t: place(t)[0], (jnp.asarray(0.3),), (jnp.asarray(1.0),))[1]
    np.testing.assert_allclose(slope, place(jnp.asarray(0.3))[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(place(jnp.asarray(0.0))[0], start, atol=1e-6)
    np.testing.assert_allclose(place(jnp.asarray(1.0))[0], end, atol=1e-6)


def test_the_coupling_undoes_a_shuffle(mine):
    source = jr.normal(jr.key(0), (9, 4))
    order = jr.permutation(jr.key(1), 9)
    near = source + 0.01 * jr.normal(jr.key(2), source.shape)
    pairing = mine["exact_coupling"].ExactCoupling()(source, near[order], key=jr.key(3))
    np.testing.assert_array_equal(order[pairing.partner], jnp.arange(9))


def test_the_solver_is_of_third_order(mine):
    term = dfx.ODETerm(lambda t, y, args: jnp.cos(t) * y)

    def error(steps):
        given = term, mine["ssprk3"].SSPRK3(), 0.0, 2.0, 2.0 / steps, jnp.asarray(1.0)
        ends = dfx.diffeqsolve(*given).ys
        assert ends is not None
        return abs(ends[-1] - np.exp(np.sin(2.0)))

    assert 6 < error(8) / error(16) < 11
