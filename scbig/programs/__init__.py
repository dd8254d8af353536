"""Gene programs from prior knowledge: Gene-Relation Clustering (section 3.1 of the paper)."""

from ._checks import check_edges as check_edges
from ._clustering import (
    AbstractClustering as AbstractClustering,
    Clustering as Clustering,
    NotConverged as NotConverged,
    cluster_genes as cluster_genes,
    labelled as labelled,
)
from ._cost import (
    Alternation as Alternation,
    Relations as Relations,
    centroids as centroids,
    interaction_cost as interaction_cost,
    semantic_cost as semantic_cost,
    unit_rows as unit_rows,
    unmoved as unmoved,
)
from ._features import (
    AbstractFeatures as AbstractFeatures,
    Coexpression as Coexpression,
    Pretrained as Pretrained,
    SideBySide as SideBySide,
)
from ._grc import GRC as GRC, Feedback as Feedback, GRCState as GRCState
from ._partition import (
    AbstractPartition as AbstractPartition,
    GenePartition as GenePartition,
    balanced_capacities as balanced_capacities,
    capacities_within as capacities_within,
    size_bounds as size_bounds,
)
from ._plain import (
    FileOrder as FileOrder,
    Given as Given,
    KMeans as KMeans,
    RandomPrograms as RandomPrograms,
)
from ._rounding import (
    AbstractRounding as AbstractRounding,
    ExactRounding as ExactRounding,
    GreedyRounding as GreedyRounding,
    cheapest_assignment as cheapest_assignment,
    round_to_capacities as round_to_capacities,
)
from ._selection import (
    AbstractSelection as AbstractSelection,
    Cheapest as Cheapest,
    Consensus as Consensus,
    consensus as consensus,
    rand_indices as rand_indices,
)
from ._soft import Soft as Soft, SoftPartition as SoftPartition
from ._starts import (
    AbstractStart as AbstractStart,
    KMeansStart as KMeansStart,
    RandomStart as RandomStart,
    leading_components as leading_components,
)
from ._table import ProgramTable as ProgramTable, read_programs as read_programs
