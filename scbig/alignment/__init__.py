"""Losses that keep program and pathway structure through encode, solve, decode."""

from ._abstract import (
    AbstractAlignment as AbstractAlignment,
    MeasuredCells as MeasuredCells,
)
from ._correlation import (
    CorrelationAlignment as CorrelationAlignment,
    cluster_correlation as cluster_correlation,
    correlation_targets as correlation_targets,
)
from ._pathway import (
    PathwayAlignment as PathwayAlignment,
    PathwayFacts as PathwayFacts,
    pathway_weights as pathway_weights,
)
from ._plain import (
    PlainPathwayAlignment as PlainPathwayAlignment,
    plain_transport as plain_transport,
)
