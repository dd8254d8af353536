"""Gene programs from prior knowledge: Gene-Relation Clustering (section 3.1 of the paper)."""

from ._agreement import consensus as consensus, rand_indices as rand_indices
from ._alternation import Alternation as Alternation, alternate as alternate
from ._capacities import (
    balanced_capacities as balanced_capacities,
    capacities_within as capacities_within,
    size_bounds as size_bounds,
)
from ._checks import check_edges as check_edges
from ._clustering import Clustering as Clustering, cluster_genes as cluster_genes
from ._components import leading_components as leading_components
from ._cost import (
    Relations as Relations,
    centroids as centroids,
    interaction_cost as interaction_cost,
    semantic_cost as semantic_cost,
    unit_rows as unit_rows,
)
from ._exact import cheapest_assignment as cheapest_assignment
from ._partition import (
    AbstractPartition as AbstractPartition,
    GenePartition as GenePartition,
)
from ._rounding import round_to_capacities as round_to_capacities
from ._soft import SoftPartition as SoftPartition
from ._table import ProgramTable as ProgramTable, read_programs as read_programs
