"""What a folder of predictions rests on, and what of it counts."""

import dataclasses
from typing import Any

import equinox as eqx
import jax.random as jr
import numpy as np
import pytest

import scbig
from scbig import baselines, comparison
from scbig.baselines import Rule
from scbig.priors import EmbeddingTable, PathwayLibrary
from scbig.rivals import GEARS

NAMES = ["g0+g1", "g0+g2", "g0+g3", "g1+g3", "g2+g3"]
TABLE = EmbeddingTable(("g0", "g1"), np.eye(2, dtype=np.float32))
SPLIT = scbig.Split.of(name="s", train=["g0", "g1", "g2", "g3", *NAMES[2:]], test=NAMES[:2])
quiet: Any = {"progress": False, "say": lambda _: None}


@pytest.fixture
def plan(four_genes, tmp_path):
    return comparison.Comparison(
        screen=four_genes,
        priors=scbig.Priors(genes=TABLE),
        evaluations=(comparison.Evaluation("one", (SPLIT,)),),
        recipes={name: Rule(comparison.RULES[name]) for name in ("control", "additive")},
        out=tmp_path / "run",
    )


def told(plan):
    return comparison.Comparison.told(plan, next(plan.units()))


@pytest.mark.parametrize(
    "change",
    [
        {"pathways": PathwayLibrary({"a": ("g0", "g1", "g2")})},
        {"contexts": TABLE},
        {"missing": "mean"},
    ],
)
def test_every_prior_is_part_of_what_predictions_rest_on(plan, change):
    other = dataclasses.replace(plan, priors=dataclasses.replace(plan.priors, **change))
    assert told(other) != told(plan)
    assert told(dataclasses.replace(plan)) == told(plan)


def test_the_labels_of_cells_are_part_of_it(plan):
    index = plan.screen.condition_index.copy()
    row = int(np.flatnonzero(index != index[0])[0])
    index[0], index[row] = index[row], index[0]
    other = dataclasses.replace(plan.screen, condition_index=index)
    assert other.checksum == plan.screen.checksum  # of the expression alone
    assert told(dataclasses.replace(plan, screen=other)) != told(plan)


def test_defaults_are_told():
    # Those of another version of the library are other settings, though nobody gave them.
    assert '"width": 64' in GEARS().told()
    assert "0.0005" in GEARS().told()
    assert GEARS().told() != GEARS(width=32).told()


def test_arrays_in_a_recipe_are_told_by_their_values():
    class Tabled(comparison.StoredPredictions):
        table: np.ndarray = eqx.field(default_factory=lambda: np.zeros(3))

    assert Tabled("x", np.zeros(3)).told() != Tabled("x", np.ones(3)).told()


def stored(plan, tmp_path, name="peer.h5ad"):
    path = tmp_path / name
    cells = baselines.Additive.fit(plan.screen).predict(plan.screen.controls, NAMES, key=jr.key(0))
    cells.write_h5ad(path)
    return path, dataclasses.replace(
        plan, recipes={"peer": comparison.StoredPredictions(str(path))}
    )


def test_another_file_of_a_peer_is_another_prediction(plan, tmp_path):
    path, plan = stored(plan, tmp_path)
    comparison.predict_all(plan, **quiet)
    assert comparison.predict_all(plan, **quiet) == {}
    baselines.Control.fit(plan.screen).predict(
        plan.screen.controls, NAMES, key=jr.key(0)
    ).write_h5ad(path)
    with pytest.raises(ValueError, match="peer.*other cells, priors or settings"):
        comparison.predict_all(plan, **quiet)
    with pytest.raises(ValueError, match="peer.*other cells, priors or settings"):
        comparison.score_all(plan)


def test_a_file_that_was_not_there_is_read_once_it_is(plan, tmp_path):
    path, plan = stored(plan, tmp_path)
    kept = path.read_bytes()
    path.unlink()
    failed = comparison.predict_all(plan, **quiet)
    assert "peer.h5ad" in next(iter(failed.values()))
    path.write_bytes(kept)
    assert comparison.predict_all(plan, **quiet) == {}


def test_lost_cells_are_predicted_again(plan):
    comparison.predict_all(plan, **quiet)
    cells = plan.out / "one" / "additive" / "fold0-seed0.h5ad"
    cells.unlink()
    comparison.predict_all(plan, **quiet)
    assert cells.exists()


def test_cells_without_a_record_do_not_count(plan):
    comparison.predict_all(plan, **quiet)
    record = plan.out / "one" / "additive" / "fold0-seed0.json"
    record.unlink()  # killed between the two files
    names = comparison.score_all(plan).index.get_level_values("predictor")
    assert {*names} == {"control", "split-half"}


def test_cells_of_an_earlier_success_do_not_stand_for_a_failure(plan):
    comparison.predict_all(plan, **quiet)
    (plan.out / "one" / "additive" / "fold0-seed0.json").unlink()

    def refuses(screen, priors):
        raise ValueError("no")

    plan = dataclasses.replace(plan, recipes={**plan.recipes, "additive": Rule(refuses)})
    assert len(comparison.predict_all(plan, **quiet)) == 1
    names = comparison.score_all(plan).index.get_level_values("predictor")
    assert {*names} == {"control", "split-half"}
