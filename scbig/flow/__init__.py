"""From control to perturbed latents: paths, the flow-matching loss, and the solve."""

from ._path import (
    AbstractProbabilityPath as AbstractProbabilityPath,
    LinearPath as LinearPath,
    cell_loss as cell_loss,
    flow_matching_loss as flow_matching_loss,
)
from ._transport import (
    Transport as Transport,
    Transported as Transported,
    make_transport as make_transport,
    worst_cell_norm as worst_cell_norm,
)
