"""GraphVCI, from a checkout with its submodule: counterfactuals on a graph of genes, py3.11.

One code for each perturbed gene, summed: it predicts combinations of genes that are perturbed in
training. The graph is learnt; its authors' graphs are a download.
"""

import itertools
import json
import pathlib
import sys
import types
from typing import Any

import anndata as ad
import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {"source": "", "epochs": 10, "batch": 128, "omega": 10.0, "seed": 0}
SOURCE = {
    "what": "A checkout of GraphVCI with its submodule (git clone --recurse-submodules)",
    "where": "github.com/yulun-rayn/graphVCI",
    "option": "--source",
}
SUBMODULE = "variational-causal-inference"


def importable(source: pathlib.Path) -> None:
    """Puts the checkout on the path, with a module of old torch that it asks for."""
    sys.path[:0] = [str(source), str(source / SUBMODULE)]
    old: Any = types.ModuleType("torch._six")
    old.string_classes = (str, bytes)
    sys.modules["torch._six"] = old


def cells_of(folder: contract.Folder) -> ad.AnnData:
    """Training cells as GraphVCI reads them."""
    cells = folder.train.copy()
    labels = list(cells.obs["condition"])
    cells.X = contract.dense(cells)
    cells.obs["perturbation"] = labels
    cells.obs["control"] = [int(label == contract.CONTROL) for label in labels]
    # One dose for each gene of a label.
    cells.obs["dose"] = ["+".join("1" for _ in label.split("+")) for label in labels]
    cells.obs["covariates"], cells.obs["split"] = "cells", "train"
    # It looks up its own columns' names here, and ranks genes unless that is done.
    cells.uns["fields"], cells.uns["rank_genes_groups_cov"] = {}, {}
    return cells


def train(model: Any, data: Any, options: Any) -> None:
    """GraphVCI's own loop, without its evaluation, which wants measured test cells."""
    import torch
    from vci.utils.data_utils import data_collate

    collate = lambda batch: data_collate(batch, nb_dims=1)
    loader = torch.utils.data.DataLoader(data, options.batch, shuffle=True, collate_fn=collate)
    for epoch in range(options.epochs):
        told = [model.update(*batch[:4], batch[4:]) for batch in loader]
        model.update_eval_encoder()
        print(
            epoch, {key: float(np.mean([one[key] for one in told])) for key in told[0]}, flush=True
        )


def predicted(model: Any, data: Any, folder: contract.Folder) -> np.ndarray:
    """A cell for each control and condition: the decoded mean of that cell's latent state."""
    import torch

    starts = torch.as_tensor(contract.dense(folder.controls))
    every = lambda code: code.repeat(len(starts), 1)
    covariates = [every(next(iter(codes.values()))) for codes in data.covars_dict.values()]
    before = every(data.perts_dict[contract.CONTROL])
    model.eval()
    rows = []
    for label in folder.test:
        after = every(torch.stack([data.perts_dict[g] for g in contract.genes_of(label)]).sum(0))
        rows.append(model.predict(starts, before, after, covariates).cpu().numpy())
    return np.maximum(np.concatenate(rows), 0)


def main() -> None:
    """Trains, predicts, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    source = contract.require(options.source, ["gvci", f"{SUBMODULE}/vci"], **SOURCE)
    folder.refuse_unseen(folder.trained)
    importable(source)
    clock = contract.Clock()
    with clock.part("import"):
        import torch
        from gvci.model import load_graphVCI
        from vci.dataset import load_dataset_splits

    torch.manual_seed(options.seed)
    # GraphVCI draws counterfactuals by NumPy's global generator.
    np.random.seed(options.seed)  # noqa: NPY002, TID251
    data = load_dataset_splits(cells_of(folder), sample_cf=True)["training"]
    trained_on = folder.refuse_leak(data.pert_names)
    model = load_graphVCI(
        {
            "graph_path": None,
            "cpu": not torch.cuda.is_available(),
            "gpu": "0",
            "num_outcomes": data.num_genes,
            "num_treatments": data.num_perturbations,
            "num_covariates": data.num_covariates,
            "omega0": 1.0,
            "omega1": options.omega,
            "omega2": 0.1,
            "outcome_dist": "normal",
            "dist_mode": "match",
            "graph_mode": "sparse",
            "encode_aggr": "sum",
            "decode_aggr": "att",
            "patience": 20,
            "hparams": str(source / "hparams.json"),
        }
    )
    with clock.part("train"):
        train(model, data, options)
    with clock.part("predict"):
        values = predicted(model, data, folder)
    labels = itertools.chain(*([name] * folder.controls.n_obs for name in folder.test))
    contract.write(
        folder,
        values,
        list(labels),
        peer="graphvci",
        package=contract.checkout(source, "graphVCI"),
        trained_on=trained_on,
        clock=clock,
        options={**vars(options), **json.loads((source / "hparams.json").read_text())},
    )


if __name__ == "__main__":
    main()
