"""How long Gene-Relation Clustering takes, and how much memory, beside plain NumPy and POT.

    python experiments/benchmarks/gene_programs.py --out runs/gene_programs

Generated genes (more modules than programs, half of the interactions within them), the same for
both contenders. Each contender works on each size in a fresh process, one at a time. The plain
one's time is that of its own k-means plus its rounds from scBIG's k-means labels, so that both do
the same rounds and their programs can be compared. Nothing of it is compiled: it has no first call.
"""

import math
import multiprocessing
import os
import pathlib
import platform
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
import pandas as pd
import tyro


@dataclass(frozen=True, kw_only=True)
class GenePrograms:
    """The paper's size, a larger choice of genes, and genome scale."""

    out: pathlib.Path
    """Folder for the tables."""
    sizes: tuple[tuple[int, int], ...] = ((2051, 32), (5018, 64), (10_000, 128), (20_000, 256))
    """Genes and programs."""
    features: int = 768
    repeats: int = 3
    """Calls after the first, each with another key; their median is reported."""
    rounds: int = 30
    plain_rounds: int | None = None
    """Most rounds of the plain contender, whose time is then extrapolated to those of scBIG."""
    exact_until: int = 5018
    """Most genes for scipy's rounding, scikit-learn's k-means, and exact rounding to the end."""
    seed: int = 0


def draw(genes: int, clusters: int, features: int, seed: int):
    """Embeddings and both ends of the interactions, each in both directions."""
    generator = np.random.default_rng(seed)
    normal = lambda *shape: generator.standard_normal(shape, np.float32)
    modules = 3 * clusters
    module = generator.choice(modules, genes, p=generator.dirichlet(np.full(modules, 5.0)))
    factors = normal(modules, 32)[module] + normal(genes, 32)
    embeddings = 0.5 * normal(genes, features)
    embeddings += factors @ (normal(32, features) / np.float32(math.sqrt(32)))
    first, second = generator.integers(0, genes, (2, 14 * genes))
    near = slice(7 * genes)  # these have both ends in one module
    order, size = np.argsort(module), np.bincount(module, minlength=modules)
    place = (generator.random(7 * genes) * size[module[first[near]]]).astype(int)
    second[near] = order[(np.cumsum(size) - size)[module[first[near]]] + place]
    low, high = np.minimum(first, second), np.maximum(first, second)
    low, high = np.divmod(np.unique((low * genes + high)[low < high]), genes)
    source, target = np.hstack([low, high]), np.hstack([high, low])
    return embeddings, source.astype(np.int32), target.astype(np.int32)


def peak_gib() -> float:
    """The most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # counted in KiB on Linux


def seconds_of(function, *arguments, **options):
    """The result of a call, once it is there, and the seconds until then."""
    import jax

    begun = time.perf_counter()
    result = jax.block_until_ready(function(*arguments, **options))
    return result, time.perf_counter() - begun


def inertia(points: np.ndarray, labels: np.ndarray) -> float:
    """Sum of squared distances to the mean of one's cluster."""
    sums, count = np.zeros((labels.max() + 1, points.shape[1])), np.bincount(labels)
    np.add.at(sums, labels, points)
    return float(np.sum(points**2, dtype=float) - np.sum((sums**2).sum(1) / np.maximum(count, 1)))


def measure_scbig(run: GenePrograms, genes: int, clusters: int) -> dict:
    """Calls as a user makes them; then round by round, and other roundings of the last plan."""
    data = draw(genes, clusters, run.features, run.seed)
    import jax
    import jax.random as jr

    from scbig import method, programs

    start = programs.KMeansStart()
    grc, rest = programs.GRC(clusters=clusters, rounds=run.rounds, start=start), peak_gib()
    keys = jr.split(jr.key(run.seed), 1 + run.repeats)
    found, first = seconds_of(programs.cluster_genes, *data, grc, key=keys[0])
    later = [seconds_of(programs.cluster_genes, *data, grc, key=key)[1] for key in keys[1:]]
    call = {"first s": first, "later s": statistics.median(later), "GiB": peak_gib()}
    call |= {"at rest GiB": rest, "rounds": int(found.run.rounds), "edges": len(data[1])}
    parts, pieces = replay(data, grc, start, found.run.start, keys[0])
    small = genes <= run.exact_until
    rounding = roundings(*pieces, scipy_too=small) | {"greedy mean cost": float(found.mean_cost)}
    if small:
        by_cost = method.but(grc, rounding=programs.ExactRounding())
        exact = programs.cluster_genes(*data, by_cost, key=keys[0])
        rounding["exact mean cost"] = float(exact.mean_cost)
    return {
        "call": call | {"mean cost": float(found.mean_cost)},
        "parts": parts,
        "rounding": rounding,
        "start": np.asarray(found.run.start),
        "labels": np.asarray(found.labels),
        "settings": {name: getattr(grc, name) for name in ("epsilon", "iterations", "threshold")},
        "starts": start.tries,
        "components": start.components,
        "device": str(jax.devices()[0]),
    }


def replay(data, grc, start, labels, key):
    """Seconds of k-means and of a mean round from these labels, and what the last plan was.

    The rounds are `init`, `step` and `terminate` themselves. Beside each, the pieces that make it
    up are timed on the same state; that they lead to the same labels is checked. All are compiled
    beforehand.
    """
    import jax
    import jax.numpy as jnp
    import jax.random as jr

    from scbig import ot, programs

    clusters, weight = grc.clusters, jnp.ones(())
    unit = programs.unit_rows(jnp.asarray(data[0]))
    relations = programs.Relations(unit, jnp.asarray(data[1]), jnp.asarray(data[2]), weight, weight)
    state, mass = grc.init(relations, labels), jnp.full(labels.shape, 1 / len(labels))

    def transport(costs, state):
        tuning = {name: getattr(grc, name) for name in ("epsilon", "iterations", "threshold")}
        room = state.sizes / len(labels)
        return ot.balanced_plan(costs, mass, room, **tuning, start=state.potentials)

    compiled = lambda function, *given: jax.jit(function).lower(*given).compile()
    kmeans = compiled(lambda r, k: start(r, clusters, 1, key=k)[0], relations, key)
    step = compiled(grc.step, relations, state)
    price = compiled(lambda r, own: r.cost(own, clusters), relations, labels)
    costs = price(relations, labels)
    solve = compiled(transport, costs, state)
    plan = solve(costs, state)
    greedy = compiled(grc.rounding, plan, costs, state.sizes)

    found, seconds = seconds_of(kmeans, relations, key)
    points = programs.leading_components(unit, start.components, key=jr.fold_in(key, 2**31))
    parts = {"k-means": seconds, "inertia": inertia(np.asarray(points), np.asarray(found))}
    spent, steps = np.zeros(4), 0
    while not grc.terminate(relations, state):
        costs, first = seconds_of(price, relations, state.labels)
        plan, second = seconds_of(solve, costs, state)
        by_pieces, third = seconds_of(greedy, plan, costs, state.sizes)
        state, whole = seconds_of(step, relations, state)
        if not jnp.array_equal(by_pieces, state.labels):
            raise RuntimeError("The pieces that are timed are not those of a round.")
        spent, steps = spent + [first, second, third, whole], steps + int(plan.iterations)
    count = int(state.count)
    parts |= dict(zip(("cost", "plan", "rounding", "round"), spent / count, strict=True))
    return parts | {"iterations": steps / count}, (costs, plan, state.sizes)


def roundings(costs, plan, room, *, scipy_too: bool) -> dict:
    """Mean cost and seconds of each way to round one plan."""
    import jax
    from scipy.optimize import linear_sum_assignment

    from scbig import programs

    mean = lambda labels: float(np.asarray(costs)[np.arange(len(costs)), labels].mean())
    row = {}
    for name, rule in (("greedy", programs.GreedyRounding()), ("exact", programs.ExactRounding())):
        compiled = jax.jit(rule).lower(plan, costs, room).compile()
        labels, row[f"{name} s"] = seconds_of(compiled, plan, costs, room)
        row[name] = mean(labels)
    row["gap %"] = 100 * (row["greedy"] / row["exact"] - 1)
    if scipy_too:
        seats = np.repeat(np.arange(costs.shape[1]), room)
        (_, seat), row["scipy s"] = seconds_of(linear_sum_assignment, np.asarray(costs)[:, seats])
        row["scipy"] = mean(seats[seat])
    return row


def measure_plain(run: GenePrograms, genes: int, clusters: int, scbig: dict) -> dict:
    """k-means, and the rounds from scBIG's start, by NumPy and POT; scikit-learn's k-means too."""
    embeddings, source, target = draw(genes, clusters, run.features, run.seed)
    os.environ["POT_BACKEND_DISABLE_JAX"] = "1"  # or POT loads it, to tell whose arrays it gets
    import plain_grc
    from sklearn.cluster import KMeans

    rest, clock = peak_gib(), time.perf_counter
    begun = clock()
    unit = plain_grc.unit_rows(embeddings)
    points = plain_grc.leading_components(unit, scbig["components"])
    labels = plain_grc.kmeans(points, clusters, scbig["starts"], np.random.default_rng(run.seed))
    middle = clock()
    graph = plain_grc.adjacency(source, target, genes, unit.dtype)
    most = {"clusters": clusters, "rounds": run.plain_rounds or run.rounds}
    end = plain_grc.alternate(unit, graph, scbig["start"], **most, **scbig["settings"])
    finish, peak = clock(), peak_gib()
    parts = {part: seconds / end.rounds for part, seconds in end.seconds.items()}
    parts |= {"k-means": middle - begun, "inertia": inertia(points, labels)}
    if genes <= run.exact_until:
        # scikit-learn's tolerance is relative to the variance; so it is the others'.
        tolerance = 1e-4 / float(points.var(axis=0).mean())
        other = KMeans(clusters, n_init=scbig["starts"], tol=tolerance, random_state=run.seed)
        others = other.fit_predict(points)
        parts |= {"k-means (scikit-learn)": clock() - finish}
        parts |= {"inertia (scikit-learn)": inertia(points, others)}
    parts |= {"iterations": end.iterations}
    # Short of scBIG's rounds only by --plain-rounds; then the time of a round stands for the rest.
    scale = scbig["call"]["rounds"] / end.rounds if run.plain_rounds else 1.0
    whole = middle - begun + scale * (finish - middle)
    agree = float(np.mean(end.labels == scbig["labels"]))
    return {
        "call": {"plain s": whole, "plain GiB": peak, "plain at rest GiB": rest}
        | {"plain rounds": end.rounds, "plain mean cost": end.mean_cost[-1], "same labels": agree},
        "parts": parts,
    }


def fresh(function, *arguments):
    """The result of a call in a new process, whose peak memory is then the call's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main(run: GenePrograms) -> None:
    """Prints and writes the tables, after every size as far as they are."""
    run.out.mkdir(parents=True, exist_ok=True)
    tables, device = {"gene_programs": [], "parts": [], "rounding": []}, ""
    for genes, clusters in run.sizes:
        size = {"genes": genes, "programs": clusters}
        ours = fresh(measure_scbig, run, genes, clusters)
        plain = fresh(measure_plain, run, genes, clusters, ours)
        tables["gene_programs"].append(size | ours["call"] | plain["call"])
        tables["parts"] += [
            size | {"contender": name} | one["parts"]
            for name, one in (("scBIG", ours), ("plain", plain))
        ]
        tables["rounding"].append(size | ours["rounding"])
        device = ours["device"]
        for name, rows in tables.items():
            pd.DataFrame(rows).to_csv(run.out / f"{name}.csv", index=False)
    versions = {name: version(name) for name in ("jax", "numpy", "POT", "scikit-learn")}
    print(f"{os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()}, {device}")
    print(f"python {platform.python_version()}, {versions}, {run.features} features")
    for rows in tables.values():
        print(pd.DataFrame(rows).round(4).to_string(index=False))


if __name__ == "__main__":
    main(tyro.cli(GenePrograms, description=__doc__))
