"""Labels, contexts and doses of any form, through every entrance: all are the plain screen."""

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scbig.data import Columns, Screen, write_store
from scbig.metrics import evaluate

pytestmark = [
    pytest.mark.filterwarnings("ignore:zarr v3 autosharding"),
]

IN_MEMORY = ("memory", "preprocess")
ENTRANCES = (*IN_MEMORY, "h5ad", "zarr", "backed", "preprocess_file")


def texts(values) -> pd.Series:
    return pd.Series(values.astype(object))


NUMBER = {"control": "0", "G1": "1", "G2+G3": "2", "G4": "3"}
NOTE = ["seen", None] * 30


def numbers(plain) -> pd.Series:
    return pd.Series([int(NUMBER[label]) for label in plain.labels])


def categories(values, extra=(), ordered=False) -> pd.Series:
    known = [*extra, *sorted(set(values))[::-1]]
    return pd.Series(pd.Categorical(values, categories=known, ordered=ordered))


def both(function) -> Callable[..., dict[str, Any]]:
    """A form of both columns."""
    return lambda plain: {
        "condition": function(texts(plain.labels)),
        "line": function(texts(plain.lines)),
    }


def line(function) -> Callable[..., dict[str, Any]]:
    """A form of the contexts, which are numbers."""
    return lambda plain: {"line": function(texts(plain.lines).astype(int))}


LABELS: dict[str, Callable[..., dict[str, Any]]] = {
    "string[python]": both(lambda x: x.astype("string[python]")),
    "string[pyarrow]": both(lambda x: x.astype("string[pyarrow]")),
    "categories": both(lambda x: x.astype("category")),
    "unused categories": both(lambda x: categories(x, extra=["9", "unused"])),
    "ordered categories": both(lambda x: categories(x, ordered=True)),
    "categories of string[pyarrow]": both(lambda x: categories(x.astype("string[pyarrow]"))),
    "int8": line(lambda x: x.astype("int8")),
    "float32": line(lambda x: x.astype("float32")),
    "Int64": line(lambda x: x.astype("Int64")),
    "integer categories": line(categories),
    "float categories": line(lambda x: categories(x.astype(float))),
    "Int64 categories": line(lambda x: categories(x.astype("Int64"))),
    "a note of strings": lambda plain: {"note": pd.array(NOTE, dtype="string")},
    "a note of objects": lambda plain: {"note": np.array(NOTE, object)},
    "a note of categories": lambda plain: {"note": pd.Categorical(NOTE)},
    "a note of Int64": lambda plain: {"note": pd.array([1, None] * 30, dtype="Int64")},
    "a note of booleans": lambda plain: {"note": pd.array([True, None] * 30, dtype="boolean")},
    "a note of floats": lambda plain: {"note": [0.5, np.nan] * 30},
}
UNWRITTEN: dict[str, Callable[..., dict[str, Any]]] = {
    "bytes": both(lambda x: x.str.encode("utf-8")),
    "Float64": line(lambda x: x.astype("Float64")),
    "numbers as objects": line(lambda x: x.astype(object)),
    "dates": lambda plain: {"note": pd.to_datetime(["2020-01-01"] * 60)},
}
"""What anndata does not write, so that no file has it."""


def cases():
    """Every form through every entrance that it can go through."""
    everywhere = [(reader, form) for form in LABELS for reader in ENTRANCES]
    return everywhere + [(reader, form) for form in UNWRITTEN for reader in IN_MEMORY]


@pytest.mark.parametrize(("reader", "form"), cases())
def test_labels_of_any_form_are_the_same_labels(plain, entrances, reader, form):
    columns = (LABELS | UNWRITTEN)[form](plain)
    make = lambda x: plain.adata(x, **columns)
    entrances.check(reader, make)


NUMBERED: dict[str, Callable[[pd.Series], pd.Series]] = {
    "int64": lambda x: x,
    "float64": lambda x: x.astype(float),
    "Int64": lambda x: x.astype("Int64"),
    "categories": categories,
    "float categories": lambda x: categories(x.astype(float)),
}


@pytest.mark.parametrize("reader", ["memory", "h5ad"])
@pytest.mark.parametrize("form", NUMBERED)
def test_conditions_may_be_numbers(plain, entrances, reader, form):
    make = lambda x: plain.adata(x, condition=NUMBERED[form](numbers(plain)))
    columns = Columns(context="line", control="0")
    names = {**NUMBER, "control": "control"}
    entrances.check(reader, make, columns, names)


@pytest.mark.parametrize("reader", ["memory", "h5ad"])
@pytest.mark.parametrize("dtype", ["bool", "boolean", "category"])
def test_conditions_may_be_true_or_false(plain, entrances, reader, dtype):
    make = lambda x: plain.adata(x, condition=(numbers(plain) > 0).astype(dtype))
    columns = Columns(context="line", control="False")
    names = dict.fromkeys(NUMBER, "True") | {"control": "control"}
    entrances.check(reader, make, columns, names)


GAPS = {
    "objects": lambda x: x.astype(object),
    "string": lambda x: x.astype("string"),
    "Int64": lambda x: x.astype("Int64"),
    "float64": lambda x: x.astype(float),
    "categories": lambda x: x.astype("category"),
    "integer categories": lambda x: x.astype("Int64").astype("category"),
}


@pytest.mark.parametrize("reader", ["memory", "h5ad"])
@pytest.mark.parametrize("form", GAPS)
@pytest.mark.parametrize("column", ["condition", "line"])
def test_a_missing_label_of_any_form_is_named(plain, entrances, reader, form, column):
    values = texts(plain.lines) if column == "line" else numbers(plain).astype(str).astype(object)
    values[[7, 11]] = None
    make = lambda x: plain.adata(x, **{column: GAPS[form](values)})
    columns = Columns(context="line", control=() if column == "line" else "0")
    message = rf"obs\['{column}'\], the \w+, is missing in 2 of 60 cells: 'c7', 'c11'"
    with pytest.raises(ValueError, match=message):
        entrances.read(reader, make, columns)


DOSE = [0.0, 0.0, 0.1, 1.0, 10.0]
"""Those of `Plain.labels`; a control's does not count."""
DOSED = {"control": "control", "G1": "A@0.1", "G2+G3": "A@1", "G4": "B@10"}
DOSES: dict[str, Callable[[pd.Series], pd.Series]] = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype("float32"),
    "with NaN": lambda x: x.where(x > 0),
    "categories": lambda x: x.astype("category"),
    "float32 categories": lambda x: x.astype("float32").astype("category"),
    "categories with NaN": lambda x: x.where(x > 0).astype("category"),
    "texts": lambda x: x.astype(str).astype(object),
    "string with NA": lambda x: x.where(x > 0).astype("string"),
    "text categories": lambda x: x.astype(str).astype("category"),
}


@pytest.mark.parametrize("reader", ["memory", "h5ad"])
@pytest.mark.parametrize("form", DOSES)
def test_doses_of_any_form_are_the_same_doses(plain, entrances, reader, form):
    drugs = pd.Series(plain.labels).map(lambda x: DOSED[x].split("@")[0]).to_numpy(object)
    doses = pd.Series(np.resize(DOSE, len(plain.cells)))
    make = lambda x: plain.adata(x, condition=drugs, dose=DOSES[form](doses))
    columns = Columns(context="line", dose="dose")
    entrances.check(reader, make, columns, DOSED)


@pytest.mark.parametrize("form", LABELS | UNWRITTEN)
def test_scores_do_not_depend_on_the_form_of_the_labels(plain, form):
    columns, obs = Columns(context="line"), (LABELS | UNWRITTEN)[form](plain)
    guess = plain.logged[::-1].copy()
    table = evaluate(plain.adata(guess, **obs), plain.adata(plain.logged), columns)
    again = evaluate(plain.adata(guess), plain.adata(plain.logged, **obs), columns)
    usual = evaluate(plain.adata(guess), plain.adata(plain.logged), columns)
    pd.testing.assert_frame_equal(table, usual)
    pd.testing.assert_frame_equal(again, usual)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_names_of_cells_may_be_numbers_and_of_genes_must_differ(plain, entrances):
    adata = plain.adata(plain.logged)
    adata.obs_names = [str(i) for i in range(adata.n_obs)]
    screen = Screen.open(entrances.h5ad(adata))
    assert screen.cells == tuple(map(str, range(60)))
    adata.var_names = ["G0", *plain.genes[:-1]]
    for reader in ("memory", "h5ad", "zarr"):
        with pytest.raises(ValueError, match=r"1 gene names are there more than once: 'G0'"):
            entrances.read(reader, lambda _: adata)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_a_missing_note_is_missing_in_a_file_too(plain, tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    write_store(path, plain.adata(plain.logged, note=np.array(NOTE, object)))
    found = ad.read_h5ad(path) if suffix == "h5ad" else ad.io.read_zarr(path)
    assert pd.Series(found.obs["note"]).isna().tolist() == [False, True] * 30
