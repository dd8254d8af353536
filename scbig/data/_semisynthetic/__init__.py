"""Cells drawn from a count model around given effects."""

from ._effects import Effects as Effects, read_effects as read_effects
from ._model import (
    CountModel as CountModel,
    count_model as count_model,
    expected_means as expected_means,
)
from ._pseudobulk import Pseudobulk as Pseudobulk, recover_pseudobulk as recover_pseudobulk
from ._screen import (
    semi_synthetic_screen as semi_synthetic_screen,
    write_semi_synthetic as write_semi_synthetic,
)
from ._shrink import shrink_effects as shrink_effects
