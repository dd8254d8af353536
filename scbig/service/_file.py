"""A trained model as one file: a JSON header and arrays."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np

from scbig._files import read_tree, to_read, write_tree
from scbig._names import examples
from scbig._value import plain, read
from scbig.anchor import AbstractFittedAnchor
from scbig.method import ScBIGConfig
from scbig.model import ScBIG

from ._names import Names
from ._skeleton import describe, skeleton
from ._trained import TrainedModel


def save(model: TrainedModel, path: str | os.PathLike[str]) -> None:
    """Writes a model atomically: config, names, sizes and versions as JSON, then its arrays.

    **Raises:** `ValueError` for a model whose networks are not those that its config builds.
    """
    header = {
        "format": FORMAT,
        "config": model.config.to_dict(),
        "names": dataclasses.asdict(model.names),
        "sizes": describe(model.pure),
    }
    arrays: list[np.ndarray] = []
    if model.anchor is not None:
        described = plain(model.anchor, "anchor", arrays)
        shapes = [{"shape": list(a.shape), "dtype": str(a.dtype)} for a in arrays]
        header["anchor"] = {"described": described, "arrays": shapes}
    header["members"] = 1 + len(model.others)
    rebuilt = _rebuilt(header)
    if jax.tree.structure(rebuilt) != jax.tree.structure(eqx.filter_eval_shape(lambda: model.pure)):
        networks = ("encoder", "decoder", "condition_encoder", "velocity", "identities")
        fields = (*networks, "partition", "facts")
        differ = [
            name
            for name in fields
            if jax.tree.structure(getattr(rebuilt, name))
            != jax.tree.structure(eqx.filter_eval_shape(lambda n=name: getattr(model.pure, n)))
        ]
        raise ValueError(
            f"The model's {examples(differ)} is not what its configuration builds, so that the "
            "file could not be read again. Give the configuration a spec that builds it."
        )
    write_tree(path, "model", header, (model.pure, arrays, model.others))


def load(path: str | os.PathLike[str], *, genes: Sequence[str] | None = None) -> TrainedModel:
    """Reads a model that `save` wrote.

    Classes of one's own, in its configuration, must have been imported.

    **Arguments:** `genes`, the names that the data has, if they are to be checked: the model's
    names in the model's order.

    **Raises:** `ValueError` if the file is no model, of another version, truncated or damaged, if
    it names a class that is not imported, or if its genes differ from `genes`; `OSError` that says
    so if it is not there, or a folder.
    """
    to_read(path, "a model, such as the file model.scbig of a run")
    header, (pure, arrays, others) = read_tree(path, "model", lambda header: _checked(header, path))
    names = Names.from_dict(header["names"])
    config = ScBIGConfig.from_dict(header["config"])
    if genes is not None and tuple(genes) != names.genes:
        missing = [gene for gene in names.genes if gene not in set(genes)]
        raise ValueError(
            f"{path}: the model's {len(names.genes)} genes are not the data's {len(genes)} "
            f"in the same order; the data lacks {len(missing)}, e.g. "
            f"{examples(missing) or 'none'}. Select and order them as in `model.names.genes`."
        )
    anchor = None
    if "anchor" in header:
        anchor = read(AbstractFittedAnchor, header["anchor"]["described"], "anchor", arrays)
    return TrainedModel(pure=pure, names=names, config=config, anchor=anchor, others=others)


FORMAT = 6
"""Of the file's header; 1 was that of scBIG 0.1, which had no number."""


def _checked(
    header: dict[str, Any], path: str | os.PathLike[str]
) -> tuple[ScBIG, list[np.ndarray], tuple[ScBIG, ...]]:
    found = header.get("format", 1)
    if found != FORMAT:
        age = "an earlier" if found < FORMAT else "a later"
        raise ValueError(
            f"{path} has format {found}, of {age} version of scBIG, and this one reads format "
            f"{FORMAT}. Train again, or use that version."
        )
    try:
        kept = header.get("anchor", {"arrays": []})["arrays"]
        pure = _rebuilt(header)
        arrays = [np.zeros(own["shape"], own["dtype"]) for own in kept]
        return pure, arrays, (pure,) * (header.get("members", 1) - 1)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: its header does not describe a model ({type(error).__name__}: {error}). It "
            "was changed after it was written: write it again."
        ) from error


def _rebuilt(header: dict[str, Any]) -> ScBIG:
    """The shapes of a model; nothing is allocated."""
    config, names = ScBIGConfig.from_dict(header["config"]), Names.from_dict(header["names"])
    return eqx.filter_eval_shape(lambda: skeleton(header["sizes"], config.networks, names))
