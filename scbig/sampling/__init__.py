"""Which cells a step of training or a prediction reads."""

from ._index import CellIndex as CellIndex
from ._order import Order as Order
from ._starts import population_key as population_key, start_rows as start_rows
