"""How long STRING's own links take to read, and how much memory: on a generated file of their form.

    python experiments/benchmarks/string_links.py --out runs/string

Writes links (every pair in both directions, low scores frequent) and their protein info, then reads
them, each time in a fresh process: without a cache, with an empty one, and with a full one.
"""

import gzip
import multiprocessing
import pathlib
import resource
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv
import tyro


@dataclass(frozen=True, kw_only=True)
class StringLinks:
    """As many lines as STRING has for human, drawn at random."""

    out: pathlib.Path
    """Folder for the files, the cache and the table."""
    links: int = 13_700_000
    proteins: int = 19_700
    thresholds: tuple[int, ...] = (150, 400, 700, 900)


def draw(links: int, proteins: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both ends and the score of each line, sorted by first end; few proteins have most links."""
    generator = np.random.default_rng(0)
    share = generator.dirichlet(np.full(proteins, 1.5))
    codes = np.zeros(0, np.int64)
    while len(codes) < links // 2:
        low, high = np.sort(generator.choice(proteins, (2, links // 2), p=share), axis=0)
        codes = np.union1d(codes, (low * proteins + high)[low < high])
    low, high = np.divmod(generator.permutation(codes)[: links // 2], proteins)
    score = np.minimum(150 + generator.exponential(125, len(low)), 999).astype(np.int32)
    order = np.lexsort((np.hstack([high, low]), np.hstack([low, high])))
    return np.hstack([low, high])[order], np.hstack([high, low])[order], np.tile(score, 2)[order]


def generate(out: pathlib.Path, links: int, proteins: int) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes links and info in STRING's form; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    links_path, info_path = out / "protein.links.txt.gz", out / "protein.info.txt.gz"
    names = pa.array([f"9606.ENSP{row:011d}" for row in range(proteins)])
    first, second, score = draw(links, proteins)
    plain = csv.WriteOptions(include_header=False, delimiter=" ", quoting_style="none")
    with gzip.open(links_path, "wb", compresslevel=4) as file:
        file.write(b"protein1 protein2 combined_score\n")
        for rows in (slice(start, start + 500_000) for start in range(0, len(first), 500_000)):
            ends = [names.take(pa.array(end[rows])) for end in (first, second)]
            csv.write_csv(pa.table([*ends, score[rows]], ["a", "b", "c"]), file, plain)
    head = "#string_protein_id\tpreferred_name\tprotein_size\tannotation"
    known = (f'{name}\tGENE{row}\t100\t"Putative' for row, name in enumerate(names.to_pylist()))
    info_path.write_bytes(gzip.compress("\n".join([head, *known, ""]).encode()))
    return links_path, info_path


def measure(paths: tuple[pathlib.Path, ...], threshold: int, cache: pathlib.Path | None) -> dict:
    """Seconds, peak memory of this process and edges kept, of one reading."""
    from scbig import priors

    begun = time.perf_counter()
    graph = priors.read_interactions(paths[0], info=paths[1], threshold=threshold, cache=cache)
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # counted in KiB on Linux
    return {"seconds": round(seconds, 2), "peak GiB": round(peak, 2), "edges": len(graph.first)}


def fresh(function, *arguments):
    """The result of a call in a new process, whose peak memory is then the call's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main(run: StringLinks) -> None:
    """Prints and writes the table."""
    paths, cache = fresh(generate, run.out, run.links, run.proteins), run.out / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    table = pd.DataFrame(
        {"threshold": threshold, "case": case, **fresh(measure, paths, threshold, folder)}
        for threshold in run.thresholds
        for case, folder in (("no cache", None), ("empty cache", cache), ("full cache", cache))
    )
    table.to_csv(run.out / "string_links.csv", index=False)
    print(f"{run.links} links, {paths[0].stat().st_size >> 20} MiB", table, sep="\n")


if __name__ == "__main__":
    main(tyro.cli(StringLinks, description=__doc__))
