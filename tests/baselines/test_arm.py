"""Arms of an ablation stand on one autoencoder."""

import dataclasses
import pathlib
from typing import Any

import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig.baselines import Arm, Method
from scbig.method import but
from scbig.nn import LearnedPosition
from scbig.priors import EmbeddingTable
from scbig.programs import FileOrder

from ..experiments.small import bare

PRIORS = scbig.Priors(
    genes=EmbeddingTable(
        tuple(f"g{n}" for n in range(20)),
        np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32),
    )
)
BASE = but(
    bare(),
    programs=FileOrder(4),
    **{"encoder.position": LearnedPosition(), "decoder.position": LearnedPosition()},
)
SPLIT = scbig.Split.of(
    name="one", train=["g0", "g1", "g2", "g3", "g0+g1", "g0+g2", "g1+g3"], test=["g2+g3"]
)


@pytest.mark.slow
def test_arms_that_differ_in_the_flow_share_an_autoencoder(four_genes, tmp_path):
    def fitted(
        config: scbig.ScBIGConfig, folder: pathlib.Path = tmp_path, priors: scbig.Priors = PRIORS
    ) -> Any:
        given = four_genes, SPLIT, priors
        return Arm(config, folder).fit(*given, progress=False, key=jr.key(0))

    first = fitted(BASE)
    other = fitted(but(BASE, **{"condition.hidden": 6, "flow.path.sigma": 0.5}))
    assert len([*tmp_path.iterdir()]) == 1
    weights = lambda made: np.asarray(made.pure.encoder.expression.weight)
    np.testing.assert_array_equal(weights(first), weights(other))
    assert first.config.condition != other.config.condition
    assert np.abs(np.asarray(other.pure.velocity.out.weight)).max() > 0
    # So do those that are told otherwise what was perturbed.
    vectors = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    table = EmbeddingTable(("g0", "g1", "g2", "g3"), vectors)
    third = fitted(BASE, priors=dataclasses.replace(PRIORS, perturbations=table))
    assert len([*tmp_path.iterdir()]) == 1
    np.testing.assert_array_equal(weights(first), weights(third))
    assert third.pure.tokens.shape[1] == 5
    fitted(but(BASE, programs=FileOrder(5)))
    fitted(but(BASE, **{"encoder.width": 16}))
    assert len([*tmp_path.iterdir()]) == 3
    # One that is lost is made again.
    again = fitted(BASE, tmp_path / "elsewhere")
    np.testing.assert_array_equal(weights(first), weights(again))


def test_an_arm_is_told_by_its_configuration_and_not_by_its_folder(tmp_path):
    arm = Arm(BASE, tmp_path)
    assert arm.told() == Arm(BASE, tmp_path / "other").told()
    assert arm.told() != Arm(but(BASE, **{"stage1.epochs": 3}), tmp_path).told()
    assert arm.told() != Method(BASE).told()
