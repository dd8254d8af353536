"""From data to parameters: two stages, one loop."""

from ._autoencoder import autoencoder_stage as autoencoder_stage, standardise as standardise
from ._contexts import control_profiles as control_profiles, one_hot_contexts as one_hot_contexts
from ._covers import covered as covered
from ._feed import make_feed as make_feed
from ._fit import FitResult as FitResult, fit as fit, fit_autoencoder as fit_autoencoder
from ._flow import Prepared as Prepared, flow_stage as flow_stage
from ._holdout import (
    hold_out_cells as hold_out_cells,
    hold_out_conditions as hold_out_conditions,
)
from ._latents import latents_of as latents_of
from ._loop import Stage as Stage, run as run
from ._materials import Materials as Materials
from ._priors import Priors as Priors
from ._programs import ClusteringInput as ClusteringInput, response_errors as response_errors
from ._record import MetricsLog as MetricsLog, ProgressBar as ProgressBar, Recorder as Recorder
from ._setting import flow_data as flow_data, make_setting as make_setting
from ._stages import TrainingKeys as TrainingKeys, train_stages as train_stages
from ._starts import own_starts as own_starts, starts_of as starts_of
from ._state import (
    Part as Part,
    RunState as RunState,
    TrainState as TrainState,
    accumulated as accumulated,
    compile_steps as compile_steps,
    initial_state as initial_state,
    side_by_side as side_by_side,
    trainable as trainable,
    update as update,
)
