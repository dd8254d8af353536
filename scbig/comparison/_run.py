"""Every training of a comparison, each once: predictions on disk, with what they cost."""

import json
from collections.abc import Callable
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd

from scbig._claims import in_use
from scbig._compiled import forget_many
from scbig._errors import NumericalFailure
from scbig._files import atomic
from scbig.data import CONTROL, Columns, control_cells
from scbig.train import ProgressBar

from ._cost import Cost
from ._plan import Comparison, Unit
from ._stamp import stamped, write_prediction


def predict_all(
    comparison: Comparison, *, progress: bool = True, say: Callable[[str], None] = print
) -> dict[str, str]:
    """Fits every predictor on every split under every seed, and keeps the predicted cells.

    What the folder has is not made again; a run that was stopped goes on.

    **Arguments:** `progress`, whether to draw bars; `say`, what is told of each training.

    **Returns:** for each training that could not be made, by its path, why: a prior that was not
    given, a condition that it cannot know, a loss that was not finite, a file that is not there.

    **Raises:** a ValueError for a folder with predictions of other cells or settings.
    """
    units, failed = list(comparison.units()), {}
    with in_use(comparison.out), ProgressBar("trainings", len(units), enabled=progress) as bar:
        for number, unit in enumerate(units):
            why = _once(comparison, unit, say)
            if why is not None:
                failed[str(unit.path)] = why
            bar.show(number + 1, {})
    return failed


def missing(comparison: Comparison) -> dict[str, str]:
    """The trainings that are not there, by their path, each with the reason if it is known.

    **Raises:** a ValueError for a folder with predictions of other cells or settings.
    """
    absent = [unit for unit in comparison.units() if done(comparison, unit) is None]
    paths = {str(unit.path): comparison.out / unit.path.with_suffix(".json") for unit in absent}
    known = {name: json.loads(p.read_text()) if p.exists() else {} for name, p in paths.items()}
    return {name: record.get("failed", "not made") for name, record in known.items()}


def costs(comparison: Comparison) -> pd.DataFrame:
    """Seconds and megabytes of each training that was made: a row for each."""
    rows = []
    for unit in comparison.units():
        cost = done(comparison, unit)
        if cost is not None:
            levels = {"evaluation": unit.evaluation, "predictor": unit.predictor}
            rows.append({**levels, "fold": unit.fold, "seed": unit.seed, **cost})
    return pd.DataFrame(rows)


def done(comparison: Comparison, unit: Unit) -> dict[str, float] | None:
    """What a training cost, if it was made and its predicted cells are there.

    **Raises:** a ValueError if they are of other cells or settings.
    """
    path = comparison.out / unit.path.with_suffix(".json")
    known = json.loads(path.read_text()) if path.exists() else {}
    # What could not be made is tried again, perhaps with what it lacked.
    if not known or "failed" in known:
        return None
    if known["told"] != comparison.told(unit):
        raise ValueError(
            f"{path.with_suffix('')} was made from other cells, priors or settings. Choose another "
            "folder, or remove it."
        )
    return known["cost"] if path.with_suffix(".h5ad").exists() else None


def _once(comparison: Comparison, unit: Unit, say: Callable[[str], None]) -> str | None:
    """Makes a unit unless it is there; says why if it cannot be made."""
    if done(comparison, unit) is not None:
        return None
    path, told = comparison.out / unit.path.with_suffix(".json"), comparison.told(unit)
    say(f"{unit.evaluation}, fold {unit.fold}, seed {unit.seed}: {unit.predictor}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        cost = _make(comparison, unit, told)
    except (ValueError, FileNotFoundError, FloatingPointError, NumericalFailure) as error:
        record: dict[str, Any] = {"told": told, "failed": str(error)}
        say(f"  {type(error).__name__}: {error}")
    else:
        record = {"told": told, "cost": cost}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    forget_many()
    return record.get("failed")


def _make(comparison: Comparison, unit: Unit, told: str) -> dict[str, float]:
    """Trains, predicts and writes; returns what it cost."""
    fit_key, predict_key = jr.split(jr.fold_in(jr.key(0), np.uint32(unit.number)))
    screen, split = comparison.screen, unit.split
    options: Any = {"progress": False, "key": fit_key}
    recipe = comparison.recipes[unit.predictor]
    with Cost() as fitting:
        model = recipe.fit(screen, split, comparison.priors, **options)
    tested = split.cells(screen, "test")
    asked = [c.name for c in tested.conditions if c.name != CONTROL]
    # A predictor that knows of no contexts, or of no number of cells, serves where there are none.
    controls, context_key = control_cells(tested)
    if context_key is not None and split.test_contexts:
        # Controls of the training contexts are among them, and are not predicted from.
        controls = controls[np.isin(controls.obs["context"].to_numpy(), split.test_contexts)]
    given: Any = {} if comparison.cells is None else {"cells": comparison.cells}
    given |= {} if context_key is None else {"columns": Columns(context=context_key)}
    with Cost() as predicting:
        made = model.predict(controls, asked, key=predict_key, **given)
    cost = {
        "fit_seconds": fitting.seconds,
        "predict_seconds": predicting.seconds,
        "megabytes": max(fitting.megabytes, predicting.megabytes),
        **recipe.cost(split),
    }
    facts = {
        "predictor": unit.predictor,
        "recipe": recipe.told(),
        "evaluation": unit.evaluation,
        "split": split.name,
        "split_hash": split.hash,
        "genes": list(screen.genes),
        "seed": unit.seed,
        "told": told,
        **cost,
    }
    write_prediction(
        stamped(made, controls, facts), comparison.out / unit.path.with_suffix(".h5ad")
    )
    return cost
