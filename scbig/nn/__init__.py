"""Networks on one cell or one condition, and their specs; the caller `vmap`s."""

from ._attention import AttentionBlock as AttentionBlock, SelfAttention as SelfAttention
from ._blocks import (
    AbstractBlock as AbstractBlock,
    AbstractMixing as AbstractMixing,
    AbstractNormPlacement as AbstractNormPlacement,
    PostNorm as PostNorm,
    PreNorm as PreNorm,
)
from ._cells import (
    GeneClusterDecoder as GeneClusterDecoder,
    GeneClusterDecoderSpec as GeneClusterDecoderSpec,
    GeneClusterEncoder as GeneClusterEncoder,
    GeneClusterEncoderSpec as GeneClusterEncoderSpec,
)
from ._components import (
    PCADecoder as PCADecoder,
    PCADecoderSpec as PCADecoderSpec,
    PCAEncoder as PCAEncoder,
    PCAEncoderSpec as PCAEncoderSpec,
)
from ._conditions import (
    ConditionEncoder as ConditionEncoder,
    ConditionEncoderSpec as ConditionEncoderSpec,
)
from ._facts import (
    AbstractPosition as AbstractPosition,
    AbstractPositions as AbstractPositions,
    AbstractSemantics as AbstractSemantics,
    LearnedPosition as LearnedPosition,
    LearnedPositions as LearnedPositions,
    MeanSemantics as MeanSemantics,
    PositionEncoding as PositionEncoding,
    ProgramFacts as ProgramFacts,
    ProgramSlots as ProgramSlots,
    RelationalPosition as RelationalPosition,
    WeightedSemantics as WeightedSemantics,
)
from ._inducing import InducingBlock as InducingBlock, InducingPoints as InducingPoints
from ._pooling import (
    AbstractPool as AbstractPool,
    AbstractPooling as AbstractPooling,
    AttentionPool as AttentionPool,
    AttentionPooling as AttentionPooling,
    MeanPooling as MeanPooling,
    SeedPool as SeedPool,
    SeedPooling as SeedPooling,
    SumPooling as SumPooling,
    masked_softmax as masked_softmax,
)
from ._released import (
    ReleasedCondition as ReleasedCondition,
    ReleasedConditionSpec as ReleasedConditionSpec,
    ReleasedVelocity as ReleasedVelocity,
    ReleasedVelocitySpec as ReleasedVelocitySpec,
)
from ._specs import (
    AbstractConditionEncoder as AbstractConditionEncoder,
    AbstractConditionSpec as AbstractConditionSpec,
    AbstractDecoder as AbstractDecoder,
    AbstractDecoderSpec as AbstractDecoderSpec,
    AbstractEncoder as AbstractEncoder,
    AbstractEncoderSpec as AbstractEncoderSpec,
    AbstractVelocity as AbstractVelocity,
    AbstractVelocitySpec as AbstractVelocitySpec,
    InClosedForm as InClosedForm,
    Sizes as Sizes,
)
from ._velocity import (
    TimeFeatures as TimeFeatures,
    VelocityField as VelocityField,
    VelocityFieldSpec as VelocityFieldSpec,
)
