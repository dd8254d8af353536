"""What training lowers and what selects its result: terms, criteria, optimisers, as values."""

from ._consistency import Consistency as Consistency, ConsistencyFacts as ConsistencyFacts
from ._criteria import (
    AbstractCriterion as AbstractCriterion,
    FlowCriterion as FlowCriterion,
    ResponseCriterion as ResponseCriterion,
    ResponseFacts as ResponseFacts,
    pearson_or_zero as pearson_or_zero,
    predicted_responses as predicted_responses,
)
from ._data import FlowData as FlowData, Setting as Setting
from ._optimisers import (
    AbstractOptimiser as AbstractOptimiser,
    AbstractSchedule as AbstractSchedule,
    Adam as Adam,
    Constant as Constant,
    WarmupCosine as WarmupCosine,
)
from ._planned import PlannedMatching as PlannedMatching
from ._population import PopulationCriterion as PopulationCriterion
from ._terms import (
    AbstractTerm as AbstractTerm,
    FlowMatching as FlowMatching,
    HasReferences as HasReferences,
    HasShares as HasShares,
    Metrics as Metrics,
    Reconstruction as Reconstruction,
    reconstruction_loss as reconstruction_loss,
)
