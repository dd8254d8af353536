"""A whole run as one value, and the presets."""

from scbig._value import (
    Value as Value,
    Weighted as Weighted,
    but as but,
    fingerprint as fingerprint,
    plain as plain,
    read as read,
    real as real,
    walk as walk,
    whole as whole,
)

from ._config import (
    AutoencoderTraining as AutoencoderTraining,
    FlowTraining as FlowTraining,
    ScBIGConfig as ScBIGConfig,
)
from ._presets import (
    anchored as anchored,
    cellflow as cellflow,
    cellflow_like as cellflow_like,
    cpu as cpu,
    on_disk as on_disk,
    paper as paper,
    released as released,
    wide as wide,
)
