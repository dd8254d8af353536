"""Cells matched by context: what was predicted, what was measured there, and its controls."""

from collections.abc import Mapping, Sequence

from anndata import AnnData

from ._aligned import Cells, Matrix, aligned_matrix, context_masks, finite_rows, shortlist

ByContext = Mapping[str | None, Cells]
"""The cells of each context; all cells under None where contexts play no part."""


def named(condition: str, context: str | None) -> str:
    """A condition in its context, for an error message."""
    return condition if context is None else f"{condition} in {context}"


def by_context(
    cells: Cells, adata: AnnData, context_key: str | Sequence[str] | None, what: str
) -> dict[str | None, Cells]:
    """The cells of `adata`, read already, of each context."""
    masks = context_masks(adata, context_key, what)
    return {context: cells.within(inside) for context, inside in masks.items()}


def matched_conditions(predicted: ByContext, observed: ByContext) -> dict[str | None, list[str]]:
    """The predicted conditions of each context that has any, all of them measured there."""
    wanted = {
        context: [name for name in cells.rows if name != "control"]
        for context, cells in predicted.items()
    }
    wanted = {context: names for context, names in wanted.items() if names}
    if not wanted:
        raise ValueError("The predicted cells have no perturbation to evaluate, only controls.")
    strange = [str(context) for context in wanted if context not in observed]
    if strange:
        raise ValueError(
            f"Contexts of the predicted cells that are not among the observed cells: "
            f"{shortlist(strange)}; observed are: {shortlist(map(str, observed))}. Drop them from "
            "the predictions, or check context_key."
        )
    unmeasured = [
        named(name, context)
        for context, names in wanted.items()
        for name in names
        if name not in observed[context].rows
    ]
    if unmeasured:
        raise ValueError(
            f"Predicted conditions that are not among the observed cells: {shortlist(unmeasured)}. "
            "Drop them from the predictions, or check condition_key and separator."
        )
    return wanted


def control_cells(
    control: str | AnnData,
    observed: ByContext,
    contexts: Sequence[str | None],
    genes: Sequence[str],
    context_key: str | Sequence[str] | None,
) -> dict[str | None, Matrix]:
    """Expression of the control cells of each of the contexts.

    **Raises:** a ValueError that names the contexts without any.
    """
    if isinstance(control, AnnData):
        values = aligned_matrix(control, genes, "control")
        if not finite_rows(values).all():
            raise ValueError("NaN or infinite expression in the control cells.")
        if values.shape[0] == 0:
            raise ValueError("There are no control cells: the AnnData given as control is empty.")
        masks = context_masks(control, context_key, "control")
        origins = {context: values[inside] for context, inside in masks.items()}
    else:
        origins = {
            context: cells.of("control")
            for context, cells in observed.items()
            if "control" in cells.rows
        }
    lacking = [str(context) for context in contexts if context not in origins]
    if lacking:
        raise ValueError(
            f"Contexts without control cells: {shortlist(lacking)}. Each perturbation is compared "
            "with the controls of its own context: add them, or leave those contexts out."
        )
    return origins
