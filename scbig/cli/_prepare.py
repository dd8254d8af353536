"""`scbig prepare`: from counts to log-normalised cells."""

import contextlib
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from scbig.preprocess import PreprocessConfig

from ._options import CELLS, Labels, SplitName, check_writes, make_split, reported, split_file
from ._words import spoken


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Counts in, log-normalised cells of the genes that matter out.

    Cells with few genes and genes in few cells are dropped; counts are normalised to the same
    total and their logarithm taken; the genes that vary most are kept, and every perturbed gene.
    The file may be larger than memory.

    Example: scbig prepare --counts screen.h5ad --control non-targeting --split additive
    --out prepared.h5ad
    """

    counts: pathlib.Path | None = None
    """An h5ad file or zarr folder with raw counts in X."""
    screen: (
        Literal["norman2019", "replogle2022_rpe1", "replogle2022_k562", "combosciplex"] | None
    ) = None
    """A public screen instead: downloaded (about 1 GB) unless it is there, and verified. Its
    columns are known: condition, and context for the cell line."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write, .h5ad or .zarr."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file with the counts; by default X."""
    split: SplitName = "none"
    """Which perturbations are kept for testing: none; additive (a quarter of the doubles, and one
    to validate on); holdout (a fifth of the genes); gears; or a JSON file. Their cells have no say
    in which genes are kept.
    It is saved beside the output, as NAME.split.json, for 'fit --split'."""
    seed: int = 0
    """Of the split."""
    keep_counts: bool = False
    """Whether the file also gets the counts, as layers["counts"]."""
    thresholds: tyro.conf.OmitArgPrefixes[PreprocessConfig] = field(
        default_factory=PreprocessConfig
    )

    def run(self) -> None:
        """Prepares the file and says what was kept."""
        from dask.diagnostics.progress import ProgressBar

        from scbig._names import examples
        from scbig.data import Screen, condition_names
        from scbig.preprocess import preprocess_file

        if self.layer is not None and self.counts is None:
            raise ValueError(
                "--layer is one of --counts FILE: a public screen has its counts in X."
            )
        if (self.counts is None) == (self.screen is None):
            raise ValueError("Give either --counts FILE or --screen NAME.")
        check_writes(self.out, self.counts, split_file(self.split), suffixes=CELLS)
        with _source(self) as (source, labels):
            split = make_split(self.split, condition_names(source, labels.columns), self.seed)
            with ProgressBar(minimum=1):
                summary = preprocess_file(
                    source,
                    self.out,
                    self.thresholds,
                    labels.columns,
                    held_out=() if split is None else split.test,
                    held_out_contexts=() if split is None else split.test_contexts,
                    layer=self.layer,
                    keep_counts=self.keep_counts,
                )
        for name in ("removed_cells", "removed_genes_rare", "removed_genes_not_variable"):
            print(f"{name.replace('_', ' ')}: {summary[name]}")
        for name in ("removed_conditions", "perturbed_not_measured"):
            if len(summary[name]):
                print(f"{name.replace('_', ' ')}: {examples(summary[name], most=20)}")
        with reported():
            print(spoken(str(Screen.open(self.out, labels.columns).report())))
        if split is not None:
            split = split.without(summary["removed_conditions"])
            path = self.out.with_suffix(".split.json")
            split.save(path)
            print(f"The split is {path}: give it to 'fit --split'.")


@contextlib.contextmanager
def _source(command: Prepare) -> Iterator[tuple[pathlib.Path, Labels]]:
    """The counts and what their columns mean; a public screen's tidy form is removed after."""
    if command.counts is not None:
        yield command.counts, command.labels
        return
    from scbig import datasets
    from scbig._claims import scratch

    if command.labels != Labels():
        raise ValueError(
            "The columns of a public screen are known: leave out --condition-key, --control, "
            "--separator, --context-key, --dose-key, --guide-pattern and --gene-key."
        )
    adata = datasets.load(str(command.screen))
    dosed = "dose" in adata.obs
    with scratch(command.out) as folder:
        path = folder / "counts.h5ad"
        adata.write_h5ad(path)
        del adata
        yield path, Labels(context_key="context", dose_key="dose" if dosed else None)
