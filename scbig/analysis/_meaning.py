"""What a predicted response looks like: whom it resembles, its own target, its interactions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig._names import examples
from scbig.data import Condition, Responses, Screen
from scbig.metrics import interaction

Changes = dict[tuple[str, str], Float[np.ndarray, " genes"]]


def nearest_measured(predicted: Screen, measured: Screen, *, most: int = 5) -> pd.DataFrame:
    """The measured perturbations whose responses are most like a predicted one.

    By the cosine of mean changes from the controls of the context, each side from its own controls:
    a change that all perturbations have in common makes all of them alike.

    **Arguments:** `predicted` and `measured`, cells with their controls, of the same genes in the
    same order; only contexts of both are looked at; `most`, of each predicted condition.

    **Returns:** a row for each context, predicted condition and neighbour: `rank` from 1, the
    `neighbour`, the `cosine`, and whether the neighbour shares a perturbation with the condition
    (`shared`) or is the condition itself (`same`).

    **Raises:** `ValueError` for other genes, and if no context is in both.
    """
    _same_genes(predicted, measured)
    own, known = _changes(predicted.responses()), _changes(measured.responses())
    rows: list[dict[str, Any]] = []
    for (context, name), change in own.items():
        others = [other for place, other in known if place == context]
        if not others:
            continue
        vectors = np.stack([known[context, other] for other in others]).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(change)
        cosines = np.where(lengths > 0, vectors @ change / np.where(lengths > 0, lengths, 1), 0.0)
        parts = {*Condition.parse(name).perturbations}
        for rank, place in enumerate(np.argsort(-cosines, kind="stable")[:most]):
            other = others[place]
            rows.append(
                {
                    "context": context, "condition": name, "rank": rank + 1, "neighbour": other,
                    "cosine": float(cosines[place]), "same": other == name,
                    "shared": bool(parts & {*Condition.parse(other).perturbations}),
                }
            )  # fmt: skip
    if not rows:
        raise ValueError("No context of the predicted cells has a measured perturbation.")
    return pd.DataFrame(rows)


def on_target(screen: Screen) -> pd.DataFrame:
    """What each perturbation does to the gene that it is named after, where that is measured.

    A knockdown that does not lower its gene, or an activation that does not raise it, did not work,
    or is not what its label says.

    **Arguments:** `screen`, cells with their controls, measured or predicted.

    **Returns:** a row for each context, condition and named gene: the `change` of its mean
    expression from the controls, the controls' `level`, its `rank` among all genes by the size of
    the change, from 1, and how many `genes` there are.

    **Raises:** `ValueError` if no perturbation is named after a measured gene.
    """
    found, rows = screen.responses(), []
    place = {gene: number for number, gene in enumerate(screen.genes)}
    for (context, name), change in _changes(found).items():
        sizes = np.abs(change)
        for gene in Condition.parse(name).perturbations:
            if gene in place:
                number = place[gene]
                origin = found.origins[found.contexts.index(context)]
                rows.append(
                    {
                        "context": context, "condition": name, "gene": gene,
                        "change": float(change[number]), "level": float(origin[number]),
                        "rank": 1 + int((sizes > sizes[number]).sum()), "genes": len(place),
                    }
                )  # fmt: skip
    if not rows:
        named = examples(screen.perturbations)
        raise ValueError(f"No perturbation is named after a measured gene: {named}.")
    return pd.DataFrame(rows)


def genetic_interactions(doubles: Screen, singles: Screen | None = None) -> pd.DataFrame:
    """How the response to two perturbations differs from the sum of the two (Norman et al. 2019).

    **Arguments:** `doubles`, cells of combinations of two with their controls, predicted for
    instance; `singles`, cells that have those of the singles, `doubles` by default.

    **Returns:** a row for each context and double whose two singles are there: `magnitude`, the
    square root of two where effects add up, larger for synergy and smaller for buffering;
    `dominance`, `fit`, `similarity` and `redundancy`, see `scbig.metrics.Interaction`; and
    `beyond`, the length of what the double does beyond the sum, as a share of its response's.

    **Raises:** `ValueError` for other genes, and if no double has both singles.
    """
    known = doubles if singles is None else singles
    _same_genes(doubles, known)
    own, alone = _changes(doubles.responses()), _changes(known.responses())
    rows: list[dict[str, Any]] = []
    for (context, name), change in own.items():
        parts = [part.name for part in _parts(name)]
        pairs: Sequence[Any] = [alone.get((context, part)) for part in parts]
        if len(parts) != 2 or any(pair is None for pair in pairs):
            continue
        scores = interaction(change, *pairs)
        size = float(np.linalg.norm(change))
        beyond = float(np.linalg.norm(change - sum(pairs))) / size if size else float("nan")
        rows.append({"context": context, "condition": name, **vars(scores), "beyond": beyond})
    if not rows:
        raise ValueError("No double has both of its singles among the cells.")
    return pd.DataFrame(rows)


def _parts(name: str) -> list[Condition]:
    """The single perturbations of a condition, each at its dose."""
    whole = Condition.parse(name)
    pairs = zip(whole.perturbations, whole.doses, strict=True)
    return [Condition((part,), (dose,)) for part, dose in pairs]


def _changes(found: Responses) -> Changes:
    """The change of each condition in each context, by their names."""
    pairs = zip(found.context_index, found.condition_index, strict=True)
    names = [(found.contexts[c], found.conditions[p].name) for c, p in pairs]
    return dict(zip(names, found.changes, strict=True))


def _same_genes(one: Screen, other: Screen) -> None:
    if one.genes != other.genes:
        raise ValueError("The two screens do not have the same genes in the same order.")
