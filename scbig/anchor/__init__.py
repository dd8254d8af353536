"""Where the flow starts: control cells, moved to what measured responses make one expect."""

from ._abstract import (
    AbstractAnchor as AbstractAnchor,
    AbstractFittedAnchor as AbstractFittedAnchor,
)
from ._moves import (
    Moves as Moves,
    draw as draw,
    move as move,
    nonnegative as nonnegative,
)
from ._responses import FittedResponses as FittedResponses, ResponseAnchor as ResponseAnchor
from ._shape import transport_map as transport_map
from ._shrink import Noise as Noise, Shrunk as Shrunk, shrink as shrink
from ._states import States as States
