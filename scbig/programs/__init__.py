"""Gene programs from prior knowledge: Gene-Relation Clustering (section 3.1 of the paper)."""

from ._clustering import (
    Clustering as Clustering,
    alternate as alternate,
    cluster_genes as cluster_genes,
)
from ._cost import (
    centroids as centroids,
    interaction_cost as interaction_cost,
    relation_cost as relation_cost,
    semantic_cost as semantic_cost,
    unit_rows as unit_rows,
)
from ._partition import GenePartition as GenePartition
from ._rounding import (
    balanced_capacities as balanced_capacities,
    round_to_capacities as round_to_capacities,
)
