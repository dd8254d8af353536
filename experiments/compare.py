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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd
import tyro

import scbig
from scbig import baselines, cli, comparison, data, method, metrics, plotting, priors, splits

Protocol = Literal[
    "additive", "holdout", "doubles", "singles", "genes", "gears", "contexts", "file"
]


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Measured cells, priors, splits, predictors."""

    data: pathlib.Path
    """Log-normalised h5ad."""
    files: tyro.conf.OmitArgPrefixes[cli.PriorFiles] = field(
        default_factory=lambda: cli.PriorFiles(missing="mean")
    )
    annotations: pathlib.Path | None = None
    """Gene Ontology, a table or Bioconductor's sqlite file: the graph of perturbations that GEARS
    reads; without it, that of `interactions`."""
    out: pathlib.Path
    """Folder for predictions, tables and the figure."""
    split: Protocol = "doubles"
    """The protocol of `scbig.splits`: `doubles`, `singles` and `genes` are folds, all scored
    together; `contexts` holds out each context once; `file` reads `--split-files`."""
    split_files: tuple[pathlib.Path, ...] = ()
    """What `Split.save` wrote."""
    split_seeds: tuple[int, ...] = (1,)
    """A split, or a set of folds, for each."""
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    """Of the predictors that draw."""
    predictors: tuple[str, ...] = ()
    """Names of rows, or `name=FILE.h5ad`; by default all rows of this library and of `--tables`."""
    tables: tuple[str, ...] = ()
    """`name=FILE`: gene embeddings of a pretrained model, read as `--embeddings` is, for the rows
    `Linear + name` and `GEARS + name`."""
    condition_key: str = "condition"
    context_key: str | None = None
    hold_controls: bool = False
    """Whether one half of each context's controls is kept from all predictors, and measured
    responses are from it: the noise of the controls is then not on both sides."""
    metrics: tuple[str, ...] = (*comparison.SHOWN, "des", "de_jaccard")
    """Of the page and the figure, of those of `scbig.evaluate`; all are in `scores.csv`."""
    wasserstein: bool = False
    """Whether there is a Wasserstein distance beside the energy distance."""
    fit: bool = True
    """Whether what the folder lacks is made; otherwise the page is of what it has."""
    cells: int | None = None
    """Predicted for each condition in each context; by default one from each control."""
    model: scbig.ScBIGConfig = field(default_factory=method.wide)
    """Of scBIG as published."""
    published: pathlib.Path | None = None
    """csv with `method` and `pearson_delta`, for a column of its own."""
    published_split: str = "their own split"


def evaluations(run: Compare, screen: data.Screen) -> Iterator[comparison.Evaluation]:
    """What is tested, by the protocol and the seed."""
    if run.split == "file":
        for path in run.split_files:
            split = scbig.Split.read(path)
            yield comparison.Evaluation(split.name, (split,))
        return
    for seed in run.split_seeds:
        yield comparison.Evaluation(f"{run.split}-{seed}", tuple(_splits(run, screen, seed)))


def _splits(run: Compare, screen: data.Screen, seed: int) -> Sequence[scbig.Split]:
    if run.split in ("doubles", "singles", "genes"):
        kind: Any = run.split
        # The validation conditions would be lost to all: each method sets aside its own.
        return splits.kfold(screen, folds=run.folds, seed=seed, of=kind, validation=0.0)
    if run.split == "contexts":
        lines = screen.contexts
        others = {held: [line for line in lines if line != held] for held in lines}
        return [
            splits.cross_context(screen, train=rest, test=held, seed=seed, validation=0.0)
            for held, rest in others.items()
        ]
    protocols = {"additive": splits.additive, "holdout": splits.holdout, "gears": splits.gears}
    return [protocols[run.split](screen, seed=seed)]


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


def graph_of(annotations: pathlib.Path, screen: data.Screen) -> priors.InteractionGraph:
    """The genes that are measured or perturbed, linked by the terms that they share."""
    genes = tuple(sorted({*screen.genes, *screen.perturbations}))
    return priors.read_annotations(annotations).graph(genes)


def main(run: Compare) -> pd.DataFrame:
    """Runs the comparison; returns its scores."""
    columns = data.Columns(condition=run.condition_key, context=run.context_key)
    screen, held = data.Screen.from_anndata(data.read_h5ad(run.data), columns), None
    if run.hold_controls:
        screen, held = metrics.hold_controls(screen)
    known = scbig.Priors(
        **run.files.read(screen.genes, screen.perturbations),
        perturbation_graph=None if run.annotations is None else graph_of(run.annotations, screen),
    )
    plan = comparison.Comparison(
        screen=screen,
        priors=known,
        evaluations=tuple(evaluations(run, screen)),
        recipes=chosen(run),
        seeds=run.seeds,
        cells=run.cells,
        held=held,
        out=run.out,
    )
    failed = comparison.predict_all(plan) if run.fit else comparison.missing(plan)
    scores = comparison.score_all(plan, changed="bh", wasserstein=run.wasserstein)
    costs = comparison.costs(plan)
    costs.to_csv(run.out / "costs.csv", index=False)
    published = {}
    if run.published is not None:
        table = pd.read_csv(run.published).dropna(subset=["pearson_delta"])
        published = dict(zip(table["method"], table["pearson_delta"], strict=True))
    text = comparison.page(
        scores,
        costs,
        metrics.support(screen).assign(effect=baselines.effect_norms(screen)),
        metrics=run.metrics,
        failed=failed,
        published=published,
        published_split=run.published_split,
    )
    (run.out / "comparison.md").write_text(text)
    plotting.save(
        plotting.standing(comparison.summary(scores, run.metrics)), run.out / "comparison.png"
    )
    print(f"\n{text}\nTables, figure and predicted cells: {run.out}")
    return scores


if __name__ == "__main__":
    main(cli.parse(Compare, __doc__))
