"""Networks on one cell or one condition; the caller `vmap`s."""

from ._cells import (
    AbstractSemantics as AbstractSemantics,
    GeneClusterDecoder as GeneClusterDecoder,
    GeneClusterEncoder as GeneClusterEncoder,
    MeanSemantics as MeanSemantics,
    PositionEncoding as PositionEncoding,
    ProgramPriors as ProgramPriors,
    WeightedSemantics as WeightedSemantics,
)
from ._conditions import ConditionEncoder as ConditionEncoder
from ._inducing import InducingBlock as InducingBlock
from ._pooling import (
    AbstractPooling as AbstractPooling,
    AttentionPooling as AttentionPooling,
    MeanPooling as MeanPooling,
    SeedPooling as SeedPooling,
    SumPooling as SumPooling,
    make_pooling as make_pooling,
    masked_softmax as masked_softmax,
)
from ._velocity import (
    AbstractVelocity as AbstractVelocity,
    TimeFeatures as TimeFeatures,
    VelocityField as VelocityField,
)
