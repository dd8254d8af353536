"""What Gene-Relation Clustering cannot make sense of, said once and clearly."""

import numpy as np
from jaxtyping import Float, Int


def check_inputs(
    embeddings: Float[np.ndarray, "genes features"],
    source: Int[np.ndarray, " edges"],
    target: Int[np.ndarray, " others"],
    *,
    confidence: Float[np.ndarray, " sure"] | None = None,
    errors: Float[np.ndarray, "rows conditions"] | None = None,
    start: Int[np.ndarray, " labels"] | None = None,
) -> None:
    """Raises `ValueError`, naming the culprits, for input that has no answer."""
    _check_lengths(len(embeddings), source, target, confidence, errors, start)
    require_finite(embeddings, "an embedding", "Drop these genes, or give them zero vectors.")
    if errors is not None:
        require_finite(errors, "a prediction error", "Is the model trained?")
    check_edges(source.astype(np.int64), target.astype(np.int64), len(embeddings))
    if confidence is not None:
        check_confidence(source, target, confidence)


def _check_lengths(
    genes: int,
    source: Int[np.ndarray, " edges"],
    target: Int[np.ndarray, " others"],
    confidence: Float[np.ndarray, " sure"] | None,
    errors: Float[np.ndarray, "rows conditions"] | None,
    start: Int[np.ndarray, " labels"] | None,
) -> None:
    found = {"errors": errors, "start": start}
    wrong = {name: len(x) for name, x in found.items() if x is not None and len(x) != genes}
    ends = {"source": len(source), "target": len(target)}
    if confidence is not None:
        ends["confidence"] = len(confidence)
    if wrong or len(set(ends.values())) > 1:
        raise ValueError(
            f"Lengths do not fit: {genes} genes have embeddings, {wrong or 'and nothing else'}; "
            f"interactions: {ends}, which must be equal."
        )


def require_finite(rows: Float[np.ndarray, "genes features"], what: str, repair: str) -> None:
    """Raises `ValueError` with the first rows that are not finite numbers in float32."""
    with np.errstate(over="ignore"):
        broken = np.flatnonzero(~np.isfinite(rows.astype(np.float32)).all(axis=1))
    if broken.size:
        raise ValueError(
            f"{broken.size} of {len(rows)} genes have {what} that is not finite; the first rows: "
            f"{broken[:5].tolist()}. {repair}"
        )


def check_edges(
    source: Int[np.ndarray, " edges"], target: Int[np.ndarray, " edges"], genes: int
) -> None:
    """Raises `ValueError` unless each edge is there once in both directions, between genes."""
    outside = np.flatnonzero(
        (np.minimum(source, target) < 0) | (np.maximum(source, target) >= genes)
    )
    if outside.size:
        first = outside[0]
        raise ValueError(
            f"{outside.size} of {source.size} interactions name a gene outside [0, {genes}); the "
            f"first: ({source[first]}, {target[first]}). Align the graph to these genes."
        )
    forward, backward = source * genes + target, target * genes + source
    loops = int(np.sum(source == target))
    repeated = source.size - np.unique(forward).size
    lonely = ~np.isin(forward, backward)
    if loops or repeated or lonely.any():
        raise ValueError(
            "Interactions must hold each edge once in both directions, without self-loops: "
            f"neighbours are counted. Here are {loops} self-loops, {repeated} repeated "
            f"and {int(lonely.sum())} without their reverse. `InteractionGraph.align` makes such "
            "lists."
        )


def check_confidence(
    source: Int[np.ndarray, " edges"],
    target: Int[np.ndarray, " edges"],
    confidence: Float[np.ndarray, " edges"],
) -> None:
    """Raises `ValueError` unless confidences lie in (0, 1] and are the same in both directions."""
    # A comparison with NaN is false, so this finds it too.
    wrong = np.flatnonzero(~((confidence > 0) & (confidence <= 1)))
    if wrong.size:
        raise ValueError(
            f"{wrong.size} of {confidence.size} interactions have a confidence outside (0, 1]; the "
            f"first: {confidence[wrong[0]]} of ({source[wrong[0]]}, {target[wrong[0]]})."
        )
    there, back = np.lexsort((target, source)), np.lexsort((source, target))
    if not np.array_equal(confidence[there], confidence[back]):
        raise ValueError(
            "An interaction must have the same confidence in both directions. "
            "`InteractionGraph.align` takes the larger one."
        )
