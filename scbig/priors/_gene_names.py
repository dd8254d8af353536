"""Gene names of one source in the words of another, and a report of what matched."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from scbig._names import examples

from ._aliases import AliasTable, unversioned
from ._border import distinct, listed

# By these steps a name is matched, the surest first.
_STEPS = {
    "exact": "as written",
    "version": "without version suffix",
    "ensembl": "by Ensembl identifier",
    "previous": "by previous symbol",
    "alias": "by alias",
    "case": "by upper and lower case",
}
_RANKS = ("exact", "ensembl", "previous", "alias")  # what a name can be in an alias table


@dataclass(frozen=True, eq=False)
class GeneMatch:
    """Which names of one list are which of another, one to one, and how that was found.

    **Arguments:** `names`, as they were asked for; `mapping`, from each name that matched to the
    known name; `how`, from the same names to the step that matched them (see `match_genes`);
    `ambiguous`, from a name that was not matched because it could be several to these, or, where
    it is one alone, to the known name that another of the names has or could have as well;
    `missing`, all others.
    """

    names: tuple[str, ...]
    mapping: dict[str, str]
    how: dict[str, str]
    ambiguous: dict[str, tuple[str, ...]]
    missing: tuple[str, ...]

    @property
    def inverse(self) -> dict[str, str]:
        """From each known name that was matched to the name that was asked for."""
        return {known: name for name, known in self.mapping.items()}

    @property
    def counts(self) -> dict[str, int]:
        """How many names each step matched, and how many are ambiguous and missing."""
        steps = Counter(self.how.values())
        found = {step: steps[step] for step in _STEPS}
        return {**found, "ambiguous": len(self.ambiguous), "missing": len(self.missing)}

    def summary(self) -> str:
        """A line on what matched, one on what is ambiguous, one on what is missing."""
        found, total, counts = len(self.mapping), len(self.names), self.counts
        steps = [f"{counts[step]} {words}" for step, words in _STEPS.items() if counts[step]]
        by_step = f": {', '.join(steps)}" if steps else ""
        lines = [f"gene names: {found} of {total} matched ({100 * found / total:.1f} %){by_step}"]
        if self.ambiguous:
            shown = examples(
                f"{name} ({' or '.join(options)}{', shared' if len(options) == 1 else ''})"
                for name, options in self.ambiguous.items()
            )
            lines.append(f"ambiguous, not matched: {len(self.ambiguous)}: {shown}")
        if self.missing:
            lines.append(f"not found: {len(self.missing)}: {examples(self.missing)}")
        return "\n".join(lines)


def match_genes(
    names: Iterable[str], known: Iterable[str], *, aliases: AliasTable | None = None
) -> GeneMatch:
    """Finds each of `names` among `known`; either may be symbols, old or new, or Ensembl ids.

    The first step that finds anything decides.

    | step | a name matches |
    |---|---|
    | `exact` | the same name |
    | `version` | the same Ensembl identifier, whatever the version of either |
    | `ensembl` | through `aliases`, the symbol of an Ensembl identifier, or the reverse |
    | `previous` | through `aliases`, where one of the two is a former symbol of the gene |
    | `alias` | through `aliases`, where one of the two is another name of the gene |
    | `case` | as in any step above, but for upper and lower case (of two species, look at these) |

    In an alias table a name means, in this order, the gene with that symbol, that identifier, that
    former symbol or that alias. Two names that mean the same gene match in either direction: a new
    symbol finds a table that uses the old one.

    Nothing is guessed. A name that could be several is ambiguous and not matched, and so are names
    that would share one known name, except the one that is that name as written. A known name that
    means several genes matches only as written. The order of neither list matters.

    **Arguments:** `names`, distinct; `known`, repetitions do not matter; `aliases`, from
    `read_aliases`.

    **Returns:** the pairs that match, how each was found, and the names that are left.

    **Raises:** `ValueError` for names that are empty or repeated, or an empty list.
    """
    names = distinct(names, "gene names")
    known = tuple(dict.fromkeys(listed(known, "known gene names")))
    exact = set(known)
    written = _Lookup.of(known, aliases, str)
    folded = _Lookup.of(known, aliases, str.casefold)
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name in names:
        if name in exact:
            found[name] = ("exact", (name,))
        elif (step := written.find(name)) is not None:
            found[name] = step
        elif (step := folded.find(name)) is not None and not written.contradicts(name, step[1]):
            found[name] = ("case", step[1])
    claims = Counter(options[0] for _, options in found.values() if len(options) == 1)
    sure = {
        name
        for name, (step, options) in found.items()
        if step == "exact" or (len(options) == 1 and claims[options[0]] == 1)
    }
    return GeneMatch(
        names,
        {name: found[name][1][0] for name in names if name in sure},
        {name: found[name][0] for name in names if name in sure},
        {name: found[name][1] for name in names if name in found and name not in sure},
        tuple(name for name in names if name not in found),
    )


def rename_genes(names: Iterable[str], mapping: Mapping[str, str]) -> tuple[str, ...]:
    """The names, each replaced by what `mapping` has for it; those that it lacks stay.

    With `match = match_genes(adata.var_names, table.names, aliases=aliases)`, a screen gets the
    table's names by `adata.var_names = rename_genes(adata.var_names, match.mapping)`, or the table
    the screen's by `table.renamed(match.inverse)`.

    **Arguments:** `names`; `mapping`, from old names to new ones.

    **Raises:** `ValueError` if two different names would become one.
    """
    names = tuple(names)
    new = {name: mapping.get(name, name) for name in names}
    merged = defaultdict(list)
    for name, replaced in new.items():
        merged[replaced].append(name)
    clashes = [f"{', '.join(old)} -> {one}" for one, old in merged.items() if len(old) > 1]
    if clashes:
        raise ValueError(
            f"Renaming would give {len(clashes)} names to several genes each: {examples(clashes)}. "
            "Match all of these names in one call of match_genes, which reports such clashes."
        )
    return tuple(new[name] for name in names)


@dataclass(frozen=True)
class _Lookup:
    """Finds names among the known ones, by spelling and by the gene that they mean.

    `fold` makes two spellings one; `spelled` has the known names by spelling, `meanings` what a
    spelling means (its place in `_RANKS`, the genes), `places` the known names of each gene, of
    the best rank that it has.
    """

    fold: Callable[[str], str]
    spelled: dict[str, tuple[str, ...]]
    meanings: dict[str, tuple[int, tuple[str, ...]]]
    places: dict[str, tuple[int, tuple[str, ...]]]

    @staticmethod
    def of(
        known: tuple[str, ...], aliases: AliasTable | None, fold: Callable[[str], str]
    ) -> "_Lookup":
        spelled: dict[str, tuple[int, set[str]]] = {}
        meanings: dict[str, tuple[int, set[str]]] = {}
        places: dict[str, tuple[int, set[str]]] = {}
        for rank, names in enumerate(_entries(aliases)):
            for name, genes in names.items():
                _keep(meanings, fold(unversioned(name)), rank, genes)
        for name in known:
            key = fold(unversioned(name))
            _keep(spelled, key, 0, (name,))
            rank, genes = meanings.get(key, (0, set()))
            if len(genes) == 1:
                (gene,) = genes
                _keep(places, gene, rank, (name,))
        sorted_places = {gene: (rank, _sorted(kept)) for gene, (rank, kept) in places.items()}
        sorted_meanings = {key: (rank, _sorted(kept)) for key, (rank, kept) in meanings.items()}
        in_order = {key: _sorted(kept) for key, (_, kept) in spelled.items()}
        return _Lookup(fold, in_order, sorted_meanings, sorted_places)

    def find(self, name: str) -> tuple[str, tuple[str, ...]] | None:
        """The step, and the known name, or the several names or genes that it could be."""
        key = self.fold(unversioned(name))
        if key in self.spelled:
            return "version", self.spelled[key]
        rank, genes = self.meanings.get(key, (0, ()))
        reached = [gene for gene in genes if gene in self.places]
        if not reached:
            return None
        if len(genes) > 1:
            return _RANKS[rank], genes
        other, places = self.places[reached[0]]
        return _RANKS[max(rank, other)], places

    def contradicts(self, name: str, options: tuple[str, ...]) -> bool:
        """Whether `name` and a sole option are, as they are written, names of different genes."""
        if len(options) > 1:
            return False
        meant, other = (
            set(self.meanings.get(self.fold(unversioned(one)), (0, ()))[1])
            for one in (name, *options)
        )
        return bool(meant and other) and meant.isdisjoint(other)


def _entries(aliases: AliasTable | None) -> list[dict[str, tuple[str, ...]]]:
    """What each name means, in the order of `_RANKS`."""
    if aliases is None:
        return []
    own = {symbol: (symbol,) for symbol in aliases.symbols}
    return [own, aliases.ensembl, aliases.previous, aliases.alias]


def _keep(best: dict[str, tuple[int, set[str]]], key: str, rank: int, found: Iterable[str]) -> None:
    """Adds what was found under `key`, unless something of a better rank is there."""
    there, kept = best.get(key, (rank, set()))
    if rank < there:
        best[key] = (rank, set(found))
    elif rank == there:
        best[key] = (rank, kept | set(found))


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names))
