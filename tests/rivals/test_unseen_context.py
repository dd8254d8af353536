"""A context without perturbed training cells, at another level than those that have some."""

from typing import Any

import jax.random as jr
import numpy as np
import pytest
from scipy import sparse

import scbig
from scbig import rivals
from scbig._value import but
from scbig.data import Columns, Condition, Screen

from .test_laws_of_rivals import NAMES, PRIORS, SMALL

RAISED = slice(0, 4)
CONTEXTS = ("a", "b", "new")


@pytest.fixture(scope="module")
def screen() -> Screen:
    """Every perturbation raises four genes threefold; each context has other rates of the rest."""
    rng = np.random.default_rng(0)
    conditions = (Condition(), *(Condition((f"g{n}",)) for n in range(4)))
    rates = rng.uniform(1.0, 2.0, 20) * np.exp(rng.normal(0, 0.7, (3, 20)))
    rates[:, RAISED] = 1.0
    rows, where = np.meshgrid(range(5), range(3), indexing="ij")
    group = np.repeat(np.stack([rows.ravel(), where.ravel()]), 40, axis=1)
    own = rates[group[1]]
    own[:, RAISED] *= np.where(group[0] > 0, 3.0, 1.0)[:, None]
    counts = rng.poisson(own).astype(np.float64)
    return Screen(
        expression=sparse.csr_matrix(
            np.log1p(50.0 * counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
        ),
        genes=tuple(f"g{n}" for n in range(20)),
        cells=tuple(map(str, range(group.shape[1]))),
        conditions=conditions,
        condition_index=group[0].astype(np.int32),
        contexts=CONTEXTS,
        context_index=group[1].astype(np.int32),
    )


@pytest.mark.parametrize("place", [n for n, name in enumerate(NAMES) if name in ("CPA", "SamsVAE")])
def test_a_common_effect_reaches_a_new_context_at_its_own_level(screen, place):
    names = [c.name for c in screen.conditions if not c.is_control]
    split = scbig.splits.cross_context(
        screen, train=["a", "b"], test=["new"], seed=0, validation=0.0
    )
    recipe = but(SMALL[place], **{"training.steps": 1200})
    given: Any = {"progress": False, "key": jr.key(0)}
    made = recipe.fit(screen, split, PRIORS, **given)
    assert isinstance(made, rivals.Rival)
    start = screen.rows("control", "new")
    cells, columns = screen.to_anndata()[start], Columns(context="context")
    predicted = np.asarray(made.predict(cells, names, columns, key=jr.key(1)).X)
    controls = screen.dense(start).mean(axis=0)
    new = (screen.context_index == 2) & ~screen.is_control
    true = screen.dense(np.flatnonzero(new)).mean(axis=0) - controls
    change = predicted.mean(axis=0) - controls
    assert change[RAISED].mean() > 0.5 * true[RAISED].mean()
    # Of the other genes, the level of the seen contexts would be wrong by this much.
    seen = [screen.dense(screen.rows("control", name)).mean(axis=0)[4:] for name in ("a", "b")]
    wrong = np.abs(controls[4:] - np.mean(seen, axis=0)).mean()
    assert np.abs(change[4:] - true[4:]).mean() < 0.4 * wrong
