"""The scripts of the paper's tables: arms that differ, on shared autoencoders, in one folder."""

import runpy

import pytest

from scbig import method as m

from .small import EXPERIMENTS

TABLES = ("table6a", "table6b", "table6c", "table10")


def script(name: str) -> dict:
    return runpy.run_path(str(EXPERIMENTS / f"{name}.py"))


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("base", [m.cpu(), m.wide(), m.paper()])
def test_every_arm_is_another_run_and_the_papers_rows_are_among_them(name, base):
    table = script(name)
    arms = table["arms"](base)
    assert len({m.fingerprint(arm) for arm in arms.values()}) == len(arms)
    # Which of the two losses alone is which the paper's print has lost.
    assert {*table["PAPER"].index} - {*arms} <= {"one of the two", "the other"}
    assert table["PAPER"].loc[next(n for n, arm in arms.items() if arm == base), "acc"] == 0.9197
    assert base in arms.values()


def test_an_arm_that_is_not_there_is_named(tmp_path):
    table = script("table10")
    given = runpy.run_path(str(EXPERIMENTS / "compare.py"))["Measured"](data=tmp_path, out=tmp_path)
    with pytest.raises(SystemExit, match="No arm 'nothing'; there are Set Transformer"):
        table["main"](table["Benchmark"](measured=given, only=("nothing",)))
