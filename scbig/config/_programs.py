"""Gene programs: the method, its ablations (Tables 6a and 6b), and what goes beyond them."""

from dataclasses import dataclass
from typing import Literal

from ._check import check_choices, require


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgramsConfig:
    """Gene-Relation Clustering (section 3.1, Eq. 1) and its variants."""

    clusters: int = 32
    method: Literal["grc", "balanced_kmeans", "kmeans", "order"] = "grc"
    """Gene-Relation Clustering; k-means on the embeddings, filled to equal sizes or as it falls;
    or genes as they stand in the file."""
    priors: Literal["both", "embeddings", "interactions", "none"] = "both"
    """What Gene-Relation Clustering reads. Without embeddings it starts from random balanced
    programs; without both it stops there."""
    features: Literal["pretrained", "coexpression", "both"] = "pretrained"
    """The embeddings: as given, principal components of the training controls, or side by side."""
    components: int = 50
    """Principal components of the training controls."""
    edges: Literal["binary", "confidence"] = "binary"
    """Whether an interaction counts as one or as its confidence."""
    semantic_weight: float = 1.0
    interaction_weight: float = 1.0
    rounds: int = 30
    """Most alternations of transport and rounding; it stops when the labels no longer change."""
    epsilon: float = 0.1
    """Entropic regularisation, on costs whose semantic part lies in [0, 1]."""
    iterations: int = 2000
    """Most Sinkhorn iterations a round."""
    threshold: float = 1e-3
    """Largest accepted L1 error of the transport plan's marginals."""
    rounding: Literal["greedy", "exact"] = "greedy"
    """From plan to programs: by decreasing mass, or the assignment of least cost."""
    tolerance: float = 0.0
    """Share of the mean size by which a program's size may differ from it; 0 is balanced."""
    starts: int = 10
    """Starts: of k-means++, or random ones without embeddings."""
    start_components: int | None = 128
    """k-means starts see so many leading principal components of wider embeddings; `None`: all."""
    select: Literal["kmeans", "objective", "consensus"] = "kmeans"
    """Go on from the best k-means alone (or the first random start); or from every start, to the
    one of least cost, or to the programs on which the starts agree."""
    temperature: float | None = None
    """Soft programs: entropic regularisation of the plan that shares genes out; `None` is hard."""
    overlap: int = 3
    """Most programs that share a gene, if they are soft."""
    feedback: int = 0
    """Times that the programs are updated from the trained model's errors on the training
    conditions; each is another whole training."""
    feedback_weight: float = 1.0
    """Weight, in those updates, of the distance between error profiles."""

    def __post_init__(self) -> None:
        check_choices(self)
        sizes = (self.clusters, self.rounds, self.iterations, self.starts, self.components)
        require(min(sizes) > 0, self, "clusters, rounds, iterations, starts, components: positive")
        few = self.start_components
        require(few is None or few > 0, self, "start_components must be positive or None")
        weights = (self.semantic_weight, self.interaction_weight, self.feedback_weight)
        require(min(weights) >= 0, self, "weights must not be negative")
        require(min(self.epsilon, self.threshold) > 0, self, "epsilon, threshold must be positive")
        require(0 <= self.tolerance < 1, self, "tolerance must lie in [0, 1)")
        soft = self.temperature is not None
        require(not soft or self.temperature > 0, self, "temperature must be positive or None")  # pyright: ignore[reportOptionalOperand]
        require(self.overlap > 1 or not soft, self, "soft programs share a gene among at least 2")
        require(self.feedback >= 0, self, "feedback must not be negative")
        plain = self.method == "grc" or (not soft and not self.feedback and self.tolerance == 0)
        require(plain, self, "temperature, feedback and tolerance belong to the method 'grc'")
