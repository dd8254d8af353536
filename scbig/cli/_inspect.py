"""`scbig inspect`: what a file holds, before anything is done with it."""

import pathlib
from dataclasses import dataclass, field

import tyro

from ._options import Labels
from ._priors import PriorFiles
from ._words import spoken


@dataclass(frozen=True, kw_only=True)
class Inspect:
    """Say what a file holds and what looks strange about it. Nothing is written.

    Counts, or log-normalised cells; with files of priors, what these know of its genes and
    perturbations.

    Example: scbig inspect prepared.h5ad --embeddings genes.npz --interactions string.tsv.gz
    --pathways reactome.gmt
    """

    data: tyro.conf.Positional[pathlib.Path]
    """An h5ad file or zarr folder."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    layer: str | None = None
    """The layer of the file to look at; by default X."""
    files: tyro.conf.OmitArgPrefixes[PriorFiles] = field(default_factory=PriorFiles)

    def run(self) -> None:
        """Prints the report; what no training could use is an error."""
        from scbig.data import inspect_file

        report = inspect_file(self.data, self.labels.columns, layer=self.layer, priors=self.files)
        print(spoken(str(report)))
        report.check()
