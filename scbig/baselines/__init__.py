"""What a model must beat: closed-form predictors under one protocol."""

from ._anchors import (
    REPLICATE as REPLICATE,
    against_best as against_best,
    by_condition as by_condition,
    scaled as scaled,
    with_replicate as with_replicate,
)
from ._beside import simple_rules as simple_rules
from ._ceilings import AUTOENCODER as AUTOENCODER, CEILING as CEILING, RoundTrip as RoundTrip
from ._closed_form import AbstractEffects as AbstractEffects
from ._compare import (
    averages as averages,
    compare as compare,
    margins as margins,
    standard as standard,
)
from ._emit import (
    Predictor as Predictor,
    move_controls as move_controls,
    predict_cells as predict_cells,
    predict_in_contexts as predict_in_contexts,
    shift_cells as shift_cells,
)
from ._linear import LinearEmbedding as LinearEmbedding
from ._mean import MeanOfPredictors as MeanOfPredictors
from ._mixed import MixedResponses as MixedResponses
from ._moved import MovedControls as MovedControls
from ._process import ResidualProcess as ResidualProcess
from ._recipe import (
    AbstractRecipe as AbstractRecipe,
    Arm as Arm,
    Method as Method,
    Rule as Rule,
    filled_priors as filled_priors,
    known_cells as known_cells,
)
from ._residual import ResidualTransfer as ResidualTransfer
from ._scaled import ScaledAdditive as ScaledAdditive
from ._simple import (
    Additive as Additive,
    Control as Control,
    MatchingMean as MatchingMean,
    PerturbedMean as PerturbedMean,
)
from ._strata import effect_norms as effect_norms, strata as strata
from ._uncertainty import (
    CONDITIONS as CONDITIONS,
    Interval as Interval,
    decimals as decimals,
    interval as interval,
    paired as paired,
    things_of as things_of,
)
