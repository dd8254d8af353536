"""The command line, for those who do not write scripts."""

from scbig._extras import need

need("tyro", extra="cli")


from ._evaluate import Evaluate as Evaluate
from ._fit import Fit as Fit
from ._inspect import Inspect as Inspect
from ._main import main as main, run as run
from ._parse import parse as parse
from ._predict import Predict as Predict
from ._prepare import Prepare as Prepare
from ._priors import PriorFiles as PriorFiles
