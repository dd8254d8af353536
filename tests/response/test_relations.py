"""Relations between perturbations: kernels, and whether left-out perturbations confirm them."""

import numpy as np
import pytest
import scipy.linalg
from jaxtyping import Float

from scbig.data import Condition
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.response import (
    AbstractRelation,
    Design,
    EmbeddingRelation,
    GraphRelation,
    MixedEffects,
    PathwayRelation,
    Strengths,
    covariance,
    variance,
)
from scbig.response._choose import Measured
from scbig.response._confirm import left_out_blocks

NAMES = [f"{group}{number}" for group in "PQRSTU" for number in range(6)]
NEW = [f"{group}9" for group in "PQRSTU"]
SINGLES = [Condition((name,)) for name in NAMES]
DOUBLES = [Condition(tuple(sorted((NAMES[i], NAMES[(7 * i + 11) % 36])))) for i in range(36)]
TESTED = [Condition((name,)) for name in NEW]
MIXED = [Condition(tuple(sorted((new, NAMES[(5 * i + 8) % 36])))) for i, new in enumerate(NEW)]


class Groups(AbstractRelation):
    """Alike are names that begin alike; `turn` says which name stands for which."""

    turn: dict[str, str]

    def kernel(self, names) -> Float[np.ndarray, "names names"]:
        first = [self.turn.get(name, name)[0] for name in names]
        same = np.equal.outer(np.array(first), np.array(first))
        return 2.0 * (0.8 * same + 0.2 * np.eye(len(names)))


def shuffled(seed):
    names = [*NAMES, *NEW]
    turned = np.random.default_rng(seed).permutation(names).tolist()
    return Groups(dict(zip(names, turned, strict=True)))


def responses(conditions, seed=0, genes=40, noise=0.4):
    """Effects that are mostly those of the group."""
    rng = np.random.default_rng(seed)
    group = {letter: rng.normal(size=genes) for letter in "PQRSTU"}
    own = {name: group[name[0]] + 0.5 * rng.normal(size=genes) for name in [*NAMES, *NEW]}
    truth = np.array([sum(own[name] for name in c.perturbations) for c in conditions])
    return truth, truth + noise * rng.normal(size=truth.shape)


def test_the_covariance_and_the_variance_have_the_relation_in_them():
    """Drawn effects that are alike as the relation says vary together as the formula says."""
    conditions = [Condition(("P0",)), Condition(("P0", "Q0")), Condition(("P1", "Q0"))]
    asked = [Condition(("P9",)), Condition(("P9", "Q9")), Condition(("P0", "Q9")), *conditions]
    known, columns = ("P0", "P1", "Q0"), ["P0", "P1", "Q0", "P9", "Q9"]
    alike = Groups({}).similarity(columns, columns)
    strengths = Strengths(common=0.2, related=0.7)
    left = Design.of(asked, known, relation=Groups({}))
    right = Design.of(conditions, known)
    counts = np.array([[name in c.perturbations for name in columns] for c in asked], float)
    total = counts @ (np.eye(5) + 0.2 + 0.7 * alike) @ counts.T
    np.testing.assert_allclose(covariance(left, right, strengths), total[:, 3:])
    np.testing.assert_allclose(variance(left, strengths), np.diag(total))


def test_a_perturbation_is_left_out_with_all_its_conditions_as_if_it_had_never_been_there():
    conditions = [*SINGLES[:12], *(c for c in DOUBLES if {*c.perturbations} <= {*NAMES[:12]})]
    conditions += [Condition(("P0", "P1")), Condition(("P0", "Q2")), Condition(("P0", "P1", "Q1"))]
    _, changes = responses(conditions)
    known = tuple(sorted({name for c in conditions for name in c.perturbations}))
    method = MixedEffects((0.2,), (0.4,), (0.3,), (0.5,), bands=(3,))
    fitted = method.fit(conditions, changes)
    left, sizes, _ = np.linalg.svd(changes, full_matrices=False)
    noise = np.linspace(0.5, 2, len(conditions))
    design = Design.of(conditions, known, relation=Groups({}))
    measured = Measured(design, left * sizes, noise)
    strengths = Strengths(0.2, 0.4, 0.3, 0.5, related=0.7)
    combined = design.combined > 0
    found = left_out_blocks(measured, fitted.combinations, combined, 0.7)
    for column, name in enumerate(known):
        block = [i for i, c in enumerate(conditions) if name in c.perturbations]
        rest = [i for i in range(len(conditions)) if i not in block]
        # Not only its rows: the model does not know of it any more.
        fewer = tuple(other for other in known if other != name)
        others = Design.of([conditions[i] for i in rest], fewer, relation=Groups({}))
        here = Design.of([conditions[i] for i in block], fewer, relation=Groups({}))
        own = covariance(others, others, strengths) + 0.5 * np.diag(noise[rest])
        guess = covariance(here, others, strengths) @ np.linalg.solve(own, changes[rest])
        squared = np.sum((guess - changes[block]) ** 2, axis=1)[combined[block]]
        assert found[column] == pytest.approx(
            squared.mean() if squared.size else np.nan, nan_ok=True
        )


def test_a_true_relation_is_chosen_and_serves_what_was_never_seen():
    training = [*SINGLES, *DOUBLES]
    _, changes = responses(training)
    plain = MixedEffects().fit(training, changes)
    fitted = MixedEffects().fit(training, changes, relation=Groups({}))
    assert fitted.new is not None
    assert all(band.strengths.related > 0 for bands in fitted.new for band in bands)
    for asked in (TESTED, MIXED):
        truth, _ = responses(asked)
        error = lambda model, asked, truth: np.mean((model.means(asked) - truth) ** 2, axis=1)
        ahead = error(plain, asked, truth) - error(fitted, asked, truth)
        assert ahead.mean() > 2 * ahead.std() / np.sqrt(len(ahead))
        # It says how sure it is: errors have the size that it says.
        errors = (fitted.means(asked) - truth) / fitted.deviations(asked)
        assert 0.7 < np.sqrt(np.mean(errors**2)) < 1.3
    # What was seen is predicted as without.
    seen = [*training, Condition(("P0", "Q5"))]
    np.testing.assert_array_equal(fitted.means(seen), plain.means(seen))
    np.testing.assert_array_equal(fitted.deviations(seen), plain.deviations(seen))
    assert not fitted.means([Condition()]).any()


def test_with_a_relation_it_is_the_gaussian_process_with_that_covariance():
    training = [*SINGLES, *DOUBLES]
    _, changes = responses(training)
    method = MixedEffects((0.2,), (0.4,), (0.3,), (0.5,), bands=(), related=(0.7,))
    fitted = method.fit(training, changes, relation=Groups({}))
    names = [*NAMES, *NEW]
    alike = Groups({}).similarity(names, names)
    asked = [*TESTED, *MIXED]
    counts = lambda rows: np.array([[n in c.perturbations for n in names] for c in rows], float)
    kernel = lambda a, b: (
        counts(a) @ (np.eye(42) + 0.2 + 0.7 * alike) @ counts(b).T
        + 0.4 * np.outer(counts(a).sum(1) > 1, counts(b).sum(1) > 1) * (counts(a) @ counts(b).T)
        + 0.3 * np.array([[len(c.perturbations) > 1 and c == d for d in b] for c in a])
    )
    own = kernel(training, training) + 0.5 * np.eye(72)
    expected = kernel(asked, training) @ np.linalg.solve(own, changes)
    np.testing.assert_allclose(fitted.means(asked), expected, rtol=1e-7, atol=1e-8)


def test_a_shuffled_relation_is_not_chosen():
    """A rule of one standard error lets one in six pass at worst; most must come out as none."""
    training = [*SINGLES, *DOUBLES]
    chosen = []
    for seed in range(8):
        _, changes = responses(training, seed)
        fitted = MixedEffects(bands=()).fit(training, changes, relation=shuffled(seed))
        bands = (fitted.singles, fitted.combinations) if fitted.new is None else fitted.new
        chosen += [kind[0].strengths.related > 0 for kind in bands]
    assert np.mean(chosen) < 0.2


def test_relations_that_help_one_kind_are_used_for_it_alone():
    """Here groups act in combinations only."""
    training = [*SINGLES, *DOUBLES]
    rng = np.random.default_rng(0)
    group = {letter: rng.normal(size=40) for letter in "PQRSTU"}
    changes = rng.normal(size=(72, 40))
    changes[36:] += np.array([2 * sum(group[n[0]] for n in c.perturbations) for c in DOUBLES])
    fitted = MixedEffects(bands=()).fit(training, changes, relation=Groups({}))
    assert fitted.new is not None
    alone, together = fitted.new
    assert alone[0].strengths.related == 0
    assert together[0].strengths.related > 0


@pytest.mark.parametrize("given", [0, 7])
def test_too_few_perturbations_confirm_nothing(given):
    conditions = SINGLES[: given + 1]
    _, changes = responses(conditions)
    fitted = MixedEffects(least=given + 2).fit(conditions, changes, relation=Groups({}))
    assert fitted.new is None
    assert MixedEffects(related=(0.0,)).fit(conditions, changes, relation=Groups({})).new is None


def test_similarities_have_a_unit_diagonal_and_fit_their_names():
    found = Groups({}).similarity(["P1", "Q1", "P2"], ["P2", "P1"])
    np.testing.assert_allclose(found, [[0.8, 1], [0, 0], [1, 0.8]])


def test_a_graph_is_its_heat_kernel():
    """The exponential of the whole Laplacian, of which two genes were never perturbed."""
    rng = np.random.default_rng(0)
    edges = [(f"g{a}", f"g{b}") for a in range(12) for b in range(a) if rng.uniform() < 0.3]
    score = rng.uniform(0.3, 1, len(edges)).astype(np.float32)
    first, second = zip(*edges, strict=True)
    relation = GraphRelation(InteractionGraph(first, second, score), time=1.7)
    names = sorted({*first, *second})
    weights = np.zeros((len(names), len(names)))
    for a, b, value in zip(first, second, score, strict=True):
        weights[names.index(a), names.index(b)] = weights[names.index(b), names.index(a)] = value
    scale = 1 / np.sqrt(weights.sum(axis=0))
    heat = scipy.linalg.expm(-1.7 * (np.eye(len(names)) - scale[:, None] * weights * scale))
    unit = heat / np.sqrt(np.outer(np.diag(heat), np.diag(heat)))
    found = relation.similarity([*names[2:], "unknown"], [*names[2:], "unknown"])
    np.testing.assert_allclose(found[:-1, :-1], unit[2:, 2:], rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(found[-1], [0] * (len(names) - 2) + [1])


def test_pathways_are_the_cosine_of_membership():
    library = PathwayLibrary({"x": ("A", "B", "Z"), "y": ("A", "B"), "z": ("A", "C", "D")})
    found = PathwayRelation(library).similarity(["A", "B", "C", "Q"], ["A", "B", "Q"])
    expected = [[1, 2 / np.sqrt(6), 0], [2 / np.sqrt(6), 1, 0], [1 / np.sqrt(3), 0, 0], [0, 0, 1]]
    np.testing.assert_allclose(found, expected)


def test_embeddings_are_alike_by_their_direction():
    vectors = np.random.default_rng(0).normal(3, 2, (20, 4)).astype(np.float32)
    table = EmbeddingTable(tuple(f"g{i}" for i in range(20)), vectors)
    standard = (vectors - vectors.mean(0)) / vectors.std(0)
    unit = standard / np.linalg.norm(standard, axis=1, keepdims=True)
    found = EmbeddingRelation(table, 0.5).similarity(["g3", "g7", "Q"], ["g7", "g11", "Q"])
    expected = np.exp((unit[[3, 7]] @ unit[[7, 11]].T - 1) / 0.5)
    np.testing.assert_allclose(found[:2, :2], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[2], [0, 0, 1])


def test_numbers_that_are_none_are_refused():
    with pytest.raises(ValueError, match="time must be positive"):
        GraphRelation(InteractionGraph(("A",), ("B",)), 0.0)
    with pytest.raises(ValueError, match="width must be positive"):
        EmbeddingRelation(EmbeddingTable(("A",), np.ones((1, 2), np.float32)), -1.0)
    with pytest.raises(ValueError, match="related must be"):
        MixedEffects(related=(-1.0,))
