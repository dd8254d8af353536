"""Every public screen's structure, made small, read into the tidy form."""

import dataclasses
import functools
import hashlib
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbig import datasets
from scbig.data import Columns, Screen
from scbig.datasets import _tidy as tidy_module, from_combosciplex, from_scperturb, load, read
from scbig.preprocess import PreprocessConfig, preprocess

NORMAN, RPE1, K562, COMBO = datasets.sources()

# Labels as published, and what they mean.
NORMAN_LABELS = {
    "control": "control",
    "KLF1": "KLF1",
    "MAP2K6_KLF1": "KLF1+MAP2K6",
    "RHOXF2BB": "RHOXF2BB",
    "RHOXF2BB_SET": "RHOXF2BB+SET",
}
REPLOGLE_LABELS = {"control": "control", "AARS": "AARS", "TBCE": "TBCE"}
DRUGS = {
    ("control", "control"): "control",
    ("control", "Panobinostat"): "Panobinostat",
    ("SRT2104\N{NO-BREAK SPACE}", "Alvespimycin"): "Alvespimycin+SRT2104",
    ("Cediranib", "PCI-34051"): "Cediranib+PCI-34051",
}


def make_counts(num_cells: int, num_genes: int) -> np.ndarray:
    rng = np.random.default_rng(num_cells)
    rates = rng.gamma(1.0, 3.0, num_genes)
    return rng.poisson(rates, (num_cells, num_genes)).astype(np.float32)


def cell_names(num_cells: int) -> pd.Index:
    return pd.Index([f"AAAC{i}-1" for i in range(num_cells)], name="cell_barcode")


def make_norman(layout=sparse.csr_matrix) -> Any:
    """As scPerturb writes it; `DUP` is there three times."""
    labels = list(NORMAN_LABELS) * 12
    genes = ["KLF1", "DUP", "SET", "DUP", "MAP2K6", "DUP", *(f"G{i}" for i in range(24))]
    obs = pd.DataFrame(
        {
            "guide_id": [f"{label}__{label}" for label in labels],
            "perturbation": pd.Categorical(labels),
            "nperts": [0 if x == "control" else x.count("_") + 1 for x in labels],
            "cell_line": "K562",
            "ncounts": 1.0,
        },
        index=cell_names(len(labels)),
    )
    var = pd.DataFrame(
        {"ensemble_id": [f"ENSG{i:05d}" for i in range(len(genes))], "ncells": 1},
        index=pd.Index(genes, name="gene_symbol"),
    )
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        return ad.AnnData(layout(make_counts(len(labels), len(genes))), obs=obs, var=var)


def make_replogle(cell_line: str) -> Any:
    """As scPerturb writes it: dense, the authors' `gene` beside `perturbation`."""
    labels = list(REPLOGLE_LABELS) * 12
    genes = ["AARS", "TBCE_ENSG00000284770", "TBCE_ENSG00000285053", *(f"G{i}" for i in range(25))]
    obs = pd.DataFrame(
        {
            "gene": pd.Categorical([x.replace("control", "non-targeting") for x in labels]),
            "perturbation": pd.Categorical(labels),
            "nperts": [int(label != "control") for label in labels],
            "cell_line": pd.Categorical([cell_line] * len(labels)),
            "batch": 1,
        },
        index=cell_names(len(labels)),
    )
    var = pd.DataFrame(
        {"ensembl_id": [f"ENSG{i:05d}" for i in range(len(genes))]},
        index=pd.Index(genes, name="gene_name"),
    )
    return ad.AnnData(make_counts(len(labels), len(genes)), obs=obs, var=var)


def make_combosciplex() -> Any:
    """As pertpy distributes it: log-normalised CSC in `X`, counts in a layer."""
    pairs = list(DRUGS) * 12
    counts = make_counts(len(pairs), 30)
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4)
    obs = pd.DataFrame(
        {
            "Drug1": pd.Categorical([first for first, _ in pairs]),
            "Drug2": pd.Categorical([second for _, second in pairs]),
            "condition": pd.Categorical([f"{first}+{second}" for first, second in pairs]),
            "cell_type": "A549",
            "Size_Factor": 1.0,
        },
        index=cell_names(len(pairs)),
    )
    symbols = pd.Series([f"G{i}" for i in range(30)], dtype=object)
    symbols[7] = None
    ids = [f"ENSG{i:05d}" for i in range(30)]
    var = pd.DataFrame(
        {"id": ids, "gene_short_name": symbols.to_numpy()}, index=pd.Index(ids, name="gene")
    )
    return ad.AnnData(
        sparse.csc_matrix(logs), obs=obs, var=var, layers={"counts": sparse.csc_matrix(counts)}
    )


MADE = {
    "norman2019": make_norman,
    "replogle2022_rpe1": functools.partial(make_replogle, "hTERT-RPE1"),
    "replogle2022_k562": functools.partial(make_replogle, "K562"),
    "combosciplex": make_combosciplex,
}


def counts_of(adata: Any) -> np.ndarray:
    matrix = adata.layers.get("counts", adata.X)
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def test_norman():
    made = make_norman()
    tidy = from_scperturb(made, NORMAN)
    assert isinstance(tidy.X, sparse.csr_matrix)
    assert tidy.X.dtype == np.float32
    np.testing.assert_array_equal(counts_of(tidy), counts_of(made))
    assert list(tidy.obs["condition"]) == list(NORMAN_LABELS.values()) * 12
    assert set(tidy.obs["context"]) == {"K562"}
    assert "dose" not in tidy.obs
    assert list(tidy.obs["perturbation"]) == list(NORMAN_LABELS) * 12
    assert list(tidy.obs_names) == list(made.obs_names)
    renamed = ["DUP_ENSG00003", "DUP_ENSG00005"]
    wanted = ["KLF1", "DUP", "SET", renamed[0], "MAP2K6", renamed[1]]
    assert list(tidy.var_names[:6]) == wanted
    assert list(tidy.var["ensembl_id"][:2]) == ["ENSG00000", "ENSG00001"]
    source = tidy.uns["source"]
    assert list(source["duplicate_symbols_renamed"]) == renamed
    assert source["url"] == NORMAN.url
    assert source["checksum"] == "md5:c870e6967d91c017d9da827bab183cd6"
    assert list(made.var_names[:2]) == ["KLF1", "DUP"]
    assert "condition" not in made.obs


@pytest.mark.parametrize(("source", "line"), [(RPE1, "hTERT-RPE1"), (K562, "K562")])
def test_replogle(source, line):
    made = make_replogle(line)
    tidy = from_scperturb(made, source)
    np.testing.assert_array_equal(counts_of(tidy), counts_of(made))
    assert list(tidy.obs["condition"]) == list(REPLOGLE_LABELS.values()) * 12
    assert set(tidy.obs["context"]) == {source.name.removeprefix("replogle2022_").upper()}
    assert list(tidy.var_names) == list(made.var_names)
    assert list(tidy.var["ensembl_id"]) == list(made.var["ensembl_id"])


def test_the_authors_name_of_the_control_is_understood():
    made = make_replogle("K562")
    made.obs["perturbation"] = made.obs["gene"]
    assert list(from_scperturb(made, K562).obs["condition"]) == list(REPLOGLE_LABELS.values()) * 12


def test_the_vehicle_is_a_control():
    made = make_combosciplex()
    for key in ("Drug1", "Drug2"):
        made.obs[key] = made.obs[key].astype(str).replace("control", "DMSO\N{NO-BREAK SPACE}")
    assert list(from_combosciplex(made, COMBO).obs["condition"]) == list(DRUGS.values()) * 12


def test_combosciplex():
    made = make_combosciplex()
    tidy = from_combosciplex(made, COMBO)
    assert isinstance(tidy.X, sparse.csr_matrix)
    np.testing.assert_array_equal(counts_of(tidy), counts_of(made))
    assert list(tidy.obs["condition"]) == list(DRUGS.values()) * 12
    assert list(tidy.obs["dose"]) == ["", "1", "1+1", "1+1"] * 12
    assert tidy.uns["source"]["dose_unit"] == "uM"
    assert set(tidy.obs["context"]) == {"A549"}
    assert list(tidy.obs["published_condition"]) == list(made.obs["condition"])
    assert list(tidy.var_names) == [f"G{i}" if i != 7 else "ENSG00007" for i in range(30)]
    assert list(tidy.var["ensembl_id"]) == list(made.var["id"])


@pytest.mark.parametrize("name", list(MADE))
def test_the_tidy_form_goes_straight_into_preprocessing_and_a_screen(name, tmp_path):
    source = next(s for s in datasets.sources() if s.name == name)
    MADE[name]().write_h5ad(tmp_path / "as_published.h5ad")
    tidy = read(tmp_path / "as_published.h5ad", source)
    tidy.write_h5ad(tmp_path / "tidy.h5ad")
    again = ad.read_h5ad(tmp_path / "tidy.h5ad")
    config = PreprocessConfig(min_genes=3, min_cells=2)
    logged = preprocess(again, config)
    screen = Screen.from_anndata(logged, Columns(context="context"))
    assert screen.contexts == (source.context,)
    assert {c.name for c in screen.conditions} == set(tidy.obs["condition"])
    assert len(screen.rows("control")) == 12
    np.testing.assert_array_equal(counts_of(logged), counts_of(tidy[:, logged.var_names]))


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("backed", [True, False])
def test_some_cells_are_read_of_any_layout(layout, backed, tmp_path, monkeypatch):
    monkeypatch.setattr(tidy_module, "_CHUNK", 7)
    made = make_norman(layout)
    path = tmp_path / "norman.h5ad"
    made.write_h5ad(path)
    chosen = (made.obs["perturbation"] == "KLF1").to_numpy()

    def klf1(obs: pd.DataFrame) -> np.ndarray:
        assert set(obs["context"]) == {"K562"}
        return (obs["condition"] == "KLF1").to_numpy()

    tidy = (read if backed else from_scperturb)(path if backed else made, NORMAN, cells=klf1)
    np.testing.assert_array_equal(counts_of(tidy), counts_of(made)[chosen])
    assert list(tidy.obs_names) == list(made.obs_names[chosen])
    assert list(tidy.obs["condition"].cat.categories) == ["KLF1"]
    assert tidy.uns["source"]["published_cells"] == made.n_obs


def test_bad_files_are_refused():
    made = make_norman()
    made.obs["nperts"] = np.arange(made.n_obs) % 2
    with pytest.raises(ValueError, match="several numbers"):
        from_scperturb(made, NORMAN)

    made = make_norman()
    made.obs["cell_line"] = ["K562", "A549"] * 30
    with pytest.raises(ValueError, match="2 cell lines, 'K562', 'A549'"):
        from_scperturb(made, NORMAN)

    made = make_norman()
    made.obs["perturbation"] = made.obs["perturbation"].cat.set_categories(["control", "KLF1"])
    with pytest.raises(ValueError, match="is missing in 36 of 60 cells"):
        from_scperturb(made, NORMAN)

    made = make_norman()
    made.X = made.X * 0.5
    with pytest.raises(ValueError, match="Raw counts are needed"):
        from_scperturb(made, NORMAN)

    made = make_norman()
    made.var["ensemble_id"] = "ENSG1"
    with pytest.raises(ValueError, match="'DUP_ENSG1'"):
        from_scperturb(made, NORMAN)

    with pytest.raises(ValueError, match="no column 'perturbation'"):
        from_scperturb(make_combosciplex(), NORMAN)
    with pytest.raises(ValueError, match="no column 'Drug1'"):
        from_combosciplex(make_norman(), COMBO)

    made = make_combosciplex()
    made.obs["Drug2"] = made.obs["Drug2"].astype(str).replace("Alvespimycin", "17+DMAG")
    with pytest.raises(ValueError, match=r"'17\+DMAG'"):
        from_combosciplex(made, COMBO)

    made = make_combosciplex()
    made.obs["Drug2"] = made.obs["Drug1"]
    with pytest.raises(ValueError, match="one perturbation twice"):
        from_combosciplex(made, COMBO)

    made = make_combosciplex()
    del made.layers["counts"]
    with pytest.raises(ValueError, match="no layer 'counts'"):
        from_combosciplex(made, COMBO)


def test_a_truncated_or_foreign_file_is_named(tmp_path):
    path = tmp_path / "norman.h5ad"
    make_norman().write_h5ad(path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:5], b"<html>Too many requests</html>"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="truncated, damaged or something else") as caught:
            read(path, "norman2019")
        assert str(path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent.h5ad", "norman2019")


@pytest.mark.parametrize("name", list(MADE))
def test_one_call_fetches_and_reads(name, server, tmp_path, capsys):
    made = MADE[name]()
    made.write_h5ad(tmp_path / "as_published.h5ad")
    server.content = (tmp_path / "as_published.h5ad").read_bytes()
    record = next(s for s in datasets.sources() if s.name == name)
    checksum = record.checksum and f"md5:{hashlib.md5(server.content).hexdigest()}"
    record = dataclasses.replace(record, url=server.url, checksum=checksum)
    tidy = load(record, folder=tmp_path / "cache", progress=False)
    np.testing.assert_array_equal(counts_of(tidy), counts_of(made))
    printed = capsys.readouterr().err
    assert record.licence in printed
    assert record.citation in printed
    assert ("2 genes whose symbol is there before" in printed) == (name == "norman2019")
    # The file is there now: the server is not needed.
    server.status = 404
    few = load(record, folder=tmp_path / "cache", cells=lambda obs: obs["condition"] == "control")
    assert few.n_obs == 12
