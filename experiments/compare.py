"""Any predictors on the same held-out conditions: one table, with intervals and anchors.

    python experiments/compare.py --data norman19_k562_3375x500.h5ad --split doubles --folds 5 \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --pathways ReactomePathways.gmt --out runs/compare

`--predictors` names rows (all by default), or cells that something else predicted, as
`peer=FILE.h5ad`, where `{split}` in FILE stands for the hash of each split. `--tables
scFoundation=FILE` adds rows on the gene embeddings of a pretrained model. The page names each of
the paper's baselines that has no row, and what it lacks. What was made is not made again: a run
that was stopped goes on. Predicted cells, scores (csv), the page (Markdown) and
the figure are in the folder.
"""

import pathlib
from dataclasses import dataclass, field

import pandas as pd
import tyro
from tools.measured import Measured, evaluations, priors_of, screen_of
from tools.scoring import ASKED, Scores

import scbig
from scbig import baselines, cli, comparison, method, metrics, plotting, priors


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Measured cells, priors, splits, predictors."""

    measured: tyro.conf.OmitArgPrefixes[Measured]
    predictors: tuple[str, ...] = ()
    """Names of rows, or `name=FILE.h5ad`; by default all rows of this library and of `--tables`."""
    tables: tuple[str, ...] = ()
    """`name=FILE`: gene embeddings of a pretrained model, read as `--embeddings` is, for the rows
    `Linear + name` and `GEARS + name`."""
    hold_controls: bool = False
    """Whether one half of each context's controls is kept from all predictors, and measured
    responses are from it: the noise of the controls is then not on both sides."""
    metrics: tuple[str, ...] = (*comparison.SHOWN, "des", "de_jaccard", *ASKED)
    """Of the page and the figure, of those that were scored; all are in `scores.csv`."""
    asked: tyro.conf.OmitArgPrefixes[Scores] = field(default_factory=Scores)
    fit: bool = True
    """Whether what the folder lacks is made; otherwise the page is of what it has."""
    model: scbig.ScBIGConfig = field(default_factory=method.wide)
    """Of scBIG as published."""
    published: pathlib.Path | None = None
    """csv with `method` and `pearson_delta`, for a column of its own."""
    published_split: str = "their own split"


def chosen(run: Compare) -> dict[str, baselines.AbstractRecipe]:
    """The recipes of the named rows."""
    known = comparison.native(run.model)
    for given in run.tables:
        name, sign, path = given.partition("=")
        if not (name and sign and path):
            raise SystemExit(f"--tables takes name=FILE; got {given!r}.")
        known |= comparison.with_table(name, priors.read_embeddings(path, duplicates="mean"))
    found = {}
    for asked in run.predictors or tuple(known):
        name, given, path = asked.partition("=")
        if not given and name not in known:
            raise SystemExit(f"No predictor {name!r}. There are: {', '.join(known)}.")
        found[name] = comparison.StoredPredictions(path) if given else known[name]
    return found


def main(run: Compare) -> pd.DataFrame:
    """Runs the comparison; returns its scores."""
    given = run.measured
    screen, held = screen_of(given), None
    if run.hold_controls:
        screen, held = metrics.hold_controls(screen)
    plan = comparison.Comparison(
        screen=screen,
        priors=priors_of(given, screen),
        evaluations=tuple(evaluations(given, screen)),
        recipes=chosen(run),
        seeds=given.seeds,
        cells=given.cells,
        held=held,
        out=given.out,
    )
    options = run.asked.of(plan)  # an error comes before hours of training
    failed = comparison.predict_all(plan) if run.fit else comparison.missing(plan)
    scores = comparison.score_all(plan, **options)
    costs = comparison.costs(plan)
    costs.to_csv(given.out / "costs.csv", index=False)
    published = {}
    if run.published is not None:
        table = pd.read_csv(run.published).dropna(subset=["pearson_delta"])
        published = dict(zip(table["method"], table["pearson_delta"], strict=True))
    shown = tuple(name for name in run.metrics if name in scores)
    text = comparison.page(
        scores,
        costs,
        metrics.support(screen).assign(effect=baselines.effect_norms(screen)),
        metrics=shown,
        failed=failed,
        published=published,
        published_split=run.published_split,
    )
    (given.out / "comparison.md").write_text(text)
    plotting.save(
        plotting.standing(comparison.summary(scores, shown)), given.out / "comparison.png"
    )
    print(f"\n{text}\nTables, figure and predicted cells: {given.out}")
    return scores


if __name__ == "__main__":
    main(cli.parse(Compare, __doc__))
