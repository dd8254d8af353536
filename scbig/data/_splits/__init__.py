"""Splits as values, and the algorithms that make them."""

from ._contexts import cross_context_split as cross_context_split
from ._draw import effect_sizes as effect_sizes
from ._folds import kfold_splits as kfold_splits
from ._peers import (
    combosciplex_split as combosciplex_split,
    gears_split as gears_split,
    scdfm_split as scdfm_split,
)
from ._protocols import additive_split as additive_split, holdout_split as holdout_split
from ._split import Split as Split
