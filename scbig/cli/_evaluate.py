"""`scbig evaluate`: predicted cells against measured ones."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from ._options import TABLES, Labels, check_writes

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from scbig.data import Columns, LabelledCells, Screen
    from scbig.metrics import Scoring


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Compare predicted with measured cells: a row of scores for each perturbation.

    Example: scbig evaluate --predicted predicted.h5ad --data prepared.h5ad --out scores.csv
    """

    predicted: pathlib.Path
    """What 'predict' wrote, or any h5ad file with the same genes and a column of conditions."""
    data: pathlib.Path
    """Measured, log-normalised cells with controls among them, as 'prepare' writes them."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The table to write, csv."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file with the log-normalised cells; by default X."""
    predicted_condition_key: str | None = None
    """The column of the predicted file with the perturbations, if it is another one there. Without
    it: that of --condition-key, or else 'condition'; what 'predict' wrote knows its own."""
    training: pathlib.Path | None = None
    """The cells that the model was trained on: the mean effect and the sum of single effects are
    then scored beside it, as a prediction of no change always is."""
    ceiling: bool = True
    """Whether one half of the measured cells is also scored against the other half."""
    max_cells: int | None = 1000
    """Most cells of a population in an energy distance."""
    wasserstein: bool = False
    """Whether there is a Wasserstein distance beside the energy distance."""
    equal_cells: bool = False
    """Whether distances are of equal numbers of predicted and measured cells, and what one half of
    the measured cells is from the other stands beside them."""
    changed: Literal["bh", "bonferroni"] | None = None
    """Whether the genes that a rank-sum test calls changed are scored too, and how its p-values are
    corrected for their number."""
    weighted: Literal["rest", "controls"] | None = None
    """Whether there are errors weighted by how surely each gene responds, and what the cells of a
    perturbation are held against for it: the other perturbations and the controls, or these."""
    interactions: bool = False
    """Whether doubles are scored by what the prediction knows beyond the sum of their singles,
    which --training has."""
    held_controls: pathlib.Path | None = None
    """Controls that neither the training nor the prediction has seen, from which measured responses
    are then measured: the noise of the others is not on both sides. The prediction is scored so,
    the rules and halves beside it too."""
    seed: int = 0
    """Of the halves and of the cells drawn."""

    def run(self) -> None:
        """Writes the scores and prints their averages."""
        import pandas as pd

        from scbig import metrics
        from scbig._files import atomic
        from scbig._names import examples
        from scbig.baselines import simple_rules
        from scbig.data import LabelledCells, Screen, read_h5ad

        more = (path for path in (self.training, self.held_controls) if path is not None)
        check_writes(self.out, self.predicted, self.data, *more, suffixes=TABLES)
        if self.interactions and self.training is None:
            raise ValueError("--interactions needs the cells of single perturbations: --training.")
        training, held = self._screen(self.training), self._screen(self.held_controls)
        screen = Screen.open(self.data, self.labels.columns, layer=self.layer)
        observed = LabelledCells.of(screen, what="observed")
        guess = read_h5ad(self.predicted)
        columns = _columns_in(guess, self.labels, self.predicted_condition_key)
        predicted = LabelledCells.of_predicted(guess, observed, columns)
        predicted, observed, unmeasured = _measured(predicted, observed)
        if unmeasured:
            print(f"Not measured, and left out: {examples(unmeasured, most=20)}.")
        scoring = self._scoring(training)
        held = None if held is None else LabelledCells.of_controls(held, what="held control")
        beside: Any = {"held": held, "scoring": scoring}
        tables = {"predicted": metrics.scored(predicted, observed, **beside)}
        tables |= simple_rules(observed, training, **beside)
        print(_support(predicted, observed))
        alone = tables["predicted"]["e_distance"].isna().to_numpy()
        if alone.any():
            names = tables["predicted"].index[alone]
            few = "Too few cells" if self.equal_cells else "One cell alone"
            print(f"{few}, and without an E-distance: {examples(names, most=20)}.")
        if self.ceiling:
            enough, names, few = _enough(observed)
            if few:
                print(
                    f"Fewer than 4 measured cells, and without a ceiling: {examples(few, most=20)}."
                )
            if names:
                halves = metrics.halves(enough, names, self.seed)
                tables["split-half"] = metrics.scored(*halves, **beside)
        with atomic(self.out) as temporary:
            pd.concat(tables, names=["cells"]).to_csv(temporary)
        print(_means(tables))
        print(f"The score of each perturbation is in {self.out}.")

    def _screen(self, path: pathlib.Path | None) -> "Screen | None":
        """Cells beside the measured ones, whose labels are of the same columns."""
        from scbig.data import Screen

        return None if path is None else Screen.open(path, self.labels.columns, layer=self.layer)

    def _scoring(self, training: "Screen | None") -> "Scoring":
        from scbig import metrics

        singles = None
        if self.interactions and training is not None:
            singles = metrics.single_profiles(training)
        return metrics.Scoring(
            max_cells=self.max_cells,
            wasserstein=self.wasserstein,
            equal_cells=self.equal_cells,
            changed=self.changed,
            weighted=self.weighted,
            singles=singles,
            seed=self.seed,
        )


def _means(tables: "dict[str, pd.DataFrame]") -> str:
    """Means side by side, with what they are of where a metric is not defined everywhere."""
    import pandas as pd

    from scbig import baselines, metrics

    whole = baselines.averages(pd.concat(tables, names=["predictor"])).T
    own, said = tables["predicted"], [whole.round(3).to_string()]
    counts = metrics.summarise(own)["count"].astype(int)
    fewer = [f"{name} in {count} of {len(own)}" for name, count in counts.items()
             if count < len(own)]  # fmt: skip
    if fewer:
        said.append(
            f"Of the prediction some are defined in fewer perturbations: {', '.join(fewer)}. Where "
            "another column is defined in more, the mean would be of others than those beside it, "
            "and is NaN."
        )
    return "\n".join(said)


def _support(predicted: "LabelledCells", observed: "LabelledCells") -> str:
    """On how many perturbations, cells and controls the scores rest."""
    from scbig import metrics
    from scbig.data import CONTROL

    wanted = {
        c: [name for name in own if name != CONTROL] for c, own in predicted.populations.items()
    }
    table = metrics.counted(observed, observed, wanted)
    cells, controls = (
        f"{own.min()} to {own.max()}" if own.min() < own.max() else f"{own.min()}"
        for own in (table["cells"], table["controls"])
    )
    said = (
        f"{len(table)} perturbations are scored, of {cells} measured cells each, beside {controls} "
        "controls."
    )
    few = metrics.few_controls(observed, wanted)
    return f"{said}\n{few}" if few else said


RECORD = "scbig_columns"
"""Where predictions record their columns: `scbig.data.record_columns`."""


def _columns_in(predicted: "AnnData", labels: Labels, key: str | None) -> "Columns":
    """What the columns of predicted cells from elsewhere mean: the user's, or the usual ones."""
    own, obs = labels.columns, predicted.obs
    changes: dict[str, str | None] = {}
    if key is not None:
        predicted.uns.pop(RECORD, None)  # the user's word goes before the file's
        changes["condition"] = key
    elif own.condition not in obs and "condition" in obs:
        changes["condition"] = "condition"
    elif own.condition in obs and "condition" in obs and RECORD not in predicted.uns:
        _check_same(predicted, own)
    if labels.context_key not in (None, *obs) and "context" in obs:
        changes["context"] = "context"
    if own.dose not in obs:  # the labels then carry the doses
        changes["dose"] = None
    return dataclasses.replace(own, **changes)


def _check_same(predicted: "AnnData", columns: "Columns") -> None:
    """Raises if two columns could be the perturbations, and differ."""
    named, usual = (
        predicted.obs[key].astype(str).to_numpy() for key in (columns.condition, "condition")
    )
    differ = named != usual
    if differ.any():
        first = f"the first {named[differ][0]!r} and {usual[differ][0]!r}"
        raise ValueError(
            f"The predicted cells have a column {columns.condition!r} and a column 'condition', "
            f"which differ in {differ.sum()} of {len(differ)} cells ({first}). Say which one it "
            "is: --predicted-condition-key."
        )


def _measured(
    predicted: "LabelledCells", observed: "LabelledCells"
) -> tuple["LabelledCells", "LabelledCells", list[str]]:
    """Predicted cells that have measured ones, those and their controls, and what has none."""
    from scbig.data import CONTROL

    have, guesses = observed.populations, predicted.populations
    asked = [(c, n) for c, own in guesses.items() for n in own if n != CONTROL]
    known = [(c, n) for c, n in asked if n in have.get(c, ())]
    if not known:
        raise ValueError(
            "None of the predicted conditions is among the measured cells: predicted are "
            f"{_places(guesses)}, and measured {_places(have)}."
        )
    used = [*known, *((c, CONTROL) for c in dict(known))]
    lacking = [f"{n} in {c}" if c else n for c, n in asked if (c, n) not in known]
    return _chosen(predicted, known), _chosen(observed, used), lacking


def _places(populations: "Mapping[str, Mapping[str, object]]") -> str:
    """Conditions, and the contexts that they are in, if there are any."""
    from scbig._names import examples
    from scbig.data import CONTROL

    names = examples(sorted({name for own in populations.values() for name in own} - {CONTROL}))
    contexts = [context for context in populations if context]
    return f"{names} in the contexts {examples(contexts)}" if contexts else names


def _enough(observed: "LabelledCells") -> tuple["LabelledCells", list[str], list[str]]:
    """Measured cells of conditions that can be split in two, those names, and the others'."""
    from scbig.data import CONTROL

    sizes = {
        (c, n): len(rows) for c, own in observed.populations.items() for n, rows in own.items()
    }
    kept = [pair for pair, size in sizes.items() if size >= 4 or pair[1] == CONTROL]
    few = sorted({name for _, name in sizes.keys() - set(kept)})
    return _chosen(observed, kept), sorted({name for _, name in kept} - {CONTROL}), few


def _chosen(cells: "LabelledCells", pairs: Sequence[tuple[str, str]]) -> "LabelledCells":
    import numpy as np

    rows = [
        own for c, names in cells.populations.items() for n, own in names.items() if (c, n) in pairs
    ]
    return cells.take(np.sort(np.concatenate(rows)))
