"""What is known before a screen, as `fit` takes it; read only where the configuration does."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from scbig._value import plain, walk
from scbig.data import Covered
from scbig.method import ScBIGConfig
from scbig.priors import (
    AlignedEmbeddings,
    AlignedGraph,
    EmbeddingTable,
    InteractionGraph,
    PathwayLibrary,
)

from ._covers import covered

Missing = Literal["error", "zero", "mean"]
_KINDS = ("genes", "interactions", "pathways")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Priors:
    """What is known before the screen, as `fit` takes it.

    What the configuration's algorithms read must be here; what none of them reads is not looked at.

    **Fields:** `genes`, embeddings of the screen's genes, with `missing`, the policy for genes that
    the table lacks (`EmbeddingTable.align`) and, in comparisons, for perturbations (`filled`);
    `interactions`, a graph between genes; `pathways`, gene sets for the pathway alignment;
    `perturbations`, embeddings of what can be perturbed (genes, drugs), `genes` by default;
    `perturbation_graph`, edges between these, which only learned baselines read (GEARS;
    `Annotations.graph` makes the one of shared GO terms), and which is apart from `interactions` so
    that both can be given; `contexts`, a vector for each context of the screen, and for others that
    are to be predicted in (`one_hot_contexts` and `control_profiles` make such tables). Every
    feature of `perturbations` and of `contexts` is standardised over its table. Without `contexts`
    the model does not tell contexts apart, though controls are still drawn from the context of the
    cells that they are matched with.

    **Raises:** `ValueError` without `perturbations` and without `genes`.
    """

    genes: EmbeddingTable | None = None
    interactions: InteractionGraph | None = None
    pathways: PathwayLibrary | None = None
    perturbations: EmbeddingTable | None = None
    perturbation_graph: InteractionGraph | None = None
    contexts: EmbeddingTable | None = None
    missing: Missing = "error"

    def __post_init__(self) -> None:
        kinds = {
            **dict.fromkeys(("genes", "perturbations", "contexts"), EmbeddingTable),
            **dict.fromkeys(("interactions", "perturbation_graph"), InteractionGraph),
            "pathways": PathwayLibrary,
        }
        for name, kind in kinds.items():
            value = getattr(self, name)
            if not isinstance(value, kind | None):
                raise ValueError(
                    f"Priors: {name} must be a scbig.priors.{kind.__name__}; got a "
                    f"{type(value).__name__}."
                )
        if self.missing not in get_args(Missing):
            raise ValueError(
                f"Priors: missing must be one of {', '.join(get_args(Missing))}; got "
                f"{self.missing!r}."
            )
        if self.genes is None and self.perturbations is None:
            raise ValueError(
                "Priors need a vector for each perturbation: give perturbations=, or genes=, whose "
                "vectors then serve genes and perturbations alike."
            )

    @property
    def tokens(self) -> EmbeddingTable:
        """The vectors of what can be perturbed, each feature standardised over the table."""
        table = self.genes if self.perturbations is None else self.perturbations
        assert table is not None
        return table.standardised()

    def tokens_of(self, perturbations: Sequence[str]) -> EmbeddingTable:
        """`tokens`, with the mean of the table for those of the perturbations that it lacks."""
        table = self.tokens
        lacking = tuple(sorted(set(perturbations) - set(table.names)))
        zeros = np.zeros((len(lacking), table.vectors.shape[1]), np.float32)
        return EmbeddingTable((*table.names, *lacking), np.vstack([table.vectors, zeros]))

    def filled(self, perturbations: Sequence[str]) -> "Priors":
        """With a vector for each of these, as `missing` says; the same where that is `"error"`.

        Several that lack one then have the same, and only what was measured of them is their own.

        **Arguments:** `perturbations`, names without doses.
        """
        table = self.genes if self.perturbations is None else self.perturbations
        assert table is not None
        lacking = tuple(sorted(set(perturbations) - set(table.names)))
        if not lacking or self.missing == "error":
            return self
        mean = table.vectors.mean(axis=0, dtype=np.float64) * (self.missing == "mean")
        rows = np.tile(mean.astype(np.float32), (len(lacking), 1))
        more = EmbeddingTable((*table.names, *lacking), np.vstack([table.vectors, rows]))
        return dataclasses.replace(self, perturbations=more)

    def covers(self, genes: Sequence[str], perturbations: Sequence[str]) -> tuple[Covered, ...]:
        """What each prior knows of a screen's genes and perturbations: see `Screen.report`."""
        return covered(
            genes,
            perturbations,
            embeddings=self.genes,
            missing=self.missing,
            tokens=self.perturbations,
            relatives=self.perturbation_graph,
            interactions=self.interactions,
            pathways=self.pathways,
        )

    def read_by(self, config: ScBIGConfig, *, given: Sequence[str] = ()) -> "Priors":
        """Only what a configuration reads of them, and vectors of perturbations.

        **Arguments:** `given`, as for `readers`.
        """
        read = readers(config, given=given)
        kept = {kind: getattr(self, kind) if kind in read else None for kind in _KINDS}
        table = self.perturbations or (self.genes if kept["genes"] is None else None)
        return dataclasses.replace(self, **kept, perturbations=table, perturbation_graph=None)

    def provenance(self, config: ScBIGConfig) -> dict[str, Any]:
        """What gene programs were made with: configuration, and a checksum of each prior read."""
        read = readers(config)
        found: dict[str, Any] = {"config": plain(config.programs)}
        if self.genes is not None and "genes" in read:
            found |= {"embeddings": self.genes.checksum, "missing": self.missing}
        if self.interactions is not None and "interactions" in read:
            found["interactions"] = self.interactions.checksum
        return found


def readers(config: ScBIGConfig, *, given: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The algorithms of a configuration by the prior that they read, as their `reads` say.

    **Arguments:** `given`, the fields that a run does not read, because it is given what they make.
    """
    found: dict[str, list[Any]] = {}
    fields = [field.name for field in dataclasses.fields(config) if field.name not in given]
    for value in walk([getattr(config, name) for name in fields]):
        for kind in getattr(value, "reads", ()):
            found.setdefault(kind, []).append(value)
    return found


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AlignedPriors:
    """The priors that a configuration reads, for exactly a screen's genes; `None` for the others.

    **Fields:** `genes`, `graph`, aligned; `pathways`, the sets as given; `coverage`, one line for
    each prior.
    """

    genes: AlignedEmbeddings | None
    graph: AlignedGraph | None
    pathways: PathwayLibrary | None
    coverage: tuple[str, ...]

    @classmethod
    def of(
        cls,
        priors: Priors,
        config: ScBIGConfig,
        names: tuple[str, ...],
        *,
        given: Sequence[str] = (),
        anyway: bool = False,
    ) -> "AlignedPriors":
        """Aligns what the configuration reads with these genes.

        **Arguments:** `given`, as for `readers`; `anyway`, whether the graph may have no edge
        between two of the genes.

        **Raises:** `ValueError` naming a prior that is missing and what reads it, or genes that
        it lacks.
        """
        read = readers(config, given=given)
        _check_given(priors, read)
        genes = priors.genes if "genes" in read else None
        graph = priors.interactions if "interactions" in read else None
        pathways = priors.pathways if "pathways" in read else None
        aligned = None if genes is None else genes.align(names, missing=priors.missing)
        edges = None if graph is None else graph.align(names, allow_empty=anyway)
        coverage = [] if aligned is None else [aligned.coverage.summary()]
        coverage += [] if edges is None else [edges.coverage.summary()]
        if pathways is not None:
            # Each loss restricts the sets by itself, after stage 1: too late for an error.
            least = {getattr(value, "min_genes", 1) for value in read["pathways"]}
            coverage += [pathways.align(names, min_genes=n).summary() for n in sorted(least)]
        return cls(genes=aligned, graph=edges, pathways=pathways, coverage=tuple(coverage))


def _check_given(priors: Priors, read: dict[str, list[Any]]) -> None:
    unknown = sorted(set(read) - set(_KINDS))
    if unknown:
        owner = type(read[unknown[0]][0]).__name__
        raise ValueError(
            f"{owner}.reads names {unknown[0]!r}, which is no prior: choose among "
            f"{', '.join(_KINDS)}."
        )
    for kind in _KINDS:
        if kind in read and getattr(priors, kind) is None:
            owners = ", ".join(dict.fromkeys(type(value).__name__ for value in read[kind]))
            raise ValueError(
                f"The configuration reads {kind} ({owners}), and the priors have none: give "
                f"Priors {kind}=, or choose algorithms that do without."
            )
