"""What perturbations do to the mean: a model of measured responses in closed form."""

from ._design import (
    Design as Design,
    Strengths as Strengths,
    covariance as covariance,
    variance as variance,
)
from ._doses import DoseScale as DoseScale, Hill as Hill
from ._fitted import FittedEffects as FittedEffects
from ._mixed import MixedEffects as MixedEffects
from ._relations import (
    AbstractRelation as AbstractRelation,
    EmbeddingRelation as EmbeddingRelation,
    GraphRelation as GraphRelation,
    PathwayRelation as PathwayRelation,
)
from ._target import TargetEffect as TargetEffect
from ._transfer import Transfer as Transfer
