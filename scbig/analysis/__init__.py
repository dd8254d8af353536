"""What the gene programs mean: pathways, interactions, agreement, against chance."""

from ._density import (
    InteractionDensity as InteractionDensity,
    interaction_density as interaction_density,
    interaction_folds as interaction_folds,
)
from ._enrichment import enrichment as enrichment, top_sets as top_sets
from ._summary import (
    adjusted_rand as adjusted_rand,
    audit as audit,
    program_table as program_table,
)
