"""How far a prediction is from the truth: pure functions on arrays, and one table on cells."""

from ._ceiling import halves as halves, split_half as split_half
from ._changed import (
    changed_scores as changed_scores,
    des as des,
    log_fold_changes as log_fold_changes,
    overlap as overlap,
    top_overlap as top_overlap,
    weighted_scores as weighted_scores,
)
from ._controls import (
    FEWEST_CONTROLS as FEWEST_CONTROLS,
    counted as counted,
    few_controls as few_controls,
    hold_controls as hold_controls,
    support as support,
)
from ._direction import ERRORS as ERRORS, RELIABILITIES as RELIABILITIES, ahead as ahead
from ._discrimination import (
    discrimination_scores as discrimination_scores,
    perturbed_genes as perturbed_genes,
)
from ._distribution import (
    Projection as Projection,
    energy_distance as energy_distance,
    fit_projection as fit_projection,
)
from ._evaluate import (
    evaluate as evaluate,
    held_of as held_of,
    reference_of as reference_of,
    scored as scored,
    summarise as summarise,
)
from ._interaction import (
    Interaction as Interaction,
    distance_correlation as distance_correlation,
    interaction as interaction,
    interaction_scores as interaction_scores,
)
from ._origin import (
    mean_of_conditions as mean_of_conditions,
    single_profiles as single_profiles,
)
from ._ranksum import RankSums as RankSums, Sorted as Sorted, rank_sums as rank_sums
from ._response import (
    cosine as cosine,
    direction_accuracy as direction_accuracy,
    pearson as pearson,
    response as response,
    response_scores as response_scores,
    top_genes as top_genes,
)
from ._scoring import Metric as Metric, Scoring as Scoring
from ._truth import Truth as Truth
from ._wanted import named as named, wanted_of as wanted_of
