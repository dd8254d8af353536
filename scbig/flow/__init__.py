"""From control to perturbed latents: paths, the flow-matching loss, and the solve."""

from ._path import (
    AbstractProbabilityPath as AbstractProbabilityPath,
    BrownianBridge as BrownianBridge,
    LinearPath as LinearPath,
    cell_loss as cell_loss,
    flow_matching_loss as flow_matching_loss,
)
from ._transport import (
    Transport as Transport,
    Transported as Transported,
    WorstCellNorm as WorstCellNorm,
    adaptive as adaptive,
    fixed as fixed,
)
