"""The page of a run, section by section."""

import importlib.metadata
import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from scbig import analysis, comparison, plotting
from scbig._files import atomic
from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import Screen
from scbig.priors import PathwayLibrary
from scbig.programs import GenePartition

from . import _html as h, _learned as learned, _looks as looks
from ._capability import capabilities
from ._judged import Asked, Judged, Place, judged
from ._run import Run

VERSION = importlib.metadata.version("scbig-jax")
MOST = 6
"""Conditions of a figure."""
NOT_DRAWN = ("step", "gradient_norm", "steps_per_second", "paired")
"""Columns of a history that are no loss and no score."""


def write_report(
    run: Run,
    out: str | os.PathLike[str],
    *,
    screen: Screen | None = None,
    pathways: PathwayLibrary | None = None,
    cells: int = 200,
    key: PRNGKeyArray,
) -> pathlib.Path:
    """Writes a run as one HTML file, which holds its figures and tables and asks for nothing else.

    **Arguments:** `run`; `out`, the file; `screen`, measured cells of training and test, without
    which there is no report of the cells and there are no scores; `pathways`, by which programs are
    named; `cells`, predicted of each tested condition, from controls that `key` draws.

    **Returns:** the file.

    **Raises:** `ValueError` for cells of other genes than the run's.
    """
    if screen is not None and screen.genes != run.model.names.genes:
        apart = sorted({*run.model.names.genes} ^ {*screen.genes})
        which = f"one side alone has {examples(apart)}" if apart else "they have another order"
        raise ValueError(f"The cells do not have the genes of the run: {which}.")
    scored = None if screen is None else judged(run, screen, cells=cells, key=key)
    shown = [] if scored is None else _predicted(run, scored, cells=cells, key=key)
    sections = [
        ("What was trained", _trained(run)),
        *([] if screen is None else [("The cells", _cells(screen))]),
        ("How good it is", _scores(scored, run, screen)),
        ("Best and worst predicted", _extremes(scored, run)),
        ("What it cannot know", h.table(capabilities(run.model, run.split))),
        ("Gene programs", _programs(run, pathways)),
        *shown,
        ("Training", _curves(run.history)),
        ("Configuration", h.folded("all settings", h.lines(json.dumps(run.config, indent=1)))),
    ]
    path = pathlib.Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as partial:
        partial.write_text(h.page(f"scBIG: {run.folder.resolve().name}", sections))
    return path


def _predicted(run: Run, scored: Judged, *, cells: int, key: PRNGKeyArray) -> list[tuple[str, str]]:
    """The sections of what the predicted cells of tested conditions are like."""
    return [
        ("What genes do", learned.genes(scored)),
        ("What programs do", _responses(run, scored)),
        ("Programs that move together", learned.pairs(run, scored)),
        ("What the encoder attends to", learned.attention(run, scored)),
        ("On the way along the flow", looks.course(run, scored, cells=cells, key=key)),
        ("Whom predictions resemble", looks.neighbours(scored)),
        ("What happens to the target", looks.targets(scored)),
        ("Two perturbations together", looks.interactions(scored)),
    ]


def _trained(run: Run) -> str:
    names, model = run.model.names, run.model
    facts = {
        "genes": len(names.genes), "gene programs": model.pure.partition.clusters,
        "perturbations with a vector": len(names.perturbations),
        "contexts": len(names.contexts) or "not told apart",
        "flow starts from": "the anchor" if model.anchor is not None else "controls",
        "models averaged": 1 + len(model.others), "trained with": f"scBIG {run.version}",
        "reported with": f"scBIG {VERSION}",
    }  # fmt: skip
    if run.split is not None:
        for part in ("train", "validation", "test"):
            facts[f"conditions: {part}"] = len(getattr(run.split, part))
        facts["split"] = f"{run.split.name}, {run.split.hash[:12]}"
    rows = [(name, str(value)) for name, value in facts.items()]
    return h.table(pd.DataFrame(rows, columns=pd.Index(["what", "of this run"])))


def _cells(screen: Screen) -> str:
    return h.lines(str(screen.report()))


def _scores(scored: Judged | None, run: Run, screen: Screen | None) -> str:
    if scored is None:
        return h.paragraph(f"The run was not scored: {_unscored(run, screen)}.")
    figure = plotting.standing(comparison.summary(scored.scores, scored.shown))
    parts = [
        h.paragraph(
            f"Conditions that the training did not see: {len(scored.tested)}. In brackets the 95 % "
            "bootstrap interval of the mean over conditions, the contexts of one together. Control "
            "predicts no change, perturbed mean the same change for all, additive the sum of what "
            "single perturbations did; split-half is one half of the measured cells against the "
            "other, and replicate what two measurements of as many cells as there are would have, "
            "where that can be told."
        ),
        h.paragraph(scored.left_out) if scored.left_out else "",
        h.table(scored.means),
        h.picture(
            figure,
            "Mean scores with intervals of the model and of simple rules",
            "Points are means over tested conditions, bars their intervals; upright lines: simple "
            "rules and the ceiling.",
            large=True,
        ),
        h.download(scored.scores.reset_index(), "scores.csv"),
    ]
    return "".join(parts)


def _unscored(run: Run, screen: Screen | None) -> str:
    """Why there are no scores."""
    if run.split is None:
        return "it has no split"
    if screen is None:
        return "no cells were given. Give those of training and test, with --data"
    if Asked.of(run.split, screen).partial:
        return "no condition of its test has cells in each of the tested contexts"
    return "no condition of its test has cells here"


def _extremes(scored: Judged | None, run: Run) -> str:
    if scored is None:
        return h.paragraph("Without scores none is best or worst.")
    table: Any = scored.by_condition
    few = min(5, -(-len(table) // 2))
    heads = [("best", table[:few]), ("worst", table[::-1][: min(few, len(table) - few)])]
    parts = [
        h.paragraph(
            "By Pearson delta; the last columns are that of simple rules for the same condition."
        )
    ]
    for head, own in heads[: 1 + (len(table) > few)]:
        shown = own.rename(columns=lambda name: name.removesuffix(": pearson_delta"))
        parts += [f"<h3>{head}</h3>", h.table(shown)]
    ranked = scored.ranked
    parts += [h.paragraph(learned.origin(run)), _scatters(scored, [*ranked[:2], *ranked[-2:]])]
    parts.append(h.download(table, "conditions.csv"))
    return "".join(parts)


def _scatters(scored: Judged, places: Sequence[Place]) -> str:
    """Predicted against measured responses of some conditions, each in its context."""
    genes = scored.predicted.genes
    found = [_changes(own) for own in (scored.predicted, scored.measured)]
    parts = []
    for context, name in dict.fromkeys(places):
        where = f"{name} in {context}" if context else name
        predicted, measured = (own[context, name] for own in found)
        parts.append(
            h.picture(
                plotting.response_scatter(predicted, measured, genes, title=where),
                f"Predicted against measured response of each gene under {where}",
                f"{where}: a point is a gene; on the line the prediction is right.",
            )
        )
    return h.beside(parts)


def _changes(screen: Screen) -> dict[Place, np.ndarray]:
    """The mean change of each condition in each context."""
    found = screen.responses()
    pairs = zip(found.context_index, found.condition_index, found.changes, strict=True)
    return {(found.contexts[c], found.conditions[p].name): change for c, p, change in pairs}


def _programs(run: Run, pathways: PathwayLibrary | None) -> str:
    genes, partition = run.model.names.genes, run.model.pure.partition
    weights = np.asarray(partition.averaging())
    rows = []
    fine = None
    if pathways is not None:
        # Of programs that share genes each counts in that of its largest share.
        hard = GenePartition.from_labels(partition.labels, partition.clusters)
        fine = analysis.enrichment(hard, genes, pathways.align(genes))
    for number, name in enumerate(run.programs.names):
        own = [gene for gene, w in zip(genes, weights[:, number], strict=True) if w > 0]
        row: dict[str, Any] = {"program": name, "genes": len(own), "among them": ", ".join(own[:8])}
        if fine is not None:
            row["enriched in (q)"] = _sets(fine, number) or "none"
        rows.append(row)
    members = pd.DataFrame(
        [
            {"program": run.programs.names[p], "gene": genes[g], "share": float(weights[g, p])}
            for g, p in zip(*np.nonzero(weights), strict=True)
        ]
    )
    said = (
        "Genes that the model reads and writes together, found before training."
        if fine is not None
        else "Genes that the model reads and writes together, found before training. Give pathways "
        "to see what they are enriched in."
    )
    return h.paragraph(said) + h.table(pd.DataFrame(rows)) + h.download(members, "programs.csv")


def _sets(fine: pd.DataFrame, number: int) -> str:
    """The program's three sets of least q, of those that are significant."""
    own: Any = fine[(fine["program"] == number) & fine["significant"]]
    own = own.sort_values("q_value", kind="stable")[:3]
    return "; ".join(f"{row['set']} ({row['q_value']:.1g})" for _, row in own.iterrows())


def _responses(run: Run, scored: Judged) -> str:
    table = analysis.program_response(scored.predicted, run.model.pure.partition, draws=200)
    context = table["context"].iloc[0]
    one: Any = table[table["context"] == context]
    strongest = one.groupby("condition")["response"].apply(lambda own: float(np.abs(own).max()))
    names = [str(name) for name in strongest.sort_values(ascending=False).index[: 2 * MOST]]
    figure = plotting.program_heatmap(one, conditions=names)
    where = f" in {context}" if context else ""
    return h.picture(
        figure,
        "Heat map of the predicted change of each gene program under tested conditions",
        f"Predicted change of programs' mean expression from the controls{where}, of the tested "
        "conditions that move one most. A dot: the 95 % interval over cells is without zero.",
        large=True,
    ) + h.download(table, "program_responses.csv")


def _curves(history: pd.DataFrame) -> str:
    parts = []
    for stage, own in history.groupby("stage", sort=False) if len(history) else ():
        known: Any = own.dropna(axis="columns", how="all")
        shown = [n for n in known if n not in (*NOT_DRAWN, "stage") and "unsolved" not in n]
        losses: Any = known[["step", *shown]]
        if shown:
            figure = plotting.training_curves(losses)
            alt = f"Losses over the steps of stage {stage}"
            parts.append(h.picture(figure, alt, f"Stage {stage}, over steps."))
    found = "".join(parts) or h.paragraph("The run has no log.")
    return found + (h.download(history, "history.csv") if len(history) else "")
