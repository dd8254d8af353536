"""Writes the tables of finished comparisons into the page of results.

    python experiments/results.py --runs norman-subset=runs/subset papalexi=runs/papalexi \
        --out docs/results.md

Each run of `compare.py` has a place in the page, between `<!-- compare: NAME -->` and
`<!-- end -->`: what stands there is replaced by `comparison.md` of the run's folder. What is said
about a table stands outside of these marks.
"""

import pathlib
import re
from dataclasses import dataclass

from scbig import cli


@dataclass(frozen=True, kw_only=True)
class Results:
    """Finished runs, and the page."""

    runs: tuple[str, ...]
    """`NAME=FOLDER`: the name of a place in the page, and a folder that `compare.py` wrote."""
    out: pathlib.Path = pathlib.Path("docs/results.md")
    """The page, which is written anew."""


def placed(text: str, name: str, table: str) -> str:
    """The text with a table in its place."""
    place = re.compile(rf"(<!-- compare: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if len(place.findall(text)) != 1:
        raise SystemExit(f"The page needs one place <!-- compare: {name} --> ... <!-- end -->.")
    return place.sub(lambda found: found[1] + table.strip() + "\n" + found[2], text)


def main(run: Results) -> str:
    """Replaces the tables; returns the page."""
    text = run.out.read_text()
    for given in run.runs:
        name, _, folder = given.partition("=")
        table = pathlib.Path(folder) / "comparison.md"
        if not folder or not table.exists():
            raise SystemExit(f"{given!r} is no name and folder of a finished comparison.")
        text = placed(text, name, table.read_text())
    run.out.write_text(text)
    print(f"{run.out}: {len(run.runs)} tables")
    return text


if __name__ == "__main__":
    main(cli.parse(Results, __doc__))
