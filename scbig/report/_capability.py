"""What a model can be asked, and what it cannot know."""

import pandas as pd

from scbig._names import examples
from scbig.data import Condition
from scbig.model import Decoded
from scbig.service import TrainedModel
from scbig.splits import Split


def capabilities(model: TrainedModel, split: Split | None = None) -> pd.DataFrame:
    """A row for each kind of question: what the model does with it, and on what that rests.

    **Arguments:** `split`, what the model was trained on, if it is known.

    **Returns:** the columns `question`, `answer` and `rests on`.
    """
    names, config = model.names, model.config
    rows = [
        ("genes measured", f"{len(names.genes)} genes, and no other", "the training cells' genes"),
        _perturbation(model, split),
        (
            "combinations",
            f"of up to {config.max_tokens} perturbations",
            "what single perturbations and other combinations did",
        ),
        _context(model),
        (
            "direction",
            "one kind of intervention, that of the training cells",
            "nothing is known of the opposite one: a knock-down is not the negative of an "
            "activation, and both under one name would be mixed",
        ),
        _dose(model),
        (
            "time, other cells, other laboratories",
            "as in the training cells",
            "nothing tells the model of them",
        ),
        (
            "single cells",
            "a population; which control becomes which cell is not known"
            if isinstance(config.emission, Decoded)
            else "a population, of the given controls changed; the pairing is a plan, not a fact",
            "no cell was measured twice",
        ),
    ]
    return pd.DataFrame(rows, columns=pd.Index(["question", "answer", "rests on"]))


def _perturbation(model: TrainedModel, split: Split | None) -> tuple[str, str, str]:
    known = len(model.names.perturbations)
    rests = "its vector alone, where no training cell had it"
    if split is not None:
        trained = {p for name in split.train for p in Condition.parse(name).perturbations}
        rests = f"{len(trained)} were seen in training; the others are known by their vector alone"
    return ("perturbations", f"{known} have a vector; others are refused", rests)


def _context(model: TrainedModel) -> tuple[str, str, str]:
    if model.pure.contexts is None:
        return (
            "another cell line or state",
            "not told apart: the same effect on other controls",
            "the given controls",
        )
    return (
        "another cell line or state",
        f"{len(model.names.contexts)} known: {examples(model.names.contexts, most=6)}; others are "
        "refused",
        "the context's vector, and its controls",
    )


def _dose(model: TrainedModel) -> tuple[str, str, str]:
    dosing = model.names.dosing
    if dosing is None:
        return ("dose", "none: no training cell had one", "doses are refused")
    return (
        "dose",
        "any positive one, by its logarithm",
        "the training doses; far outside of them it is a guess",
    )
