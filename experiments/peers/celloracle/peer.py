"""CellOracle: signals through a regulatory network, fitted to control cells, py3.10.

The base network has the interactions whose one end is annotated as a transcription factor: the
authors' own is a download. A gene can be perturbed only if it is measured and regulates something.
It predicts a shift: controls are moved by its mean.
"""

import pathlib
import sys
from typing import Any

import anndata as ad
import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {"direction": "up", "alpha": 1.0, "neighbours": 10, "components": 20, "propagations": 3}
FACTOR = "GO:0003700"  # DNA-binding transcription factor activity
CLUSTER = "cells"


def regulators(folder: contract.Folder) -> dict[str, list[str]]:
    """The regulators of each measured gene: factors that interact with it."""
    terms = contract.read_go(folder.prior("go.tsv"))
    contract.check_coverage(terms, folder.genes, "The table of GO terms")
    measured = set(folder.genes)
    factors = {gene for gene in measured if FACTOR in terms.get(gene, ())}
    pairs = contract.read_pairs(folder.prior("interactions.tsv"))
    found: dict[str, set[str]] = {}
    for source, target in {*pairs, *((b, a) for a, b in pairs)}:
        if source in factors and target in measured and source != target:
            found.setdefault(target, set()).add(source)
    return {target: sorted(sources) for target, sources in found.items()}


def refuse_unmoved(folder: contract.Folder, network: dict[str, list[str]]) -> None:
    """Refuses the conditions that move nothing in this network."""
    active = {source for sources in network.values() for source in sources}
    lost = [f"{c} ({g})" for c in folder.test for g in contract.genes_of(c) if g not in active]
    if lost:
        raise ValueError(
            f"CellOracle cannot predict {', '.join(lost)}: the gene is not measured, or regulates "
            f"no measured gene in interactions.tsv. Those that it can: {', '.join(sorted(active))}."
        )


def prepared(folder: contract.Folder, network: dict[str, list[str]], options: Any) -> Any:
    """CellOracle's object with controls, imputed, and a fitted network."""
    import celloracle

    train = folder.train
    own = train[[label == contract.CONTROL for label in train.obs["condition"]]]
    cells = ad.AnnData(contract.dense(own), obs=own.obs.copy())
    cells.obs_names, cells.var_names = list(own.obs_names), folder.genes
    cells.obs[CLUSTER] = CLUSTER
    cells.obs[CLUSTER] = cells.obs[CLUSTER].astype("category")
    cells.obsm["X_plane"] = np.zeros((cells.n_obs, 2))  # asked for, and drawn alone
    cells.uns[f"{CLUSTER}_colors"] = ["#808080"]
    oracle = celloracle.Oracle()
    # It marks variable genes by the way, and fails where genes are few: all are marked.
    oracle.cv_mean_selected_genes = np.array(folder.genes)
    oracle.score_cv_vs_mean = lambda *_, **__: None
    oracle.import_anndata_as_normalized_count(cells, CLUSTER, "X_plane")
    oracle.import_TF_data(TFdict=network)
    oracle.perform_PCA()
    oracle.knn_imputation(
        n_pca_dims=options.components,
        k=options.neighbours,
        balanced=True,
        b_sight=options.neighbours * 8,
        b_maxl=options.neighbours * 4,
        n_jobs=1,
    )
    oracle.fit_GRN_for_simulation(GRN_unit="whole", alpha=options.alpha)
    return oracle


def shift(oracle: Any, label: str, genes: list[str], options: Any) -> np.ndarray:
    """The mean change of each gene as signals propagate from the perturbed ones."""
    imputed = oracle.adata.to_df(layer="imputed_count")
    # Within what was measured, as its authors advise.
    level = {"up": lambda gene: float(imputed[gene].max()), "out": lambda _: 0.0}
    if options.direction not in level:
        raise ValueError(f"--direction must be up or out; got {options.direction!r}.")
    levels = {gene: level[options.direction](gene) for gene in contract.genes_of(label)}
    oracle.simulate_shift(
        perturb_condition=levels, n_propagation=options.propagations, ignore_warning=True
    )
    moved = oracle.adata.to_df(layer="simulated_count") - imputed
    return moved[genes].to_numpy().mean(0)


def main() -> None:
    """Fits, simulates, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    network = regulators(folder)
    refuse_unmoved(folder, network)
    clock = contract.Clock()
    with clock.part("import"):
        import celloracle  # noqa: F401 (it is slow, and timed)
    with clock.part("train"):
        oracle = prepared(folder, network, options)
    trained_on = folder.refuse_leak(oracle.adata.obs["condition"])
    mean = contract.dense(folder.controls).mean(0)
    with clock.part("predict"):
        means = {name: mean + shift(oracle, name, folder.genes, options) for name in folder.test}
    values, labels = folder.shifted(means)
    contract.write(
        folder,
        values,
        labels,
        peer="celloracle",
        package="celloracle",
        trained_on=trained_on,
        clock=clock,
        options={**vars(options), "edges": sum(map(len, network.values()))},
    )


if __name__ == "__main__":
    main()
