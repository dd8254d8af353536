"""The trained thing: encode, predict, save, load."""

from ._build import make_model as make_model, program_priors as program_priors
from ._io import load as load, save as save
from ._names import Names as Names
from ._scbig import ScBIG as ScBIG
from ._tokens import ConditionTokens as ConditionTokens, Dosing as Dosing
