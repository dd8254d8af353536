"""CellFlow (cellflow-tools): conditional flow matching on principal components, py3.11.

A condition is the set of its genes' embeddings; `control` pads a single perturbation with zeros.
"""

import pathlib
import sys
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {
    "preset": "small",
    "iterations": 1000,
    "batch": 256,
    "components": 50,
    "tolerance": 1e-3,
    "seed": 0,
}


def paper() -> dict[str, Any]:
    """Arguments of `prepare_model` as the authors' reproduction has them: for an accelerator."""
    import optax
    from cellflow.utils import match_linear

    two = lambda rate: ({"layer_type": "mlp", "dims": [1024, 1024], "dropout_rate": rate},)
    return {
        "condition_embedding_dim": 1024,
        "hidden_dims": (4096,) * 3,
        "decoder_dims": (4096,) * 3,
        "decoder_dropout": 0.2,
        "time_encoder_dims": (2048,) * 3,
        "time_freqs": 1024,
        "cond_output_dropout": 0.9,
        "pooling": "attention_token",
        "layers_before_pool": {"gene": two(0.5)},
        "layers_after_pool": two(0.2),
        "match_fn": lambda x, y: match_linear(x, y, epsilon=0.1, scale_cost="mean"),
        "optimizer": optax.MultiSteps(optax.adam(5e-5), 20),
        "probability_path": {"constant_noise": 1.0},
    }


def small() -> dict[str, Any]:
    """A size that two cores train in minutes."""
    import optax

    return {
        "condition_embedding_dim": 64,
        "hidden_dims": (256, 256),
        "decoder_dims": (256, 256),
        "time_encoder_dims": (128, 128),
        "time_freqs": 128,
        "cond_output_dropout": 0.1,
        "pooling": "attention_token",
        "layers_before_pool": {
            "gene": ({"layer_type": "mlp", "dims": [64, 64], "dropout_rate": 0.1},)
        },
        "layers_after_pool": ({"layer_type": "mlp", "dims": [64], "dropout_rate": 0.1},),
        "optimizer": optax.adam(1e-3),
        "probability_path": {"constant_noise": 0.1},
    }


PRESETS = {"small": small, "paper": paper}


def genes_as_columns(labels: list[str], widest: int) -> pd.DataFrame:
    """`gene_1`, `gene_2`, ..., padded with `control`."""
    rows = [
        (*contract.genes_of(label), *([contract.CONTROL] * widest))[:widest] for label in labels
    ]
    columns = [f"gene_{place + 1}" for place in range(widest)]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(control=[not contract.genes_of(label) for label in labels])


def cells_of(
    values: np.ndarray, labels: list[str], widest: int, table: dict[str, Any]
) -> ad.AnnData:
    """Cells as CellFlow reads them: columns of `obs` and the embeddings in `uns`."""
    obs = genes_as_columns(labels, widest)
    obs.index = pd.Index([f"c{row}" for row in range(len(obs))], dtype=object)
    for column in obs.columns.drop("control"):
        obs[column] = pd.Categorical(obs[column])
    return ad.AnnData(values, obs=obs, uns={"gene_emb": table})


def main() -> None:
    """Trains, predicts, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    clock = contract.Clock()
    with clock.part("import"):
        import cellflow
        import diffrax
        import jax

    train, labels = folder.train, list(folder.train.obs["condition"])
    widest = max(len(contract.genes_of(label)) for label in [*folder.trained, *folder.test])
    vectors, lacking = folder.vectors(folder.perturbed)
    table = dict(zip(folder.perturbed, vectors, strict=True))
    table[contract.CONTROL] = np.zeros_like(vectors[0])
    cells = cells_of(contract.dense(train), labels, widest, table)
    cells.var_names = folder.genes
    cellflow.preprocessing.centered_pca(cells, n_comps=options.components)
    model = cellflow.model.CellFlow(cells, solver="otfm")
    names = tuple(f"gene_{place + 1}" for place in range(widest))
    model.prepare_data(
        sample_rep="X_pca",
        control_key="control",
        perturbation_covariates={"gene": names},
        perturbation_covariate_reps={"gene": "gene_emb"},
    )
    # What the sampler draws targets from, in CellFlow's own words.
    drawn = model.train_data.perturbation_idx_to_covariates.values()
    trained_on = folder.refuse_leak("+".join(map(str, genes)) for genes in drawn)
    model.prepare_model(**PRESETS[options.preset](), seed=options.seed)
    with clock.part("train"):
        model.train(options.iterations, batch_size=options.batch, valid_freq=options.iterations + 1)

    starts = folder.controls
    centre, loadings = np.ravel(cells.varm["X_mean"]), cells.varm["PCs"]
    given = cells_of(contract.dense(starts), [contract.CONTROL] * starts.n_obs, widest, table)
    given.obsm["X_pca"] = (contract.dense(starts) - centre) @ loadings
    asked = genes_as_columns(folder.test, widest).assign(id=folder.test, control=True)
    with clock.part("predict"):
        step = diffrax.PIDController(options.tolerance, options.tolerance)
        latent = model.predict(
            adata=given,
            covariate_data=asked,
            condition_id_key="id",
            rng=jax.random.PRNGKey(options.seed),
            stepsize_controller=step,
        )
    values = [np.maximum(np.asarray(latent[name]) @ loadings.T + centre, 0) for name in folder.test]
    contract.write(
        folder,
        np.concatenate(values),
        np.repeat(folder.test, starts.n_obs).tolist(),
        peer="cellflow",
        package="cellflow-tools",
        trained_on=trained_on,
        clock=clock,
        options={**vars(options), "no embedding, so the mean": lacking},
    )


if __name__ == "__main__":
    main()
