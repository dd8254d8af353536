"""The page of a run: what it says, that it needs nothing beside it, and that it fits a screen."""

import base64
import dataclasses
import importlib.metadata
import io
import json
import pathlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any, cast

import anndata as ad
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy.sparse import csr_matrix

from scbig import analysis, baselines, plotting
from scbig.cli import main
from scbig.data import Columns, Screen
from scbig.model import Dosing
from scbig.priors import PathwayLibrary
from scbig.programs import ProgramTable, SoftPartition
from scbig.report import Run, _looks, capabilities, write_report
from scbig.report._judged import Judged
from scbig.service import save
from scbig.splits import Split

from ..analysis.test_ranking import untrained
from ..analysis.test_trajectories import Raised

FIGURE = Figure()
TEST = ["g0+g1", "g2+g3"]
SPLIT = Split.of(name="mine", train=["g0", "g1", "g2", "g3", "g0+g2", "g0+g3", "g1+g3"], test=TEST)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
               None)  # fmt: skip


@pytest.fixture(scope="module")
def folder(four_genes: Any, tmp_path_factory) -> pathlib.Path:
    """A run folder with an untrained model."""
    path = tmp_path_factory.mktemp("runs") / "a <b> & c"
    path.mkdir()
    model = untrained(four_genes, 0)
    save(model, path / "model.scbig")
    ProgramTable.of(four_genes.genes, model.pure.partition).save(path / "programs.csv")
    (path / "config.json").write_text(json.dumps(model.config.to_dict()))
    rows = [
        {"stage": "autoencoder", "step": 10 * n, "reconstruction": 1 / n, "validation": -1 / n}
        for n in range(1, 5)
    ]
    rows += [
        {"stage": "flow", "step": 5, "flow": 0.5, "paired": 1.0, "steps_per_second": 3.0},
        {"stage": "flow", "step": 10, "flow": 0.4, "consistency": 0.2, "validation": 0.1},
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    SPLIT.save(path / "split.json")
    return path


@pytest.fixture(scope="module")
def page(folder, four_genes) -> pathlib.Path:
    sets = PathwayLibrary({"FIRST": tuple(f"g{n}" for n in range(0, 20, 4)), "SOME": ("g1", "g2")})
    options: Any = {"screen": four_genes, "pathways": sets, "cells": 12, "key": jr.key(0)}
    return write_report(Run.read(folder), folder / "report.html", **options)


@pytest.fixture
def no_course(monkeypatch):
    """Leaves out the way along the flow, whose solve is compiled for each number of cells."""
    monkeypatch.setattr(_looks, "course", lambda run, scored, **options: "")


class Read(HTMLParser):
    """Tables, links and images of a page, and every address in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.downloads: dict[str, str] = {}
        self.addresses: list[str] = []
        self.images: list[str] = []
        self.open: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given: dict[str, Any] = dict(attrs)
        self.addresses += [given[name] for name in ("href", "src") if name in given]
        if tag == "a" and "download" in given:
            self.downloads[given["download"]] = given["href"]
        if tag == "img":
            self.images.append(given["alt"])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data

    def csv(self, name: str) -> pd.DataFrame:
        raw = base64.b64decode(self.downloads[name].split(",", 1)[1])
        return pd.read_csv(io.BytesIO(raw), keep_default_na=False, na_values=[""])


def test_the_page_asks_for_nothing_and_is_well_formed(page):
    text = page.read_text()
    found = Read(text)
    assert found.open == []
    assert all(own.startswith(("data:", "#")) for own in found.addresses)
    assert not re.search(r"<script|@import|url\(", text)
    assert "<h1>scBIG: a &lt;b&gt; &amp; c</h1>" in text
    assert all(found.images)
    for link in (own for own in found.addresses if own.startswith("#")):
        assert f'id="{link[1:]}"' in text
    for head in ("What genes do", "Programs that move together", "What the encoder attends to"):
        assert f">{head}</a>" in text
    assert {"gene_responses.csv", "coactivation.csv", "attention.csv"} <= {*found.downloads}
    assert text.count("predicted changes are from the controls as the autoencoder gives them") == 1


def test_scores_are_those_of_compare_beside_simple_rules(page, folder, four_genes):
    found = Read(page.read_text())
    scores = found.csv("scores.csv")
    training = SPLIT.cells(four_genes, "train")
    model = Run.read(folder).model
    predictors: Any = {
        "scBIG": model,
        "control": baselines.Control.fit(training),
        "perturbed mean": baselines.PerturbedMean.fit(training),
        "additive": baselines.Additive.fit(training, missing="perturbed_mean"),
    }
    asked = predictors, four_genes, four_genes, TEST
    expected = baselines.compare(*asked, cells=12, reference=training, key=jr.key(0))
    for place, row in expected.iterrows():
        name, condition = cast(tuple[str, str], place)
        mine: Any = scores[(scores["predictor"] == name) & (scores["condition"] == condition)]
        np.testing.assert_allclose(mine["mse"].iloc[0], row["mse"], rtol=1e-6)
        np.testing.assert_allclose(mine["pearson_delta"].iloc[0], row["pearson_delta"], rtol=1e-6)
    rows = {row[0]: row for row in found.rows}
    mean = expected.xs("scBIG", level="predictor")["pearson_delta"].mean()
    assert float(rows["scBIG"][1].split()[0]) == pytest.approx(mean, abs=6e-4)
    order = found.csv("conditions.csv")["pearson_delta"]
    assert (np.diff(order) <= 0).all()
    assert len(order) == 2


def test_programs_are_named_by_what_they_are_enriched_in(page):
    found = Read(page.read_text())
    members = found.csv("programs.csv")
    assert members.groupby("program").size().to_dict() == {f"P{n}": 5 for n in range(4)}
    rows = {row[0]: row for row in found.rows}
    assert rows["P0"][2] == "g0, g4, g8, g12, g16"
    assert rows["P0"][3].startswith("FIRST (")
    assert rows["P3"][3] == "none"
    responses = found.csv("program_responses.csv")
    assert {*responses["condition"]} == {*TEST}


def test_what_predictions_are_like_is_told_of_each_tested_condition(page, folder, four_genes):
    text = page.read_text()
    found = Read(text)
    near = found.csv("nearest.csv")
    assert {*near["condition"]} == {*TEST}
    assert {*near["neighbour"]} <= {c.name for c in four_genes.conditions if not c.is_control}
    target = found.csv("on_target.csv").set_index(["condition", "gene"])
    measured = four_genes.responses()
    names = [measured.conditions[place].name for place in measured.condition_index]
    changes = dict(zip(names, measured.changes, strict=True))
    assert target["change measured"]["g2+g3", "g3"] == pytest.approx(changes["g2+g3"][3], abs=1e-5)
    pairs = found.csv("interactions.csv").set_index("condition")
    assert {*pairs.index} == {*TEST}
    parts = np.stack([changes["g2"], changes["g3"]], axis=1).astype(np.float64)
    (one, other), *_ = np.linalg.lstsq(parts, changes["g2+g3"], rcond=None)
    assert pairs["magnitude measured"]["g2+g3"] == pytest.approx(np.hypot(one, other), rel=1e-3)
    way = found.csv("course.csv")
    assert way["condition"].nunique() == 1
    assert (way[way["time"] == 0]["response"] == 0).all()
    for about in ("Map of the predicted magnitude", "Map of the measured magnitude"):
        assert any(alt.startswith(about) for alt in found.images)


def in_two_lines(screen: Screen) -> Screen:
    """Every cell in the one and in the other."""
    cells = ad.concat([screen.to_anndata()] * 2, keys=["x", "y"], index_unique="-", label="line")
    return Screen.from_anndata(cells, Columns(context="line"))


def test_the_course_is_of_the_strongest_where_it_is_and_says_its_start(
    folder, four_genes, monkeypatch
):
    asked, size = [], 1.0

    def made(model: Any, controls: Screen, names: list[str], **options: Any) -> pd.DataFrame:
        asked.append((controls, names, options))
        known: Any = {"context": "y", "condition": names[0], "low": 0.0, "high": 1.0}
        return pd.DataFrame(
            [
                known | {"time": time, "program": program, "response": size * time}
                for time in (0.0, 0.5, 1.0) for program in range(4)
            ]
        )  # fmt: skip

    monkeypatch.setattr(analysis, "program_course", made)
    measured = in_two_lines(four_genes)
    predicted = measured.select(TEST)
    moved = predicted.dense()
    moved[predicted.rows("g2+g3", "y")] += 1.0
    predicted = dataclasses.replace(predicted, expression=csr_matrix(moved))
    found = Judged(pd.DataFrame(), tuple(TEST), measured, predicted)
    run = Run.read(folder)
    text = _looks.course(run, found, cells=500, key=jr.key(0))
    controls, names, options = asked[0]
    assert controls.contexts == ("y",)
    assert controls.num_cells == 24
    assert names == ["g2+g3"]
    assert options["cells"] == 64
    assert "g2+g3 in y is predicted to change expression most." in text
    assert "The flow starts from controls: this is" in text
    assert "data:text/csv" in text
    size = 0.0
    several = dataclasses.replace(run.model, anchor=Raised(), others=(run.model.pure,))
    text = _looks.course(dataclasses.replace(run, model=several), found, cells=5, key=jr.key(0))
    assert "starts from controls that the anchor has moved: this is what it adds" in text
    assert "the first is followed. It adds nothing to the mean of any program: that change" in text
    assert asked[1][2]["cells"] == 5
    assert "<img" not in text


def test_the_version_is_that_which_wrote_the_model(folder, tmp_path):
    raw = (folder / "model.scbig").read_bytes()
    line, arrays = raw.split(b"\n", 1)
    header = json.loads(line)
    header["versions"]["scbig-jax"] = "0.0.7"
    other = shutil.copytree(folder, tmp_path / "run")
    (other / "model.scbig").write_bytes(json.dumps(header).encode() + b"\n" + arrays)
    page = write_report(Run.read(other), tmp_path / "old.html", key=jr.key(0))
    rows = {row[0]: row[-1] for row in Read(page.read_text()).rows}
    assert rows["trained with"] == "scBIG 0.0.7"
    assert rows["reported with"] == f"scBIG {importlib.metadata.version('scbig-jax')}"


def test_what_cannot_be_known_is_said(folder, four_genes):
    run = Run.read(folder)
    answers = capabilities(run.model, run.split).set_index("question")["answer"]
    assert answers["dose"] == "none: no training cell had one"
    assert "not told apart" in answers["another cell line or state"]
    assert "4 have a vector" in answers["perturbations"]
    assert "of up to" in answers["combinations"]
    names = dataclasses.replace(run.model.names, dosing=Dosing(mean=0.0, scale=1.0, always=True))
    dosed = dataclasses.replace(run.model, names=names)
    assert "logarithm" in capabilities(dosed).set_index("question")["answer"]["dose"]


def test_the_losses_of_each_stage_are_drawn(folder, monkeypatch):
    drawn = []
    monkeypatch.setattr(plotting, "training_curves", lambda table: drawn.append([*table]) or FIGURE)
    write_report(Run.read(folder), folder / "curves.html", key=jr.key(0))
    first, second = drawn
    assert {*first} == {"step", "reconstruction", "validation"}
    assert {*second} == {"step", "flow", "consistency", "validation"}


def test_programs_that_share_genes_are_named_too(folder, tmp_path):
    run = Run.read(folder)
    hard: Any = run.model.pure.partition
    labels = np.asarray(hard.labels)
    both = np.stack([labels, (labels + 1) % 4], axis=1)
    soft = SoftPartition.from_shares(both, np.tile(np.array([0.8, 0.2], np.float32), (20, 1)), 4)
    pure = dataclasses.replace(run.model.pure, partition=soft)
    own = dataclasses.replace(run, model=dataclasses.replace(run.model, pure=pure))
    sets = PathwayLibrary({"FIRST": tuple(f"g{n}" for n in range(0, 20, 4))})
    page = write_report(own, tmp_path / "soft.html", pathways=sets, key=jr.key(0))
    rows = {row[0]: row for row in Read(page.read_text()).rows}
    assert rows["P0"][3].startswith("FIRST (")


@pytest.mark.usefixtures("no_course")
def test_a_split_of_contexts_is_scored_where_it_tests(folder, four_genes, tmp_path):
    cells = four_genes.to_anndata()
    # g2+g3 has cells in one line alone.
    line = np.where(np.arange(len(cells)) % 2, "x", "y")
    line[cells.obs["condition"] == "g2+g3"] = "x"
    cells.obs["line"] = line
    screen = Screen.from_anndata(cells, Columns(context="line"))
    split = Split.of(name="lines", train=SPLIT.train, test=TEST, test_contexts=["y"],
                     train_contexts=["x"])  # fmt: skip
    run = dataclasses.replace(Run.read(folder), split=split)
    page = write_report(run, tmp_path / "lines.html", screen=screen, cells=8, key=jr.key(0))
    scores = Read(page.read_text()).csv("scores.csv")
    assert {*scores["context"]} == {"y"}
    assert {*scores["condition"]} == {"g0+g1"}
    only = Split.of(name="lines", train=SPLIT.train, test=["g2+g3"], test_contexts=["y"],
                    train_contexts=["x"])  # fmt: skip
    run = dataclasses.replace(run, split=only)
    page = write_report(run, tmp_path / "none.html", screen=screen, cells=8, key=jr.key(0))
    assert "not scored: no condition of its test has cells here" in page.read_text()


def test_without_cells_it_says_that_nothing_is_scored(folder, tmp_path):
    text = write_report(Run.read(folder), tmp_path / "x.html", key=jr.key(0)).read_text()
    assert "not scored: no cells were given. Give those of training and test, with --data." in text
    run = dataclasses.replace(Run.read(folder), split=None)
    text = write_report(run, tmp_path / "y.html", key=jr.key(0)).read_text()
    assert "The run was not scored: it has no split." in text


@pytest.mark.usefixtures("no_course")
def test_the_command_writes_it_into_the_folder_and_names_what_is_not_one(
    folder, four_genes, tmp_path, capsys
):
    data = tmp_path / "cells.h5ad"
    four_genes.to_anndata().write_h5ad(data)
    out = tmp_path / "r.html"
    given = ["--data", str(data), "--out", str(out), "--cells", "8"]
    assert main(["report", str(folder), *given]) == 0
    assert "How good it is" in out.read_text()
    assert main(["report", str(tmp_path), *given]) == 1
    assert "has no model.scbig: it is not the folder of a run" in capsys.readouterr().err
    few = four_genes.to_anndata()[:, :10].copy()
    few.write_h5ad(data)
    assert main(["report", str(folder), *given]) == 1
    assert (
        "The cells do not have the genes of the run: one side alone has" in capsys.readouterr().err
    )


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_shows_it_without_scrolling_sideways(page, tmp_path, width):
    # A window cannot be as narrow as a phone's, a frame in it can; it tells what it measures.
    probe = (
        "<script>addEventListener('load', () => { const d = document.documentElement;"
        "const shown = [...document.images].filter("
        "i => i.complete && i.naturalWidth > 0 && i.width <= i.naturalWidth);"
        "parent.postMessage([d.scrollWidth, innerWidth, document.images.length, shown.length]"
        ".join(' '), '*') })</script></body>"
    )
    copy, frame = tmp_path / "probe.html", tmp_path / "frame.html"
    copy.write_text(page.read_text().replace("</body>", probe))
    frame.write_text(
        "<title>waiting</title><script>onmessage = e => document.title = e.data</script>"
        f'<iframe src="{copy.as_uri()}" style="width:{width}px;height:800px;border:0"></iframe>'
    )
    made = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--virtual-time-budget=5000", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,900", "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    (title,) = re.findall(r"<title>([^<]*)</title>", made.stdout)
    across, window, images, shown = map(int, title.split())
    assert window == width
    assert across <= window
    assert images == shown > 2
