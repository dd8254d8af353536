"""Thresholds that mean nothing are refused, by name and value."""

import subprocess
import sys

# Without the type checker that watches the tests.
CODE = """
import math, sys
from scbig.preprocess import PreprocessConfig
fields = {
    "min_genes": (-1, 0.5, math.nan, True, "3"),
    "min_cells": (-1, 2.5, math.inf),
    "min_condition_cells": (-1, 2.5, None),
    "variable_genes": (0, -5, 10.5),
    "target_sum": (0, -1.0, math.nan, math.inf, "1e4"),
}
for name, values in fields.items():
    for value in values:
        try:
            PreprocessConfig(**{name: value})
        except ValueError as error:
            assert name in str(error) and repr(value) in str(error), error
        else:
            raise AssertionError((name, value))
assert PreprocessConfig(target_sum=100) == PreprocessConfig(target_sum=100.0)
PreprocessConfig(min_genes=0, min_cells=0)
print("all refused")
"""


def test_every_number_is_checked():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout.strip() == "all refused", done.stderr
