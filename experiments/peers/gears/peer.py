"""GEARS (cell-gears): graphs of co-expression and of GO terms, py3.11.

It predicts one mean for each condition: controls are moved by the change of the mean. Genes without
GO terms are not in its graph: training conditions with one are dropped, as GEARS does.
"""

import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {"epochs": 3, "batch": 32, "hidden": 64, "rate": 1e-3, "seed": 0, "device": "cpu"}


def spelled(label: str) -> str:
    """A condition as GEARS writes it: `A+ctrl`, `A+B`, `ctrl`."""
    genes = contract.genes_of(label)
    return "+".join(genes if len(genes) > 1 else (*genes, "ctrl"))


def annotated(folder: contract.Folder) -> Mapping[str, set[str]]:
    """GO terms of the genes at hand, after checking that all genes to predict have some."""
    terms = contract.read_go(folder.prior("go.tsv"))
    contract.check_coverage(terms, folder.perturbed, "The table of GO terms")
    lost = [label for label in folder.test if not terms.keys() >= set(contract.genes_of(label))]
    if lost:
        raise ValueError(
            f"GEARS cannot predict {', '.join(lost)}: no GO term for a gene. Add one to go.tsv, or "
            "leave the condition out."
        )
    return terms


def prepared(folder: contract.Folder, terms: Mapping[str, set[str]], work: pathlib.Path) -> Any:
    """GEARS's data, with its files in `work`, and the training and validation conditions in it."""
    from gears import PertData

    known = lambda label: terms.keys() >= set(contract.genes_of(label))
    # GEARS reads files of its own kind, which pandas writes.
    pd.to_pickle(dict(terms), work / "gene2go_all.pkl")
    graph = [gene for gene in [*folder.genes, *folder.perturbed] if gene in terms]
    pd.to_pickle(list(dict.fromkeys(graph)), work / "genes.pkl")
    cells = folder.measured()
    cells = cells[[known(label) for label in cells.obs["condition"]]].copy()
    cells.X = sparse.csr_matrix(contract.dense(cells))
    cells.obs["condition"] = [spelled(label) for label in cells.obs["condition"]]
    cells.obs["cell_type"] = "cells"
    cells.var["gene_name"] = list(cells.var_names)
    made = PertData(str(work), gene_set_path=str(work / "genes.pkl"), default_pert_graph=False)
    made.new_data_process("screen", adata=cells)
    train, held = ([spelled(label) for label in part if known(label)] for part in folder.divided())
    # What `prepare_split` would set; its own kinds of split all ask for measured test cells.
    made.set2conditions = {"train": [*train, "ctrl"], "val": held}
    made.split, made.seed, made.train_gene_set_size = "no_test", 1, 0.75
    return made


def main() -> None:
    """Trains, predicts, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    clock = contract.Clock()
    with clock.part("import"):
        import torch
        from gears import GEARS

    torch.manual_seed(options.seed)
    # GEARS pairs cells by NumPy's global generator.
    np.random.seed(options.seed)  # noqa: NPY002, TID251
    terms = annotated(folder)
    with tempfile.TemporaryDirectory(dir=folder.out) as work:
        os.chdir(work)  # GEARS writes ./data/go_essential_screen.csv
        data = pathlib.Path(work, "data")
        data.mkdir()
        with clock.part("prepare"):
            cells = prepared(folder, terms, data)
            cells.get_dataloader(batch_size=options.batch, test_batch_size=128)
            trained_on = folder.refuse_leak(
                graph.pert
                for name in ("train_loader", "val_loader")
                for graph in cells.dataloader[name].dataset
            )
            model = GEARS(cells, device=options.device)
            model.model_initialize(hidden_size=options.hidden)
        with clock.part("train"):
            model.train(epochs=options.epochs, lr=options.rate)
        with clock.part("predict"):
            asked = [list(contract.genes_of(label)) for label in folder.test]
            means = model.predict(asked)
        os.chdir(folder.out)
    values, labels = folder.shifted(
        {name: means["_".join(genes)] for name, genes in zip(folder.test, asked, strict=True)}
    )
    contract.write(
        folder,
        values,
        labels,
        peer="gears",
        package="cell-gears",
        trained_on=trained_on,
        clock=clock,
        options={
            **vars(options),
            "set aside to choose the epoch": folder.divided()[1],
            "dropped for want of GO": sorted(set(folder.perturbed) - terms.keys()),
        },
    )


if __name__ == "__main__":
    main()
