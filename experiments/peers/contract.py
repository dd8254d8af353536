"""What every peer is given and gives back, and what is refused; needs NumPy and anndata alone.

A peer's script runs in an environment of its own and finds this file beside its folder:

    sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

README.md has the contract in words. It is read by Python 3.10 and by anndata from 0.10 on.
"""

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import inspect
import json
import os
import pathlib
import resource
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import anndata as ad
import numpy as np

CONTROL = "control"
NOTHING = {"", CONTROL, "ctrl"}
"""Names in a peer's labels that stand for no perturbation."""


def genes_of(label: str) -> tuple[str, ...]:
    """The perturbed genes of `A`, `A+B`, `A+ctrl`, `A+control` or `control`, sorted."""
    return tuple(sorted({part.strip() for part in str(label).split("+")} - NOTHING))


def canonical(label: str) -> str:
    """One spelling of a condition: `A+B` for `B+A`, `A` for `A+ctrl`, and `control`."""
    return "+".join(genes_of(label)) or CONTROL


def dense(cells: ad.AnnData) -> np.ndarray:
    """Expression as a float32 array of cells x genes."""
    matrix: Any = cells.X
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, np.float32)


def plain(cells: ad.AnnData) -> ad.AnnData:
    """A copy whose names and text columns are Python strings, which every anndata can read.

    anndata before 0.11 cannot read the string types of pandas 3, and 0.12 does not write them.
    """
    cells = cells.copy()
    for frame in (cells.obs, cells.var):
        frame.index = frame.index.astype(str).astype(object)
        for column in frame.columns:
            if frame[column].dtype.kind not in "biuf":
                frame[column] = frame[column].astype(str).astype(object)
    return cells


@contextlib.contextmanager
def atomic(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary path beside `path`, and renames it at a clean exit."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save(cells: ad.AnnData, path: pathlib.Path) -> None:
    """Writes cells as text that old anndata reads; never half a file."""
    # It would make categories of text, under pandas 3 of a type that old anndata cannot read.
    option = "convert_strings_to_categoricals"
    known = option in inspect.signature(ad.AnnData.write_h5ad).parameters
    given: dict[str, Any] = {option: False} if known else {}
    with atomic(path) as temporary:
        plain(cells).write_h5ad(temporary, **given)


def read_cells(path: pathlib.Path) -> ad.AnnData:
    """Cells with `obs["condition"]`, in one spelling, and log1p expression, checked."""
    if not path.exists():
        raise ValueError(f"{path} is missing: export.py writes the folder that a peer reads.")
    cells = plain(ad.read_h5ad(path))
    if "condition" not in cells.obs:
        raise ValueError(f'{path} has no obs["condition"].')
    if not cells.var_names.is_unique:
        raise ValueError(f"{path} names a gene twice.")
    check_values(dense(cells), list(cells.var_names), str(path))
    cells.obs["condition"] = np.array([*map(canonical, cells.obs["condition"])], object)
    return cells


def check_values(values: np.ndarray, genes: Sequence[str], what: str) -> None:
    """Refuses what no log1p expression is: NaN, infinity, a negative value."""
    for wrong, bad in (("not finite", ~np.isfinite(values)), ("negative", values < 0)):
        if bad.any():
            first = genes[int(np.flatnonzero(bad.any(0))[0])]
            raise ValueError(f"{what}: {bad.sum()} values are {wrong}, the first in gene {first}.")


def read_embeddings(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Vectors by symbol, of an npz with `names` and `embeddings`; rows of one symbol are averaged.

    A name may be a row number and a symbol with a tab between them.
    """
    if not path.exists():
        raise ValueError(f"{path} is missing: this peer needs embeddings of the perturbed genes.")
    with np.load(path) as table:
        names, vectors = table["names"], np.asarray(table["embeddings"], np.float32)
    rows: dict[str, list[np.ndarray]] = {}
    for name, vector in zip(names, vectors, strict=True):
        rows.setdefault(str(name).rsplit("\t", 1)[-1].strip(), []).append(vector)
    return {name: np.mean(found, 0) for name, found in rows.items()}


def read_pairs(path: pathlib.Path) -> list[tuple[str, str]]:
    """The rows of a table of two columns below its first line."""
    if not path.exists():
        raise ValueError(f"{path} is missing: export.py writes it from what it is given.")
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return [(first, second) for first, second in (line.split("\t")[:2] for line in lines)]


def read_go(path: pathlib.Path) -> dict[str, set[str]]:
    """GO terms (`GO:0003700`) by gene, of rows `gene<TAB>3700;5515`."""
    return {
        gene: {f"GO:{int(number.removeprefix('GO:')):07d}" for number in terms.split(";") if number}
        for gene, terms in read_pairs(path)
    }


def check_coverage(known: Iterable[str], wanted: Iterable[str], what: str) -> list[str]:
    """Which of `wanted` a prior does not know; refuses a prior that knows none of them."""
    wanted, known = sorted(set(wanted)), set(known)
    lacking = [name for name in wanted if name not in known]
    if len(lacking) == len(wanted):
        some, theirs = ", ".join(wanted[:3]), ", ".join(map(repr, sorted(known)[:3]))
        raise ValueError(
            f"{what} knows none of {len(wanted)} genes ({some}); it has {theirs}. Are its names "
            "symbols, as the screen's are?"
        )
    return lacking


@dataclasses.dataclass(frozen=True)
class Folder:
    """What a peer is given."""

    path: pathlib.Path
    out: pathlib.Path

    @functools.cached_property
    def train(self) -> ad.AnnData:
        """The cells to train on, controls among them; they hold no test condition."""
        cells = read_cells(self.path / "train.h5ad")
        self.refuse_leak(cells.obs["condition"])
        if CONTROL not in set(cells.obs["condition"]):
            raise ValueError(f"{self.path}/train.h5ad has no cell of the condition `{CONTROL}`.")
        return cells

    @functools.cached_property
    def validation(self) -> "ad.AnnData | None":
        """The cells that may choose the model, controls not among them, or None."""
        path = self.path / "validation.h5ad"
        return self._of_these_genes(path) if path.exists() else None

    @functools.cached_property
    def controls(self) -> ad.AnnData:
        """The cells that predictions start from."""
        return self._of_these_genes(self.path / "controls.h5ad")

    @functools.cached_property
    def test(self) -> list[str]:
        """The conditions to predict, in the order of conditions.json."""
        path = self.path / "conditions.json"
        labels = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if not isinstance(labels, list) or not labels or CONTROL in map(canonical, labels):
            raise ValueError(f"{path} must be a list of conditions to predict: `A`, `A+B`.")
        return [canonical(label) for label in labels]

    @property
    def genes(self) -> list[str]:
        """The measured genes, in the order that a prediction must have."""
        return list(self.train.var_names)

    @property
    def trained(self) -> list[str]:
        """The conditions of the training cells, `control` among them."""
        return sorted(set(self.train.obs["condition"]))

    @property
    def perturbed(self) -> list[str]:
        """The genes that any condition perturbs, in training, validation or test."""
        held = [] if self.validation is None else list(self.validation.obs["condition"])
        return sorted({g for label in {*self.trained, *held, *self.test} for g in genes_of(label)})

    def _of_these_genes(self, path: pathlib.Path) -> ad.AnnData:
        cells = read_cells(path)
        if list(cells.var_names) != self.genes:
            raise ValueError(f"{path} has other genes than train.h5ad, or in another order.")
        self.refuse_leak(cells.obs["condition"])
        return cells

    def prior(self, name: str) -> pathlib.Path:
        """Where a prior lies: `genes.npz`, `interactions.tsv`, `go.tsv`."""
        return self.path / "priors" / name

    def refuse_leak(self, labels: Iterable[str]) -> list[str]:
        """The conditions among `labels`, one spelling each; refuses one that is to be predicted.

        Asked with the labels in the object that a peer's own training loop reads.
        """
        found = sorted({canonical(label) for label in labels})
        leaked = sorted(set(found) & set(self.test))
        if leaked:
            raise ValueError(f"A leak: {', '.join(leaked)} would be trained on and predicted.")
        return found

    def refuse_unseen(self, labels: Iterable[str]) -> None:
        """For a peer that learns a code for each gene: refuses what `labels` do not perturb."""
        seen = {gene for label in labels for gene in genes_of(label)}
        unseen = sorted({g for label in self.test for g in genes_of(label)} - seen)
        if unseen:
            raise ValueError(
                f"{', '.join(unseen)}: not perturbed in training, and this peer learns a code for "
                "each gene. Leave their conditions out of conditions.json."
            )

    def vectors(self, genes: Sequence[str]) -> tuple[np.ndarray, list[str]]:
        """Embeddings of genes, and which have none and get the mean of the others.

        Each feature has mean 0 and deviation 1 over the table: its unit does not matter.
        """
        table = read_embeddings(self.prior("genes.npz"))
        lacking = check_coverage(table, genes, "The embedding table")
        every = np.stack([*table.values()])
        scale = every.std(0)
        mean = np.asarray(np.mean([table[gene] for gene in genes if gene in table], 0))
        found = np.stack([table.get(gene, mean) for gene in genes])
        return (found - every.mean(0)) / np.where(scale > 0, scale, 1), lacking

    def divided(self, most: int = 2) -> "tuple[list[str], list[str]]":
        """The conditions to train on, without controls, and those that choose the model.

        The latter are those of validation.h5ad; without it, up to `most` combinations are set aside
        whose genes are all in another training condition as well.
        """
        train, held = [label for label in self.trained if label != CONTROL], []
        if self.validation is not None:
            return train, sorted(set(self.validation.obs["condition"]) - {CONTROL})
        for label in [label for label in train if len(genes_of(label)) > 1]:
            rest = {gene for other in train if other != label for gene in genes_of(other)}
            if len(held) < most and rest.issuperset(genes_of(label)):
                train, held = [other for other in train if other != label], [*held, label]
        return train, held

    def measured(self) -> ad.AnnData:
        """The cells of training and, where there is one, validation, one after the other."""
        if self.validation is None:
            return self.train.copy()
        return ad.concat([self.train, self.validation], index_unique="-")

    def shifted(self, means: Mapping[str, np.ndarray]) -> "tuple[np.ndarray, list[str]]":
        """Cells for a peer that predicts a mean alone: controls moved so that they have it."""
        cells = dense(self.controls)
        moved = [moved_to(cells, means[name]) for name in self.test]
        return np.concatenate(moved), np.repeat(self.test, len(cells)).tolist()


def moved_to(cells: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Cells plus one number for each gene, cut off at 0, with this mean (0 where it is negative).

    Adding the difference of the means and cutting off would raise the mean of rare genes.
    """
    falling = np.sort(cells.astype(np.float64), 0)[::-1]
    kept = np.arange(1, len(cells) + 1)[:, None]  # that many cells stay above 0
    shift = (len(cells) * np.maximum(mean, 0) - falling.cumsum(0)) / kept
    above = np.maximum((falling + shift > 0).sum(0), 1)
    return np.maximum(cells + np.take_along_axis(shift, above[None] - 1, 0)[0], 0)


def check_prediction(cells: ad.AnnData, genes: Sequence[str], test: Sequence[str]) -> None:
    """Refuses a prediction that cannot be scored.

    **Raises:** a ValueError for other genes or another order, a condition that is missing or was
    not asked for, what `check_values` refuses, and copies of one cell.
    """
    if list(cells.var_names) != list(genes):
        other = sorted(set(genes) ^ set(cells.var_names))
        how = f"other genes: {', '.join(other[:5])}" if other else "the genes in another order"
        raise ValueError(f"The prediction has {how}.")
    labels, values = np.asarray(cells.obs["condition"].astype(str)), dense(cells)
    for what, names in (
        ("lacks", set(test) - set(labels)),
        ("has, though not asked for,", set(labels) - set(test)),
    ):
        if names:
            raise ValueError(f"The prediction {what} {', '.join(sorted(names))}.")
    check_values(values, genes, "The prediction")
    for name in test:
        own = values[labels == name]
        if not (own.std(0) > 1e-6).any():
            raise ValueError(f"The prediction of {name} is one cell, {len(own)} times over.")


def peak_memory() -> float:
    """The most memory that this process, or one that it waited for, has held, in GB."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(one).ru_maxrss for one in who) / 1024**2


@dataclasses.dataclass
class Clock:
    """Seconds of named parts of a run."""

    seconds: dict[str, float] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Times what is done within."""
        begun = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - begun, 1)


def write(
    folder: Folder,
    values: np.ndarray,
    labels: Sequence[str],
    *,
    peer: str,
    package: str,
    trained_on: Sequence[str],
    clock: Clock,
    options: Mapping[str, Any],
) -> None:
    """Checks a prediction and writes `pred.h5ad` and `result.json`.

    **Arguments:**

    - `values`: log1p expression, a row for each cell, genes as in `folder.genes`.
    - `labels`: the condition of each cell.
    - `package`: the distribution whose version is recorded, or a version with a blank in it.
    - `trained_on`: what `refuse_leak` returned for the labels that the peer trained on.
    - `options`: of the run; what has no JSON form is written as text.
    """
    cells = ad.AnnData(np.asarray(values, np.float32))
    cells.obs_names = [f"{name}-{row}" for row, name in enumerate(labels)]
    cells.var_names = folder.genes
    cells.obs["condition"] = np.array([canonical(label) for label in labels], object)
    check_prediction(cells, folder.genes, folder.test)
    result = {
        "peer": peer,
        "version": package if " " in package else importlib.metadata.version(package),
        "seconds": dict(clock.seconds),
        "peak_memory_gb": round(peak_memory(), 2),
        "options": json.loads(json.dumps(dict(options), default=str)),
        "trained_on": folder.refuse_leak(trained_on),
    }
    cells.uns["peer"] = json.dumps(result)
    folder.out.mkdir(parents=True, exist_ok=True)
    save(cells, folder.out / "pred.h5ad")
    with atomic(folder.out / "result.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def arguments(doc: "str | None", **defaults: Any) -> "tuple[Folder, argparse.Namespace]":
    """Reads `--folder`, `--out` and one option for each of `defaults`, of its default's type."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="train.h5ad, ...")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="for pred.h5ad")
    for name, default in defaults.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=type(default),
            default=default,
            help=f"default: {default!r}",
        )
    given = parser.parse_args()
    folder = Folder(given.folder.resolve(), given.out.resolve())
    folder.out.mkdir(parents=True, exist_ok=True)
    return folder, argparse.Namespace(**{name: getattr(given, name) for name in defaults})


def checkout(source: pathlib.Path, name: str) -> str:
    """A version for what is run from a checkout: its commit, where it has one."""
    if not (source / ".git").exists():
        return f"checkout of {name}"
    asked = ["git", "-C", str(source), "rev-parse", "--short", "HEAD"]
    return f"{name} at {subprocess.run(asked, capture_output=True, text=True).stdout.strip()}"


def require(
    path: "str | pathlib.Path", files: Sequence[str], *, what: str, where: str, option: str
) -> pathlib.Path:
    """A folder that a user must bring, after checking that it holds `files`.

    **Raises:** one ValueError with what is lacking, where it is to be had, and the option.
    """
    folder = pathlib.Path(path).expanduser().resolve()
    lacking = [name for name in files if not path or not (folder / name).exists()]
    if lacking:
        found = f"{folder} lacks {', '.join(lacking)}" if path else f"{option} was not given"
        raise ValueError(
            f"{what} is needed, and {found}. Get it from {where}, and pass its folder as {option}."
        )
    return folder
