"""Which cells a step or a prediction reads."""

from ._starts import population_key as population_key, start_rows as start_rows
