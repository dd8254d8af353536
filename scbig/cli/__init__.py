"""The command line, for those who do not write scripts."""

from ._evaluate import Evaluate as Evaluate
from ._fit import Fit as Fit
from ._main import main as main, run as run
from ._predict import Predict as Predict
from ._prepare import Prepare as Prepare
