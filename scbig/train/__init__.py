"""From data to parameters: two stages, one loop."""

from ._autoencoder import (
    autoencoder_stage as autoencoder_stage,
    reconstruction_loss as reconstruction_loss,
    standardise as standardise,
)
from ._contexts import control_profiles as control_profiles, one_hot_contexts as one_hot_contexts
from ._feed import Order as Order, make_feed as make_feed
from ._fit import Fit as Fit, fit as fit
from ._flow import FlowData as FlowData, flow_stage as flow_stage, objective as objective
from ._index import CellIndex as CellIndex
from ._latents import latents_of as latents_of
from ._loop import Stage as Stage, run as run
from ._materials import Materials as Materials, Priors as Priors
from ._programs import Grouping as Grouping, response_errors as response_errors
from ._record import MetricsLog as MetricsLog, Recorder as Recorder
from ._stages import TrainingKeys as TrainingKeys, train_stages as train_stages
from ._state import (
    RunState as RunState,
    TrainState as TrainState,
    compile_steps as compile_steps,
    initial_state as initial_state,
    make_optimiser as make_optimiser,
    trainable as trainable,
    update as update,
)
from ._targets import (
    correlation_targets as correlation_targets,
    flow_data as flow_data,
    hold_out_cells as hold_out_cells,
)
from ._validation import (
    FlowValidation as FlowValidation,
    ResponseValidation as ResponseValidation,
    pearson as pearson,
)
