"""Screens with known truth: simulated whole, or cells drawn around given effects."""

from ._count_model import (
    CountModel as CountModel,
    count_model as count_model,
    expected_means as expected_means,
)
from ._effects import Effects as Effects, read_effects as read_effects
from ._pseudobulk import Pseudobulk as Pseudobulk, recover_pseudobulk as recover_pseudobulk
from ._semisynthetic import (
    semi_synthetic_screen as semi_synthetic_screen,
    write_semi_synthetic as write_semi_synthetic,
)
from ._settings import (
    SemiSyntheticConfig as SemiSyntheticConfig,
    SimulationConfig as SimulationConfig,
)
from ._shrink import shrink_effects as shrink_effects
from ._simulated import SimulatedScreen as SimulatedScreen, simulate_screen as simulate_screen
