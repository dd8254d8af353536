"""What priors know of a screen, in words, and for what of it a training does not start."""

from collections.abc import Container, Sequence
from typing import Literal

from scbig.data import Covered
from scbig.priors import EmbeddingTable, InteractionGraph, PathwayLibrary, nearest

LEAST = 0.5
"""Share of the genes with a vector, below which programs are of what is left."""


def covered(
    genes: Sequence[str],
    perturbations: Sequence[str],
    *,
    embeddings: EmbeddingTable | None = None,
    missing: Literal["error", "zero", "mean"] = "error",
    tokens: EmbeddingTable | None = None,
    relatives: InteractionGraph | None = None,
    interactions: InteractionGraph | None = None,
    pathways: PathwayLibrary | None = None,
) -> tuple[Covered, ...]:
    """What each prior that is given knows of a screen.

    **Arguments:** `genes` and `perturbations` of the screen; `embeddings`, of genes, with the
    policy for `missing` ones, and of perturbations unless `tokens` are given; `relatives`, a graph
    between perturbations.
    """
    found = []
    if embeddings is not None:
        asked = perturbations if tokens is None else None
        found.append(of_embeddings(embeddings, genes, asked, missing=missing))
    if tokens is not None:
        found.append(of_perturbations(tokens, perturbations))
    if relatives is not None:
        found.append(of_relatives(relatives, perturbations))
    if interactions is not None:
        found.append(of_interactions(interactions, genes, perturbations))
    if pathways is not None:
        found.append(of_pathways(pathways, genes, perturbations))
    return tuple(found)


def of_embeddings(
    table: EmbeddingTable,
    genes: Sequence[str],
    perturbations: Sequence[str] | None,
    *,
    missing: Literal["error", "zero", "mean"],
) -> Covered:
    """A table of vectors for genes, and for perturbations too unless these have their own."""
    what, known = "gene embeddings", set(table.names)
    line = f"{what}: {_counted('genes', genes, known)}"
    problems = []
    try:
        table.align(genes, missing=missing)
    except ValueError as error:
        problems.append(str(error))
    if _share(genes, known) < LEAST and not problems:
        problems.append(
            f"{what}: only {_counted('genes', genes, known)} are covered"
            f"{_without(genes, table.names)}. Are they names of the same kind and species? A table "
            "of aliases may tell; or take a table of these genes."
        )
    if perturbations is not None:
        line += f", {_counted('perturbations', perturbations, known)}"
        problems += lacking_vectors(perturbations, table.names)
    lacking = [*(perturbations or ()), *genes]
    return Covered(line=line + _without(lacking, table.names), problems=tuple(problems))


def of_perturbations(table: EmbeddingTable, perturbations: Sequence[str]) -> Covered:
    """A table of vectors for perturbations alone."""
    counted = _counted("perturbations", perturbations, set(table.names))
    return Covered(
        line=f"embeddings of perturbations: {counted}{_without(perturbations, table.names)}",
        problems=tuple(lacking_vectors(perturbations, table.names)),
    )


def of_relatives(graph: InteractionGraph, perturbations: Sequence[str]) -> Covered:
    """A graph between perturbations."""
    known = dict.fromkeys((*graph.first, *graph.second))
    counted = _counted("perturbations", perturbations, known)
    without = _without(perturbations, tuple(known))
    return Covered(line=f"graph of perturbations: {counted} are named{without}")


def lacking_vectors(perturbations: Sequence[str], known: Sequence[str]) -> list[str]:
    """A sentence on perturbations without a vector, if there are any."""
    lacking = _lacking(perturbations, set(known))
    if not lacking:
        return []
    return [
        f"No embedding for {len(lacking)} perturbation(s): {nearest(lacking, known, 5)}; the table "
        f"has {len(known)} names. Drop their conditions, give a table of aliases, or a table of "
        "what can be perturbed."
    ]


def of_interactions(
    graph: InteractionGraph, genes: Sequence[str], perturbations: Sequence[str]
) -> Covered:
    """A graph between genes: edges among those that were measured."""
    known = dict.fromkeys((*graph.first, *graph.second))
    line = (
        f"interactions: {_counted('genes', genes, known)} and "
        f"{_counted('perturbations', perturbations, known)} are named"
    )
    lacking = _without([*perturbations, *genes], tuple(known))
    try:
        aligned = graph.align(genes)
    except ValueError as error:
        return Covered(line=f"{line}, no edge between two genes{lacking}", problems=(str(error),))
    line += (
        f", {len(aligned.source) // 2} edges between genes, {aligned.coverage.found} genes with one"
    )
    return Covered(line=line + lacking, doubts=_doubt("interactions", genes, known))


def of_pathways(
    sets: PathwayLibrary, genes: Sequence[str], perturbations: Sequence[str]
) -> Covered:
    """Gene sets."""
    known = set(sets.genes)
    line = (
        f"pathways: {len(sets.sets)} sets with {_counted('genes', genes, known)}, "
        f"{_counted('perturbations', perturbations, known)}"
    )
    line += _without([*perturbations, *genes], sets.genes)
    try:
        sets.align(genes, min_genes=1)
    except ValueError as error:
        return Covered(line=line, problems=(str(error),))
    return Covered(line=line, doubts=_doubt("pathways", genes, known))


def _lacking(names: Sequence[str], known: Container[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in known]


def _share(names: Sequence[str], known: Container[str]) -> float:
    return 1 - len(_lacking(names, known)) / max(len(names), 1)


def _counted(what: str, names: Sequence[str], known: Container[str]) -> str:
    found = len(names) - len(_lacking(names, known))
    return f"{found} of {len(names)} {what} ({_share(names, known):.1%})"


def _without(names: Sequence[str], known: Sequence[str]) -> str:
    lacking = _lacking(names, set(known))
    return f"; without {nearest(lacking, known)}" if lacking else ""


def _doubt(what: str, genes: Sequence[str], known: Container[str]) -> tuple[str, ...]:
    if _share(genes, known) >= LEAST:
        return ()
    return (
        f"{what}: only {_counted('genes', genes, known)} are named. Are they names of the same "
        "kind and species?",
    )
