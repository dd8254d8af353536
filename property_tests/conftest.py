"""The Hypothesis profiles."""

import os

from hypothesis import HealthCheck, settings

# Compilation dominates: no deadline, few examples. `ci` is derandomised, so that it never flakes.
_common = dict(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", max_examples=20, **_common)
settings.register_profile("ci", max_examples=15, derandomize=True, **_common)
settings.register_profile("thorough", max_examples=300, **_common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
