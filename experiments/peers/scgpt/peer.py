"""scGPT (scgpt): a transformer over genes with a flag at the perturbed ones, py3.10.

From scratch, or from a released checkpoint by `--weights`. A control and a perturbed cell are
paired at random. Perturbed genes that are not measured are tokens of value 0. Genes that a
checkpoint's vocabulary lacks share the token of padding; the result has their number.
"""

import json
import pathlib
import sys
from typing import Any

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import contract

OPTIONS = {
    "steps": 300,
    "batch": 16,
    "genes": 200,
    "width": 64,
    "layers": 2,
    "heads": 4,
    "rate": 1e-3,
    "seed": 0,
    "device": "cpu",
    "weights": "",
}
WEIGHTS = {
    "what": "A checkpoint of scGPT",
    "where": "the model zoo in the README of github.com/bowang-lab/scGPT (whole-human)",
    "option": "--weights",
}
FILES = ("args.json", "best_model.pt", "vocab.json")
SPECIAL = ("<pad>", "<cls>", "<eoc>")


def build(genes: list[str], options: Any) -> tuple[Any, np.ndarray]:
    """The model, and the token of each gene."""
    import torch
    from scgpt.model import TransformerGenerator

    sizes = {"d_model": options.width, "nhead": options.heads, "nlayers": options.layers}
    vocabulary, stored = {token: row for row, token in enumerate((*SPECIAL, *genes))}, None
    if options.weights:
        ready = contract.require(options.weights, FILES, **WEIGHTS)
        vocabulary = json.loads((ready / "vocab.json").read_text(encoding="utf-8"))
        contract.check_coverage(vocabulary, genes, "scGPT's vocabulary")
        vocabulary = {**vocabulary, **{token: vocabulary.get(token, 0) for token in SPECIAL}}
        kept = json.loads((ready / "args.json").read_text(encoding="utf-8"))
        sizes = {"d_model": kept["embsize"], "nhead": kept["nheads"], "nlayers": kept["nlayers"]}
        sizes["d_hid"] = kept["d_hid"]
        stored = torch.load(ready / "best_model.pt", map_location="cpu")
    model = TransformerGenerator(
        ntoken=max(vocabulary.values()) + 1,
        vocab=vocabulary,
        nlayers_cls=1,
        n_cls=1,
        dropout=0.1,
        pert_pad_id=2,
        use_fast_transformer=False,
        **{"d_hid": 4 * sizes["d_model"], **sizes},
    )
    if stored is not None:
        load(model, stored)
    unknown = vocabulary["<pad>"]
    return model.to(options.device), np.array([vocabulary.get(gene, unknown) for gene in genes])


def load(model: Any, stored: dict[str, Any]) -> None:
    """Takes the stored parameters that the model has; refuses a checkpoint of another shape."""
    # Those of fast attention have the name of its one matrix.
    stored = {name.replace("Wqkv.", "in_proj_"): value for name, value in stored.items()}
    own = model.state_dict()
    fits = {k: v for k, v in stored.items() if k in own and v.shape == own[k].shape}
    layers = {name for name in own if name.startswith(("encoder.", "transformer_encoder."))}
    if not layers <= fits.keys():
        lacking = sorted(layers - fits.keys())
        raise ValueError(f"best_model.pt has no {lacking[0]}, or in another shape than args.json.")
    model.load_state_dict({**own, **fits})


class Pairs:
    """What the training loop draws from: controls, and perturbed cells by condition."""

    def __init__(self, folder: contract.Folder, axis: list[str], seed: int):
        self.labels = np.array(folder.train.obs["condition"])
        self.values = contract.dense(folder.train)
        self.controls = np.flatnonzero(self.labels == contract.CONTROL)
        self.perturbed = np.flatnonzero(self.labels != contract.CONTROL)
        self.axis = {gene: place for place, gene in enumerate(axis)}
        self.random = np.random.default_rng(seed)

    def flags(self, labels: list[str]) -> np.ndarray:
        """1 at the genes that each label perturbs, over the whole axis."""
        flags = np.zeros((len(labels), len(self.axis)), np.int64)
        for row, label in enumerate(labels):
            flags[row, [self.axis[gene] for gene in contract.genes_of(label)]] = 1
        return flags

    def full(self, values: np.ndarray) -> np.ndarray:
        """Expression over the axis: what is not measured is 0."""
        more = np.zeros((len(values), len(self.axis) - values.shape[1]), np.float32)
        return np.concatenate([values, more], 1)

    def draw(self, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Controls, flags, and perturbed cells."""
        rows = self.random.choice(self.perturbed, size)
        starts = self.values[self.random.choice(self.controls, size)]
        return self.full(starts), self.flags(self.labels[rows].tolist()), self.values[rows]


def train(model: Any, tokens: np.ndarray, pairs: Pairs, options: Any) -> None:
    """Fits perturbed expression of sampled genes from a control cell and flags."""
    import torch

    put = lambda array: torch.as_tensor(array).to(options.device)
    measured = pairs.values.shape[1]
    more = np.arange(measured, len(tokens))
    optimiser = torch.optim.Adam(model.parameters(), lr=options.rate)
    model.train()
    for step in range(options.steps):
        starts, flags, targets = pairs.draw(options.batch)
        count = min(options.genes, measured)
        some = pairs.random.choice(measured, count, replace=False)
        seen = np.concatenate([some, more])
        ids = put(np.repeat(tokens[None, seen], options.batch, 0))
        mask = torch.zeros_like(ids, dtype=torch.bool)
        made = model(ids, put(starts[:, seen]), put(flags[:, seen]), mask)["mlm_output"]
        loss = ((made[:, :count] - put(targets[:, some])) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"step {step}: {loss.item():.4f}", flush=True)


def predict(model: Any, tokens: np.ndarray, pairs: Pairs, folder: Any, options: Any) -> np.ndarray:
    """A cell for each control and condition, the conditions one after the other."""
    import torch

    put = lambda array: torch.as_tensor(array).to(options.device)
    starts, rows = pairs.full(contract.dense(folder.controls)), []
    model.eval()
    for label in folder.test:
        for block in np.array_split(starts, -(-len(starts) // options.batch)):
            ids = put(np.repeat(tokens[None], len(block), 0))
            mask = torch.zeros_like(ids, dtype=torch.bool)
            with torch.no_grad():
                flags = put(pairs.flags([label] * len(block)))
                rows.append(model(ids, put(block), flags, mask)["mlm_output"].cpu().numpy())
    return np.maximum(np.concatenate(rows)[:, : len(folder.genes)], 0)


def main() -> None:
    """Trains, predicts, and writes the prediction."""
    folder, options = contract.arguments(__doc__, **OPTIONS)
    clock = contract.Clock()
    with clock.part("import"):
        import torch

    torch.manual_seed(options.seed)
    axis = list(dict.fromkeys([*folder.genes, *folder.perturbed]))
    model, tokens = build(axis, options)
    pairs = Pairs(folder, axis, options.seed)
    trained_on = folder.refuse_leak(pairs.labels)
    with clock.part("train"):
        train(model, tokens, pairs, options)
    with clock.part("predict"):
        values = predict(model, tokens, pairs, folder, options)
    labels = np.repeat(folder.test, folder.controls.n_obs).tolist()
    parameters = sum(one.numel() for one in model.parameters())
    contract.write(
        folder,
        values,
        labels,
        peer="scgpt",
        package="scgpt",
        trained_on=trained_on,
        clock=clock,
        options={
            **vars(options),
            "parameters": parameters,
            "genes without a token": int((tokens == model.pad_token_id).sum()),
        },
    )


if __name__ == "__main__":
    main()
