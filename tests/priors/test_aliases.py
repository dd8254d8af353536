"""Alias tables: a list of two columns and HGNC's own form, and what is wrong in a broken one."""

import gzip

import pytest

from scbig.priors import AliasTable, read_aliases

# A few columns and rows of HGNC's complete set, with its quotation marks.
HGNC = (
    "hgnc_id\tsymbol\tname\talias_symbol\tprev_symbol\tensembl_gene_id\n"
    "HGNC:11998\tTP53\ttumor protein p53\tp53|LFS1\t\tENSG00000141510\n"
    'HGNC:7132\tKMT2A\t"lysine methyltransferase 2A"\t"TRX1|HRX|ALL-1"\tMLL\tENSG00000118058\n'
    "HGNC:6029\tIL9\tinterleukin 9\tHP40|P40\t\tENSG00000145839\n"
    "HGNC:5970\tIL12B\tinterleukin 12B\tNKSF|p40\tNKSF2\tENSG00000113302\n"
)


def test_the_form_of_hgnc(tmp_path):
    with gzip.open(tmp_path / "hgnc.txt.gz", "wt") as file:
        file.write(HGNC)
    table = read_aliases(tmp_path / "hgnc.txt.gz")
    assert table.symbols == ("TP53", "KMT2A", "IL9", "IL12B")
    assert table.ensembl["ENSG00000118058"] == ("KMT2A",)
    assert table.previous == {"MLL": ("KMT2A",), "NKSF2": ("IL12B",)}
    assert {name for name, meant in table.alias.items() if meant == ("KMT2A",)} == {
        "TRX1",
        "HRX",
        "ALL-1",
    }
    assert (table.alias["P40"], table.alias["p40"]) == (("IL9",), ("IL12B",))


@pytest.mark.parametrize("comma", ["\t", ",", ";"])
@pytest.mark.parametrize("suffix", [".tsv", ".txt", ".csv"])
def test_two_columns_in_any_order(suffix, comma, tmp_path):
    rows = [("symbol", "alias"), ("A", "old A"), ("B", "both"), ("A", "both"), ("A", "A")]
    rows.append(("B", "ENSG00000000002.7"))
    text = "\ufeff" + "\n".join(map(comma.join, rows)) + "\n\n"
    (tmp_path / f"names{suffix}").write_text(text, encoding="utf-8")
    table = read_aliases(tmp_path / f"names{suffix}")
    assert table.symbols == ("A", "B")
    assert table.alias == {"old A": ("A",), "both": ("B", "A")}
    assert table.ensembl == {"ENSG00000000002": ("B",)}
    assert table.previous == {}


def test_remarks_and_what_cannot_be_seen_are_no_part_of_a_name(tmp_path):
    text = "# of a paper\n\nAlias\tSymbol\n OLD\u200b\tHLA\u2013A\u00a0\n"
    (tmp_path / "x.tsv").write_text(text, encoding="utf-8")
    table = read_aliases(tmp_path / "x.tsv")
    assert (table.symbols, table.alias) == (("HLA-A",), {"OLD": ("HLA-A",)})


BROKEN = {
    "no_header.tsv": ("MLL\tKMT2A\nHRX\tKMT2A\n", "first row must name the column symbol"),
    "no_alias.csv": ("symbol,name\nTP53,tumor protein\n", "alias, alias_symbol, prev_symbol"),
    "twice.csv": ("alias,symbol,symbol\nA,B,C\n", "each once; got 'alias', 'symbol', 'symbol'"),
    "no_rows.csv": ("alias,symbol\n", "no rows"),
    "nothing.csv": ("", "first row must name"),
    "no_symbol.csv": ("alias,symbol\nA,B\nC, \n", "line 3: an empty symbol"),
    "empty_alias.csv": ("alias,symbol\nA,B\n,C\n", "line 3: an empty alias"),
    "ragged.csv": ("alias,symbol\nA,B\nC\n", "line 3: 1 entries under 2 columns"),
    "quote.csv": ('alias,symbol\n"A,B\nC,D\n', "line 3: unexpected end of data"),
    "names.xlsx": ("", "none of the formats"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_explained(name, tmp_path):
    text, message = BROKEN[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_aliases(tmp_path / name)
    assert name in str(caught.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.csv"):
        read_aliases(tmp_path / "absent.csv")


def test_a_table_is_checked_when_it_is_made():
    with pytest.raises(ValueError, match=r"1 occur more than once: 'A'"):
        AliasTable(("A", "A"))
    with pytest.raises(ValueError, match="symbols: no names"):
        AliasTable(())
    with pytest.raises(ValueError, match=r"2 names are empty or mean none .*: 'x', ' '"):
        AliasTable(("A",), alias={"x": ("B",), " ": ("A",), "y": ("A",)})
    with pytest.raises(ValueError, match=r"1 names .*: 'z'"):
        AliasTable(("A",), previous={"z": ()})
