"""Failures of numerics, which are no fault of the input, as one class that a border can catch."""


class NumericalFailure(RuntimeError):
    """A plan or a solve did not reach its tolerance; the message names what to change."""
