"""The paper's learned baselines, written anew: networks that are trained by descent."""

from ._cells import Batch as Batch, Encoded as Encoded, Facts as Facts
from ._counts import Counted as Counted, counts_of as counts_of, expression_of as expression_of
from ._cpa import CPA as CPA
from ._gears import GEARS as GEARS
from ._gene_transformer import GeneTransformer as GeneTransformer
from ._latent_additive import LatentAdditive as LatentAdditive
from ._likelihoods import (
    AbstractLikelihood as AbstractLikelihood,
    Gaussian as Gaussian,
    NegativeBinomial as NegativeBinomial,
)
from ._network import (
    AbstractNetwork as AbstractNetwork,
    AbstractNetworkRecipe as AbstractNetworkRecipe,
    Rival as Rival,
)
from ._sams_vae import SamsVAE as SamsVAE
from ._state import State as State
from ._training import Fixed as Fixed, Training as Training
