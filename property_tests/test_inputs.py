"""Laws of files: a spelling changes nothing, and what one entrance refuses all refuse."""

import tempfile
import warnings
from typing import Any

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st
from scipy import sparse

from scbig import metrics
from scbig.baselines import PerturbedMean, compare
from scbig.data import Columns, Screen
from scbig.preprocess import PreprocessConfig, preprocess

GENES = ("A", "B", "HLA-A", *(f"G{place}" for place in range(27)))
# What each cell got: nothing, one or two.
GOT = ((),) * 12 + (("A",),) * 6 + (("B",),) * 6 + (("A", "HLA-A"),) * 6 + (("B", "drug X"),) * 6
LINES = tuple(np.arange(len(GOT)) % 2)
EXAMPLES = max(8, settings().max_examples)


def counts() -> np.ndarray:
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.8, 4, len(GENES)) * rng.gamma(4, 0.25, (len(GOT), 1))
    found = rng.poisson(rates).astype(np.float64)
    found[:, -1] += 1
    return found


COUNTS = counts()
LOG = np.log1p(COUNTS / COUNTS.sum(axis=1, keepdims=True) * 1e4)


def made(labels: Any, lines: Any = LINES, values: Any = LOG, genes: Any = GENES) -> Any:
    index = pd.Index([f"c{row}" for row in range(len(GOT))])
    obs = pd.DataFrame({"condition": labels, "line": lines}, index=index)
    var = pd.DataFrame(index=pd.Index(genes))
    return ad.AnnData(sparse.csr_matrix(values, dtype=np.float32), obs=obs, var=var)


def plain(cells: Any = GOT) -> list[str]:
    return ["+".join(names) or "control" for names in cells]


PLAIN = Screen.from_anndata(made(plain()), Columns(context="line"))


def same(one: Screen, other: Screen) -> None:
    """Equal in all that is read of labels and of expression."""
    assert one.conditions == other.conditions
    assert one.contexts == other.contexts
    assert one.genes == other.genes
    np.testing.assert_array_equal(one.condition_index, other.condition_index)
    np.testing.assert_array_equal(one.context_index, other.context_index)
    np.testing.assert_array_equal(one.dense(), other.dense())


BLANKS = st.sampled_from(["", " ", "\u00a0", "\u200b", "\ufeff", "\t", " \u2009"])
DASHES = st.sampled_from([*"-\u2010\u2011\u2012\u2013\u2212\uff0d"])
KINDS = {
    "text": lambda x: np.array(x, object),
    "category": lambda x: pd.Categorical(x),
    "ordered": lambda x: pd.Categorical(x, ordered=True),
    "strings": lambda x: pd.array(x, dtype="string"),
}
LINE_KINDS = [int, np.int8, float, np.float32, str, "category", "Int64", "string"]


@st.composite
def spelt(draw: st.DrawFn) -> tuple[list[str], str, str | None]:
    """Labels in any spelling, with what joins the names and the control's own name, if any."""
    separator = draw(st.sampled_from([*"+_|;,&~", " + ", "::", " and ", "\u2022"]))
    control = draw(st.sampled_from([None, "AAVS1", "no guide", "0", "unassigned", "wild type"]))
    name = lambda text: (
        draw(BLANKS)
        + text.replace("-", draw(DASHES)).replace(" ", draw(st.sampled_from(" \u00a0")))
        + draw(BLANKS)
    )
    nothing = lambda: name(
        control or draw(st.sampled_from(["control", "ctrl", "NT", "non-targeting"]))
    )

    def label(got: tuple[str, ...]) -> str:
        parts = [name(part) for part in got]
        parts += [nothing() for _ in range(draw(st.integers(0 if got else 1, 2 - len(got) or 1)))]
        return separator.join(draw(st.permutations(parts)))

    # A few spellings of each, so that a column has several of one condition.
    several = {got: [label(got) for _ in range(2)] for got in dict.fromkeys(GOT)}
    labels = [several[got][draw(st.integers(0, 1))] for got in GOT]
    return labels, separator, control


@settings(max_examples=EXAMPLES)
@given(spelt(), st.sampled_from([*KINDS]), st.sampled_from(LINE_KINDS))
def test_a_spelling_changes_nothing(given, kind, line_kind):
    labels, separator, control = given
    columns = Columns(separator=separator, control=control or (), context="line")
    cells = made(KINDS[kind](labels), pd.Series(LINES).astype(line_kind).array)
    same(Screen.from_anndata(cells, columns), PLAIN)
    with tempfile.TemporaryDirectory() as folder:
        with ad.settings.override(allow_write_nullable_strings=True):
            cells.write_h5ad(f"{folder}/cells.h5ad")
        same(Screen.open(f"{folder}/cells.h5ad", columns).in_memory(), PLAIN)


@settings(max_examples=EXAMPLES)
@given(st.permutations(range(len(GOT))))
def test_the_order_of_cells_changes_no_label(order):
    cells = made(plain())[np.array(order)].copy()
    screen = Screen.from_anndata(cells, Columns(context="line"))
    back = np.argsort(order)
    assert tuple(screen.cells[i] for i in back) == PLAIN.cells
    assert (screen.conditions, screen.contexts) == (PLAIN.conditions, PLAIN.contexts)
    np.testing.assert_array_equal(screen.condition_index[back], PLAIN.condition_index)
    np.testing.assert_array_equal(screen.context_index[back], PLAIN.context_index)
    np.testing.assert_array_equal(screen.dense()[back], PLAIN.dense())


# A label in place of one condition's; good and bad ones alike.
JOINTS = ["+", "_", "-", "|", ":", ";", "/", "~", "__", "->", " and ", " ", ".", "@"]
PARTS = [
    "A",
    "B",
    "G1",
    "ctrl",
    "NTC",
    "nan",
    "unassigned",
    "",
    " ",
    "?",
    "x",
    "7",
    "\u200b",
    "HLA-A",
]
LABEL = st.tuples(
    st.sampled_from(PARTS), st.sampled_from(["", *JOINTS]), st.sampled_from(PARTS)
).map("".join)
SCALE = st.sampled_from(
    [LOG, COUNTS, np.log2(1 + COUNTS), np.log1p(LOG), 0 * LOG, LOG - 1, LOG / 1]
)
GENE = st.sampled_from(["G99", "A", "A ", "HLA\u2013A", "", "\u200b", "a"])
DEFECT = st.one_of(
    LABEL.map(lambda x: ("label", x)),
    SCALE.map(lambda x: ("scale", x)),
    GENE.map(lambda x: ("gene", x)),
)


def refuses(call: Any) -> bool:
    try:
        call()
    except ValueError:
        return True
    return False


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@settings(max_examples=2 * EXAMPLES)
@given(DEFECT)
def test_what_one_entrance_refuses_all_refuse(defect):
    kind, what = defect
    labels, values, genes = plain(), LOG, list(GENES)
    if kind == "label":
        labels = [what if label == "B+drug X" else label for label in labels]
    elif kind == "scale":
        values = what
    else:
        genes[-1] = what
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # doubts are said, and refuse nothing
        cells = made(labels, values=values, genes=genes)
        first = made(plain(), genes=[*genes[:-1], genes[-1].strip()])
        guess = cells[12:24].copy()
        guess.X = LOG[12:24].astype(np.float32)
        counted = made(labels, values=COUNTS, genes=genes)
        found = {
            "from_anndata": refuses(lambda: Screen.from_anndata(cells)),
            "observed": refuses(lambda: metrics.evaluate(guess, cells)),
        }
        with tempfile.TemporaryDirectory() as folder:
            cells.write_h5ad(f"{folder}/cells.h5ad")
            found["open"] = refuses(lambda: Screen.open(f"{folder}/cells.h5ad"))
        if kind != "scale":
            config = PreprocessConfig(min_genes=0, min_cells=0)
            found["preprocess"] = refuses(lambda: preprocess(counted, config))
        if not found["from_anndata"] or kind != "gene":
            whole = Screen.from_anndata(first)
            means = {"means": PerturbedMean.fit(whole)}
            asked = lambda: compare(means, whole, cells, ["A"], key=jr.key(0))
            found["compare"] = refuses(asked)
    assert len(set(found.values())) == 1, (defect, found)
