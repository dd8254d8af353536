"""Populations of seen conditions, of which cells were held out."""

import runpy

import anndata as ad
import pandas as pd
import pytest

import scbig

from .small import EXPERIMENTS, bare


@pytest.mark.slow
def test_seen_conditions_are_compared_with_cells_that_were_held_out(tmp_path, capsys):
    script = runpy.run_path(str(EXPERIMENTS / "shapes.py"))
    run = script["Shapes"](model=scbig.anchored(bare()), out=tmp_path, proportions=1.0)
    means = script["main"](run)
    assert list(means.index) == ["own", "controls", "shift", "anchor", "scBIG"]
    # Types respond differently: a shift cannot be right within them, nor controls anywhere.
    assert means.within_types["own"] < 0.3 * means.within_types["shift"]
    assert means.e_distance["anchor"] < means.e_distance["controls"]
    assert len(pd.read_csv(tmp_path / "shapes.csv")) == 5 * 12
    assert "steps of the flow" in capsys.readouterr().out


@pytest.mark.slow
def test_counts_with_other_columns_are_compared_too(shared_file, tmp_path):
    script = runpy.run_path(str(EXPERIMENTS / "shapes.py"))
    cells = ad.read_h5ad(shared_file("data/papalexi21_thp1_20729x299.h5ad"))
    few = ["non-targeting", "STAT1", "IFNGR2", "SMAD4", "MYC", "JAK2"]
    chosen = cells[cells.obs["target"].isin(few)][::2]
    # As text that any anndata writes.
    obs, var = (
        pd.DataFrame(chosen.obs),
        pd.DataFrame(index=pd.Index([*chosen.var_names], dtype=object)),
    )
    obs = obs.astype({name: object for name in ("target", "batch")})
    obs.index = obs.index.astype(object)
    kept = pd.DataFrame(obs[["target", "batch", "top_guide_frac"]])
    part = ad.AnnData(chosen.X, obs=kept, var=var)
    part.write_h5ad(tmp_path / "cells.h5ad")
    means = script["main"](
        script["Shapes"](
            data=tmp_path / "cells.h5ad",
            embeddings=shared_file("priors/enformer_tss_19685x32.npz"),
            interactions=shared_file("priors/string_v12_ge800.tsv.gz"),
            pathways=shared_file("priors/ReactomePathways.gmt"),
            counts=True,
            condition="target",
            certain="top_guide_frac",
            model=scbig.anchored(bare()),
            out=tmp_path,
        )
    )
    assert means.e_distance["shift"] < 0.5 * means.e_distance["controls"]
