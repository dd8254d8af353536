"""A model's structure from plain sizes, into which its arrays are read."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import numpy as np

from scbig._typing import Array
from scbig._value import find_class
from scbig.model import Networks, ScBIG, make_model
from scbig.programs import AbstractPartition

from ._names import Names


def describe(model: ScBIG) -> dict[str, Any]:
    """The sizes that `skeleton` needs, as plain values."""
    partition = model.partition
    fields = {f.name: getattr(partition, f.name) for f in dataclasses.fields(partition)}
    arrays = {
        name: {"shape": list(part.shape), "dtype": str(part.dtype)}
        for name, part in fields.items()
        if isinstance(part, Array)
    }
    plain = {name: part for name, part in fields.items() if name not in arrays}
    centroids = model.facts.centroids
    return {
        "partition": {"is": type(partition).__name__, "arrays": arrays, "plain": plain},
        "embedding": None if centroids is None else centroids.shape[1],
        "token": model.tokens.shape[1],
        "context": None if model.contexts is None else model.contexts.shape[1],
        "known": 0 if model.identities is None else model.identities.alone.shape[0],
    }


def skeleton(sizes: dict[str, Any], networks: Networks, names: Names) -> ScBIG:
    """A model of these sizes whose numbers mean nothing; trace it for its shapes."""
    genes = len(names.genes)
    zeros = lambda rows, width: None if width is None else jnp.zeros((rows, width))
    tokens = zeros(len(names.perturbations), sizes["token"])
    assert tokens is not None
    return make_model(
        networks,
        partition=_blank_partition(sizes["partition"]),
        embeddings=zeros(genes, sizes["embedding"]),
        mean=jnp.zeros(genes),
        tokens=tokens,
        dose_features=names.dose_features,
        contexts=zeros(len(names.contexts), sizes["context"]),
        known=np.arange(len(names.perturbations)) < sizes.get("known", 0),
        key=jr.key(0),
    )


def _blank_partition(described: dict[str, Any]) -> AbstractPartition:
    cls: Any = find_class(described["is"], AbstractPartition, "the model's partition")
    arrays = {
        name: jnp.zeros(tuple(part["shape"]), part["dtype"])
        for name, part in described["arrays"].items()
    }
    return cls(**arrays, **described["plain"])
