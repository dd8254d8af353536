"""Measured cells, priors and splits: what every script on held-out conditions reads."""

import pathlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import tyro

import scbig
from scbig import cli, comparison, data, priors, splits

Protocol = Literal[
    "additive",
    "holdout",
    "doubles",
    "singles",
    "genes",
    "gears",
    "contexts",
    "combosciplex",
    "file",
]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Cells, priors and splits."""

    data: pathlib.Path
    """Log-normalised h5ad."""
    files: tyro.conf.OmitArgPrefixes[cli.PriorFiles] = field(
        default_factory=lambda: cli.PriorFiles(missing="mean")
    )
    annotations: pathlib.Path | None = None
    """Gene Ontology, a table or Bioconductor's sqlite file: the graph of perturbations that GEARS
    reads; without it, that of `interactions`."""
    out: pathlib.Path
    """Folder for predictions, tables and the figure."""
    split: Protocol = "doubles"
    """The protocol of `scbig.splits`: `doubles`, `singles` and `genes` are folds, all scored
    together; `contexts` holds out each context once, or those of `--held`; `file` reads
    `--split-files`."""
    held: tuple[str, ...] = ()
    """Contexts that `--split contexts` holds out, each on its own; by default every one."""
    split_files: tuple[pathlib.Path, ...] = ()
    """What `Split.save` wrote."""
    split_seeds: tuple[int, ...] = (1,)
    """A split, or a set of folds, for each."""
    folds: int = 5
    seeds: tuple[int, ...] = (0,)
    """Of the predictors that draw."""
    condition_key: str = "condition"
    context_key: str | None = None
    cells: int | None = None
    """Predicted for each condition in each context; by default one from each control."""


def evaluations(given: Measured, screen: data.Screen) -> Iterator[comparison.Evaluation]:
    """What is tested, by the protocol and the seed."""
    if given.split == "file":
        for path in given.split_files:
            split = scbig.Split.read(path)
            yield comparison.Evaluation(split.name, (split,))
        return
    for seed in given.split_seeds:
        yield comparison.Evaluation(f"{given.split}-{seed}", tuple(_splits(given, screen, seed)))


def _splits(given: Measured, screen: data.Screen, seed: int) -> Sequence[scbig.Split]:
    if given.split in ("doubles", "singles", "genes"):
        kind: Any = given.split
        # The validation conditions would be lost to all: each method sets aside its own.
        return splits.kfold(screen, folds=given.folds, seed=seed, of=kind, validation=0.0)
    if given.split == "contexts":
        lines = screen.contexts
        for held in given.held:
            if held not in lines:
                raise SystemExit(f"No context {held!r} to hold out; there are {', '.join(lines)}.")
        others = {held: [line for line in lines if line != held] for held in given.held or lines}
        return [
            splits.cross_context(screen, train=rest, test=held, seed=seed, validation=0.0)
            for held, rest in others.items()
        ]
    if given.split == "combosciplex":
        return [splits.combosciplex(screen)]
    protocols = {"additive": splits.additive, "holdout": splits.holdout, "gears": splits.gears}
    return [protocols[given.split](screen, seed=seed)]


def named(option: str, given: Sequence[str]) -> Iterator[tuple[str, pathlib.Path]]:
    """The names and files of an option that takes `name=FILE` several times."""
    for asked in given:
        name, sign, path = asked.partition("=")
        if not (name and sign and path):
            raise SystemExit(f"--{option} takes name=FILE; got {asked!r}.")
        yield name, pathlib.Path(path)


def screen_of(given: Measured) -> data.Screen:
    """The cells."""
    columns = data.Columns(condition=given.condition_key, context=given.context_key)
    return data.Screen.from_anndata(data.read_h5ad(given.data), columns)


def priors_of(given: Measured, screen: data.Screen) -> scbig.Priors:
    """The priors, and the graph of what is measured or perturbed, linked by shared terms."""
    files = given.files.read(screen.genes, screen.perturbations)
    return scbig.Priors(**files, perturbation_graph=_annotated(given, screen))


def _annotated(given: Measured, screen: data.Screen) -> priors.InteractionGraph | None:
    """The graph of shared terms, by the screen's names, which `--aliases` may know."""
    if given.annotations is None:
        return None
    found = priors.read_annotations(given.annotations)
    own = renaming(given, screen, found.genes, "annotations")
    genes = {*screen.genes, *screen.perturbations} - {*own.values()} | {*own}
    return found.graph(sorted(genes)).renamed(own)


def renaming(
    given: Measured, screen: data.Screen, known: Sequence[str], what: str
) -> dict[str, str]:
    """From the names of a file to those of the screen, as far as `--aliases` tells."""
    if given.files.aliases is None:
        return {}
    genes = sorted({*screen.genes, *screen.perturbations})
    aliases = priors.read_aliases(given.files.aliases)
    match = priors.match_genes(genes, known, aliases=aliases)
    print(f"{what}: {match.summary()}")
    return match.inverse
