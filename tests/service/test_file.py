"""A model's file that was put together wrongly: one error, with what wrote it."""

import hashlib
import importlib.metadata
import json
from typing import Any

import jax.random as jr
import numpy as np
import pytest

from scbig.data import Condition
from scbig.method import ScBIGConfig
from scbig.model import make_model
from scbig.nn import (
    ConditionEncoderSpec,
    GeneClusterDecoderSpec,
    GeneClusterEncoderSpec,
    InducingPoints,
    VelocityFieldSpec,
)
from scbig.programs import GRC, GenePartition
from scbig.service import Names, TrainedModel, load, save

BODY: dict[str, Any] = {
    "width": 8,
    "heads": 2,
    "layers": 1,
    "mixing": InducingPoints(2),
    "mlp_width": 8,
}
CONFIG = ScBIGConfig(
    programs=GRC(clusters=2),
    encoder=GeneClusterEncoderSpec(**BODY, latent=4),
    decoder=GeneClusterDecoderSpec(**BODY),
    condition=ConditionEncoderSpec(hidden=8, width=8),
    velocity=VelocityFieldSpec(frequencies=2, top_frequency=3.0, hidden=8, depth=1),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The header and the arrays of a model's file."""
    pure = make_model(
        CONFIG.networks,
        partition=GenePartition.from_labels(np.arange(6) % 2, 2),
        embeddings=jr.normal(jr.key(1), (6, 3)),
        mean=jr.uniform(jr.key(2), (6,)),
        tokens=jr.normal(jr.key(3), (2, 3)),
        key=jr.key(0),
    )
    names = Names(genes=tuple("abcdef"), perturbations=("a", "b"))
    path = tmp_path_factory.mktemp("model") / "model.scbig"
    save(TrainedModel(pure=pure, names=names, config=CONFIG), path)
    first, payload = path.read_bytes().split(b"\n", 1)
    return json.loads(first), payload


def put(path, header, payload):
    header = header | {"bytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
    path.write_bytes(json.dumps(header).encode() + b"\n" + payload)
    return path


def test_a_file_says_what_wrote_it(written, tmp_path):
    header, payload = written
    assert header["versions"]["scbig-jax"] == importlib.metadata.version("scbig-jax")
    assert load(put(tmp_path / "m.scbig", header, payload)).config == CONFIG


@pytest.mark.parametrize("change", ["fewer", "more", "other"])
def test_arrays_that_do_not_fit_the_header_are_one_error(written, tmp_path, change):
    header, payload = written
    changed = json.loads(json.dumps(header))
    if change == "other":
        changed["header"]["config"]["velocity"]["hidden"] = 16
    payload = {"fewer": payload[:-200], "more": payload + bytes(64), "other": payload}[change]
    path = put(tmp_path / "model.scbig", changed, payload)
    version = importlib.metadata.version("scbig-jax")
    with pytest.raises(ValueError, match=rf"model\.scbig: its arrays are not those.*jax {version}"):
        load(path)


@pytest.mark.parametrize("lacking", ["names", "config", "sizes"])
def test_a_header_that_describes_no_model_is_one_error(written, tmp_path, lacking):
    header, payload = written
    changed = json.loads(json.dumps(header))
    del changed["header"][lacking]
    with pytest.raises(ValueError, match=rf"does not describe a model \(KeyError: '{lacking}'\)"):
        load(put(tmp_path / "model.scbig", changed, payload))


@pytest.mark.parametrize("lacking", ["versions", "header"])
def test_a_first_line_without_a_part_is_no_models(written, tmp_path, lacking):
    header, payload = written
    path = put(tmp_path / "m.scbig", {k: v for k, v in header.items() if k != lacking}, payload)
    with pytest.raises(ValueError, match=rf"not a scBIG model file: its header lacks {lacking}"):
        load(path)


def test_a_model_that_is_not_there_is_named_with_what_it_should_be(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no file .*none\.scbig: it should be a model, such"
    ):
        load(tmp_path / "none.scbig")
    with pytest.raises(IsADirectoryError, match="is a folder: it should be a model, such as"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        (["a", "c", "b+d"], "No embedding for 2 perturbation.*'c', 'd'"),
        (["a", "a@0.1"], "have a dose, but no training condition had one: 'a@0.1'"),
        (["a", "a+b"], "more than max_tokens=1 perturbations: 'a\\+b'"),
    ],
)
def test_what_a_model_cannot_read_is_known_without_its_arrays(conditions, message):
    names = Names(genes=tuple("abcdef"), perturbations=("a", "b"), contexts=("x", "y"))
    with pytest.raises(ValueError, match=message):
        names.readable(conditions, 1)
    read = names.readable(["b+a", "control", Condition(("b",))], 2)
    assert read == [Condition(("a", "b")), Condition(), Condition(("b",))]
