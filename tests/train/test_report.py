"""What priors know of a screen, and for what of it a training stops before it begins."""

import dataclasses
from typing import Any

import jax.random as jr
import numpy as np
import pytest

from scbig import baselines, splits
from scbig.method import but
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary
from scbig.programs import Given, KMeans
from scbig.train import Materials, Priors, fit

from .conftest import LEAN, TINY

QUICK = but(LEAN, **{"stage1.epochs": 1, "stage2.steps": 4})


def train(screen, priors, config=TINY, **options):
    return fit(screen, priors, config, progress=False, key=jr.key(0), **options)


def never(*_, **__):
    raise AssertionError("a training began")


def without(table: EmbeddingTable, names) -> EmbeddingTable:
    return table.select([name for name in table.names if name not in names])


@pytest.fixture
def apart(priors):
    """Interactions of the screen's genes with others only."""
    names = tuple(dict.fromkeys(priors.interactions.first))
    return InteractionGraph(names, tuple(f"other{i}" for i in range(len(names))))


def test_the_coverage_of_every_prior_is_told(screen, priors):
    genes, perturbed = screen.genes, screen.perturbations
    few = without(priors.genes, genes[:3])
    sets = PathwayLibrary({"one": genes[:5], "two": (*genes[3:8], "elsewhere")})
    known = dataclasses.replace(priors, genes=few, pathways=sets, missing="mean")
    report = screen.report(known)
    lost = set(genes[:3]) & set(perturbed)
    assert report.priors[0].line.startswith(
        f"gene embeddings: {len(genes) - 3} of {len(genes)} genes ({1 - 3 / len(genes):.1%}), "
        f"{len(perturbed) - len(lost)} of {len(perturbed)} perturbations"
    )
    graph = priors.interactions
    edges = {frozenset(p) for p in zip(graph.first, graph.second, strict=True) if len({*p}) == 2}
    inside = [edge for edge in edges if edge <= set(genes)]
    assert f"{len(inside)} edges between genes" in report.priors[1].line
    assert f"{len(set().union(*inside))} genes with one" in report.priors[1].line
    assert report.priors[2].line.startswith(f"pathways: 2 sets with 8 of {len(genes)} genes")
    assert any("pathways: only 8 of" in doubt for doubt in report.doubts)
    half = dataclasses.replace(known, pathways=PathwayLibrary({"one": genes[::2]}))
    assert not any("pathways" in doubt for doubt in screen.report(half).doubts)
    own = dataclasses.replace(known, perturbations=priors.genes)
    assert screen.report(own).priors[1].line == (
        f"embeddings of perturbations: {len(perturbed)} of {len(perturbed)} perturbations (100.0%)"
    )
    assert "perturbations" not in screen.report(own).priors[0].line
    ends = (perturbed[0],), ("elsewhere",)
    related = dataclasses.replace(known, perturbation_graph=InteractionGraph(*ends))
    assert (
        screen.report(related)
        .priors[1]
        .line.startswith(f"graph of perturbations: 1 of {len(perturbed)} perturbations (")
    )
    assert related.read_by(TINY).perturbation_graph is None


def test_names_that_fail_come_with_the_nearest_known_one(screen, priors):
    first = screen.perturbations[0]
    table = EmbeddingTable(
        tuple(f"{name.lower()}x" if name == first else name for name in priors.genes.names),
        priors.genes.vectors,
    )
    (problem,) = screen.report(Priors(genes=priors.genes, perturbations=table)).problems
    assert problem.startswith(
        f"No embedding for 1 perturbation(s): {first!r} (near '{first.lower()}x'); the table has"
    )


def test_a_training_without_an_edge_stops_unless_told(screen, priors, apart, monkeypatch):
    lacking = dataclasses.replace(priors, interactions=apart)
    with monkeypatch.context() as patch:
        patch.setattr("scbig.train._fit._run", never)
        with pytest.raises(ValueError, match="no two of them have one between them"):
            train(screen, lacking)
    result = train(screen, lacking, QUICK, anyway=True)
    assert any("no edge between two genes" in own.line for own in result.report.priors)
    # What no algorithm reads stops nothing.
    assert Materials.of(screen, lacking, but(QUICK, programs=KMeans(3)), (), key=jr.key(0))
    unread = lacking.read_by(but(QUICK, programs=KMeans(clusters=3)))
    assert unread.interactions is None
    assert screen.report(unread).problems == ()


def test_vectors_of_perturbations_are_read_whatever_else_is(priors):
    config = but(QUICK, programs=Given())
    assert priors.read_by(config).genes is priors.genes  # of the encoder
    unread = priors.read_by(config, given=("encoder", "decoder"))
    assert unread.genes is None
    assert unread.perturbations is priors.genes


def test_a_perturbation_without_a_vector_stops_unless_told(screen, priors, monkeypatch):
    lost = screen.perturbations[:2]
    lacking = dataclasses.replace(priors, perturbations=without(priors.genes, lost))
    with monkeypatch.context() as patch:
        patch.setattr("scbig.train._fit._run", never)
        with pytest.raises(ValueError, match=r"No embedding for 2 perturbation\(s\)"):
            train(screen, lacking)
    made = Materials.of(screen, lacking, QUICK, (), anyway=True, key=jr.key(0))
    rows = [made.names.perturbations.index(name) for name in lost]
    np.testing.assert_array_equal(made.perturbations.vectors[rows], 0)  # the mean of the table
    others = made.perturbations.select(lacking.perturbations.names)
    np.testing.assert_array_equal(others.vectors, lacking.tokens.vectors)
    model = train(screen, lacking, QUICK, anyway=True).model
    predicted = model.predict(screen, ["+".join(lost)], cells=3, key=jr.key(1))
    assert np.isfinite(predicted.to_df().to_numpy()).all()


def test_a_recipe_gives_what_has_no_vector_what_the_priors_say(screen, priors):
    lost = screen.perturbations[:2]
    perturbed = [c for c in screen.conditions if not c.is_control]
    tested = [c.name for c in perturbed if lost[1] in c.perturbations]  # all that is of it
    train = [c.name for c in perturbed if c.name not in tested]
    split = splits.Split.of(name="s", train=train, test=tested)
    table = without(priors.genes, lost)
    given = dataclasses.replace(priors, perturbations=table, missing="mean")
    recipe = baselines.Method(QUICK)
    made: Any = recipe.fit(screen, split, given, progress=False, key=jr.key(0))
    rows = [made.names.perturbations.index(name) for name in lost]
    np.testing.assert_allclose(made.pure.tokens[np.array(rows)], 0, atol=1e-6)
    assert not made.predict(screen, tested, cells=3, key=jr.key(1)).to_df().isna().any(axis=None)
    strict = dataclasses.replace(given, missing="error")
    with pytest.raises(ValueError, match=f"{lost[0]!r}"):
        recipe.fit(screen, split, strict, progress=False, key=jr.key(0))


def test_vectors_are_filled_by_the_rule_only(priors):
    table = EmbeddingTable(("A", "B"), np.array([[1.0, 2.0], [3.0, 6.0]], np.float32))
    rules: Any = {"mean": [2.0, 4.0], "zero": [0.0, 0.0]}
    for rule, wanted in rules.items():
        filled = Priors(genes=table, missing=rule).filled(["C", "A", "C"]).perturbations
        assert filled is not None
        assert filled.names == ("A", "B", "C")
        np.testing.assert_array_equal(filled.vectors, [[1, 2], [3, 6], wanted])
    for same in (Priors(genes=table, missing="error"), Priors(genes=table, missing="mean")):
        assert same.filled(["A"]) is same
    strict = Priors(genes=table)
    assert strict.filled(["C"]) is strict


def test_vectors_for_less_than_half_of_the_genes_stop_unless_told(screen, priors, monkeypatch):
    spared = set(screen.perturbations)
    lost = [gene for gene in screen.genes if gene not in spared][: len(screen.genes) // 2 + 1]
    few = dataclasses.replace(priors, genes=without(priors.genes, lost), missing="mean")
    half = dataclasses.replace(priors, genes=without(priors.genes, lost[1:]), missing="mean")
    assert screen.report(half).problems == ()
    with monkeypatch.context() as patch:
        patch.setattr("scbig.train._fit._run", never)
        with pytest.raises(ValueError, match=r"gene embeddings: only 11 of 24 genes \(45\.8%\)"):
            train(screen, few)
    assert train(screen, few, QUICK, anyway=True).model.names.genes == screen.genes
    # A gene without a vector is an error under that policy, told or not.
    for anyway in (False, True):
        with pytest.raises(ValueError, match="13 of 24 genes have no vector"):
            train(screen, dataclasses.replace(few, missing="error"), anyway=anyway)


def test_controls_alone_are_refused_before_a_training(screen, priors, monkeypatch):
    monkeypatch.setattr("scbig.train._fit._run", never)
    for anyway in (False, True):
        with pytest.raises(ValueError, match=r"no perturbed cells.* only controls"):
            train(screen.select([]), priors, anyway=anyway)
    names = [c.name for c in screen.conditions if not c.is_control]
    with pytest.raises(ValueError, match="no perturbed cells to learn from: all of them are for v"):
        train(screen, priors, validation=names)


def test_a_single_cell_is_named_with_its_context(contexts, priors, monkeypatch):
    monkeypatch.setattr("scbig.train._fit._run", never)
    name = contexts.conditions[0].name
    few = {("control", "b"): "1 context.* single control cell.*: 'b'\\. Drop those contexts"}
    few[name, "a"] = rf"1 conditions have a single cell.*: '{name} in a'.*at_least\(2\)"
    for (condition, context), message in few.items():
        lost = contexts.rows(condition, context)[1:]
        kept = np.setdiff1d(np.arange(contexts.num_cells), lost)
        with pytest.raises(ValueError, match=message):
            train(contexts.take(kept), priors)


def test_a_single_control_of_a_screen_without_contexts_is_named(screen, priors):
    lost = screen.rows("control")[1:]
    alone = screen.take(np.setdiff1d(np.arange(screen.num_cells), lost))
    with pytest.raises(ValueError, match="single control cell.*: 'the screen'"):
        train(alone, priors)


def test_the_report_is_printed_first(screen, priors, capsys, monkeypatch):
    monkeypatch.setattr("scbig.train._fit._run", never)
    with pytest.raises(AssertionError, match="a training began"):
        fit(screen, priors, TINY, key=jr.key(0))
    assert str(screen.report(priors)) in capsys.readouterr().out
    with pytest.raises(AssertionError):
        train(screen, priors)
    assert capsys.readouterr().out == ""
