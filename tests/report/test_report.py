"""The page of a run: what it says, that it needs nothing beside it, and that it fits a screen."""

import base64
import dataclasses
import io
import json
import pathlib
import re
import shutil
import subprocess
from html.parser import HTMLParser
from typing import Any, cast

import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from scbig import baselines, plotting
from scbig.cli import main
from scbig.data import Columns, Screen
from scbig.model import Dosing
from scbig.priors import PathwayLibrary
from scbig.programs import ProgramTable, SoftPartition
from scbig.report import Run, capabilities, write_report
from scbig.service import save
from scbig.splits import Split

from ..analysis.test_ranking import untrained

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
    assert "The run was not scored: no condition of its test has cells here." in text
    run = dataclasses.replace(Run.read(folder), split=None)
    text = write_report(run, tmp_path / "y.html", key=jr.key(0)).read_text()
    assert "The run was not scored: it has no split." in text


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
        "const shown = [...document.images].filter(i => i.complete && i.naturalWidth > 0);"
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
