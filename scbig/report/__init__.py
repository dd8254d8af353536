"""A run folder as one page that opens anywhere: what was trained, what it knows, how good it is."""

from ._capability import capabilities as capabilities
from ._page import write_report as write_report
from ._run import Run as Run
