"""Which metrics are errors, and which are correlations of a measurement with another."""

ERRORS = frozenset(
    {"l2", "mse", "mae", "e_distance", "wasserstein", "wmse", "e_distance_floor",
     "wasserstein_floor"}
)  # fmt: skip
"""The columns of which less is better; of all others more is."""

RELIABILITIES = frozenset({"pearson_delta", "discr_cos"})
"""The columns that correlate two measured responses: the formula of Spearman and Brown applies. It
does not where the genes are chosen by one of the two, as the strongest 20 are."""


def ahead(metric: str) -> float:
    """1 where more is better, -1 where less is."""
    return -1.0 if metric in ERRORS else 1.0
