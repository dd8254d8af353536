"""A model as one file: a JSON header, then its arrays."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import jax.random as jr

from scbig._files import read_tree, write_tree
from scbig.config import ScBIGConfig
from scbig.programs import AbstractPartition, GenePartition, SoftPartition

from ._build import make_model
from ._names import Names
from ._scbig import ScBIG


def save(model: ScBIG, path: str | os.PathLike[str]) -> None:
    """Writes a model atomically: config, names, sizes and versions as JSON, then its arrays."""
    header = {
        "config": model.config.to_dict(),
        "names": dataclasses.asdict(model.names),
        "clusters": model.partition.clusters,
        "slots": model.partition.slots,
        "overlap": _overlap(model.partition),
        "features": model.priors.centroids.shape[1],
        "token_features": model.tokens.shape[1],
        "context_features": None if model.contexts is None else model.contexts.shape[1],
    }
    write_tree(path, "model", header, model)


def load(path: str | os.PathLike[str], *, genes: Sequence[str] | None = None) -> ScBIG:
    """Reads a model that `save` wrote.

    **Arguments:** `genes`, the names that the data has, if they are to be checked: the model's
    names in the model's order.

    **Raises:** `ValueError` if the file is no model, truncated or damaged, or if its genes
    differ from `genes`.
    """
    _, model = read_tree(path, "model", _skeleton)
    if genes is not None and tuple(genes) != model.names.genes:
        missing = [gene for gene in model.names.genes if gene not in set(genes)]
        raise ValueError(
            f"{path}: the model's {len(model.names.genes)} genes are not the data's {len(genes)} "
            f"in the same order; the data lacks {len(missing)}, e.g. "
            f"{', '.join(missing[:5]) or 'none'}. Select and order them as in `model.names.genes`."
        )
    return model


def _skeleton(header: dict[str, Any]) -> ScBIG:
    config = ScBIGConfig.from_dict(header["config"])
    names = Names.from_dict(header["names"])
    context_features = header.get("context_features")  # absent from files older than contexts
    genes = len(names.genes)
    return make_model(
        config,
        partition=_blank_partition(genes, header),
        embeddings=jnp.zeros((genes, header["features"])),
        mean=jnp.zeros(genes),
        tokens=jnp.zeros((len(names.perturbations), header["token_features"])),
        names=names,
        contexts=None
        if context_features is None
        else jnp.zeros((len(names.contexts), context_features)),
        key=jr.key(0),
    )


def _overlap(partition: AbstractPartition) -> int | None:
    """Most programs that a gene has; `None` for hard ones, which tells the two kinds apart."""
    return partition.programs.shape[1] if isinstance(partition, SoftPartition) else None


def _blank_partition(genes: int, header: dict[str, Any]) -> AbstractPartition:
    of_gene = jnp.zeros(genes, jnp.int32)
    slots = jnp.zeros((header["clusters"], header["slots"]), jnp.int32)
    overlap = header["overlap"]
    if overlap is None:
        return GenePartition(labels=of_gene, slot=of_gene, members=slots, mask=slots > 0)
    shared = jnp.zeros((genes, overlap), jnp.int32)
    return SoftPartition(
        labels=of_gene,
        members=slots,
        mask=slots > 0,
        programs=shared,
        shares=shared.astype(jnp.float32),
        slot=shared,
        held=slots.astype(jnp.float32),
    )
