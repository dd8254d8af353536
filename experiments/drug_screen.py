"""Writes a generated drug screen with its priors: doses, pairs of drugs, vectors of their SMILES.

    python experiments/drug_screen.py --out runs/drugs

A drug is a chain of fragments, what it does to gene programs is the sum of what they do, and grows
with the dose; so that the SMILES of a drug that no cell saw says something of it. Written are
`screen.h5ad`, `drugs.npz` (SMILES as counts of their character triples, where a real screen has
`drug_embeddings.py`), `genes.npz`, `pairs.csv`, `sets.gmt` and `split.json`, which tests two drugs
at all doses and pairs of drugs.
"""

import itertools
import pathlib
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scbig import cli, data, simulate, splits
from scbig._files import atomic

FRAGMENTS: tuple[str, ...] = (
    "c1ccccc1", "C(=O)N", "N1CCNCC1", "S(=O)(=O)N", "C(F)(F)F", "OC", "c1ncncc1", "C(=O)O", "CCO",
    "C#N",
)  # fmt: skip
WIDTH = 64
DOSES = (0.1, 1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class DrugScreen:
    """How many, and where the files go."""

    out: pathlib.Path
    drugs: int = 16
    pairs: int = 24
    """Pairs of drugs, both at the middle dose."""
    genes: int = 400
    programs: int = 10
    effect: float = 0.6
    """Root mean square of a fragment's effect on a program, in log expression."""
    cells: int = 80
    """Of each condition."""
    controls: int = 800
    test_drugs: int = 2
    test_pairs: int = 8
    seed: int = 0


def smiles_of(rng: np.random.Generator, number: int) -> dict[str, tuple[str, ...]]:
    """Drugs by name, each with its fragments, no two alike."""
    chains = list(itertools.combinations(FRAGMENTS, 3))
    chosen = rng.choice(len(chains), number, replace=False)
    return {f"drug{place:02d}": chains[chain] for place, chain in enumerate(chosen)}


def vector(smiles: str) -> np.ndarray:
    """Counts of its character triples, in so many places that few share one."""
    found = np.zeros(WIDTH, np.float32)
    for start in range(len(smiles) - 2):
        found[zlib.crc32(smiles[start : start + 3].encode()) % WIDTH] += 1
    return found


def effects_of(
    run: DrugScreen, chains: dict[str, tuple[str, ...]], rng: np.random.Generator
) -> tuple[simulate.Effects, np.ndarray]:
    """What each condition does to each gene, and the program of each gene."""
    program = rng.permutation(np.arange(run.genes) % run.programs)
    loading = rng.lognormal(0.0, 0.3, run.genes)
    of_fragment = dict(
        zip(FRAGMENTS, rng.normal(0, run.effect, (len(FRAGMENTS), run.programs)), strict=True)
    )
    whole = {name: np.sum([of_fragment[f] for f in own], axis=0) for name, own in chains.items()}
    half = {name: float(rng.lognormal(0.0, 0.5)) for name in chains}
    at = lambda name, dose: whole[name] * dose / (dose + half[name])
    found = {data.Condition((n,), (d,)): at(n, d) for n in chains for d in DOSES}
    pairs = list(itertools.combinations(sorted(chains), 2))
    for place in rng.choice(len(pairs), run.pairs, replace=False):
        one, other = pairs[place]
        changes = at(one, DOSES[1]) + at(other, DOSES[1])
        # What two drugs do beyond the sum, on some programs.
        changes = changes + rng.normal(0, run.effect / 2, run.programs) * (
            rng.random(run.programs) < 0.3
        )
        found[data.Condition((one, other), (DOSES[1], DOSES[1]))] = changes
    genes = tuple(f"GENE{number:04d}" for number in range(run.genes))
    table = np.stack([change[program] * loading for change in found.values()])
    return simulate.Effects(genes=genes, conditions=tuple(found), changes=table), program


def main(run: DrugScreen) -> splits.Split:
    """Writes the files; returns the split."""
    rng = np.random.default_rng(run.seed)
    chains = smiles_of(rng, run.drugs)
    effects, program = effects_of(run, chains, rng)
    config = simulate.SemiSyntheticConfig(
        cells_per_condition=run.cells, control_cells=run.controls, log_normalise=True
    )
    # Counts in a million of a few thousand genes that are measured among twenty thousand.
    level = rng.lognormal(np.log(60.0), 1.2, run.genes)
    depth = run.cells * config.library_size
    base = simulate.Pseudobulk.from_effects(
        effects, control_mean=level, totals=np.full(len(effects.conditions), depth),
        control_total=run.controls * config.library_size,
    )  # fmt: skip
    run.out.mkdir(parents=True, exist_ok=True)
    cells = simulate.semi_synthetic_screen(effects, config, pseudobulk=base, seed=run.seed)
    with atomic(run.out / "screen.h5ad") as path:
        cells.write_h5ad(path)
    smiles = {name: "".join(own) for name, own in chains.items()}
    np.savez(
        run.out / "drugs.npz", names=np.array([*smiles]),
        embeddings=np.stack([vector(own) for own in smiles.values()]),
        smiles=np.array([*smiles.values()]),
    )  # fmt: skip
    centres = rng.normal(size=(run.programs, 16))
    vectors = (centres[program] + 0.5 * rng.normal(size=(run.genes, 16))).astype(np.float32)
    np.savez(run.out / "genes.npz", names=np.array(effects.genes), embeddings=vectors)
    inside = [np.flatnonzero(program == number) for number in range(run.programs)]
    rows = [rng.choice(own, 2, replace=False) for own in inside for _ in range(2 * len(own))]
    names = np.array(effects.genes)
    pd.DataFrame(names[np.array(rows)], columns=pd.Index(["gene1", "gene2"])).to_csv(
        run.out / "pairs.csv", index=False
    )
    lines = [f"PROGRAM{n}\tgenerated\t" + "\t".join(names[own]) for n, own in enumerate(inside)]
    (run.out / "sets.gmt").write_text("\n".join(lines) + "\n")
    split = split_of(run, effects.conditions, rng)
    split.save(run.out / "split.json")
    print(
        f"{cells.n_obs} cells, {len(split.train)} conditions to train on, {len(split.test)} tested"
    )
    return split


def split_of(
    run: DrugScreen, conditions: tuple[data.Condition, ...], rng: np.random.Generator
) -> splits.Split:
    """Tests some drugs at all doses, in no pair of the training, and pairs of known drugs."""
    drugs = sorted({name for c in conditions for name in c.perturbations})
    hidden = {drugs[place] for place in rng.choice(len(drugs), run.test_drugs, replace=False)}
    singles = [c for c in conditions if len(c.perturbations) == 1 and hidden & {*c.perturbations}]
    pairs = [c for c in conditions if len(c.perturbations) == 2]
    known = [c for c in pairs if not hidden & {*c.perturbations}]
    drawn = [known[place] for place in rng.permutation(len(known))[: run.test_pairs]]
    test = {c.name for c in (*singles, *drawn)}
    with_hidden = {c.name for c in pairs if hidden & {*c.perturbations}}
    train = [c.name for c in conditions if c.name not in test | with_hidden]
    return splits.Split.of(
        name="drugs", train=["control", *train], test=sorted(test), dropped=sorted(with_hidden)
    )


if __name__ == "__main__":
    main(cli.parse(DrugScreen, __doc__))
