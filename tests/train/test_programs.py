"""How a run comes by its gene programs."""

import dataclasses

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scbig.data import Screen
from scbig.method import but, plain
from scbig.objective import ResponseCriterion
from scbig.priors import coexpression
from scbig.programs import (
    Coexpression,
    Feedback,
    GenePartition,
    Given,
    Pretrained,
    ProgramTable,
    SideBySide,
    Soft,
    SoftPartition,
    read_programs,
)
from scbig.service import load
from scbig.train import ClusteringInput, fit, response_errors
from scbig.train._priors import AlignedPriors

from .conftest import LEAN, TINY
from .test_fit import same


def programs_of(**changes):
    return but(LEAN, **{f"programs.{name}": new for name, new in changes.items()})


@pytest.fixture(scope="module")
def own(screen):
    """Programs of a user, in another order than the data's genes, and not balanced."""
    labels = np.arange(screen.num_genes) % 5 % 4
    names = ("a", "b", "c", "d")
    genes = screen.genes[::-1]
    return ProgramTable(genes, GenePartition.from_labels(labels, 4), names, {"by": "hand"})


@pytest.fixture(scope="module")
def with_own(screen, priors, own, tmp_path_factory):
    out = tmp_path_factory.mktemp("own")
    made = fit(screen, priors, LEAN, programs=own, out=out, progress=False, key=jr.key(0))
    return made, out


def test_ones_own_programs_are_trained_on(with_own, screen, own):
    made, out = with_own
    assert made.clustering is None
    wanted = dict(zip(own.genes, np.asarray(own.partition.labels), strict=True))
    found = dict(zip(screen.genes, np.asarray(made.model.pure.partition.labels), strict=True))
    assert found == wanted
    written = read_programs(out / "programs.csv")
    assert written.names == own.names
    assert written.provenance == {"by": "hand"}
    again = load(out / "model.scbig", genes=screen.genes)
    assert same(again, made.model)
    assert made.model.config == but(LEAN, programs=Given())


def test_other_programs_are_another_run(with_own, screen, priors, own):
    _, out = with_own
    with pytest.raises(ValueError, match="another run"):
        fit(screen, priors, LEAN, out=out, progress=False, key=jr.key(0))
    labels = np.roll(np.asarray(own.partition.labels), 1)
    moved = dataclasses.replace(own, partition=GenePartition.from_labels(labels, 4))
    with pytest.raises(ValueError, match="another run"):
        fit(screen, priors, LEAN, programs=moved, out=out, progress=False, key=jr.key(0))


def test_programs_of_other_genes_are_refused(screen, priors, own):
    fewer = own.align(screen.genes[:-2], extra="drop")
    with pytest.raises(ValueError, match=f"2 of {screen.num_genes} genes are in no program"):
        fit(screen, priors, TINY, programs=fewer, progress=False, key=jr.key(0))


@pytest.mark.slow
def test_soft_programs_train_predict_and_are_kept(screen, priors, tmp_path):
    config = programs_of(soft=Soft(temperature=0.3, overlap=2))
    made = fit(screen, priors, config, out=tmp_path, progress=False, key=jr.key(0))
    partition = made.model.pure.partition
    assert isinstance(partition, SoftPartition)
    assert int(jnp.sum(partition.sizes)) > screen.num_genes
    assert np.isfinite(made.history["reconstruction"].dropna()).all()
    adata = screen.to_anndata()
    controls = adata[adata.obs["condition"] == "control"]
    label = screen.perturbations[0]
    predicted = made.model.predict(controls, [label], key=jr.key(1), cells=4)
    read = load(tmp_path / "model.scbig")
    again = read.predict(controls, [label], key=jr.key(1), cells=4)
    np.testing.assert_array_equal(np.asarray(again.X), np.asarray(predicted.X))
    shares = read_programs(tmp_path / "programs.csv").align(screen.genes).partition
    x = jnp.arange(screen.num_genes, dtype=jnp.float32)
    np.testing.assert_allclose(shares.average(x), partition.average(x), rtol=1e-5)


def grouping(screen, priors, features):
    config = programs_of(features=features)
    aligned = AlignedPriors.of(priors, config, screen.genes)
    return ClusteringInput.of(screen, aligned, config.programs)


def test_coexpression_reads_the_controls_alone(screen, priors):
    found = grouping(screen, priors, Coexpression(3))
    controls = screen.dense(np.flatnonzero(screen.is_control))
    naive = coexpression(controls, screen.genes, components=3).vectors
    np.testing.assert_allclose(found.features @ found.features.T, naive @ naive.T, atol=1e-5)
    louder = screen.expression.copy()
    factor = np.where(screen.is_control, 1.0, 0.5)[:, None]
    louder = louder.multiply(factor).tocsr().astype(np.float32)
    other: Screen = dataclasses.replace(screen, expression=louder)
    again = grouping(other, priors, Coexpression(3))
    np.testing.assert_array_equal(again.features, found.features)


def test_both_features_weigh_the_same(screen, priors):
    cosine = lambda x: (lambda u: u @ u.T)(x / np.linalg.norm(x, axis=1, keepdims=True))
    kinds = (Pretrained(), Coexpression(3), SideBySide(Coexpression(3)))
    first, second, both = (cosine(grouping(screen, priors, kind).features) for kind in kinds)
    np.testing.assert_allclose(both, (first + second) / 2, atol=1e-5)


def test_errors_are_predicted_less_measured_means(screen, with_own):
    model = with_own[0].model
    many = ResponseCriterion(cells=int(screen.is_control.sum()) * 40)
    model = dataclasses.replace(model, config=but(TINY, **{"stage2.criterion": many}))
    errors = np.asarray(response_errors(model, screen, key=jr.key(0)))
    adata = screen.to_anndata()
    controls = adata[adata.obs["condition"] == "control"]
    conditions = [c.name for c in screen.conditions if not c.is_control]
    assert errors.shape == (screen.num_genes, len(conditions))
    predicted = model.predict(controls, conditions, key=jr.key(0), nonnegative=False)
    for column, condition in enumerate(conditions):
        cells = np.asarray(predicted[predicted.obs["condition"] == condition].X)
        naive = cells.mean(0) - screen.mean(screen.rows(condition))
        # The controls behind the errors are drawn with replacement.
        np.testing.assert_allclose(errors[:, column], naive, atol=0.05)


@pytest.mark.slow
def test_programs_are_updated_by_what_a_training_missed(screen, priors, tmp_path, monkeypatch):
    held = [c.name for c in screen.conditions if len(c.perturbations) == 2][:1]
    config = programs_of(feedback=Feedback(1, weight=5.0), features=Coexpression(3))
    seen = {}

    def errors(model, cells, **options):
        seen["errors"] = cells
        return response_errors(model, cells, **options)

    def components(expression, genes, **options):
        seen["features"] = expression
        return coexpression(expression, genes, **options)

    monkeypatch.setattr("scbig.train._fit.response_errors", errors)
    monkeypatch.setattr("scbig.programs._features.coexpression", components)
    made = fit(screen, priors, config, validation=held, out=tmp_path, progress=False, key=jr.key(0))
    assert made.clustering is not None
    assert {path.name for path in (tmp_path / "update0").iterdir()} >= {
        "config.json",
        "metrics.jsonl",
    }
    first = read_programs(tmp_path / "update0" / "programs.csv").align(screen.genes)
    np.testing.assert_array_equal(made.clustering.run.start, first.partition.labels)
    assert np.any(made.clustering.labels != made.clustering.run.start)
    np.testing.assert_array_equal(made.model.pure.partition.labels, made.clustering.labels)
    last = read_programs(tmp_path / "programs.csv").align(screen.genes)
    np.testing.assert_array_equal(last.partition.labels, made.clustering.labels)
    # The programs learn from no cell that selects parameters: not the validation conditions', and
    # not the controls held out from stage 1.
    assert held[0] not in {condition.name for condition in seen["errors"].conditions}
    controls = int(screen.is_control.sum())
    assert seen["features"].shape[0] < controls
    assert seen["features"].shape[0] == controls - round(TINY.stage1.validation * controls)


def test_a_run_says_what_its_programs_were_made_with(screen, priors):
    facts = priors.provenance(TINY)
    assert facts["config"] == plain(TINY.programs)
    assert facts["embeddings"] == priors.genes.checksum
    assert facts["interactions"] == priors.interactions.checksum
