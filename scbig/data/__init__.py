"""What was measured: conditions, screens, preprocessing, sampling on the device, simulation."""

from ._checks import check_log_normalised as check_log_normalised
from ._condition import Condition as Condition
from ._population import expression_of as expression_of, population as population
from ._preprocess import preprocess as preprocess, preprocess_file as preprocess_file
from ._sampling import CellIndex as CellIndex
from ._screen import PerturbationScreen as PerturbationScreen
from ._simulate import SimulatedScreen as SimulatedScreen, simulate_screen as simulate_screen
