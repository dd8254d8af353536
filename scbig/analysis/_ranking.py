"""Perturbations that nobody did, by what they are predicted to do to a gene program."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import jax.random as jr
import numpy as np
import pandas as pd
from jaxtyping import Float

from scbig._names import examples
from scbig._typing import PRNGKeyArray
from scbig.data import Condition, Screen
from scbig.service import TrainedModel

from ._predicted import as_modelled

CHUNK = 16
"""Conditions that are predicted together: their cells are in memory at once."""


def pairs_of(names: Sequence[str], *, singles: bool = False) -> Iterator[str]:
    """Every pair of some perturbations, in order, one at a time.

    **Arguments:** `names`, without doses, each once; `singles`, whether each alone comes first.
    """
    ordered = sorted(dict.fromkeys(names))
    if singles:
        yield from ordered
    for pair in itertools.combinations(ordered, 2):
        yield "+".join(pair)


def predicted_effects(
    models: Sequence[TrainedModel],
    controls: Screen,
    conditions: Iterable[str],
    genes: Sequence[str],
    *,
    cells: int = 128,
    chunk: int = CHUNK,
    key: PRNGKeyArray,
) -> Iterator[pd.DataFrame]:
    """What each condition is predicted to do to the mean expression of some genes, as they come.

    All conditions and models start from the same controls, so that what differs is the prediction.
    A change is from those controls as the model has them: through the autoencoder, if what it
    predicts is.

    **Arguments:**

    - `models`: of the same genes, trained from several seeds for instance; what they disagree on
        is not certain. What they agree on may be wrong all the same.
    - `controls`: a screen, of which the controls are taken, in each context.
    - `conditions`: labels; they are read as they are needed, so that all pairs of a long list need
        no memory.
    - `genes`: those of the program, of the models' genes.
    - `cells`: controls that are drawn, once, in each context; `chunk`, conditions at once.

    **Returns:** for each chunk a table, a row for each context and condition: the `effect`, the
    change of the genes' mean in units of log expression; `spread`, its standard deviation between
    the models, NaN of one alone; `size`, the root mean square of the change of all genes; `agree`,
    the share of the models in which the effect has the sign of the mean.

    **Raises:** `ValueError` for no model, models of other genes, no or unknown genes, and as
    `TrainedModel.predict` does.
    """
    places = _places(models, genes)
    drawn, contexts = _drawn(controls, cells, key), controls.contexts
    still = [_still(model, drawn) for model in models]
    asked = iter(conditions)
    while some := list(itertools.islice(asked, chunk)):
        names = list(dict.fromkeys(Condition.parse(label).name for label in some))
        changes = np.stack(
            [
                _means(model, drawn, names, contexts, key) - own[:, None]
                for model, own in zip(models, still, strict=True)
            ]
        )
        yield _table(changes, places, names, contexts)


def ranked(effects: Iterable[pd.DataFrame], *, up: bool = True) -> pd.DataFrame:
    """The tables of `predicted_effects` as one, those of largest effect first.

    **Arguments:** `up`, whether the largest increase is sought, or the largest decrease.

    **Returns:** the rows with their `rank` in each context, from 1. A condition that came twice
    has one row.
    """
    found = pd.concat(list(effects), ignore_index=True)
    found = found.drop_duplicates(["context", "condition"])
    order: Any = found.sort_values(
        ["context", "effect", "condition"], ascending=[True, not up, True], kind="stable"
    )
    return order.assign(rank=order.groupby("context").cumcount() + 1).reset_index(drop=True)


def _places(models: Sequence[TrainedModel], genes: Sequence[str]) -> list[int]:
    """The columns of the genes."""
    if not models:
        raise ValueError("There is no model to rank with.")
    first = models[0].names.genes
    if any(model.names.genes != first for model in models):
        raise ValueError("The models do not have the same genes in the same order.")
    known = {gene: place for place, gene in enumerate(first)}
    unknown = [gene for gene in dict.fromkeys(genes) if gene not in known]
    if unknown or not genes:
        raise ValueError(
            f"The models have no gene {examples(unknown)}."
            if unknown
            else "There is no gene whose expression to rank by."
        )
    return [known[gene] for gene in dict.fromkeys(genes)]


def _drawn(screen: Screen, cells: int, key: PRNGKeyArray) -> Screen:
    """So many controls of each context; every context has some."""
    rows = []
    for number, context in enumerate(screen.contexts):
        own = screen.rows("control", None if screen.contexts == ("",) else context)
        order = np.asarray(jr.permutation(jr.fold_in(key, number), len(own)))
        rows.append(own[order[:cells]])
    return screen.take(np.concatenate(rows))


def _still(model: TrainedModel, controls: Screen) -> Float[np.ndarray, "contexts genes"]:
    """The mean of the controls in each context, as the model has them."""
    cells, index = as_modelled(model, controls), np.asarray(controls.context_index)
    each = range(len(controls.contexts))
    return np.stack([cells[index == place].mean(axis=0) for place in each])


def _means(
    model: TrainedModel,
    controls: Screen,
    names: list[str],
    contexts: Sequence[str],
    key: PRNGKeyArray,
) -> Float[np.ndarray, "contexts conditions genes"]:
    """The mean of each predicted population."""
    predicted = model.predict(controls, names, key=key, extra="ignore")
    place = predicted.uns["scbig_columns"].get("context")
    where = predicted.obs["condition"].astype(str).to_numpy()
    own = np.full(len(where), "") if place is None else predicted.obs[place].astype(str).to_numpy()
    cells: Any = predicted.X
    return np.stack(
        [
            np.stack([cells[(where == name) & (own == context)].mean(axis=0) for name in names])
            for context in contexts
        ]
    )


def _table(
    changes: Float[np.ndarray, "models contexts conditions genes"],
    places: list[int],
    names: list[str],
    contexts: Sequence[str],
) -> pd.DataFrame:
    effects = changes[..., places].mean(axis=-1)
    mean = effects.mean(axis=0)
    several = len(effects) > 1
    spread = effects.std(axis=0, ddof=1) if several else np.full_like(mean, np.nan)
    size = np.sqrt((changes.mean(axis=0) ** 2).mean(axis=-1))
    return pd.DataFrame(
        {
            "context": np.repeat(contexts, len(names)), "condition": [*names] * len(contexts),
            "effect": mean.ravel(), "spread": spread.ravel(), "size": size.ravel(),
            "agree": (np.sign(effects) == np.sign(mean)).mean(axis=0).ravel(),
        }
    )  # fmt: skip
