"""What the condition encoder reads of a perturbation beside its pretrained vector."""

import dataclasses

import jax
import jax.random as jr
import numpy as np
import pytest

from scbig.method import but
from scbig.service import load, save
from scbig.train import fit

from .conftest import LEAN

CONFIG = but(LEAN, identity=3, targets=True)


@pytest.fixture(scope="module")
def learned(screen, priors):
    return fit(screen, priors, CONFIG, progress=False, key=jr.key(0)).model


def known(screen):
    return {name for condition in screen.conditions for name in condition.perturbations}


def test_only_perturbations_of_the_training_have_vectors(learned, screen):
    own = learned.pure.identities
    for name, row in zip(learned.names.perturbations, np.asarray(own.row), strict=True):
        assert (row < len(own.alone)) == (name in known(screen))
    assert len(own.alone) == len(known(screen)) < len(learned.names.perturbations)


def test_those_that_were_combined_learn_a_second_vector_and_no_other_one_does(learned, screen):
    own = learned.pure.identities
    combined = {n for c in screen.conditions if len(c.perturbations) > 1 for n in c.perturbations}
    place = dict(zip(learned.names.perturbations, np.asarray(own.row), strict=True))
    assert combined
    assert combined < known(screen)
    for name in known(screen):
        assert np.any(own.combined[place[name]]) == (name in combined)
        assert np.any(own.alone[place[name]])


def test_the_targets_expression_is_among_what_is_read(learned, screen):
    control = screen.dense(screen.rows("control")).mean(axis=0)
    standard = (control - control.mean()) / control.std()
    found = np.asarray(learned.pure.tokens)[:, -2:]
    genes = list(screen.genes)
    for name, row in zip(learned.names.perturbations, found, strict=True):
        own = [1.0, standard[genes.index(name)]] if name in genes else [0.0, 0.0]
        np.testing.assert_allclose(row, own, atol=1e-4)


def test_a_target_that_is_not_measured_is_told_from_one_at_the_mean(screen, priors):
    genes = screen.genes[1:]
    kept = dataclasses.replace(screen, expression=screen.expression[:, 1:], genes=genes)
    model = fit(kept, priors, CONFIG, progress=False, key=jr.key(0)).model
    row = model.names.perturbations.index(screen.genes[0])
    np.testing.assert_array_equal(np.asarray(model.pure.tokens)[row, -2:], 0)


def test_they_are_saved_with_the_model(learned, screen, tmp_path):
    save(learned, tmp_path / "model.scbig")
    again = load(tmp_path / "model.scbig")
    for found, own in zip(
        *(jax.tree.leaves(m.pure.identities) for m in (again, learned)), strict=True
    ):
        np.testing.assert_array_equal(found, own)
    names = [c.name for c in screen.conditions]
    predict = lambda m: np.asarray(m.predict(screen, names, key=jr.key(1)).X)
    np.testing.assert_allclose(predict(again), predict(learned), atol=1e-6)
