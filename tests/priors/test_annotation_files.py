"""The files of annotations: a database in Bioconductor's schema, tables, and broken ones."""

import contextlib
import gzip
import sqlite3

import pytest

from scbig.priors import AliasTable, match_genes, read_annotations

TABLES = {
    "genes": "_id INTEGER PRIMARY KEY, gene_id TEXT",
    "gene_info": "_id INTEGER, gene_name TEXT, symbol TEXT",
    "alias": "_id INTEGER, alias_symbol TEXT",
    "ensembl": "_id INTEGER, ensembl_id TEXT",
    "go_bp": "_id INTEGER, go_id TEXT, evidence TEXT",
    "go_bp_all": "_id INTEGER, go_id TEXT, evidence TEXT",
    "go_mf_all": "_id INTEGER, go_id TEXT, evidence TEXT",
    "go_cc_all": "_id INTEGER, go_id TEXT, evidence TEXT",
    "pfam": "_id INTEGER, ipi_id TEXT, pfam_id TEXT",
    "metadata": "name TEXT, value TEXT",
}
SYMBOLS = ("TP53", "KMT2A", "TWICE", "TWICE", "SILENT", "LINC1 ")
ROWS = {
    "gene_info": [(n, f"gene {n}", symbol) for n, symbol in enumerate(SYMBOLS, 1)],
    "alias": [(1, "TP53"), (1, "p53"), (2, "MLL"), (2, "both"), (3, "both"), (4, "both"), (1, "")],
    "ensembl": [(1, "ENSG00000141510"), (2, "ENSG00000118058.4"), (3, "ENSG1"), (4, "ENSG1")],
    "go_bp": [(6, "GO:0000001", "IDA")],  # without ancestors: not read
    "go_bp_all": [(1, "GO:0006915", "IDA"), (1, "GO:0008150", "IDA"), (3, "GO:0006915", "IEA")],
    "go_mf_all": [
        *((1, "GO:0003700", evidence) for evidence in ("IDA", "IEA")),
        (2, "GO:0003677", "ND"),
        (2, "GO:0042054", "IEA"),
        (4, "GO:0003700", None),
        (5, "GO:0003674", "ND"),
    ],
    "go_cc_all": [(1, "GO:0005634", "HDA"), (9, "GO:0005634", "HDA")],
    "pfam": [(1, "IPI1", "PF00870"), (1, "IPI2", "PF00870"), (2, "IPI3", None), (6, "", "PF1")],
}


def database(path, *, without=(), **changed):
    """Writes a database in the schema of Bioconductor's HUMAN_DB, as far as it matters."""
    with contextlib.closing(sqlite3.connect(path)) as written, written:
        for table, columns in {**TABLES, **changed}.items():
            if table in without:
                continue
            written.execute(f"CREATE TABLE {table} ({columns})")
            for row in ROWS.get(table, []) if table not in changed else []:
                written.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    return path


@pytest.mark.parametrize("name", ["org.Hs.eg.sqlite", "odd name?#%20.DB"])
def test_the_database(name, tmp_path):
    found = read_annotations(database(tmp_path / name))
    assert found.go == {
        "TP53": ("GO:0003700", "GO:0005634", "GO:0006915"),
        "KMT2A": ("GO:0042054",),
        "TWICE": ("GO:0003700", "GO:0006915"),
    }
    assert found.transcription_factors == ("TP53", "TWICE")
    assert found.pfam == {"TP53": ("PF00870",), "LINC1": ("PF1",)}
    assert found.aliases.symbols == ("TP53", "KMT2A", "TWICE", "SILENT", "LINC1")
    assert found.aliases.alias == {
        "p53": ("TP53",),
        "MLL": ("KMT2A",),
        "both": ("KMT2A", "TWICE"),
    }
    assert found.aliases.ensembl == {
        "ENSG00000141510": ("TP53",),
        "ENSG00000118058": ("KMT2A",),
        "ENSG1": ("TWICE",),
    }
    names = ["MLL", "ENSG00000141510.18", "both", "SILENT"]
    match = match_genes(names, found.genes, aliases=found.aliases)
    assert match.mapping == {"MLL": "KMT2A", "ENSG00000141510.18": "TP53"}
    assert (match.missing, [*match.ambiguous]) == (("SILENT",), ["both"])


def test_families_are_read_where_there_are_some(tmp_path):
    assert read_annotations(database(tmp_path / "x.sqlite", without=["pfam"])).pfam == {}


def test_a_database_is_opened_for_reading_only(tmp_path, monkeypatch):
    path = database(tmp_path / "x.sqlite")
    write = lambda _, opened: opened.execute("DELETE FROM alias")
    monkeypatch.setattr("scbig.priors._read_annotations._contents", write)
    with pytest.raises(ValueError, match="attempt to write a readonly database"):
        read_annotations(path)


BROKEN = {
    "another": ({"without": [*TABLES]}, "it lacks gene_info, alias, ensembl, go_bp_all, go_mf_all"),
    "one table": ({"without": ["go_cc_all"]}, r"it lacks go_cc_all\.$"),
    "one column": ({"gene_info": "_id INTEGER, SYM TEXT"}, r"it lacks gene_info\.symbol\.$"),
    "no evidence": ({"go_bp_all": "_id INTEGER, go_id TEXT"}, r"lacks go_bp_all\.evidence\.$"),
    "other families": ({"pfam": "_id INTEGER, PfamId TEXT"}, r"it lacks pfam\.pfam_id\.$"),
    "no genes": ({"gene_info": TABLES["gene_info"]}, "gene_info has no symbols"),
    "no terms": (
        {branch: TABLES[branch] for branch in ("go_bp_all", "go_mf_all", "go_cc_all")},
        "no gene has a GO term",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_another_database_is_explained(case, tmp_path):
    changes, message = BROKEN[case]
    path = database(tmp_path / "x.sqlite", **changes)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["text", "empty", "truncated", "terms", "no text"])
def test_a_broken_database_is_explained(damage, tmp_path):
    path = database(tmp_path / "x.sqlite")
    message = "cannot be read as an SQLite database: .* Copy it again"
    if damage == "text":
        path.write_text("gene\tgo\nA\t1\n" * 100)
    elif damage == "empty":
        path.write_bytes(b"")
        message = "it lacks gene_info"
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        value = "nucleus" if damage == "terms" else b"\xff\xfe"
        with contextlib.closing(sqlite3.connect(path)) as written, written:
            written.execute("INSERT INTO go_cc_all VALUES (1, ?, 'IDA')", [value])
        message = "table go_cc_all: 'nucleus' is no GO term" if damage == "terms" else message
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)


TEXT = "gene,source,go\nB,x,3700; GO:0000002\n A,x,go:1;1;\n\nB,y,3\nC,y,8150\nD,,\n"


@pytest.mark.parametrize(("suffix", "comma"), [(".csv", ","), (".tsv.gz", "\t"), (".TXT", ",")])
def test_a_table(suffix, comma, tmp_path):
    path = tmp_path / f"go{suffix}"
    data = ("\ufeff" + TEXT.replace(",", comma)).encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    found = read_annotations(str(path))
    assert found.go == {"A": ("GO:0000001",), "B": ("GO:0000002", "GO:0000003", "GO:0003700")}
    assert found.transcription_factors == ("B",)
    aliases = found.aliases
    assert (aliases.symbols, aliases.alias, found.pfam) == (("B", "A", "C", "D"), {}, {})


BROKEN_TABLES = {
    "columns.tsv": ("symbol\tgo\nA\t1\n", "must name the columns gene and go, each once; got 'sy"),
    "terms.tsv": ("gene\tterms\nA\t1\n", "gene and go, each once; got 'gene', 'terms'"),
    "repeated.tsv": ("gene\tgo\tgo\nA\t1\t2\n", "must name the columns gene and go"),
    "nothing.csv": ("", "must name the columns gene and go"),
    "rows.csv": ("gene,go\n", "no rows"),
    "terms.csv": ("gene,go\nA,\n", "no gene has a GO term"),
    "gene.csv": ("gene,go\nA,1\n ,2\n", "line 3: an empty gene"),
    "word.csv": ("gene,go\nA,1;nucleus\n", "line 2: 'nucleus' is no GO term"),
    "long.csv": ("gene,go\nA,12345678\n", "line 2: '12345678' is no GO term"),
    "ragged.csv": ("gene,go\nA,1,2\n", "line 2: 3 entries under 2 columns"),
    "packed.tsv.gz": ("gene\tgo\nA\t1\n", "cannot be read as text"),
    "go.rds": ("", "none of the formats"),
    "org.sqlite.gz": ("", "none of the formats"),
}


@pytest.mark.parametrize("name", BROKEN_TABLES)
def test_a_broken_table_is_explained(name, tmp_path):
    text, message = BROKEN_TABLES[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_annotations(tmp_path / name)
    assert name in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.sqlite"):
        read_annotations(tmp_path / "absent.sqlite")


def test_tables_of_aliases_are_joined():
    one = AliasTable(("A", "B"), alias={"x": ("A",), "y": ("B",)}, previous={"old": ("A",)})
    other = AliasTable(("B", "C"), alias={"x": ("C", "B")}, ensembl={"ENSG1": ("C",)})
    both = one.joined(other)
    assert both.symbols == ("A", "B", "C")
    assert both.alias == {"x": ("A", "C", "B"), "y": ("B",)}
    assert (both.previous, both.ensembl) == ({"old": ("A",)}, {"ENSG1": ("C",)})
    # A symbol is itself, though another table lists it as a name of another gene.
    known = AliasTable(("FAT",)).joined(AliasTable(("FAT1",), alias={"FAT": ("FAT1",)}))
    assert match_genes(["FAT"], ["FAT1"], aliases=known).missing == ("FAT",)
