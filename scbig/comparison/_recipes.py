"""Every predictor of this library by the name of its row, and the rows that need an asset."""

from collections.abc import Callable
from typing import Any

from scbig.baselines import (
    AbstractRecipe,
    Additive,
    Control,
    LinearEmbedding,
    MatchingMean,
    MeanOfPredictors,
    Method,
    MixedResponses,
    MovedControls,
    PerturbedMean,
    Predictor,
    ResidualProcess,
    ResidualTransfer,
    Rule,
    ScaledAdditive,
)
from scbig.data import Screen
from scbig.method import ScBIGConfig, anchored, cellflow_like, cpu
from scbig.priors import EmbeddingTable
from scbig.rivals import CPA, GEARS, GeneTransformer, LatentAdditive, SamsVAE, State
from scbig.train import Priors

_MEAN: Any = {"missing": "perturbed_mean"}


def control(screen: Screen, priors: Priors) -> Predictor:
    """Nothing changes."""
    return Control.fit(screen)


def perturbed_mean(screen: Screen, priors: Priors) -> Predictor:
    """Every perturbation does what all do on average."""
    return PerturbedMean.fit(screen)


def matching_mean(screen: Screen, priors: Priors) -> Predictor:
    """A combination is the mean of its singles; one that was not measured is the mean effect."""
    return MatchingMean.fit(screen, **_MEAN)


def additive(screen: Screen, priors: Priors) -> Predictor:
    """A combination is the sum of its singles; one that was not measured is the mean effect."""
    return Additive.fit(screen, **_MEAN)


def scaled_additive(screen: Screen, priors: Priors) -> Predictor:
    """The same, times the slope of the training combinations on their sums."""
    return ScaledAdditive.fit(screen, **_MEAN)


def residual_transfer(screen: Screen, priors: Priors) -> Predictor:
    """The sum, and what its parts did besides in other combinations."""
    return ResidualTransfer.fit(screen, **_MEAN)


def linear_embedding(screen: Screen, priors: Priors) -> Predictor:
    """Ridge from the given vectors of the perturbations, which all need one if priors say so."""
    missing = "error" if priors.missing == "error" else "mean"
    return LinearEmbedding.fit(screen, vectors_of(priors), missing=missing)


def mixed(screen: Screen, priors: Priors) -> Predictor:
    """The best linear unbiased prediction of responses."""
    return MixedResponses.fit(screen)


def moved(screen: Screen, priors: Priors) -> Predictor:
    """Controls at the expected mean, with the expected spread: scBIG without its flow."""
    return MovedControls.fit(screen, pathways=priors.pathways, vectors=priors.tokens)


def vectors_of(priors: Priors) -> EmbeddingTable:
    """The vectors of what can be perturbed, as given."""
    table = priors.genes if priors.perturbations is None else priors.perturbations
    assert table is not None  # priors without either cannot be made
    return table


def linear(screen: Screen, priors: Priors) -> Predictor:
    """The linear model as published, on principal components of the training conditions."""
    return LinearEmbedding.published(screen)


def linear_of_genes(screen: Screen, priors: Priors) -> Predictor:
    """The same with the given vectors of genes: with scGPT's, the paper's Linear-scGPT."""
    if priors.genes is None:
        raise ValueError(
            "The linear model on gene vectors needs a table of genes: give Priors genes=."
        )
    return LinearEmbedding.published(screen, priors.genes, priors.perturbations)


def process(screen: Screen, priors: Priors) -> Predictor:
    """The sum, and what a Gaussian process says that pairs do besides."""
    return ResidualProcess.fit(screen)


def mean_of_three(screen: Screen, priors: Priors) -> Predictor:
    """The mean of residual transfer, mixed effects and the process."""
    return MeanOfPredictors.fit(screen)


RULES: dict[str, Callable[[Screen, Priors], Predictor]] = {
    "control": control,
    "perturbed mean": perturbed_mean,
    "matching mean": matching_mean,
    "additive": additive,
    "additive x slope": scaled_additive,
    "residual transfer": residual_transfer,
    "mixed effects": mixed,
    "Gaussian process": process,
    "mean of three": mean_of_three,
    "anchor": moved,
    "ridge on vectors": linear_embedding,
    "Linear": linear,
    "Linear, gene vectors": linear_of_genes,
}


def native(config: ScBIGConfig | None = None) -> dict[str, AbstractRecipe]:
    """The recipe of each row, simple rules first.

    **Arguments:** `config`, of scBIG as published; by default `scbig.cpu()`.
    """
    base = cpu() if config is None else config
    return {
        **{name: Rule(rule) for name, rule in RULES.items()},
        "latent additive": LatentAdditive(),
        "samsVAE": SamsVAE(),
        "CPA": CPA(),
        "STATE-like": State(),
        "GEARS": GEARS(),
        "scGPT-style": GeneTransformer(),
        "CellFlow-like": Method(cellflow_like(base)),
        "scBIG, as published": Method(base),
        "scBIG": Method(anchored(base)),
    }
