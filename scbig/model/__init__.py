"""The trained thing, pure: encode, decode, condition, transport."""

from ._build import (
    Networks as Networks,
    make_model as make_model,
    program_centroids as program_centroids,
    standardised_embeddings as standardised_embeddings,
    with_new_flow as with_new_flow,
)
from ._emission import (
    AbstractEmission as AbstractEmission,
    Changed as Changed,
    Decoded as Decoded,
)
from ._identities import Identities as Identities
from ._scbig import ScBIG as ScBIG
from ._tokens import ConditionTokens as ConditionTokens, Dosing as Dosing
