"""Writes the folder that every peer reads, from a screen, priors and a split.

    python experiments/peers/export.py --data norman19_k562_3375x500.h5ad \
        --embeddings enformer_tss_19685x32.npz --interactions string_v12_ge800.tsv.gz \
        --go go_annotations_human.tsv.gz --test KLF1+MAP2K6 KLF1+TGFBR2 --out runs/peers/norman

README.md beside this file says what the folder holds. This script reads through scbig; no peer's
script does.
"""

import json
import pathlib
from dataclasses import dataclass

import contract
import numpy as np

import scbig
from scbig import cli, data, priors


@dataclass(frozen=True, kw_only=True)
class Export:
    """A screen, what is known of its genes, and what to predict."""

    data: pathlib.Path
    """Log-normalised h5ad with `obs["condition"]`: `control`, `A`, `A+B`."""
    out: pathlib.Path
    """Folder that is written."""
    split: pathlib.Path | None = None
    """JSON that `Split.save` wrote."""
    test: tuple[str, ...] = ()
    """The conditions to predict, in place of a split: all others are trained on."""
    validation: tuple[str, ...] = ()
    """With `test`: conditions that choose the model."""
    embeddings: pathlib.Path | None = None
    """Gene embeddings: npz, csv, tsv, parquet or h5ad. A symbol with two rows gets their mean."""
    interactions: pathlib.Path | None = None
    """Gene pairs, two columns."""
    go: pathlib.Path | None = None
    """GO terms of genes: Bioconductor's SQLite, or a table `gene`, `go`."""
    aliases: pathlib.Path | None = None
    """Other names of the genes of a table of GO terms: `alias`, `symbol`."""


def split_of(run: Export, screen: data.Screen) -> scbig.Split:
    """The split of the file, or that of the named conditions."""
    if (run.split is None) == (not run.test):
        raise SystemExit("Give --split or --test, one of the two.")
    if run.split is not None:
        return scbig.Split.read(run.split)
    test, validation = (
        {data.Condition.parse(name) for name in some} for some in (run.test, run.validation)
    )
    lacking = [c.name for c in {*test, *validation} - {*screen.conditions}]
    if lacking:
        raise SystemExit(f"{run.data} does not measure {', '.join(sorted(lacking))}.")
    train = [c for c in screen.conditions if c not in test | validation]
    return scbig.Split.of(name="named", train=train, test=test, validation=validation)


def write_priors(run: Export, perturbed: set[str], genes: list[str]) -> None:
    """The tables that were given, of the genes at hand, under the names of the contract."""
    folder, wanted = run.out / "priors", [*dict.fromkeys([*genes, *sorted(perturbed)])]
    folder.mkdir(parents=True, exist_ok=True)
    if run.embeddings is not None:
        table = priors.read_embeddings(run.embeddings, duplicates="mean")
        table = table.select([name for name in wanted if name in set(table.names)])
        contract.check_coverage(table.names, perturbed, str(run.embeddings))
        np.savez(folder / "genes.npz", names=np.array(table.names), embeddings=table.vectors)
    if run.interactions is not None:
        graph, known = priors.read_interactions(run.interactions), set(wanted)
        pairs = [p for p in zip(graph.first, graph.second, strict=True) if known.issuperset(p)]
        write_rows(folder / "interactions.tsv", [("gene1", "gene2"), *pairs])
    if run.go is not None:
        rows = go_rows(run, wanted)
        contract.check_coverage([gene for gene, _ in rows], perturbed, str(run.go))
        write_rows(folder / "go.tsv", [("gene", "go"), *rows])


def go_rows(run: Export, wanted: list[str]) -> list[tuple[str, str]]:
    """Genes that have GO terms, by the names of the screen, and the numbers of their terms."""
    assert run.go is not None
    annotations = priors.read_annotations(run.go)
    aliases = annotations.aliases
    if run.aliases is not None:
        aliases = aliases.joined(priors.read_aliases(run.aliases))
    found = priors.match_genes(wanted, annotations.genes, aliases=aliases).mapping
    number = lambda term: str(int(term.removeprefix("GO:")))
    return [(name, ";".join(map(number, annotations.go[own]))) for name, own in found.items()]


def write_rows(path: pathlib.Path, rows: list[tuple[str, str]]) -> None:
    """A table of two columns."""
    path.write_text("\n".join(map("\t".join, rows)) + "\n", encoding="utf-8")


def main(run: Export) -> scbig.Split:
    """Writes the folder; returns the split that it holds."""
    screen = data.Screen.from_anndata(data.read_h5ad(run.data))
    split = split_of(run, screen)
    run.out.mkdir(parents=True, exist_ok=True)
    parts = {
        "train": split.cells(screen, "train").to_anndata(),
        "controls": split.cells(screen, "test").controls.to_anndata(),
    }
    if split.validation:
        held = split.cells(screen, "validation").to_anndata()
        # Its controls are those of the training cells.
        parts["validation"] = held[held.obs["condition"] != contract.CONTROL]
    for name, part in parts.items():
        contract.save(part, run.out / f"{name}.h5ad")
    split.save(run.out / "split.json")
    (run.out / "conditions.json").write_text(json.dumps(split.test) + "\n", encoding="utf-8")
    labels = (*split.train, *split.validation, *split.test)
    write_priors(run, {g for label in labels for g in contract.genes_of(label)}, [*screen.genes])
    print(
        f"{run.out}: " + ", ".join(f"{part.n_obs} cells of {name}" for name, part in parts.items())
    )
    return split


if __name__ == "__main__":
    main(cli.parse(Export, __doc__))
