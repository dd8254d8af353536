"""Every number that a run can choose, as frozen values; standard library only.

A variant is `dataclasses.replace(config, ...)`. Presets: `paper()`, `released()`, `cpu()`.
Equation and table numbers refer to arXiv 2602.04901.
"""

from ._method import (
    AlignmentConfig as AlignmentConfig,
    AutoencoderConfig as AutoencoderConfig,
    ConditionConfig as ConditionConfig,
    CouplingConfig as CouplingConfig,
    TransportConfig as TransportConfig,
    VelocityConfig as VelocityConfig,
)
from ._programs import ProgramsConfig as ProgramsConfig
from ._run import (
    AutoencoderTraining as AutoencoderTraining,
    FlowTraining as FlowTraining,
    ScBIGConfig as ScBIGConfig,
    cpu as cpu,
    fingerprint as fingerprint,
    on_disk as on_disk,
    paper as paper,
    released as released,
)
