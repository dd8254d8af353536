"""Names and AnnData around a trained model: predict, save, load."""

from ._names import Names as Names
from ._trained import TrainedModel as TrainedModel, load as load, save as save
