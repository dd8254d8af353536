"""The Hypothesis profiles."""

import os

from hypothesis import HealthCheck, settings

# Compilation dominates: no deadline, few examples. `ci` is derandomised, so that it never flakes.
_common = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", _common, max_examples=20)
settings.register_profile("ci", _common, max_examples=15, derandomize=True)
settings.register_profile("thorough", _common, max_examples=300)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
