"""Plans of optimal transport and what is made of them: the one door to ott."""

from ._cost import squared_distances as squared_distances
from ._coupling import (
    AbstractCoupling as AbstractCoupling,
    IndependentCoupling as IndependentCoupling,
    Pairing as Pairing,
    SinkhornCoupling as SinkhornCoupling,
    sample_partners as sample_partners,
)
from ._divergence import Divergence as Divergence, sinkhorn_divergence as sinkhorn_divergence
from ._kmeans import kmeans_labels as kmeans_labels
from ._plan import BalancedPlan as BalancedPlan, balanced_plan as balanced_plan
from ._ranged import ranged_plan as ranged_plan
from ._unbalanced import unbalanced_plan as unbalanced_plan
from ._wasserstein import sinkhorn_distance as sinkhorn_distance
