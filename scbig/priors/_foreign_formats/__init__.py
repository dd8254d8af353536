"""Tables in files that are programs, pickles and PyTorch's: read without running anything."""

from ._read_pickle import read_pickle as read_pickle
from ._read_torch import read_torch as read_torch
