"""`scbig fit`: from a prepared file and priors to a trained model."""

import pathlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ._options import (
    Labels,
    SplitName,
    check_writes,
    make_split,
    read_screen,
    reported,
    split_file,
)
from ._priors import PriorFiles
from ._words import spoken

if TYPE_CHECKING:
    from scbig.data import Screen
    from scbig.method import ScBIGConfig
    from scbig.priors import EmbeddingTable
    from scbig.train import Priors


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Train on a prepared file. What was stopped goes on when the same command is called again.

    Example: scbig fit --data prepared.h5ad --embeddings genes.npz --interactions string.tsv.gz
    --pathways reactome.gmt --split additive --out runs/first
    """

    data: pathlib.Path
    """Log-normalised cells, as 'prepare' writes them: an h5ad file or zarr folder."""
    contexts: str = "none"
    """What the model knows of contexts: none; one-hot (which one it is); controls (a profile of
    its control cells, for contexts never seen perturbed too); or a file with a vector for each."""
    out: Annotated[pathlib.Path, tyro.conf.arg(aliases=["-o"])]
    """The folder for the model, the split and the logs."""
    labels: tyro.conf.OmitArgPrefixes[Labels] = field(default_factory=Labels)
    files: tyro.conf.OmitArgPrefixes[PriorFiles] = field(default_factory=PriorFiles)
    layer: str | None = None
    """The layer of the file with the log-normalised cells; by default X."""
    min_condition_cells: int = 0
    """Leave a condition out of a context where it has fewer cells."""
    split: SplitName = "none"
    """Which perturbations are kept for testing: the JSON file that 'prepare --split' wrote; or
    none, additive, holdout or gears, drawn now (the genes were then chosen with the test cells).
    It is saved as split.json in the folder."""
    preset: Literal["anchored", "cpu", "paper", "released"] = "anchored"
    """Size of the model and of its training: cpu is small, and anchored the same with a flow that
    starts from what measured responses make one expect; paper and released want a GPU."""
    set: tuple[str, ...] = ()
    """Changes to the preset, such as stage1.epochs=50 stage2.steps=500: any field of
    scbig.ScBIGConfig. Algorithms too: flow.path=BrownianBridge(sigma=0.2)."""
    anyway: bool = False
    """Train in spite of what the report calls a reason not to: interactions without an edge between
    two genes, a perturbation without a vector, vectors for less than half of the genes."""
    on_disk: bool = False
    """Leave the cells on disk: for files that are larger than memory."""
    seed: int = 0
    """Of the split, the programs and the training."""

    def run(self) -> None:
        """Trains and says where the model is."""
        import jax.random as jr

        from scbig import train

        inputs = (self.data, *self.files.paths, split_file(self.split))
        check_writes(self.out, *inputs, suffixes=())
        config = self.config()
        with reported():
            screen = read_screen(self.data, self.labels, on_disk=self.on_disk, layer=self.layer)
        every = set(screen.conditions)
        if self.min_condition_cells:
            screen = screen.at_least(self.min_condition_cells)
        priors = self.priors(screen)
        whole = screen.report(priors.read_by(config))
        if whole.problems and not self.anyway:
            print(spoken(str(whole)))
            whole.check()
        split = make_split(self.split, [c.name for c in screen.conditions], self.seed)
        validation: tuple[str, ...] = ()
        if split is not None:
            split = split.without(every - set(screen.conditions))
            validation = split.validation
            print(
                f"split {split.name}, {split.hash}: {len(split.train)} training, "
                f"{len(validation)} validation and {len(split.test)} test conditions; the report "
                "is of the first two"
            )
            screen = split.cells(screen, "train", "validation")
        train.fit(
            screen,
            priors,
            config,
            validation=validation,
            out=self.out,
            anyway=self.anyway,
            say=lambda report: print(spoken(report)),
            key=jr.key(self.seed),
        )
        # Now that the folder is known to be this run's: another run's split must stay.
        if split is not None:
            split.save(self.out / "split.json")
        print(f"The model is {self.out / 'model.scbig'}.")

    def config(self) -> "ScBIGConfig":
        """The preset with the changes; on disk, with a buffer."""
        from scbig import method

        from ._settings import changed

        small = lambda: method.anchored(method.cpu())
        presets = {"anchored": small, "cpu": method.cpu}
        base = {**presets, "paper": method.paper, "released": method.released}[self.preset]()
        if any(change.partition("=")[0] == "seed" for change in self.set):
            raise ValueError("--seed is an option of its own, and no setting of the preset.")
        return changed(method.on_disk(base) if self.on_disk else base, self.set)

    def priors(self, screen: "Screen") -> "Priors":
        """The files of priors, read."""
        from scbig import train

        tables = self.files.read(screen.genes, screen.perturbations)
        return train.Priors(contexts=self._contexts(screen), **tables)

    def _contexts(self, screen: "Screen") -> "EmbeddingTable | None":
        from scbig import priors, train

        match self.contexts:
            case "none":
                return None
            case "one-hot":
                return train.one_hot_contexts(screen.contexts)
            case "controls":
                most = min(len(screen.contexts) - 1, 8)
                return train.control_profiles(screen, components=most)
            case _:
                return priors.read_embeddings(self.contexts)
