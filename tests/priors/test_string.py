"""STRING's own files at some size, against a plain reader; and the cache."""

import gzip
import pathlib
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest

from scbig.priors import InteractionGraph, read_interactions

SCRIPT = pathlib.Path(__file__).parents[2] / "experiments" / "benchmarks" / "string_links.py"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Links and info in the form of STRING's, 200,000 lines."""
    generate = runpy.run_path(str(SCRIPT))["generate"]
    return generate(tmp_path_factory.mktemp("string"), 200_000, 3_000)


@pytest.fixture(scope="module")
def naive(files):
    """Score by pair of names, from a loop over the lines."""
    links, info = files
    with gzip.open(info, "rt") as lines:
        names = dict(line.split("\t")[:2] for line in lines)
    with gzip.open(links, "rt") as lines:
        rows = [line.split() for line in lines][1:]
    assert len(rows) == 200_000
    pairs = {frozenset((names[a], names[b])): int(score) for a, b, score in rows}
    assert 2 * len(pairs) == len(rows)
    return pairs


def edges_of(graph):
    ends = zip(graph.first, graph.second, strict=True)
    return dict(zip(map(frozenset, ends), graph.score.tolist(), strict=True))


def same(one, other):
    assert (one.first, one.second) == (other.first, other.second)
    if one.score is None:
        assert other.score is None
    else:
        assert one.score.dtype == other.score.dtype
        np.testing.assert_array_equal(one.score, other.score)


@pytest.mark.parametrize("threshold", [0, 400, 700])
def test_links_match_a_loop_over_the_lines(files, naive, threshold):
    graph = read_interactions(files[0], info=files[1], threshold=threshold)
    kept = {pair: score for pair, score in naive.items() if score >= threshold}
    assert len(graph.first) == len(kept)
    found = edges_of(graph)
    assert found.keys() == kept.keys()
    assert all(found[pair] == np.float32(score / 1000) for pair, score in kept.items())


def test_names_are_shared_not_copied(files):
    graph = read_interactions(files[0], info=files[1], threshold=0)
    ends = graph.first + graph.second
    assert len(set(map(id, ends))) == len(set(ends))


def test_one_reading_serves_several_thresholds(files):
    links, info = files
    whole = read_interactions(links, info=info, threshold=150)
    for threshold in (400, 700, 900):
        same(
            whole.above(threshold / 1000), read_interactions(links, info=info, threshold=threshold)
        )


def small(tmp_path, rows, names=("P1\tA", "P2\tB", "P3\tC")):
    links, info = tmp_path / "links.txt", tmp_path / "info.txt"
    links.write_text("\n".join(["protein1 protein2 combined_score", *rows, ""]))
    info.write_text("\n".join(["#string_protein_id\tpreferred_name", *names, ""]))
    return links, info


def test_one_direction_a_loop_and_unequal_scores_are_read_as_they_are(tmp_path):
    links, info = small(tmp_path, ["P3 P1 800", "P2 P2 700", "P1 P2 710", "P2 P1 900"])
    graph = read_interactions(links, info=info)
    assert (graph.first, graph.second) == (("A", "A", "B"), ("B", "C", "B"))
    assert graph.score is not None
    np.testing.assert_array_equal(graph.score, np.array([0.9, 0.8, 0.7], np.float32))


def test_two_proteins_of_one_gene_are_one_gene(tmp_path):
    links, info = small(tmp_path, ["P1 P3 800", "P2 P3 900"], ("P1\tA", "P2\tA", "P3\tC"))
    aligned = read_interactions(links, info=info).align(["A", "C"])
    np.testing.assert_array_equal(aligned.source, [0, 1])
    np.testing.assert_array_equal(aligned.weight, np.array([0.9, 0.9], np.float32))


BROKEN = {
    "a protein twice": (["P1 P2 900"], ["P1\tA", "P1\tB", "P2\tC"], "1 occur more than once: 'P1'"),
    "no score": (["P1 P2 900", "P1 P3 "], ["P1\tA", "P2\tB", "P3\tC"], "invalid value ''"),
    "a score in words": (["P1 P2 high"], ["P1\tA", "P2\tB"], "invalid value 'high'"),
    "a score of 0": (["P1 P2 0"], ["P1\tA", "P2\tB"], r"1 of 1 scores .*0 \(edge 0, "),
    "a score of 9000": (["P1 P2 9000"], ["P1\tA", "P2\tB"], r"1 of 1 scores .*9 \(edge 0, "),
    "no links": ([], ["P1\tA"], "Empty|no link"),
    "an unnamed gene": (["P1 P2 900"], ["P1\t", "P2\tB"], "1 edges lack the name of an end"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_string_files_are_explained(case, tmp_path):
    rows, names, message = BROKEN[case]
    links, info = small(tmp_path, rows, names)
    with pytest.raises(ValueError, match=message) as caught:
        read_interactions(links, info=info, threshold=0)
    assert "links.txt" in str(caught.value)


def test_score_is_for_tables_and_links_have_their_own(files):
    with pytest.raises(ValueError, match="score=2 belongs to other tables"):
        read_interactions(files[0], info=files[1], score=2)


@pytest.mark.parametrize("which", [0, 1])
def test_a_truncated_download_is_explained(files, which, tmp_path):
    paths = [pathlib.Path(shutil.copy(path, tmp_path)) for path in files]
    paths[which].write_bytes(files[which].read_bytes()[:-1000])
    with pytest.raises(ValueError, match="cannot be read to its end") as caught:
        read_interactions(paths[0], info=paths[1])
    assert paths[which].name in str(caught.value)


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_cache_gives_back_what_was_read(files, tmp_path, monkeypatch):
    links, info = files
    fresh = read_interactions(links, info=info, threshold=300)
    same(read_interactions(links, info=info, threshold=300, cache=tmp_path), fresh)
    (parquet, checksum) = entries(tmp_path)
    assert checksum == f"{parquet}.sha256"
    # The second reading must not touch the parser.
    monkeypatch.setattr("scbig.priors._read_interactions._read", None)
    again = read_interactions(links, info=info, threshold=300, cache=str(tmp_path))
    same(again, fresh)
    assert again.checksum == fresh.checksum


def test_the_checksum_file_is_that_of_the_parquet(files, tmp_path):
    read_interactions(files[0], info=files[1], cache=tmp_path)
    (_, checksum) = entries(tmp_path)
    subprocess.run(["sha256sum", "--check", checksum], cwd=tmp_path, check=True)


def test_every_kind_of_graph_survives_the_cache(tmp_path):
    """Without scores; repeated, mirrored and looped; more names than a parquet dictionary holds."""
    for edges in (["B\tA", "A\tB", "A\tB", "NA\tNA"], [f"Gene-{i:030d}\tB" for i in range(60_000)]):
        path = tmp_path / "e.tsv"
        path.write_text("\n".join(edges) + "\n")
        fresh = read_interactions(path)
        assert len(fresh.first) == len(edges)
        for _ in range(2):
            same(read_interactions(path, cache=tmp_path / "cache"), fresh)


def test_other_contents_or_options_are_another_entry(tmp_path):
    table, cache = tmp_path / "e.tsv", tmp_path / "cache"
    table.write_text("gene1\tgene2\ts\nA\tB\t0.5\n")
    graphs = [
        read_interactions(table, cache=cache, header=True),
        read_interactions(table, cache=cache, header=True, score=2),
        read_interactions(table, cache=cache, columns=(1, 0)),
        read_interactions(table, cache=cache, header=False),
    ]
    table.write_text("gene1\tgene2\ts\nA\tC\t0.5\n")
    graphs.append(read_interactions(table, cache=cache))
    assert len({graph.checksum for graph in graphs}) == len(graphs) == len(entries(cache)) / 2

    links, info = small(tmp_path, ["P1 P2 900", "P1 P3 500"])
    high = read_interactions(links, info=info, cache=cache)
    low = read_interactions(links, info=info, threshold=400, cache=cache)
    assert (len(high.first), len(low.first)) == (1, 2)
    info.write_text(info.read_text().replace("\tA", "\tRENAMED"))
    assert read_interactions(links, info=info, cache=cache).first == ("RENAMED",)


@pytest.mark.parametrize(
    "damage", ["flipped", "truncated", "empty", "no checksum", "other checksum"]
)
def test_a_damaged_cache_is_an_error_and_removing_it_helps(damage, files, tmp_path):
    fresh = read_interactions(files[0], info=files[1], cache=tmp_path)
    parquet, checksum = (tmp_path / name for name in entries(tmp_path))
    data = bytearray(parquet.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    parquet.write_bytes({"truncated": data[:-9], "empty": b""}.get(damage, data))
    if damage == "no checksum":
        checksum.unlink()
    if damage == "other checksum":
        checksum.write_text("0" * 64)
    with pytest.raises(ValueError, match="damaged.*Remove .*read again") as caught:
        read_interactions(files[0], info=files[1], cache=tmp_path)
    assert str(parquet) in str(caught.value)
    parquet.unlink()
    same(read_interactions(files[0], info=files[1], cache=tmp_path), fresh)


def test_an_interrupted_entry_is_written_again(files, tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        read_interactions(files[0], info=files[1], cache=tmp_path)
    assert entries(tmp_path) == []
    monkeypatch.undo()
    fresh = read_interactions(files[0], info=files[1], cache=tmp_path)
    same(read_interactions(files[0], info=files[1], cache=tmp_path), fresh)


def test_what_cannot_be_read_leaves_no_entry(tmp_path):
    path = tmp_path / "e.tsv"
    path.write_text("A\tB\nC\t\n")
    with pytest.raises(ValueError, match="lack the name"):
        read_interactions(path, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_genome_wide_graph_is_aligned_like_its_adjacency_matrix():
    """500,000 edges between 20,000 genes, against SciPy's sparse matrices."""
    from scipy import sparse

    draw = np.random.default_rng(0)
    ends = draw.integers(20_000, size=(2, 500_000))
    names = np.array([f"G{row}" for row in range(20_000)], object)
    score = draw.integers(150, 1000, 500_000).astype(np.float32) / 1000
    graph = InteractionGraph(tuple(names[ends[0]]), tuple(names[ends[1]]), score)
    aligned = graph.align(names.tolist())
    matrix = sparse.csr_matrix((20_000, 20_000), dtype=np.float32)
    # A sparse matrix adds what repeats, so the maximum is taken over pieces without repetitions.
    _, group = np.unique(np.minimum(*ends) * 20_000 + np.maximum(*ends), return_inverse=True)
    order = np.argsort(group, kind="stable")
    rank = np.arange(len(group)) - np.searchsorted(group[order], group[order])
    for turn in range(rank.max() + 1):
        rows = order[rank == turn]
        one = sparse.csr_matrix((score[rows], ends[:, rows]), shape=matrix.shape)
        matrix = matrix.maximum(one).maximum(one.T)
    found = sparse.csr_matrix(sparse.triu(matrix, 1) + sparse.tril(matrix, -1)).tocoo()
    np.testing.assert_array_equal(aligned.source, found.row)
    np.testing.assert_array_equal(aligned.target, found.col)
    np.testing.assert_array_equal(aligned.weight, found.data)


def test_the_benchmark_has_a_pulse(tmp_path):
    options = ["--out", tmp_path, "--links", "2000", "--proteins", "200", "--thresholds", "400"]
    shown = subprocess.run(
        [sys.executable, SCRIPT, *options], capture_output=True, text=True, check=True
    )
    assert "full cache" in shown.stdout
    assert len((tmp_path / "string_links.csv").read_text().splitlines()) == 4
