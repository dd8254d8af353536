"""Embeds drugs by their SMILES, with ChemBERTa or another transformers encoder on disk.

    python experiments/drug_embeddings.py --drugs drugs.csv --model ChemBERTa --out drugs.npz

`drugs.csv` has the columns `name` and `smiles`. A SMILES is embedded as it is written: write all
canonically. `scbig.priors.read_embeddings` reads the result. Nothing is downloaded.
"""

import pathlib
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from scbig import cli, priors
from scbig._files import atomic


@dataclass(frozen=True, kw_only=True)
class DrugEmbeddings:
    """Drugs, a model, and where the table goes."""

    drugs: pathlib.Path
    """csv with the columns `name` and `smiles`."""
    model: pathlib.Path
    """Folder with a model's weights and configuration and its tokeniser."""
    out: pathlib.Path
    """npz that is written: `names`, `embeddings`, `smiles`, and `model`, with the pooling."""
    pooling: Literal["mean", "start"] = "mean"
    """The mean over the tokens of a SMILES, start and end among them; or the start (CLS) alone."""
    batch_size: int = 32
    """SMILES that go through the model together."""


def read_drugs(path: pathlib.Path) -> tuple[list[str], list[str]]:
    """Names and SMILES, after checking that every row has both and no name comes twice."""
    table = pd.read_csv(path, dtype=str, na_filter=False).rename(columns=str.lower)
    if not {"name", "smiles"} <= set(table.columns) or table.empty:
        raise ValueError(f"{path}: rows under the columns name and smiles are needed.")
    names, smiles = (table[column].str.strip() for column in ("name", "smiles"))
    own, valid = ~names.duplicated(), smiles.map(is_smiles)
    for what, right in (("name", names != ""), ("name of its own", own), ("valid SMILES", valid)):
        wrong = [f"{names[row]!r} ({smiles[row][:30]!r})" for row in np.flatnonzero(~right)]
        if wrong:
            raise ValueError(f"{path}: {len(wrong)} without a {what}: {', '.join(wrong[:5])}.")
    return names.tolist(), smiles.tolist()


def is_smiles(text: str) -> bool:
    """Whether atoms, bonds and brackets are written as in a SMILES; no chemistry is checked."""
    bare, branched = re.sub(r"\[[A-Za-z0-9@+\-:*]+\]", "*", text), ""
    while bare != branched:
        bare, branched = re.sub(r"\([^()]+\)", "", bare), bare
    return bool(re.fullmatch(r"(?:Cl|Br|[BCNOPSFIbcnops*\d.\-=#$:~/\\]|%\d\d)+", bare))


def embed(smiles: list[str], run: DrugEmbeddings) -> np.ndarray:
    """One vector for each SMILES, (drugs, features)."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
        from transformers import AutoModel, AutoTokenizer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(f"{error}. Install 'scbig-jax[drugs]'.") from error
    tokeniser: Any = AutoTokenizer.from_pretrained(run.model, local_files_only=True)
    model: Any = AutoModel.from_pretrained(run.model, local_files_only=True).float().eval()
    longest = model.config.max_position_embeddings - 2  # RoBERTa leaves the first two unused
    tokens = list(zip(smiles, tokeniser(smiles)["input_ids"], strict=True))
    bad = [s for s, ids in tokens if len(ids) > longest or tokeniser.unk_token_id in ids]
    if bad:
        raise ValueError(f"{len(bad)} SMILES over {longest} tokens or partly unknown: {bad[:5]}")
    rows = []
    for begin in range(0, len(smiles), run.batch_size):
        batch = tokeniser(smiles[begin : begin + run.batch_size], padding=True, return_tensors="pt")
        with torch.inference_mode():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None]
        mean = (states * mask).sum(1) / mask.sum(1)
        rows.append((mean if run.pooling == "mean" else states[:, 0]).numpy())
    return np.concatenate(rows)


def main(run: DrugEmbeddings) -> priors.EmbeddingTable:
    """Writes the table, and returns it as it is read back."""
    if run.out.suffix != ".npz" or not (run.model / "config.json").is_file():
        raise ValueError(f"{run.out} must end in .npz, and {run.model} must have a config.json.")
    names, smiles = read_drugs(run.drugs)
    vectors, model = embed(smiles, run), f"{run.model.resolve().name}, {run.pooling}"
    with atomic(run.out) as temporary:
        np.savez(temporary, names=names, embeddings=vectors, smiles=smiles, model=model)
    print(f"{len(names)} drugs, {vectors.shape[1]} features: {run.out}")
    return priors.read_embeddings(run.out)


if __name__ == "__main__":
    main(cli.parse(DrugEmbeddings, __doc__))
