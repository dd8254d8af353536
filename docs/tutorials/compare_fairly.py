"""Compare fairly: every row on the same held-out conditions, with intervals, rules and a ceiling.

    python docs/tutorials/compare_fairly.py --out runs/tutorial

Every double is tested once, by predictors that never saw it. What is made is kept: a run that was
stopped goes on, and another predictor is another row of the same table.
"""

import pandas as pd
from own_cells import Tutorial, cells_and_priors

from scbig import baselines, cli, comparison, metrics, plotting, splits

RULES = ("control", "perturbed mean", "additive", "residual transfer", "mixed effects", "Linear")


def main(run: Tutorial, *, learned: tuple[str, ...] = ("latent additive",)) -> pd.DataFrame:
    """Runs the comparison; returns its scores."""
    screen, known = cells_and_priors(run)
    rows = comparison.native(run.model)
    folds = splits.kfold(screen, folds=5, seed=1, of="doubles", validation=0.0)
    plan = comparison.Comparison(
        screen=screen,
        priors=known,
        evaluations=(comparison.Evaluation("doubles", tuple(folds)),),
        # A predictor of your own is a recipe; cells that something else predicted are one too:
        # comparison.StoredPredictions("peer.h5ad").
        recipes={name: rows[name] for name in (*RULES, *learned)},
        seeds=(0, 1),
        cells=100,
        out=run.out / "comparison",
    )
    failed = comparison.predict_all(plan)
    scores = comparison.score_all(plan)
    effects = metrics.support(screen).assign(effect=baselines.effect_norms(screen))
    page = comparison.page(scores, comparison.costs(plan), effects, failed=failed)
    (run.out / "comparison.md").write_text(page)
    found = comparison.summary(scores, comparison.SHOWN)
    plotting.save(plotting.standing(found), run.out / "comparison.png")
    print(page)
    # A difference is of pairs, and has an interval. One within noise is none.
    for name in (*RULES[3:], *learned):
        print(f"{name} less additive: {baselines.paired(scores, name, 'additive')}")
    return scores


if __name__ == "__main__":
    main(cli.parse(Tutorial, __doc__))
