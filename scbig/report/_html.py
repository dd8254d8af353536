"""The few kinds of things that a page has, as HTML that needs nothing beside it."""

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

DPI = 140
STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; margin: 0 auto;
       max-width: 62rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2.2rem;
     border-bottom: 1px solid #ccc; } h3 { font-size: 1rem; }
nav a { margin-right: 1rem; white-space: nowrap; } a { color: #0067a3; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .2rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd;
         overflow-wrap: normal; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.words { min-width: 12rem; }
img { width: var(--own); max-width: 100%; height: auto; display: block; }
.large img { min-width: min(var(--own), 38rem); }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
.row figure { flex: 0 1 24rem; min-width: 0; }
figure { margin: 1rem 0; } figcaption, .note { color: #555; font-size: .85rem; }
pre { overflow-x: auto; background: #f5f5f5; padding: .6rem; font-size: .8rem;
      white-space: pre-wrap; }
details { margin: .6rem 0; } summary { cursor: pointer; }
"""


def text(value: object) -> str:
    """Words as they are, whatever signs they have."""
    return html.escape(str(value), quote=True)


def unbroken(interval: str) -> str:
    """A number with its interval, of which no line of a table ends within the brackets."""
    return interval.replace(", ", ",\N{NO-BREAK SPACE}")


def page(title: str, sections: Sequence[tuple[str, str]]) -> str:
    """A whole page.

    **Arguments:** `sections`, a heading and its HTML each.
    """
    names = [f"part{number}" for number in range(len(sections))]
    links = "".join(
        f'<a href="#{name}">{text(head)}</a> '
        for name, (head, _) in zip(names, sections, strict=True)
    )
    parts = "".join(
        f'<section><h2 id="{name}">{text(head)}</h2>{body}</section>'
        for name, (head, body) in zip(names, sections, strict=True)
    )
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{text(title)}</h1><nav>{links}</nav>{parts}</body></html>\n"
    )


def paragraph(words: str, *, note: bool = False) -> str:
    """A paragraph of plain words."""
    return f"<p{' class=note' if note else ''}>{text(words)}</p>"


def lines(words: str) -> str:
    """Lines as they are, in a box that scrolls."""
    return f"<pre>{text(words)}</pre>"


def folded(head: str, body: str) -> str:
    """HTML that is shown when it is asked for."""
    return f"<details><summary>{text(head)}</summary>{body}</details>"


def table(frame: pd.DataFrame, *, digits: int = 3) -> str:
    """A table without its index, which scrolls if it is wider than the page."""
    heads = "".join(f'<th scope="col">{text(name)}</th>' for name in frame.columns)
    rows = "".join(
        f"<tr>{''.join(_cell(value, digits) for value in row)}</tr>"
        for row in frame.itertuples(index=False)
    )
    return (
        f'<div class="wide" tabindex="0"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(value: Any, digits: int) -> str:
    if isinstance(value, bool | np.bool_):
        return f"<td>{'yes' if value else 'no'}</td>"
    if isinstance(value, int | np.integer):
        return f'<td class="number">{value}</td>'
    if isinstance(value, float | np.floating):
        said = "" if np.isnan(value) else f"{value:.{digits}f}"
        return f'<td class="number">{said}</td>'
    kind = ' class="words"' if len(str(value)) > 30 else ""
    return f"<td{kind}>{text(value)}</td>"


def picture(figure: Any, alt: str, caption: str, *, large: bool = False) -> str:
    """A matplotlib figure as an image within the page.

    **Arguments:** `alt`, what it shows, for those who do not see it; `large`, whether it scrolls on
    a narrow screen, where it would be too small to read.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, format="png")
    data = base64.b64encode(buffer.getvalue()).decode()
    kind = "wide large" if large else "wide"
    # Bytes 16 to 20 of a PNG. 115 pixels an inch: a figure's letters are about those of tables.
    own = int.from_bytes(buffer.getvalue()[16:20], "big") * 115 // DPI
    return (
        f'<figure><div class="{kind}"><img alt="{text(alt)}" style="--own: {own}px" '
        f'src="data:image/png;base64,{data}"></div>'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def beside(figures: Sequence[str]) -> str:
    """Figures side by side, as many as fit."""
    return f'<div class="row">{"".join(figures)}</div>'


def download(frame: pd.DataFrame, name: str, *, digits: int | None = None) -> str:
    """A link that saves a table as csv, which the page holds.

    **Arguments:** `digits` of each number, where a long table should be short; by default all.
    """
    form = None if digits is None else f"%.{digits}g"
    data = base64.b64encode(frame.to_csv(index=False, float_format=form).encode()).decode()
    return (
        f'<p><a download="{text(name)}" href="data:text/csv;base64,{data}">{text(name)}</a> '
        f"({len(frame)} rows)</p>"
    )
