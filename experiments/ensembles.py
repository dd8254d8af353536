"""Do several flows predict better than one, and does what they disagree about predict the error?

    python experiments/ensembles.py --out runs/ensembles

On simulated screens, another for each seed; the doubles that are scored are neither trained nor
selected on. For every double and gene the error of the predicted mean response is held against the
standard deviation that the prediction gives itself. Some 5 minutes a screen on 2 cores.
"""

import dataclasses
import pathlib
from dataclasses import dataclass, field
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd
from tools.calibration import binned, calibration

import scbig
from scbig import baselines, cli, plotting, priors, simulate
from scbig._compiled import forget_many
from scbig.preprocess import PreprocessConfig, preprocess


@dataclass(frozen=True, kw_only=True)
class Ensembles:
    """Simulated screens, and the small preset."""

    out: pathlib.Path
    """Folder for the tables."""
    simulation: simulate.SimulationConfig = field(default_factory=simulate.SimulationConfig)
    preprocess: PreprocessConfig = PreprocessConfig(min_genes=20, min_cells=10)
    model: scbig.ScBIGConfig = field(
        default_factory=lambda: scbig.but(scbig.anchored(scbig.cpu()), **{"stage2.members": 5})
    )
    screens: tuple[int, ...] = (21, 22, 23)
    """Seeds of the screens, of the draws of doubles and of the trainings."""
    scored: int = 12
    """Doubles that are scored."""


def main(run: Ensembles) -> pd.DataFrame:
    """Runs the experiment; returns how well each standard deviation tells the errors."""
    scores, errors = {}, {}
    for seed in run.screens:
        scores[seed], errors[seed] = one_screen(run, seed)
        forget_many()
    found = pd.concat(scores.values(), keys=scores, names=["screen"])
    table = pd.concat(errors.values(), keys=errors, names=["part"]).reset_index("part")
    run.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(run.out / "scores.csv")
    table.to_csv(run.out / "errors.csv", index=False)
    names = list(dict.fromkeys(found.index.get_level_values("predictor")))
    means = {name: found.xs(name, level="predictor").mean() for name in names}
    shown = ["pearson_delta", "pds", "mse", "e_distance"]
    print(pd.DataFrame(means).T[shown].round(4).to_string())
    by = ("screen", "condition")
    print("ensemble less one:", baselines.paired(found, "ensemble", "one member", over=by))
    told = pd.DataFrame({kind: calibration(table, kind) for kind in KINDS}).T
    told.to_csv(run.out / "calibration.csv")
    print(told.round(3).to_string())
    bins = {kind: binned(table, kind) for kind in KINDS[1:]}
    pd.concat(bins, names=["kind"]).to_csv(run.out / "bins.csv")
    plotting.save(plotting.calibration(bins), run.out / "calibration.png")
    return told


KINDS = ("noise", "anchor", "members", "both")
"""Whose standard deviation is held against the error; the first, of the measured mean, knows of no
model: what it tells is the noise of the measurement."""


def one_screen(run: Ensembles, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores of an ensemble and of its first member, and errors by double and gene."""
    truth = simulate.simulate_screen(run.simulation, seed=seed)
    screen = scbig.Screen.from_anndata(preprocess(truth.counts, run.preprocess))
    doubles = [c.name for c in screen.conditions if len(c.perturbations) == 2]
    test = sorted(np.random.default_rng(seed).permutation(doubles)[: run.scored].tolist())
    training = screen.without(test)
    known = scbig.Priors(
        genes=priors.EmbeddingTable(truth.genes, truth.embeddings),
        interactions=priors.InteractionGraph(*truth.interactions),
        pathways=priors.PathwayLibrary(truth.pathways),
    )
    model = scbig.fit(training, known, run.model, progress=False, key=jr.key(seed)).model
    predictors = {
        "ensemble": model,
        "one member": dataclasses.replace(model, others=()),
        "anchor": baselines.MovedControls.fit(training, pathways=known.pathways),
        "additive": baselines.Additive.fit(training),
    }
    options: dict[str, Any] = {"reference": training, "key": jr.key(seed)}
    scores = baselines.compare(predictors, screen, screen, test, **options)
    assert model.anchor is not None
    found = model.predict(screen, test, key=jr.key(seed))
    parsed = [c for c in screen.conditions if c.name in test]
    expected = dict(
        zip(
            (c.name for c in parsed), model.anchor.deviations(parsed, [""] * len(test)), strict=True
        )
    )
    rows = []
    for place, name in enumerate(test):
        cells = screen.dense(screen.rows(name))
        both, anchor = found.uns["response_sd"][place], expected[name]
        rows.append(
            pd.DataFrame(
                {
                    "condition": name,
                    "gene": screen.genes,
                    "error": np.asarray(found[found.obs["condition"] == name].X).mean(axis=0)
                    - cells.mean(axis=0),
                    "noise": cells.std(axis=0, ddof=1) / np.sqrt(len(cells)),
                    "anchor": anchor,
                    "members": np.sqrt(np.maximum(both**2 - anchor**2, 0)),
                    "both": both,
                }
            )
        )
    return scores, pd.concat(rows)


if __name__ == "__main__":
    main(cli.parse(Ensembles, __doc__))
