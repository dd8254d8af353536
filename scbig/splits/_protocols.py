"""The paper's two protocols on doubles and genes: additive, and hold-out."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np

from scbig._names import examples
from scbig.data import Condition

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

Variant = Literal["random", "published"]


def additive(
    conditions: Conditions,
    *,
    seed: int,
    variant: Variant = "random",
    stratify: Stratify = None,
    exclude: Iterable[str | Condition] = (),
) -> Split:
    """All singles and a random half of the doubles in training; of the rest, a half is tested.

    On Norman 2019 without the six conditions that the GO graph lacks (pass them as `exclude`):
    167 training conditions with the control, 32 for validation, 32 to test. The draw depends on
    the seed and on the set of canonical names, not on the order or the spelling of the labels.

    **Arguments:**

    - `conditions`: labels in any spelling, or a screen.
    - `variant`: `random` tests a random half of the doubles that were not drawn for training.
        `published` tests their alphabetically first half, as the published algorithm does
        (Ahlmann-Eltze et al., Nature Methods 2025, on GEARS's Norman file), whatever bias that is.
        For one seed both train on the same doubles.
    - `stratify`: see `kfold`. Not with `published`.
    - `exclude`: conditions to put in no part.

    Only doubles (or larger combinations) whose genes are all measured alone are drawn; `random`
    trains on the others, `published` refuses them.

    **Raises:** a ValueError if fewer than three such doubles are there.
    """
    check_choice(variant, "variant", Variant)
    pool = read_pool(conditions, exclude)
    random = random_state(seed)
    doubles = _measured_alone(pool)
    others = tuple(name for name in pool.combinations if name not in doubles)
    if variant == "published" and (others or stratify is not None):
        raise ValueError(
            "The published variant is not stratified and needs every gene of a double measured "
            f"alone; {len(others)} doubles lack that: {examples(others)}. Exclude them, or use "
            'variant="random".'
        )
    if len(doubles) < 3:
        raise ValueError(
            "An additive split needs at least 3 doubles whose genes are all measured alone; there "
            f"are {len(doubles)} among {len(pool.combinations)} doubles."
        )
    half = lambda names: draw(names, len(names) // 2, random, strata_of(names, stratify, pool))
    train = half(doubles)
    rest = _without(doubles, train)
    test = rest[: len(rest) // 2] if variant == "published" else half(rest)
    return Split.of(
        name=f"additive-{variant}",
        seed=seed,
        train=(*pool.singles, *others, *train),
        validation=_without(rest, test),
        test=test,
        dropped=pool.dropped,
        options={"variant": variant, "stratify": stratify_option(stratify)},
    )


def holdout(
    conditions: Conditions,
    *,
    seed: int,
    strict: bool = True,
    share: float = 0.2,
    validation: float = 0.1,
    stratify: Stratify = None,
    exclude: Iterable[str | Condition] = (),
) -> Split:
    """A share of the genes is held out: their singles are tested, and the doubles among them.

    On Norman 2019 (105 genes, 131 doubles), 21 genes are held out. With `strict=False` the counts
    are 190/21/26 as published (the control among the 190) whenever 5 doubles have both genes held
    out, which is what to expect on average; about 40 doubles with one held-out gene then are in
    training and validation, and `Split.leaks` lists them. For a claim about unseen genes, use
    `strict`: those doubles are tested, in a group of their own.

    **Arguments:**

    - `conditions`: labels in any spelling, or a screen. Order does not matter.
    - `strict`: whether a double with some but not all genes held out is tested (group
        `some_unseen`), or may be trained on.
    - `share`: the share of the perturbed genes to hold out, rounded down.
    - `validation`: the share of what is not tested (without the control) to validate with, rounded
        down, drawn at random; it may be 0.
    - `stratify`: see `kfold`. A mapping stratifies the draw of genes, by the number of the
        gene's single, and that of validation; `"genes"` only the latter.
    - `exclude`: conditions to put in no part.

    **Returns:** a split whose test is divided into the groups `unseen_single`, `all_unseen` (of a
    double, both genes are held out) and, if strict, `some_unseen` (one of two). Report them apart.
    """
    pool = read_pool(conditions, exclude)
    check_share(share, "share")
    random = random_state(seed)
    genes = pool.perturbations
    number = number_of(share, len(genes))
    if number == 0:
        raise ValueError(f"A share of {share} of {len(genes)} perturbed genes is none.")
    by_gene = strata_of(genes, stratify, pool) if isinstance(stratify, Mapping) else None
    return hold_out(
        pool,
        draw(genes, number, random, by_gene),
        random,
        name="holdout-strict" if strict else "holdout",
        seed=seed,
        strict=strict,
        validation=validation,
        stratify=stratify,
        options={"share": share},
    )


def hold_out(
    pool: Pool,
    held: tuple[str, ...],
    random: np.random.RandomState,
    *,
    name: str,
    seed: int,
    strict: bool,
    validation: float,
    stratify: Stratify,
    options: dict[str, Any],
) -> Split:
    """The split in which these genes are held out."""
    check_share(validation, "validation", least=True)
    unseen = {condition: pool.unseen(condition, held) for condition in pool.names}
    size = {condition: len(c.perturbations) for condition, c in pool.by_name.items()}
    groups = {
        "unseen_single": [c for c, n in unseen.items() if n == 1 == size[c]],
        "all_unseen": [c for c, n in unseen.items() if 1 < n == size[c]],
    }
    if strict:
        groups["some_unseen"] = [c for c, n in unseen.items() if 0 < n < size[c]]
    test = [condition for names in groups.values() for condition in names]
    rest = _without(pool.names, test)
    number = number_of(validation, len(rest))
    chosen = draw(rest, number, random, strata_of(rest, stratify, pool) if number else None)
    return Split.of(
        name=name,
        seed=seed,
        train=_without(rest, chosen),
        validation=chosen,
        test=test,
        held_out=held,
        strict=strict,
        groups=groups,
        dropped=pool.dropped,
        options={
            **options,
            "strict": strict,
            "validation": validation,
            "stratify": stratify_option(stratify),
        },
    )


def _measured_alone(pool: Pool) -> tuple[str, ...]:
    # By name, whatever the dose of the single.
    alone = {pool.by_name[name].perturbations[0] for name in pool.singles}
    return tuple(n for n in pool.combinations if alone.issuperset(pool.by_name[n].perturbations))


def _without(names: Iterable[str], taken: Iterable[str]) -> tuple[str, ...]:
    gone = set(taken)
    return tuple(name for name in names if name not in gone)
