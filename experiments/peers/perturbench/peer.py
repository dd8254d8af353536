"""Latent additive, CPA and samsVAE of PerturBench, by `--model`, from a checkout, py3.11.

PerturBench learns a code for each perturbed gene: it predicts combinations of genes that are
perturbed in training. Its own command wants measured test cells; this drives its classes.
"""

import pathlib
import sys
import tempfile
import types
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {
    "source": "",
    "model": "latent-additive",
    "epochs": 40,
    "batch": 256,
    "rate": 1e-3,
    "seed": 0,
}
SOURCE = {
    "what": "A checkout of PerturBench, which is on no index,",
    "where": "github.com/altoslabs/perturbench",
    "option": "--source",
}
KEYS = {
    "perturbation_key": "condition",
    "perturbation_combination_delimiter": "+",
    "covariate_keys": ["cell_type"],
    "perturbation_control_value": contract.CONTROL,
}


def architecture(name: str) -> tuple[str, bool, dict[str, Any]]:
    """Class, whether it reads a control for each cell, and sizes that two cores train."""
    known = {
        "latent-additive": (
            "LatentAdditive",
            True,
            {
                "n_layers": 1,
                "encoder_width": 256,
                "latent_dim": 64,
                "dropout": 0.1,
                "softplus_output": True,
                # With one cell type they are squeezed away.
                "inject_covariates_encoder": False,
                "inject_covariates_decoder": False,
            },
        ),
        "cpa": (
            "CPA",
            False,
            {"n_latent": 32, "hidden_dim": 256, "n_layers_encoder": 2, "use_covariates": False},
        ),
        "samsvae": (
            "SparseAdditiveVAE",
            False,
            {
                "n_layers_encoder_x": 2,
                "n_layers_encoder_e": 2,
                "n_layers_decoder": 2,
                "hidden_dim_x": 256,
                "hidden_dim_cond": 128,
                "latent_dim": 32,
            },
        ),
    }
    if name not in known:
        raise ValueError(f"--model must be one of {', '.join(known)}; got {name!r}.")
    return known[name]


def cells_of(cells: ad.AnnData) -> ad.AnnData:
    """Cells as PerturBench reads them: sparse, and categories in `obs`."""
    made = ad.AnnData(sparse.csr_matrix(contract.dense(cells)))
    made.obs_names, made.var_names = list(cells.obs_names), list(cells.var_names)
    made.obs["condition"] = pd.Categorical(cells.obs["condition"])
    made.obs["cell_type"] = pd.Categorical(["cells"] * cells.n_obs)
    return made


def data_module(folder: contract.Folder, *, controls: bool) -> types.SimpleNamespace:
    """What a model of PerturBench asks of its data module, with training and validation cells."""
    from perturbench.data import datasets
    from perturbench.data.transforms.pipelines import SingleCellPipeline

    kind = "SingleCellPerturbationWithControls" if controls else "SingleCellPerturbation"
    cells, (train, held) = cells_of(folder.measured()), folder.divided()
    parts = {}
    for part, labels in (("train", train), ("val", held or train)):
        own = cells[cells.obs["condition"].isin([*labels, contract.CONTROL])].copy()
        parts[part], context = getattr(datasets, kind).from_anndata(own, **KEYS)
        if part == "train":
            first = context
    transform = SingleCellPipeline(first["perturbation_uniques"], first["covariate_uniques"])
    for part in parts.values():
        part.transform = transform
    return types.SimpleNamespace(
        train_dataset=parts["train"],
        val_dataset=parts["val"],
        train_context=first,
        evaluation=None,
        num_genes=len(folder.genes),
        num_perturbations=len(first["perturbation_uniques"]),
        embedding_width=None,
    )


def fit(model: Any, module: types.SimpleNamespace, options: Any, work: str) -> None:
    """Trains for some epochs; the last one's parameters stay."""
    import lightning
    from perturbench.data.collate import noop_collate
    from perturbench.data.utils import batch_dataloader

    loaders = [
        batch_dataloader(one, options.batch, shuffle=shuffle, collate_fn=noop_collate())
        for one, shuffle in ((module.train_dataset, True), (module.val_dataset, False))
    ]
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        default_root_dir=work,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, *loaders)


def predicted(model: Any, folder: contract.Folder, seed: int) -> ad.AnnData:
    """A cell for each control and condition."""
    import torch
    from perturbench.data.datasets import Counterfactual

    starts = cells_of(folder.controls)
    starts.obs["condition"] = contract.CONTROL
    asked = pd.DataFrame({"condition": folder.test, "cell_type": "cells"})
    most = starts.n_obs
    dataset, _ = Counterfactual.from_anndata(
        starts, asked, seed=seed, max_control_cells_per_covariate=most, **KEYS
    )
    # Set past its check, which asks for three conditions.
    dataset._transform = model.training_record["transform"]
    model.eval()
    with torch.no_grad():
        made = [model.predict_step(dataset[row], row) for row in range(len(dataset))]
    return ad.concat(made, index_unique="-")


def main() -> None:
    """Trains, predicts, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    name, controls, sizes = architecture(options.model)
    source = contract.require(options.source, ["src/perturbench"], **SOURCE)
    sys.path.insert(0, str(source / "src"))
    clock = contract.Clock()
    with clock.part("import"):
        import lightning
        from perturbench.modelcore import models

    lightning.seed_everything(options.seed)
    folder.refuse_unseen(folder.divided()[0])
    module = data_module(folder, controls=controls)
    trained_on = folder.refuse_leak(
        "+".join(genes)
        for part in (module.train_dataset, module.val_dataset)
        for genes in part.perturbations
    )
    model = getattr(models, name)(
        n_genes=None, n_perts=None, datamodule=module, lr=options.rate, **sizes
    )
    with tempfile.TemporaryDirectory(dir=folder.out) as work, clock.part("train"):
        fit(model, module, options, work)
    with clock.part("predict"):
        cells = predicted(model, folder, options.seed)
    contract.write(
        folder,
        np.maximum(contract.dense(cells), 0),
        cells.obs["condition"].tolist(),
        peer=options.model,
        package=contract.checkout(source, "perturbench"),
        trained_on=trained_on,
        clock=clock,
        options={**vars(options), **sizes, "set aside": folder.divided()[1]},
    )


if __name__ == "__main__":
    main()
