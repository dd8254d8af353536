"""Every condition tested once: k-fold splits."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from scbig.data import Condition

from ._draw import (
    Stratify,
    check_choice,
    check_share,
    deal,
    draw,
    number_of,
    random_state,
    strata_of,
    stratify_option,
)
from ._pool import Conditions, Pool, read_pool
from ._protocols import hold_out
from ._split import Split

Of = Literal["all", "singles", "doubles", "genes"]


def kfold(
    conditions: Conditions,
    *,
    folds: int,
    seed: int,
    of: Of = "all",
    validation: float = 0.1,
    strict: bool = True,
    stratify: Stratify = None,
    exclude: Iterable[str | Condition] = (),
) -> tuple[Split, ...]:
    """Splits whose tests partition the conditions, or some kind of them, evenly.

    **Arguments:**

    - `conditions`: labels in any spelling, or a screen. Order does not matter.
    - `of`: what is dealt into folds. `all`: every condition. `singles`: each is tested as an unseen
        gene, and trained on with the doubles. `doubles`: all combinations; the singles are always
        trained on. `genes`: each fold is a hold-out of its genes, see `holdout`; singles are
        tested once, a double with `strict` in the fold of each of its genes.
    - `validation`: the share to validate with, of what the other folds test; for `genes`, of all
        that the fold does not test.
    - `strict`: for `singles`, whether doubles that touch a tested gene are dropped from the fold;
        for `genes`, as in `holdout`. For the others, no gene is claimed to be unseen:
        `Split.leaks` shows which singles they test of genes that training has in a double.
    - `stratify`: what the folds (or, in other splits, the parts) should have in proportion.
        `"genes"`: the number of perturbations in a condition. A mapping from condition to a number,
        such as `effect_sizes`: the conditions to draw from are ranked by it and cut into quarters.
        Each draw then takes its share from each stratum, up to one condition. For `genes`, the
        number is that of the gene's single.
    - `exclude`: conditions to put in no part.

    **Returns:** one split for each fold.
    """
    check_choice(of, "of", Of)
    pool = read_pool(conditions, exclude)
    random = random_state(seed)
    check_share(validation, "validation", least=True)
    candidates = _candidates(pool, of)
    if not 2 <= folds <= len(candidates):
        raise ValueError(
            f"`folds` must be from 2 to the number of {of} to deal out, which is "
            f"{len(candidates)}; got {folds}."
        )
    # A gene has no number of perturbations.
    plain = of == "genes" and not isinstance(stratify, Mapping)
    strata = None if plain else strata_of(candidates, stratify, pool)
    splits = []
    for i, fold in enumerate(deal(candidates, folds, random, strata)):
        options = {"of": of, "folds": folds, "fold": i}
        arguments = {"validation": validation, "strict": strict, "stratify": stratify}
        name = f"kfold-{of}-{i + 1}of{folds}"
        if of == "genes":
            split = hold_out(pool, fold, random, name=name, seed=seed, options=options, **arguments)
        else:
            split = _fold(
                pool, fold, candidates, random, name=name, seed=seed, options=options, **arguments
            )
        splits.append(split)
    return tuple(splits)


def _candidates(pool: Pool, of: Of) -> tuple[str, ...]:
    return {
        "all": pool.names,
        "singles": pool.singles,
        "doubles": pool.combinations,
        "genes": pool.perturbations,
    }[of]


def _fold(
    pool: Pool,
    test: tuple[str, ...],
    candidates: tuple[str, ...],
    random: np.random.RandomState,
    *,
    name: str,
    seed: int,
    validation: float,
    strict: bool,
    stratify: Stratify,
    options: dict,
) -> Split:
    claims = options["of"] == "singles"
    held = {pool.by_name[n].perturbations[0] for n in test} if claims else set()
    gone = [n for n in pool.names if strict and n not in test and pool.unseen(n, held)]
    rest = [n for n in candidates if n not in test and n not in gone]
    number = number_of(validation, len(rest))
    chosen = draw(rest, number, random, strata_of(rest, stratify, pool) if number else None)
    elsewhere = {*test, *gone, *chosen}
    return Split.of(
        name=name,
        seed=seed,
        train=[n for n in pool.names if n not in elsewhere],
        validation=chosen,
        test=test,
        held_out=held,
        strict=strict and claims,
        dropped=(*pool.dropped, *gone),
        options={
            **options,
            "strict": strict,
            "validation": validation,
            "stratify": stratify_option(stratify),
        },
    )
