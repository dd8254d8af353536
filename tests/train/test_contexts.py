"""Doses and contexts in training: what is drawn, what is read, what is learnt."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.decomposition import PCA

from scbig import train
from scbig._typing import Array, Float, Int, PRNGKeyArray, Scalar
from scbig.alignment import AbstractAlignment, MeasuredCells
from scbig.data import Columns, Condition, Screen
from scbig.flow import fixed
from scbig.method import Weighted, but
from scbig.model import Dosing, make_model
from scbig.nn import AbstractVelocity, ConditionEncoderSpec, VelocityFieldSpec
from scbig.objective import Consistency, ConsistencyFacts, FlowCriterion
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.programs import AbstractPartition, GenePartition
from scbig.sampling import CellIndex
from scbig.service import Names, TrainedModel
from scbig.train._materials import identity_of

from .conftest import MATCHING, TINY

GENES = tuple(f"g{i:02d}" for i in range(12))
DOSES = (0.1, 1.0, 10.0)
# By how much, and in which direction, the drug moves every second gene.
SIZE = dict(zip(DOSES, (0.1, 0.5, 1.0), strict=True))
SIGN = {"a": 1.0, "b": -1.0}
PATTERN = np.tile([1.0, 0.0], 6)


def drug_screen(cells=30) -> Screen:
    """One drug at three doses, whose effect in one context is the opposite of that in another.

    The controls of both contexts are alike: nothing in a cell tells in which context it is.
    """
    rng = np.random.default_rng(0)
    groups = [(context, dose) for context in SIGN for dose in (None, None, *DOSES)]
    moved = [0.0 if dose is None else SIGN[context] * SIZE[dose] for context, dose in groups]
    mean = 2.0 + np.linspace(0, 1, 12) + np.outer(np.repeat(moved, cells), PATTERN)
    values = np.abs(mean + 0.1 * rng.normal(size=mean.shape)).astype(np.float32)
    conditions = sorted(
        (Condition(), *(Condition(("D",), (dose,)) for dose in DOSES)), key=lambda c: c.name
    )
    place = {c.doses[0] if c.doses else None: i for i, c in enumerate(conditions)}
    return Screen(
        expression=csr_matrix(values),
        genes=GENES,
        cells=tuple(f"c{i}" for i in range(len(values))),
        conditions=tuple(conditions),
        condition_index=np.repeat([place[dose] for _, dose in groups], cells).astype(np.int32),
        contexts=("a", "b"),
        context_index=np.repeat([sorted(SIGN).index(c) for c, _ in groups], cells).astype(np.int32),
    )


def drug_priors(contexts: EmbeddingTable | None) -> train.Priors:
    rng = np.random.default_rng(1)
    return train.Priors(
        genes=EmbeddingTable(GENES, rng.normal(size=(12, 3)).astype(np.float32)),
        interactions=InteractionGraph(GENES[:-1], GENES[1:]),
        pathways=PathwayLibrary({"even": GENES[::2], "odd": GENES[1::2]}),
        perturbations=EmbeddingTable(("D", "E"), np.eye(2, 3, dtype=np.float32)),
        contexts=contexts,
    )


@pytest.fixture(scope="module")
def screen() -> Screen:
    return drug_screen()


class Constant(AbstractVelocity):
    """A velocity that is `scale` everywhere."""

    scale: jax.Array

    def __call__(self, t, z, c, *, key=None):
        return self.scale * jnp.ones_like(z)


class FarthestStart(AbstractAlignment):
    """The largest distance of a predicted cell from the profile of its own group's context."""

    def prepare(
        self,
        screen: MeasuredCells,
        index: CellIndex,
        partition: AbstractPartition,
        pathways: PathwayLibrary | None,
    ) -> None:
        """Nothing: the profiles are given."""

    def __call__(
        self,
        predicted: Float[Array, "groups cells genes"],
        groups: Int[Array, " groups"],
        facts: Float[Array, "all_groups genes"],
        *,
        key: PRNGKeyArray,
    ) -> Scalar:
        return jnp.max(jnp.abs(predicted - facts[groups][:, None, :]))


@pytest.fixture(scope="module")
def trained(screen):
    """Its contexts are in another order than the screen's, and it knows one more."""
    names = Names(
        genes=GENES,
        perturbations=("D", "E"),
        contexts=("b", "c", "a"),
        dosing=Dosing.of(screen.conditions),
    )
    made = make_model(
        TINY.networks,
        partition=GenePartition.from_labels(np.arange(12) % 3, 3),
        embeddings=jr.normal(jr.key(1), (12, 3)),
        mean=jnp.asarray(screen.mean()),
        tokens=jnp.eye(2, 3),
        contexts=jr.normal(jr.key(2), (3, 4)),
        dose_features=names.dose_features,
        key=jr.key(0),
    )
    pure = dataclasses.replace(made, velocity=Constant(jnp.array(0.0)))
    return TrainedModel(pure=pure, names=names, config=TINY)


@pytest.fixture(scope="module")
def model(trained):
    return trained.pure


@pytest.fixture(scope="module")
def setting(trained, screen):
    return train.make_setting(trained.pure, trained.names, screen, TINY)


@pytest.fixture(scope="module")
def data(setting):
    return train.flow_data(setting)


def test_each_group_is_read_with_its_own_dose_and_context(model, screen, data):
    groups = jnp.arange(data.index.num_groups)
    assert len(groups) == 6
    found = data.conditions(model, groups, key=None)
    logs = np.log(DOSES)
    for group, (place, context) in enumerate(
        zip(data.index.condition.tolist(), data.index.context.tolist(), strict=True)
    ):
        (dose,) = screen.conditions[place].doses
        token = [1.0, 0.0, 0.0, 1.0, (np.log(dose) - logs.mean()) / logs.std()]
        row = model.contexts["bca".index(screen.contexts[context])]
        tokens = jnp.array([token, token], jnp.float32)
        expected = model.condition_encoder(tokens, jnp.array([True, False]), row)
        np.testing.assert_allclose(found[group], expected, rtol=1e-4, atol=1e-5)


def test_validation_asks_for_each_group_in_its_own_context(trained, screen, setting):
    names = [screen.contexts[int(place)] for place in setting.index.context]
    assert names == ["a", "b"] * 3
    assert [trained.names.contexts[int(row)] for row in setting.tokens.context] == names


def far_apart(data):
    """Latents 0 in the first context and 10 in the second."""
    rows = jnp.repeat(jnp.array([0.0, 10.0]), data.latents.shape[0] // 2)
    return dataclasses.replace(data, latents=rows[:, None] * jnp.ones((1, 4)))


def test_cells_are_paired_with_controls_of_their_own_context(model, data):
    """A field that stands still pays the squared length of each pair, here 0 or 100."""
    groups = jnp.arange(6)
    pay = eqx.filter_jit(lambda data: MATCHING.on_groups(model, data, groups, key=jr.key(0))[0])
    assert float(pay(far_apart(data))) == pytest.approx(0.0, abs=1e-6)


def test_predicted_populations_start_at_controls_of_their_own_context(model, data):
    apart = far_apart(data)
    profiles = jax.vmap(model.decode)(jnp.array([[0.0] * 4, [10.0] * 4]))
    term = Consistency((Weighted(FarthestStart(), 1.0),), fixed(1), groups=12, cells=6)
    inputs = dataclasses.replace(apart, own=ConsistencyFacts((profiles[data.index.context],)))
    far = eqx.filter_jit(lambda data: term.evaluate(model, data, key=jr.key(0)))
    assert float(jnp.max(jnp.abs(profiles[0] - profiles[1]))) > 0.1
    assert float(far(inputs)["FarthestStart"]) < 1e-3


def materials(screen, priors, validation=()):
    return train.Materials.of(screen, priors, TINY, validation, key=jr.key(0))


def test_what_a_table_of_contexts_lacks_is_named(screen):
    with pytest.raises(ValueError, match=r"without a vector: 'b'\. The model knows 'a'"):
        materials(screen, drug_priors(train.one_hot_contexts(["a", "c"])))
    bare = dataclasses.replace(
        screen, contexts=("",), context_index=np.zeros(screen.num_cells, np.int32)
    )
    with pytest.raises(ValueError, match="no contexts, but the model knows 'a', 'b'"):
        materials(bare, drug_priors(train.one_hot_contexts(["a", "b"])))


def test_contexts_are_part_of_what_a_run_is(screen):
    tables = [None, train.one_hot_contexts("ab"), train.one_hot_contexts("abc")]
    tables.append(EmbeddingTable(("a", "b"), np.array([[0, 1], [2, 1]], np.float32)))
    facts = [materials(screen, drug_priors(table)).facts for table in tables]
    identities = {identity_of(screen, TINY, (), fact, jr.key(0)) for fact in facts}
    assert len(identities) == len(tables)
    assert len(facts[0]) == len(facts[1]) - 2


def test_a_model_learns_the_scale_of_doses_from_its_training_conditions(screen):
    dosing = materials(screen, drug_priors(None), ["D@10"]).names.dosing
    assert dosing is not None
    np.testing.assert_allclose(dosing.features(0.1), (1, -1), atol=1e-9)
    np.testing.assert_allclose(dosing.features(1.0), (1, 1), atol=1e-9)
    genes = screen.select([])
    assert Dosing.of(genes.conditions) is None


@pytest.mark.parametrize("refit", ["anchor", "flow"])
def test_what_is_made_anew_on_the_conditions_that_selected_knows_their_doses(screen, refit):
    config = but(TINY, **{"stage2.refit": refit})
    given = screen, drug_priors(None), config, ["D@10"]
    dosing = train.Materials.of(*given, key=jr.key(0)).names.dosing
    assert dosing == Dosing.of(screen.conditions)
    assert dosing != Dosing.of(screen.without(["D@10"]).conditions)


def test_one_hot_contexts_tell_every_context_apart():
    plain = train.one_hot_contexts(["y", "x", "z"])
    assert plain.names == ("y", "x", "z")
    np.testing.assert_array_equal(plain.vectors, np.eye(3)[[1, 0, 2]])
    joined = train.one_hot_contexts(["x|I", "x|N", "y|N", "y|I"])
    expected = [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1], [0, 1, 1, 0]]
    np.testing.assert_array_equal(joined.vectors, expected)
    np.testing.assert_array_equal(train.one_hot_contexts(["x|I", "x"]).vectors, np.eye(2)[::-1])
    with pytest.raises(ValueError, match="at least one name"):
        train.one_hot_contexts([])


def test_control_profiles_are_the_components_of_the_control_means():
    rng = np.random.default_rng(0)
    cells, names = 120, ("p", "q", "r", "s")
    context = np.arange(cells) % 4
    values = rng.gamma(2.0, 1.0, (cells, 9)) + rng.gamma(2.0, 1.0, (4, 9))[context]
    perturbed = (np.arange(cells) >= 60) & (context != 3)
    values[perturbed] += 50.0
    screen = Screen(
        expression=csr_matrix(values.astype(np.float32)),
        genes=tuple("ghijklmno"),
        cells=tuple(map(str, range(cells))),
        conditions=(Condition(("A",)), Condition()),
        condition_index=np.where(perturbed, 0, 1).astype(np.int32),
        contexts=names,
        context_index=context.astype(np.int32),
    )
    means = np.stack([values[~perturbed & (context == c)].mean(axis=0) for c in range(4)])
    reference = PCA(2).fit(means)
    table = train.control_profiles(screen, components=2)
    assert table.names == names
    for place, component in enumerate(np.asarray(reference.components_)):
        turn = np.sign(component[np.abs(component).argmax()])
        expected = (means - means.mean(axis=0)) @ component * turn
        np.testing.assert_allclose(table.vectors[:, place], expected, rtol=1e-3, atol=1e-4)
    for components in (0, 4):
        with pytest.raises(ValueError, match=rf"components={components}.* 4 contexts .* 1 and 3"):
            train.control_profiles(screen, components=components)
    one = dataclasses.replace(screen, contexts=("",), context_index=np.zeros(cells, np.int32))
    with pytest.raises(ValueError, match="at least two contexts; the screen has one"):
        train.control_profiles(one, components=1)


OWN = but(MATCHING, groups=6, cells=16)
QUICK = but(
    TINY,
    flow=OWN,
    terms=(),
    condition=ConditionEncoderSpec(hidden=16, width=16),
    velocity=VelocityFieldSpec(frequencies=2, top_frequency=3.0, hidden=16, depth=1, dropout=0.0),
    **{
        "encoder.dropout": 0.0,
        "decoder.dropout": 0.0,
        "stage1.epochs": 40,
        "stage1.validate_every": 10,
        "stage2.steps": 300,
        "stage2.steps_per_call": 100,
        "stage2.criterion": FlowCriterion(OWN),
    },
)


def strengths(model, screen, labels) -> list[list[float]]:
    """How far along the drug's pattern a model moves the controls, by context and label."""
    controls = screen.select([]).to_anndata()
    found = model.predict(
        controls, labels, columns=Columns(context="context"), cells=60, key=jr.key(1)
    )
    cells = found.to_df().to_numpy().reshape(len(screen.contexts), len(labels), 60, 12)
    origin = np.stack([screen.mean(screen.rows("control", c)) for c in screen.contexts])
    return ((cells.mean(axis=2) - origin[:, None]) @ PATTERN / 6).tolist()


@pytest.mark.slow
def test_a_model_with_contexts_learns_effects_that_differ_between_them(screen):
    priors = drug_priors(train.one_hot_contexts(screen.contexts))
    model = train.fit(screen, priors, QUICK, progress=False, key=jr.key(0)).model
    labels = ["D@0.1", "D@10"]
    (low, high), (less, more) = strengths(model, screen, labels)
    # True: 0.1 and 1 in the first context, -0.1 and -1 in the second.
    assert high > 0.5
    assert more < -0.5
    assert low < high - 0.3
    assert less > more + 0.3
    # The cells themselves do not say where they are: with one vector for both, both are one.
    none = dataclasses.replace(model.pure, contexts=jnp.zeros((2, 2)))
    blind = dataclasses.replace(model, pure=none)
    (_, high), (_, more) = strengths(blind, screen, labels)
    assert abs(high - more) < 0.3
