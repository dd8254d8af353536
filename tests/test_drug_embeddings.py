"""Drugs embedded by a tiny model of random weights: batches, padding, and the table read back."""

import pathlib
import runpy
import sys

import numpy as np
import pytest

from scbig.priors import read_embeddings

SCRIPT = pathlib.Path(__file__).parents[1] / "experiments" / "drug_embeddings.py"
DRUGS = {
    "vorinostat": "ONC(=O)CCCCCCC(=O)Nc1ccccc1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "ethanol": "CCO",
    "salt": "[Na+].[Cl-]",
    "alcohol": "CCO",
}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> pathlib.Path:
    """A RoBERTa of 16 features whose tokens are the characters of the drugs above."""
    torch, transformers = (pytest.importorskip(name) for name in ("torch", "transformers"))
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("models") / "tiny"
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = sorted({letter for smiles in DRUGS.values() for letter in smiles})
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    tokens = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokens.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokens.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = ("bos_token", "pad_token", "eos_token", "unk_token")
    named = dict(zip(names, special, strict=True))
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokens, **named).save_pretrained(folder)
    config = transformers.RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=40,
        type_vocab_size=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = transformers.RobertaModel(config)
        for parameter in network.parameters():
            if parameter.ndim > 1:  # far from zero, so that drugs differ and a fault shows
                torch.nn.init.normal_(parameter, std=0.5)
    network.save_pretrained(folder)
    return folder


def write(path: pathlib.Path, drugs=DRUGS) -> pathlib.Path:
    rows = [f'{name},"{smiles}"' for name, smiles in drugs.items()]
    path.write_text("\n".join(["name,SMILES", *rows]) + "\n")
    return path


def run(script, model, tmp_path, drugs=DRUGS, **options):
    path = write(tmp_path / "drugs.csv", drugs)
    config = script["DrugEmbeddings"](
        drugs=path, model=model, out=tmp_path / "new" / "drugs.npz", **options
    )
    return script["main"](config)


def test_the_table_is_read_back(script, model, tmp_path, capsys):
    table = run(script, model, tmp_path)
    assert table.names == tuple(DRUGS)
    assert table.vectors.shape == (5, 16)
    out = tmp_path / "new" / "drugs.npz"
    assert read_embeddings(out).checksum == table.checksum
    with np.load(out) as arrays:
        assert arrays["smiles"].tolist() == list(DRUGS.values())
        assert str(arrays["model"]) == "tiny, mean"
    assert [path.name for path in out.parent.iterdir()] == ["drugs.npz"]
    assert "5 drugs, 16 features" in capsys.readouterr().out
    vectors = dict(zip(table.names, table.vectors, strict=True))
    np.testing.assert_allclose(vectors["ethanol"], vectors["alcohol"], atol=1e-6)
    assert np.abs(vectors["ethanol"] - vectors["aspirin"]).max() > 0.1


@pytest.mark.parametrize("pooling", ["mean", "start"])
def test_a_drug_alone_is_what_it_is_in_a_batch(pooling, script, model, tmp_path):
    """Padding to the longest of a batch changes nothing, and neither does the order."""
    whole = run(script, model, tmp_path, pooling=pooling)
    again = run(script, model, tmp_path, pooling=pooling)
    np.testing.assert_array_equal(again.vectors, whole.vectors)
    for size in (1, 2):
        parts = run(script, model, tmp_path, batch_size=size, pooling=pooling)
        np.testing.assert_allclose(parts.vectors, whole.vectors, atol=2e-6)
    turned = dict(reversed(DRUGS.items()))
    other = run(script, model, tmp_path, turned, batch_size=3, pooling=pooling)
    np.testing.assert_allclose(other.vectors[::-1], whole.vectors, atol=2e-6)


def test_the_vectors_are_those_of_the_model(script, model, tmp_path):
    """One SMILES, in a loop over its tokens without a mask."""
    import torch  # pyright: ignore[reportMissingImports]
    import transformers  # pyright: ignore[reportMissingImports]

    network = transformers.RobertaModel.from_pretrained(model).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(model)
    ids = [0, *(tokens.convert_tokens_to_ids(letter) for letter in "CCO"), 2]
    with torch.inference_mode():
        states = network(torch.tensor([ids])).last_hidden_state[0].numpy()
    total = np.zeros(16)
    for state in states:
        total += state
    mean, start = (
        run(script, model, tmp_path, pooling=pooling).vectors[2] for pooling in ("mean", "start")
    )
    np.testing.assert_allclose(mean, total / 5, atol=2e-6)
    np.testing.assert_allclose(start, states[0], atol=2e-6)


WRONG = {
    "name,smiles\n": "rows under the columns name and smiles",
    "drug,smiles\nA,CCO\n": "rows under the columns name and smiles",
    "name,smiles\nA,CCO\n ,CC\n": r"1 without a name: '' \('CC'\)",
    "name,smiles\nA,CCO\nB,CC\nA ,CC\n": r"1 without a name of its own: 'A' \('CC'\)",
    "name,smiles\nA,\nNA,CC\n": r"1 without a valid SMILES: 'A' \(''\)",
    "name,smiles\nA,aspirin\nB,CC\nC,CC(C\nD,C C\nE,C[C\n": (
        r"4 without a valid SMILES: 'A' \('aspirin'\), 'C' \('CC\(C'\), 'D' \('C C'\), 'E'"
    ),
}


@pytest.mark.parametrize("text", WRONG)
def test_bad_rows_are_named(text, script, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=WRONG[text]) as caught:
        script["read_drugs"](tmp_path / "x.csv")
    assert "x.csv" in str(caught.value)


@pytest.mark.parametrize(
    "smiles",
    ["C", "[13CH4]", "C[C@@H](N)C(=O)O", "F/C=C\\Br", "c1cc2ccccc2cc1", "C%12CC%12", "CC(C(C)C)Cl"],
)
def test_smiles_are_known(smiles, script):
    assert script["is_smiles"](smiles)


def test_what_the_model_does_not_take_is_named(script, model, tmp_path):
    """It takes 38 tokens, of which the first and the last are its own."""
    assert run(script, model, tmp_path, {"longest": "C" * 36}).vectors.shape == (1, 16)
    for smiles in ("C" * 37, "CBr"):
        with pytest.raises(ValueError, match=rf"1 SMILES over 38 tokens or .*: \['{smiles}'\]"):
            run(script, model, tmp_path, {"A": smiles, "B": "CC"})


def test_paths_are_checked_before_anything_is_computed(script, tmp_path):
    (tmp_path / "config.json").touch()
    for model, out in ((tmp_path / "absent", "x.npz"), (tmp_path, "x.csv")):
        options = {"drugs": tmp_path / "none.csv", "model": model, "out": tmp_path / out}
        with pytest.raises(ValueError, match=rf"{out} must end in .npz, and {model} must have"):
            script["main"](script["DrugEmbeddings"](**options))


def test_a_failure_leaves_the_old_table(script, model, tmp_path):
    run(script, model, tmp_path)
    before = (tmp_path / "new" / "drugs.npz").read_bytes()
    with pytest.raises(ValueError, match="1 SMILES"):
        run(script, model, tmp_path, {"A": "CBr"})
    assert (tmp_path / "new" / "drugs.npz").read_bytes() == before


def test_without_transformers_the_extra_is_named(script, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").touch()
    with pytest.raises(ImportError, match=r"Install 'scbig-jax\[drugs\]'"):
        run(script, tmp_path, tmp_path)
