"""STATE (arc-state): a transformer over sets of cells with an energy loss, py3.11.

A perturbation is the sum of its genes' embeddings. STATE predicts a cell for each test cell that
its file has: these are copies of controls under the label to predict, whose values it never reads.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {
    "steps": 600,
    "hidden": 128,
    "layers": 2,
    "set_size": 64,
    "batch": 4,
    "rate": 3e-4,
    "seed": 0,
    "weights": "",
}
WEIGHTS = {
    "what": "A checkpoint of STATE's transition model, with its own --hidden and --layers,",
    "where": "Arc Institute's models on the Hugging Face hub (ST-Tahoe, ST-SE-Replogle, ...)",
    "option": "--weights",
}
ENVIRONMENT = {"WANDB_MODE": "disabled", "HF_HUB_OFFLINE": "1"}


def screen_file(folder: contract.Folder, path: pathlib.Path) -> None:
    """Writes measured cells and placeholders for the cells to predict, as STATE reads them."""
    measured, starts = folder.measured(), folder.controls
    values = np.concatenate(
        [contract.dense(measured), *[contract.dense(starts)] * len(folder.test)]
    )
    labels = [
        *measured.obs["condition"],
        *np.repeat(folder.test, starts.n_obs).tolist(),
    ]
    cells = ad.AnnData(values, obsm={"X_hvg": values})
    cells.obs_names = np.array([f"cell{row}" for row in range(len(values))], object)
    cells.var_names = np.array(folder.genes, object)
    cells.var["gene_name"] = np.array(folder.genes, object)
    # STATE reads the codes of these from the file itself.
    for column, texts in (("gene", labels), ("cell_type", ["cells"]), ("gem_group", ["one"])):
        texts = texts if len(texts) > 1 else texts * len(values)
        known = pd.Index(sorted(set(texts)), dtype=object)
        cells.obs[column] = pd.Categorical(texts, categories=known)
    cells.write_h5ad(path)


def features_file(folder: contract.Folder, labels: list[str], path: pathlib.Path) -> list[str]:
    """Writes a vector for every label; returns the genes that have none of their own."""
    import torch

    vectors, lacking = folder.vectors(folder.perturbed)
    row = dict(zip(folder.perturbed, vectors, strict=True))
    zero = np.zeros_like(vectors[0])
    sums = {label: sum((row[g] for g in contract.genes_of(label)), zero) for label in labels}
    torch.save({label: torch.tensor(vector) for label, vector in sums.items()}, path)
    return lacking


def split_file(folder: contract.Folder, work: pathlib.Path) -> pathlib.Path:
    """Writes which conditions validate and which are predicted; all others are trained on."""
    path, held = work / "split.toml", folder.divided()[1]
    path.write_text(
        f"[datasets]\nscreen = {json.dumps(str(work / 'data'))}\n"
        '[training]\nscreen = "train"\n[zeroshot]\n[fewshot]\n[fewshot."screen.cells"]\n'
        f"val = {json.dumps(held)}\ntest = {json.dumps(folder.test)}\n",
        encoding="utf-8",
    )
    return path


def overrides(options: Any, work: pathlib.Path, split: pathlib.Path) -> list[str]:
    """STATE's own settings, as its command line takes them."""
    heads = 4
    data = {
        "toml_config_path": split,
        "embed_key": "X_hvg",
        "output_space": "gene",
        "pert_col": "gene",
        "cell_type_key": "cell_type",
        "batch_col": "gem_group",
        "control_pert": contract.CONTROL,
        "perturbation_features_file": work / "features.pt",
        "num_workers": 0,
        "pin_memory": "false",
    }
    backbone = {
        "num_hidden_layers": options.layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "head_dim": options.hidden // heads,
        "intermediate_size": 4 * options.hidden,
    }
    model = {"cell_set_len": options.set_size, "hidden_dim": options.hidden}
    training = {
        "max_steps": options.steps,
        "batch_size": options.batch,
        "lr": options.rate,
        "train_seed": options.seed,
        "val_freq": max(options.steps // 3, 1),
        "ckpt_every_n_steps": options.steps + 1,
    }
    given = [f"data.kwargs.{name}={value}" for name, value in data.items()]
    given += [f"model.kwargs.{name}={value}" for name, value in model.items()]
    given += [f"model.kwargs.transformer_backbone_kwargs.{k}={v}" for k, v in backbone.items()]
    given += [f"training.{name}={value}" for name, value in training.items()]
    if options.weights:
        ready = contract.require(options.weights, ["final.ckpt"], **WEIGHTS)
        given.append(f"model.kwargs.init_from={ready / 'final.ckpt'}")
    return [*given, "model=state_sm", f"output_dir={work}", "name=run", "use_wandb=false"]


def state(*arguments: Any) -> None:
    """Runs STATE's own command, which stands beside this Python."""
    command = [str(pathlib.Path(sys.executable).with_name("state")), "tx", *map(str, arguments)]
    subprocess.run(command, check=True, env={**os.environ, **ENVIRONMENT})


def trained_labels(run: pathlib.Path, part: str) -> set[str]:
    """The labels of a part of the data as the training of this run was given it."""
    from cell_load.data_modules import PerturbationDataModule

    module = PerturbationDataModule.load_state(str(run / "data_module.torch"))
    module.setup(stage="fit")
    subsets = getattr(module, f"{part}_datasets")
    return {one.dataset.get_perturbation_name(row) for one in subsets for row in one.indices}


def main() -> None:
    """Trains, predicts, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    clock = contract.Clock()
    with tempfile.TemporaryDirectory(dir=folder.out) as name:
        work = pathlib.Path(name)
        given = overrides(options, work, split_file(folder, work))
        (work / "data").mkdir()
        screen_file(folder, work / "data" / "screen.h5ad")
        labels = sorted({contract.CONTROL, *folder.trained, *folder.divided()[1], *folder.test})
        lacking = features_file(folder, labels, work / "features.pt")
        with clock.part("train"):
            state("train", *given)
        trained_on = folder.refuse_leak(
            {label for part in ("train", "val") for label in trained_labels(work / "run", part)}
        )
        with clock.part("predict"):
            state(
                "predict",
                "--output-dir",
                work / "run",
                "--checkpoint",
                "final.ckpt",
                "--predict-only",
            )
        made = ad.read_h5ad(work / "run" / "eval_final.ckpt" / "adata_pred.h5ad")
    # Its genes are numbers, in the order of X_hvg.
    wanted = made.obs["gene"].astype(str).isin(folder.test).to_numpy()
    contract.write(
        folder,
        np.maximum(contract.dense(made[wanted]), 0),
        made.obs["gene"].astype(str)[wanted].tolist(),
        peer="state",
        package="arc-state",
        trained_on=trained_on,
        clock=clock,
        options={
            **vars(options),
            "set aside to choose the step": folder.divided()[1],
            "no embedding, so the mean": lacking,
        },
    )


if __name__ == "__main__":
    main()
