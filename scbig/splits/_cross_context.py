"""From some contexts to others: train on one cell line, predict in another."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np

from scbig._names import examples
from scbig.data import Condition, Screen

from ._draw import (
    Stratify,
    check_choice,
    check_share,
    draw,
    number_of,
    random_state,
    strata_of,
    stratify_option,
)
from ._pool import Conditions, Pool, read_pool
from ._split import Split

Of = Literal["shared", "all"]


def cross_context(
    measured: Screen | Mapping[str, Conditions],
    *,
    train: str | Sequence[str],
    test: str | Sequence[str],
    seed: int,
    of: Of = "shared",
    share: float = 1.0,
    validation: float = 0.1,
    stratify: Stratify = None,
    exclude: Iterable[str | Condition] = (),
) -> Split:
    """Train on the perturbations of some contexts, test on those of others.

    This protocol is the project's own; the paper tells of one (its Table 18) without code. Of the
    conditions measured in the training contexts, a share is drawn for validation, and all others
    are trained on. Tested, in the test contexts, are those that are trained on. Perturbed cells of
    the test contexts are in no other part; their controls belong to every part, since predictions
    start from them (see `Split.cells`).

    **Arguments:**

    - `measured`: a screen with contexts, or the conditions of each context.
    - `train`, `test`: names of contexts, none on both sides.
    - `of`: with `all`, conditions that only the test contexts have are tested as well, in the group
        `new`, beside `trained_elsewhere`; with `shared` they are dropped.
    - `share`: the share of the conditions that could be tested to test; the others are trained on
        in their contexts all the same, or dropped.
    - `validation`: the share of the training contexts' conditions to validate with; not tested.
    - `stratify`: see `kfold`.
    - `exclude`: conditions to put in no part.

    **Raises:** a ValueError if no name is perturbed on both sides, or a context is unknown or on
    both.
    """
    check_choice(of, "of", Of)
    check_share(share, "share", most=True)
    check_share(validation, "validation", least=True)
    random = random_state(seed)
    sides = _sides(_by_context(measured), train, test)
    pool = read_pool([*sides["train"].by_name.values(), *sides["test"].by_name.values()], exclude)
    here = [name for name in pool.names if name in sides["train"].by_name]
    there = [name for name in pool.names if name in sides["test"].by_name]
    if not set(here).intersection(there):
        raise ValueError(
            f"No condition is measured on both sides: training has {examples(here)}, test has "
            f"{examples(there)}. Are the perturbations named alike?"
        )
    validated = _drawn(here, validation, random, stratify, pool)
    new = [name for name in there if name not in here]
    shared = [name for name in there if name in here and name not in validated]
    candidates = sorted((*shared, *new)) if of == "all" else shared
    tested = _drawn(candidates, share, random, stratify, pool)
    return Split.of(
        name=f"cross-context-{of}",
        seed=seed,
        train=[name for name in here if name not in validated],
        validation=validated,
        test=tested,
        groups={
            "trained_elsewhere": [name for name in tested if name in here],
            "new": [name for name in tested if name not in here],
        },
        dropped=(*pool.dropped, *(name for name in new if name not in tested)),
        train_contexts=_names(train),
        test_contexts=_names(test),
        options={
            "of": of,
            "share": share,
            "validation": validation,
            "stratify": stratify_option(stratify),
        },
    )


def _by_context(
    measured: Screen | Mapping[str, Conditions],
) -> Mapping[str, Conditions]:
    if not isinstance(measured, Screen):
        return measured
    found: dict[str, list[Condition]] = {context: [] for context in measured.contexts}
    pairs = np.unique(np.stack([measured.context_index, measured.condition_index]), axis=1)
    for context, condition in pairs.T:
        found[measured.contexts[context]].append(measured.conditions[condition])
    return found


def _sides(
    measured: Mapping[str, Conditions], train: str | Sequence[str], test: str | Sequence[str]
) -> dict[str, Pool]:
    sides = {"train": _names(train), "test": _names(test)}
    both = sorted(set(sides["train"]).intersection(sides["test"]))
    unknown = sorted({*sides["train"], *sides["test"]}.difference(measured))
    if both or unknown or not all(sides.values()):
        raise ValueError(
            f"`train` and `test` must name different contexts of {examples(measured)}. "
            f"On both sides: {examples(both) or 'none'}; unknown: {examples(unknown) or 'none'}."
        )
    pools = {}
    for side, contexts in sides.items():
        read = [read_pool(measured[context]) for context in contexts]
        pools[side] = read_pool([c for pool in read for c in pool.by_name.values()])
    return pools


def _drawn(
    names: Sequence[str],
    share: float,
    random: np.random.RandomState,
    stratify: Stratify,
    pool: Pool,
) -> tuple[str, ...]:
    number = number_of(share, len(names))
    return draw(names, number, random, strata_of(names, stratify, pool) if number else None)


def _names(contexts: str | Sequence[str]) -> tuple[str, ...]:
    return (contexts,) if isinstance(contexts, str) else tuple(contexts)
