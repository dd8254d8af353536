"""Many predictors on the same held-out conditions, run after run, to one table."""

from ._page import SHOWN as SHOWN, page as page, summary as summary
from ._paper import PAPER as PAPER, lacking as lacking
from ._plan import (
    Comparison as Comparison,
    Evaluation as Evaluation,
    folder_name as folder_name,
)
from ._recipes import RULES as RULES, native as native, vectors_of as vectors_of
from ._run import costs as costs, missing as missing, predict_all as predict_all
from ._score import score_all as score_all
from ._stamp import read_prediction as read_prediction, stamped as stamped
from ._stored import StoredPredictions as StoredPredictions
from ._tables import WithPriors as WithPriors, with_table as with_table
