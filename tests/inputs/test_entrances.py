"""What one entrance refuses is refused by all that take it, in the same words."""

import anndata as ad
import numpy as np
import pytest

from scbig.data import Columns
from scbig.splits import Split, gears, holdout, kfold

from . import entrances as at
from .entrances import COUNTED, GUESSED, LABELS, MEASURED, STARTS, made, normalised

NAMES = lambda entrance: entrance.__name__
NOBODY = "condition labels say that a cell has none"
# What stands in place of the label D, and what is said of it.
WRONG_LABELS = {
    "another joint": ("A_B", "by '_' and not by"),
    "another joint, twice": ("B--A", "by '-' and not by"),
    "a control behind another joint": ("A|ctrl", r"by '\|' and not by"),
    "two measured genes": ("G1:G2", "by ':' and not by"),
    "a word for no label": ("unassigned", NOBODY),
    "the text nan": ("nan", NOBODY),
    "a blank": (" ", NOBODY),
    "what cannot be seen": ("\u200b\ufeff", NOBODY),
    "a dash": ("\u2013", NOBODY),
    "missing": (None, r"obs\['condition'\], the condition, is missing in 8 of 56 cells"),
    "an empty name": ("A+", "has an empty name"),
    "twice": ("A+A", "names one perturbation twice"),
    "twice, in two spellings": ("HLA-A+HLA\u2013A", "names one perturbation twice"),
    "a dose of nothing": ("D@0", "not a positive number"),
}
EVERY = (*COUNTED, *MEASURED, *GUESSED, *STARTS)


@pytest.mark.parametrize("entrance", EVERY, ids=NAMES)
@pytest.mark.parametrize("kind", WRONG_LABELS)
def test_a_wrong_label_is_refused(kind, entrance, tmp_path):
    label, message = WRONG_LABELS[kind]
    cells = made()
    cells.obs["condition"] = [label if own == "D" else own for own in LABELS]
    with pytest.raises(ValueError, match=message):
        entrance(cells, Columns(), tmp_path)


@pytest.mark.parametrize("kind", [kind for kind, (label, _) in WRONG_LABELS.items() if label])
def test_a_wrong_label_is_refused_by_splits(kind):
    label, message = WRONG_LABELS[kind]
    message = message.replace(NOBODY, f"{NOBODY}|has an empty name")
    # No genes are known here.
    labels = [label.replace("G1:G2", "A:B") for label in ("ctrl", *"ABCEFG", "A+C", label)]
    for draw in (gears, lambda x: holdout(x, seed=0), lambda x: kfold(x, folds=2, seed=0)):
        with pytest.raises(ValueError, match=message):
            draw(labels)
    with pytest.raises(ValueError, match=message):
        Split.of(name="", train=labels[:-1], test=labels[-1:])


@pytest.mark.parametrize("entrance", [*EVERY, at.reference], ids=NAMES)
def test_the_good_screen_is_accepted(entrance, tmp_path):
    entrance(made(), Columns(), tmp_path)


ABSENT = {
    "condition": (Columns(condition="what"), "no column 'what' for the condition"),
    "context": (Columns(context="line"), "no column 'line' for the context"),
    "dose": (Columns(dose="dosis"), "no column 'dosis' for the doses"),
    "gene": (Columns(gene="symbol"), "no column 'symbol' for the genes"),
}


@pytest.mark.parametrize("entrance", [*COUNTED, *MEASURED], ids=NAMES)
@pytest.mark.parametrize("kind", ABSENT)
def test_a_column_that_is_absent_is_named(kind, entrance, tmp_path):
    columns, message = ABSENT[kind]
    with pytest.raises(ValueError, match=message):
        entrance(made(), columns, tmp_path)


@pytest.mark.parametrize("entrance", [*COUNTED, at.from_anndata, at.opened, at.fit, at.predict])
@pytest.mark.parametrize("dose", ["0,5", "10 nM", "much", "-1", "nan", ""])
def test_a_dose_that_does_not_read_is_refused(dose, entrance, tmp_path):
    doses = [{"D": dose, "A+B": "1+2"}.get(label, "1") for label in LABELS]
    with pytest.raises(ValueError, match=r"1 condition labels do not go with their doses .*'D"):
        entrance(made(dose=doses), Columns(dose="dose"), tmp_path)


@pytest.mark.parametrize(
    "entrance", [one for one in (*COUNTED, *MEASURED, *STARTS) if one is not at.compared], ids=NAMES
)
@pytest.mark.parametrize("name", ["scramble", "CTRL", "negative control", "AAVS1", "wt"])
def test_controls_of_another_name_are_asked_for(name, entrance, tmp_path):
    cells = made()
    cells.obs["condition"] = [name if label == "control" else label for label in LABELS]
    with pytest.raises(ValueError, match="no control cells"):
        entrance(cells, Columns(), tmp_path)


# New names of the last columns, and what is said.
WRONG_NAMES = {
    "twice": (["A"], "gene names are there more than once: 'A'"),
    "twice, but for a blank": (["A\u00a0"], "more than once: 'A'"),
    "twice, but for a dash": (["HLA\u2212A"], "more than once: 'HLA-A'"),
    "twice, composed and not": (["e\u0301"], "more than once: '\u00e9'"),
    "twice, but for a byte-order mark": (["\ufeffB"], "more than once: 'B'"),
    "none": ([" "], "1 genes have no name, the first in column 39"),
}


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize("entrance", [*EVERY, at.reference], ids=NAMES)
@pytest.mark.parametrize("kind", WRONG_NAMES)
def test_a_wrong_name_of_a_gene_is_refused(kind, entrance, tmp_path):
    names, message = WRONG_NAMES[kind]
    cells = made()
    cells.var_names = [*cells.var_names[: -len(names)], *names]
    with pytest.raises(ValueError, match=message):
        entrance(cells, Columns(), tmp_path)


def test_names_of_genes_are_tidy_at_every_entrance(tmp_path):
    for entrance in (*EVERY, at.reference):
        cells = made()
        spelt = {"HLA-A": "HLA\u2013A ", "\u00e9": "e\u0301", "A": "\ufeffA"}
        cells.var_names = [spelt.get(name, name) for name in cells.var_names]
        # Each in its own folder: what one left open, another cannot write.
        folder = tmp_path / entrance.__name__
        folder.mkdir()
        entrance(cells, Columns(), folder)


LOG = np.log1p(normalised())
HOLE = np.where(np.arange(LOG.shape[1]) == 3, np.nan, LOG)
WRONG_SCALES = {
    "counts": (at.counts(), "raw counts"),
    "base 2": (np.log2(1 + normalised()), "logarithms to base 2|stays below 15"),
    "twice": (np.log1p(LOG), "taken twice"),
    "roots": (np.sqrt(normalised()) / 10, "square roots"),
    "centred": (LOG - LOG.mean(axis=0), "negative|below zero"),
    "NaN": (HOLE, "NaN or infinite"),
    "infinite": (np.nan_to_num(HOLE, nan=np.inf), "NaN or infinite"),
    "zero": (0 * LOG, "very expression value is zero|different scales"),
    "of another total": (np.log1p(normalised() / 5e3), "different scales|not log-normalised"),
}
ALONE = ("of another total",)


@pytest.mark.parametrize("entrance", [*MEASURED, *GUESSED, *STARTS, at.reference], ids=NAMES)
@pytest.mark.parametrize("kind", WRONG_SCALES)
def test_a_wrong_scale_is_refused(kind, entrance, tmp_path):
    values, message = WRONG_SCALES[kind]
    beside = (*GUESSED, *STARTS, at.observed, at.compared, at.evaluate, at.predict)
    told = kind == "counts" and entrance is at.inspected
    if told or (kind in ALONE and entrance not in beside):
        entrance(made(values), Columns(), tmp_path)  # nothing to compare it with
        return
    with pytest.raises(ValueError, match=message):
        entrance(made(values), Columns(), tmp_path)


@pytest.mark.parametrize(
    "entrance", [e for e in COUNTED if e is not at.counts_inspected], ids=NAMES
)
def test_what_is_no_counts_is_not_prepared(entrance, tmp_path, monkeypatch):
    monkeypatch.setattr(at, "of_counts", lambda cells: cells)
    with pytest.raises(ValueError, match="Raw counts are needed"):
        entrance(made(), Columns(), tmp_path)
    with pytest.raises(ValueError, match="Every expression value is zero"):
        entrance(made(0 * LOG), Columns(), tmp_path)


def test_a_condition_that_is_spelt_twice_is_predicted_once_by_the_command(tmp_path):
    at.save(at.model(), tmp_path / "model.scbig")
    cells = made()
    cells.obs["condition"] = [label.replace("+", "_") for label in LABELS]
    files = "--model", tmp_path / "model.scbig", "--data", at.written(cells, tmp_path)
    spelt = ["A_B", "B_A", "ctrl_A", *["D"] * 40, "A"]
    asked = "--conditions", *spelt, "--cells", 3, "--out", tmp_path / "guess.h5ad"
    at.run("predict", *files, "--separator", "_", *asked)
    found = ad.read_h5ad(tmp_path / "guess.h5ad").obs["condition"].value_counts()
    assert found.to_dict() == {"A+B": 3, "A": 3, "D": 3}
