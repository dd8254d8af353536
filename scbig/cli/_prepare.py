"""`scbig prepare`: from counts to log-normalised cells."""

import pathlib
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from scbig.config import PreprocessConfig

from ._options import Labels, report


@dataclass(frozen=True, kw_only=True)
class Prepare:
    """Counts in, log-normalised cells of the genes that matter out.

    Cells with few genes and genes in few cells are dropped; counts are normalised to the same
    total and their logarithm taken; the genes that vary most are kept, and every perturbed gene.
    The file may be larger than memory.

    Example: scbig prepare --counts screen.h5ad --out prepared.h5ad --control non-targeting
    """

    counts: pathlib.Path | None = None
    """An h5ad file or zarr folder with raw counts in X."""
    screen: (
        Literal["norman2019", "replogle2022_rpe1", "replogle2022_k562", "combosciplex"] | None
    ) = None
    """A public screen instead: it is downloaded (some GB) unless it is there already."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The file to write, .h5ad or .zarr."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    held_out: pathlib.Path | None = None
    """A split (JSON): its test cells have no say in which genes are kept."""
    keep_counts: bool = False
    """Whether the file also gets the counts, as layers["counts"]."""
    thresholds: tyro.conf.OmitArgPrefixes[PreprocessConfig] = field(
        default_factory=PreprocessConfig
    )

    def run(self) -> None:
        """Prepares the file and says what was kept."""
        from scbig.data import PerturbationScreen, Split, preprocess_file

        if (self.counts is None) == (self.screen is None):
            raise ValueError("Give either --counts FILE or --screen NAME.")
        labels, source = self.labels, self.counts
        if source is None:
            labels, source = Labels(context_key="context"), _public(str(self.screen), self.out)
        held_out = () if self.held_out is None else Split.read(self.held_out).test
        with progress():
            summary = preprocess_file(
                source,
                self.out,
                self.thresholds,
                condition_key=labels.condition_key,
                control=labels.control,
                dose_key=labels.dose_key,
                separator=labels.separator,
                held_out=held_out,
                keep_counts=self.keep_counts,
            )
        for name in ("removed_cells", "removed_genes_rare", "removed_genes_not_variable"):
            print(f"{name.replace('_', ' ')}: {summary[name]}")
        for name in ("removed_conditions", "perturbed_not_measured"):
            if len(summary[name]):
                print(f"{name.replace('_', ' ')}: {', '.join(summary[name])}")
        print(report(PerturbationScreen.open(self.out, **labels.options())))


def progress():
    """A bar for each pass over the file."""
    from dask.diagnostics.progress import ProgressBar

    return ProgressBar(minimum=1)


def _public(name: str, out: pathlib.Path) -> pathlib.Path:
    """A public screen in its tidy form, beside the output."""
    from scbig._files import atomic
    from scbig.data import datasets

    tidy = out.with_name(f"{name}-counts.h5ad")
    if not tidy.exists():
        adata = datasets.load(name)
        with atomic(tidy) as temporary:
            adata.write_h5ad(temporary)
    return tidy
