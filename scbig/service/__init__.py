"""Names and AnnData around a trained model: predict, save, load."""

from ._counts import COUNTED as COUNTED, as_counts as as_counts, rounded_counts as rounded_counts
from ._courses import Course as Course, courses as courses
from ._file import load as load, save as save
from ._names import Names as Names
from ._trained import TrainedModel as TrainedModel
