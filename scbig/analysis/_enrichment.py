"""Which gene sets a program holds more of than chance would give it."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from scbig.priors import PathwayMembership
from scbig.programs import AbstractPartition

from ._checks import require_membership, require_names


def enrichment(
    partition: AbstractPartition,
    genes: Sequence[str],
    membership: PathwayMembership,
    *,
    alpha: float = 0.05,
    background: Literal["all", "annotated"] = "all",
) -> pd.DataFrame:
    """Over-representation of every gene set in every program.

    One-sided hypergeometric test (Fisher's exact test, greater): the chance that as many genes
    drawn from the background as the program has hold at least as many of the set. The q-value is
    Benjamini and Hochberg's over every row of the table.

    **Arguments:**

    - `partition`: the programs.
    - `genes`: their genes' names, in the partition's order.
    - `membership`: gene sets aligned to these genes.
    - `alpha`: the false discovery rate under which a row is `significant`.
    - `background`: what programs are compared with. `"all"`: every gene of the partition.
      `"annotated"`: those in at least one set; the others do not count as drawn either. This is
      the stricter test where programs differ in how well their genes are known.

    **Returns:** a row for each program and set, program by program, with `program`, `set`,
    `overlap`, `program_size` and `set_size` (genes of the background), `background` (its size),
    `odds_ratio` (the sample's: infinite if a set lies within the program or the program within
    the set, NaN if either is the whole background), `fold` (observed over expected overlap),
    `p_value`, `q_value`, `significant`, and `genes` (the overlap, joined by `;`). A program
    without a gene in the background has no rows: it is not tested.

    **Raises:** `ValueError` if the three arguments are not about the same genes, or `alpha` is not
    in (0, 1).
    """
    require_names(partition, genes)
    require_membership(membership, genes)
    check_alpha(alpha)
    if background not in ("all", "annotated"):
        raise ValueError(f'background must be "all" or "annotated"; got {background!r}.')
    known = membership.matrix.any(axis=0) | (background == "all")
    labels, matrix = np.asarray(partition.labels)[known], membership.matrix[:, known]
    total, size = labels.size, np.bincount(labels, minlength=partition.clusters)
    set_size = matrix.sum(axis=1)
    overlap, names = _overlaps(labels, np.array(genes, object)[known], matrix, partition.clusters)
    tested = np.flatnonzero(size)
    count = len(membership.names)
    drawn, marked = np.repeat(size[tested], count), np.tile(set_size, tested.size)
    found = overlap[tested].ravel()
    table = pd.DataFrame(
        {
            "program": np.repeat(tested, count),
            "set": np.tile(np.array(membership.names, object), tested.size),
            "overlap": found,
            "program_size": drawn,
            "set_size": marked,
            "background": total,
        }
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        outside = (drawn - found) * (marked - found)
        table["odds_ratio"] = found * (total - drawn - marked + found) / outside
        table["fold"] = found * total / (drawn * marked)
    table["p_value"] = _p_values(found, drawn, marked, total)
    table["q_value"] = _q_values(table["p_value"].to_numpy())
    table["significant"] = table["q_value"] <= alpha
    table["genes"] = names[tested].ravel()
    return table


def check_alpha(alpha: float) -> None:
    """Raises `ValueError` unless `alpha` is a false discovery rate, in (0, 1)."""
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is a false discovery rate, between 0 and 1; got {alpha}.")


def _overlaps(labels, genes, matrix, clusters):
    """Genes shared by each program and set: their number, and their names."""
    sets = matrix.shape[0]
    one, gene = np.nonzero(matrix)
    pair = labels[gene].astype(np.int64) * sets + one
    overlap = np.bincount(pair, minlength=clusters * sets)
    names = np.full(clusters * sets, "", object)
    ordered = genes[gene[np.argsort(pair, kind="stable")]]
    shared = np.flatnonzero(overlap)
    ends = np.cumsum(overlap[shared])
    for place, end in zip(shared, ends, strict=True):
        names[place] = ";".join(ordered[end - overlap[place] : end])
    return overlap.reshape(clusters, sets), names.reshape(clusters, sets)


def _p_values(
    overlap: Int[np.ndarray, " rows"],
    drawn: Int[np.ndarray, " rows"],
    marked: Int[np.ndarray, " rows"],
    total: int,
) -> Float[np.ndarray, " rows"]:
    """P(X >= overlap). Few distinct tests make up a table: each is computed once."""
    from scipy.stats import hypergeom

    p_values = np.ones(overlap.size)
    shared = overlap > 0
    tests, place = np.unique(
        np.stack([overlap, drawn, marked])[:, shared], axis=1, return_inverse=True
    )
    upper = hypergeom.sf(tests[0] - 1, total, tests[2], tests[1])
    p_values[shared] = np.clip(upper, 0, 1)[place]
    return p_values


def _q_values(p_values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    from scipy.stats import false_discovery_control

    return false_discovery_control(p_values) if p_values.size else p_values


def top_sets(membership: PathwayMembership) -> tuple[str, ...]:
    """The most general sets: those whose genes are not all in a larger set of the membership.

    Of sets with the same genes the first counts. In a hierarchy such as Reactome's these are the
    top-level pathways; what is compared is the sets as restricted to the membership's genes.
    """
    from scipy import sparse

    members = sparse.csr_array(membership.matrix.astype(np.int32))
    size = membership.matrix.sum(axis=1)
    shared = (members @ members.T).tocoo()
    small, large = shared.coords
    within = (shared.data == size[small]) & (small != large)
    later = (size[large] > size[small]) | ((size[large] == size[small]) & (large < small))
    general = np.ones(size.size, bool)
    general[small[within & later]] = False
    return tuple(name for name, kept in zip(membership.names, general, strict=True) if kept)
