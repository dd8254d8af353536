"""The audit of real gene programs runs from end to end, and writes what it promises."""

import pathlib
import runpy

import numpy as np
import pandas as pd
import pytest

from scbig import programs

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "programs.py"
PARTITIONS = [
    "GRC",
    "GRC without interactions",
    "GRC without embeddings",
    "k-means",
    "balanced k-means",
    "file order",
    "GRC, exact rounding",
    "GRC, best of 10 starts",
    "GRC, consensus of 10",
    "GRC, sizes within 20 %",
    "GRC, interactions x 10",
    "random",
]


@pytest.mark.slow
def test_the_audit_has_a_pulse_on_real_priors(shared_file, tmp_path, capsys):
    script = runpy.run_path(str(SCRIPT))
    run = script["Programs"](
        effects=shared_file("data/norman19_effects_234x2000.npz"),
        embeddings=shared_file("priors/enformer_tss_19685x32.npz"),
        interactions=shared_file("priors/string_v12_ge800.tsv.gz"),
        pathways=shared_file("priors/ReactomePathways.gmt"),
        out=tmp_path / "new",
        programs=programs.GRC(clusters=8, rounds=3, start=programs.KMeansStart(tries=1)),
        seeds=2,
    )
    audit = script["main"](run)
    assert set(audit.index) == {(name, seed) for seed in (0, 1) for name in PARTITIONS}
    written = pd.read_csv(run.out / "audit.csv", index_col=[0, 1])
    pd.testing.assert_frame_equal(written, audit, check_dtype=False)
    grc = audit.loc[("GRC", 0)]
    assert grc[["programs", "smallest", "largest"]].tolist() == [8, 256, 256]
    # The programs made from interactions hold more of them than random ones of their sizes.
    assert grc["density_z"] > 10 > abs(audit.loc[("random", 0), "density_z"])

    genes = pd.read_csv(run.out / "genes.csv", keep_default_na=False)
    assert genes.columns.tolist() == ["gene", "program", "slot", "interactions", "inside"]
    assert genes["gene"].nunique() == len(genes) == 2048
    assert {"KLF1", "MAP2K6", "CEBPE"} <= set(genes["gene"])
    tested = pd.read_csv(run.out / "fine.csv", keep_default_na=False)
    assert len(tested) == 8 * tested["set"].nunique()
    assert tested["significant"].sum() == grc["significant_pairs"]
    saved = programs.read_programs(run.out / "programs.csv")
    assert (
        saved.align(genes["gene"].tolist()).partition.labels.tolist() == genes["program"].tolist()
    )
    assert saved.provenance["config"]["clusters"] == 8
    members = genes.groupby("program")["gene"].agg(set)
    for row in tested[tested["overlap"] > 0].iloc[:50].to_dict("records"):
        assert set(row["genes"].split(";")) <= members[row["program"]]
    coarse = pd.read_csv(run.out / "coarse.csv", keep_default_na=False)
    assert {"Cell Cycle", "Metabolism", "Immune System"} <= set(coarse["set"])
    agreement = pd.read_csv(run.out / "agreement.csv", index_col=0)
    np.testing.assert_allclose(np.diag(agreement), 1)
    files = {path.name for path in run.out.iterdir()}
    assert {"fine.png", "coarse.png", "interactions.png"} <= files
    said = capsys.readouterr().out
    assert "gene embeddings: 1659 of 2048 genes" in said
    assert "interactions: 780 of 2048 genes" in said
