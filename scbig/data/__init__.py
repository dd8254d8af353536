"""What was measured: conditions, screens, splits, preprocessing, sampling, simulation."""

from scbig._condition import Condition as Condition

from . import datasets as datasets
from ._checks import check_log_normalised as check_log_normalised
from ._labels import CONTEXT_JOINT as CONTEXT_JOINT, contexts_of as contexts_of
from ._population import (
    context_rows as context_rows,
    expression_of as expression_of,
    population as population,
)
from ._preprocess import preprocess as preprocess, preprocess_file as preprocess_file
from ._sampling import CellIndex as CellIndex
from ._screen import PerturbationScreen as PerturbationScreen
from ._semisynthetic import (
    CountModel as CountModel,
    Effects as Effects,
    Pseudobulk as Pseudobulk,
    count_model as count_model,
    expected_means as expected_means,
    read_effects as read_effects,
    recover_pseudobulk as recover_pseudobulk,
    semi_synthetic_screen as semi_synthetic_screen,
    shrink_effects as shrink_effects,
    write_semi_synthetic as write_semi_synthetic,
)
from ._simulate import SimulatedScreen as SimulatedScreen, simulate_screen as simulate_screen
from ._splits import (
    Split as Split,
    additive_split as additive_split,
    combosciplex_split as combosciplex_split,
    cross_context_split as cross_context_split,
    effect_sizes as effect_sizes,
    gears_split as gears_split,
    holdout_split as holdout_split,
    kfold_splits as kfold_splits,
    scdfm_split as scdfm_split,
)
from ._stored import (
    condition_names as condition_names,
    read_h5ad as read_h5ad,
    write_store as write_store,
)
