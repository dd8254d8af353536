"""Names and AnnData around a trained model: predict, save, load."""

from ._file import load as load, save as save
from ._names import Names as Names
from ._trained import TrainedModel as TrainedModel
