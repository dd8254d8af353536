"""The splits of the published peers: GEARS, scDFM, and the test list of ComboSciPlex."""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np

from scbig._names import examples
from scbig.data import Condition

from ._draw import check_choice, check_share, random_state
from ._pool import Conditions, read_pool
from ._split import Split

Spelled = Mapping[str, Condition]
GearsKind = Literal["simulation", "simulation_single", "single"]
ScdfmKind = Literal["additive", "combination"]

GEARS_VALIDATION = 0.9
GEARS_SINGLE_TEST = 0.1
SCDFM_FOLDS = 5
SCDFM_TESTED = 15
COMBOSCIPLEX_TEST = (
    "Alvespimycin",
    "Alvespimycin+SRT2104",
    "Crizotinib+Panobinostat",
    "Curcumin+Panobinostat",
    "Dacinostat",
    "Panobinostat+SRT1720",
    "Panobinostat+Sorafenib",
)


def gears(
    conditions: Conditions,
    *,
    seed: int = 1,
    kind: GearsKind = "simulation",
    train_gene_share: float = 0.75,
    train_seen2_share: float = 0.75,
    exclude: Iterable[str | Condition] = (),
) -> Split:
    """The seeded splitter of GEARS (Roohani et al., Nature Biotechnology 2023), draw for draw.

    `simulation`: a share of the genes is seen. Singles of unseen genes (group `unseen_single`),
    doubles with no gene or one gene seen (`seen0`, `seen1`) and a share of those with two (`seen2`)
    are tested. The same on the rest, with shares of 0.9, gives the validation conditions.
    `simulation_single`: the same for a screen of singles only; with N of them, int(0.9 int(0.75 N))
    are trained on, 1,036 of 1,536. `single`: genes drawn with replacement, a tenth as many as there
    are labels of singles, are tested alone, and doubles that touch one are in no part.

    **Arguments:**

    - `conditions`: the labels **as the file spells them**, with both `G+ctrl` and `ctrl+G` where it
        has both, and without those that GEARS drops for its GO graph (or with those in `exclude`).
        Which doubles with two seen genes are trained on depends on the order of the genes in a
        label; in `single`, the number of genes to draw depends on the number of labels. A screen
        has canonical names only. The order of the list does not matter.
    - `train_gene_share`, `train_seen2_share`: the shares of genes and of doubles of two seen genes
        to train on; not for `single`.
    - `exclude`: conditions to put in no part.

    **Returns:** a split of canonical names. Published counts are of labels: see
    `options["test_labels"]`.
    """
    check_choice(kind, "kind", GearsKind)
    pool = read_pool(conditions, exclude)
    check_share(train_gene_share, "train_gene_share")
    check_share(train_seen2_share, "train_seen2_share", least=True, most=True)
    random = random_state(seed)
    _check_sizes(pool.spelled, kind)
    if kind == "single":
        held, rest, groups, dropped = _gears_single(pool.spelled, random)
        _, train, inner, more = _gears_single(rest, random)
        dropped |= more
    else:
        shares = train_gene_share, train_seen2_share
        held, rest, groups = _gears_simulation(pool.spelled, *shares, seed)
        _, train, inner = _gears_simulation(rest, GEARS_VALIDATION, GEARS_VALIDATION, seed)
        dropped = {}
    return Split.of(
        name=f"gears-{kind}",
        seed=seed,
        train=train.values(),
        validation=[c for labels in inner.values() for c in labels.values()],
        test=[c for labels in groups.values() for c in labels.values()],
        held_out=held,
        strict=True,
        groups={group: labels.values() for group, labels in groups.items()},
        dropped=(*pool.dropped, *dropped.values()),
        options={
            "kind": kind,
            "train_gene_share": train_gene_share,
            "train_seen2_share": train_seen2_share,
            "test_labels": {group: len(labels) for group, labels in groups.items()},
        },
    )


def _check_sizes(spelled: Spelled, kind: str) -> None:
    most = {"simulation": 2, "simulation_single": 1}.get(kind)
    large = [k for k, c in spelled.items() if most and len(c.perturbations) > most]
    if large:
        raise ValueError(
            f"kind={kind!r} is for at most {most} perturbations in a condition; {len(large)} have "
            f"more: {examples(large)}. Exclude them."
        )


def _gears_simulation(
    spelled: Spelled, gene_share: float, seen2_share: float, seed: int
) -> tuple[set[str], Spelled, Mapping[str, Spelled]]:
    # GEARS seeds NumPy's generator again before each draw.
    genes = _perturbed(spelled)
    seen = _choose(genes, int(len(genes) * gene_share), random_state(seed))
    new = {label: len(set(c.perturbations) - seen) for label, c in spelled.items()}
    size = {label: len(c.perturbations) for label, c in spelled.items()}
    both = [label for label in spelled if size[label] == 2 and new[label] == 0]
    kept = _choose(both, int(len(both) * seen2_share), random_state(seed))
    picked = lambda keep: {label: c for label, c in spelled.items() if keep(label)}
    groups = {
        "seen0": picked(lambda label: size[label] == 2 == new[label]),
        "seen1": picked(lambda label: size[label] == 2 and new[label] == 1),
        "seen2": picked(lambda label: label in both and label not in kept),
        "unseen_single": picked(lambda label: size[label] == 1 == new[label]),
    }
    train = picked(lambda label: not any(label in group for group in groups.values()))
    return set(genes) - seen, train, groups


def _gears_single(
    spelled: Spelled, random: np.random.RandomState
) -> tuple[set[str], Spelled, dict[str, Spelled], dict[str, Condition]]:
    genes = _perturbed(spelled)
    singles = {label: c for label, c in spelled.items() if len(c.perturbations) == 1}
    number = int(len(singles) * GEARS_SINGLE_TEST)
    held = set(map(str, random.choice(np.array(genes), number)))  # with replacement
    touching = {label: c for label, c in spelled.items() if held.intersection(c.perturbations)}
    test = {label: c for label, c in touching.items() if label in singles}
    dropped = {label: c for label, c in touching.items() if label not in singles}
    rest = {label: c for label, c in spelled.items() if label not in touching}
    return held, rest, {"unseen_single": test}, dropped


def _perturbed(spelled: Spelled) -> list[str]:
    return sorted({name for condition in spelled.values() for name in condition.perturbations})


def _choose(names: list[str], number: int, random: np.random.RandomState) -> set[str]:
    if not names:
        return set()
    return set(map(str, random.choice(np.array(names), number, replace=False)))


def scdfm(
    conditions: Conditions,
    *,
    fold: int,
    kind: ScdfmKind = "additive",
    exclude: Iterable[str | Condition] = (),
) -> Split:
    """A fold of scDFM's protocols: 30 % of the doubles drawn with seed 42 + fold; no validation.

    `additive` tests those doubles and trains on all singles. `combination` tests the first 15 of
    them and the singles of their genes. It claims those genes as unseen (`held_out`), but trains on
    the other doubles, many of which contain one: `Split.leaks` lists them (63 to 84 on Norman 2019,
    131 doubles). Where the published code leaves the `control+G` spelling of a tested single in
    training, this split does not: a condition is in one part.

    **Arguments:**

    - `conditions`: the labels **as the file spells them** (`CEBPE+KLF1`, not sorted): the doubles
        are sorted by label and then shuffled, so that the draw depends on the set of doubles and on
        the order of the genes in each label. A screen has canonical names only. Neither the order
        of the list nor the spelling of singles and control matters.
    - `fold`: 0 to 4.
    - `exclude`: conditions to put in no part, taken out before the draw.
    """
    check_choice(kind, "kind", ScdfmKind)
    if fold not in range(SCDFM_FOLDS):
        raise ValueError(f"The folds are 0 to {SCDFM_FOLDS - 1}; there is no fold {fold}.")
    pool = read_pool(conditions, exclude)
    seed = 42 + fold
    doubles = np.array([k for k, c in pool.spelled.items() if len(c.perturbations) > 1])
    random_state(seed).shuffle(doubles)
    drawn = [pool.spelled[str(label)] for label in doubles[: int(0.3 * len(doubles))]]
    if not drawn:
        raise ValueError(f"30 % of {len(doubles)} doubles is none: at least 4 are needed.")
    held: set[str] = set()
    if kind == "combination":
        drawn = drawn[:SCDFM_TESTED]
        held = {name for condition in drawn for name in condition.perturbations}
    doubles_tested = [condition.name for condition in drawn]
    singles_tested = [name for name in pool.singles if pool.unseen(name, held)]
    test = {*doubles_tested, *singles_tested}
    groups = {"doubles": doubles_tested, "singles": singles_tested}
    return Split.of(
        name=f"scdfm-{kind}-fold{fold}",
        seed=seed,
        train=[name for name in pool.names if name not in test],
        test=test,
        held_out=held,
        groups=groups if kind == "combination" else None,
        dropped=pool.dropped,
        options={"fold": fold, "kind": kind},
    )


def combosciplex(conditions: Conditions, *, exclude: Iterable[str | Condition] = ()) -> Split:
    """The seven test conditions of ComboSciPlex that CellFlow and scDFM use; the rest in training.

    There is no draw and no validation. Two of the seven are single drugs, Alvespimycin and
    Dacinostat, which other training combinations may contain: see `Split.leaks`. Conditions are
    recognised by their drugs, at whatever dose.

    **Arguments:** `conditions`, labels in any spelling, or a screen; `exclude`, conditions to put
    in no part.

    **Raises:** a ValueError if one of the seven is not there.
    """
    pool = read_pool(conditions, exclude)
    wanted = {Condition.parse(name).perturbations: name for name in COMBOSCIPLEX_TEST}
    test = [name for name, c in pool.by_name.items() if c.perturbations in wanted]
    found = {pool.by_name[name].perturbations for name in test}
    lacking = [name for drugs, name in wanted.items() if drugs not in found]
    if lacking:
        raise ValueError(
            f"{len(lacking)} of the 7 test conditions of ComboSciPlex are not there: "
            f"{examples(lacking, most=7)}."
        )
    return Split.of(
        name="combosciplex",
        train=[name for name in pool.names if name not in test],
        test=test,
        dropped=pool.dropped,
    )
