"""Who is held out: splits as values, and the protocols that make them."""

from ._cross_context import cross_context as cross_context
from ._draw import effect_sizes as effect_sizes
from ._folds import kfold as kfold
from ._peers import combosciplex as combosciplex, gears as gears, scdfm as scdfm
from ._protocols import additive as additive, holdout as holdout
from ._split import Split as Split
