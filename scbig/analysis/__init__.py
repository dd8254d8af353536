"""What the gene programs mean: pathways, interactions, agreement, against chance."""

from ._attention import (
    attends as attends,
    attention_shift as attention_shift,
    program_attention as program_attention,
)
from ._coordination import (
    coactivation as coactivation,
    program_means as program_means,
    program_response as program_response,
)
from ._density import (
    InteractionDensity as InteractionDensity,
    interaction_density as interaction_density,
    interaction_folds as interaction_folds,
)
from ._enrichment import enrichment as enrichment, top_sets as top_sets
from ._meaning import (
    genetic_interactions as genetic_interactions,
    nearest_measured as nearest_measured,
    on_target as on_target,
)
from ._predicted import (
    beside_controls as beside_controls,
    predicted_screen as predicted_screen,
)
from ._ranking import (
    CHUNK as CHUNK,
    pairs_of as pairs_of,
    predicted_effects as predicted_effects,
    ranked as ranked,
)
from ._response import gene_response as gene_response
from ._summary import (
    adjusted_rand as adjusted_rand,
    audit as audit,
    program_table as program_table,
)
from ._trajectories import program_course as program_course, trajectories as trajectories
