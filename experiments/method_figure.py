"""Draws the picture of the method: `python experiments/method_figure.py --out docs/method.png`."""

import argparse

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from scbig.plotting import save

INK, SOFT, PALE = "#333333", "#777777", "#C4C4C4"
PROGRAMS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7"]  # Okabe-Ito
GENES = [PROGRAMS[i] for i in (0, 2, 1, 3, 0, 1, 3, 2, 1, 0, 2)]
MIDDLE = 25.0  # height of the row through which cells travel
TITLES = "control cells|K gene programs|encoder|latent flow|decoder|predicted cells, A + B"
NOTES = "as measured|equal sizes, padded|tokens, inducing points|adaptive ODE solver|same blocks|"
COLUMNS = (9, 28, 46.6, 64.8, 83, 98.7)
STAGES = """reconstruction trains the encoder and the decoder.
flow matching, and two alignment losses on decoded cells, train the flow."""


def text(axes, x, y, words, size=8.0, **options):
    options = {"ha": "center", "va": "center_baseline", "color": INK, "linespacing": 1.4} | options
    axes.text(x, y, words, fontsize=size, **options)


def arrow(axes, start, end, colour=INK, curve="arc3", style="-|>"):
    look = {"mutation_scale": 9, "shrinkA": 0, "shrinkB": 0, "color": colour, "lw": 1.2}
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle=style, connectionstyle=curve, **look))


def box(axes, x, y, width, height, words=""):
    look = {"boxstyle": "round,pad=0,rounding_size=0.8", "fc": "#F4F4F4", "ec": SOFT, "lw": 0.9}
    axes.add_patch(FancyBboxPatch((x - width / 2, y - height / 2), width, height, **look))
    text(axes, x, y, words, 7.5)


def cells(axes, x, y, colours, seed):
    """A matrix of six cells by genes, centred; "none" is an empty slot."""
    strength = np.random.default_rng(seed).uniform(0.15, 0.95, (6, len(colours)))
    for (row, column), alpha in np.ndenumerate(strength):
        at = (x - len(colours) / 2 + column, y - 3 + row)
        edge = {"ec": PALE, "lw": 0.5} if colours[column] == "none" else {"alpha": alpha, "lw": 0}
        axes.add_patch(Rectangle(at, 0.9, 0.9, fc=colours[column], **edge))


def network(axes, x, side):
    """Program tokens joined to inducing points; the tokens on the left (1) or the right (-1)."""
    box(axes, x, MIDDLE, 12, 9)
    points = MIDDLE + np.array([-1.8, 0, 1.8])
    for y, colour in zip(MIDDLE + np.array([2.85, 0.95, -0.95, -2.85]), PROGRAMS, strict=True):
        axes.plot([[x - side * 1.9] * 3, [x + side * 3.1] * 3], [[y] * 3, points], c=PALE, lw=0.5)
        corner = (x - side * 3.2 - 1.3, y - 0.65)
        axes.add_patch(Rectangle(corner, 2.6, 1.3, fc=colour, lw=0, zorder=3))
    axes.scatter([x + side * 3.3] * 3, points, s=55, color=INK, lw=0, zorder=3)


def draw() -> Figure:
    figure = Figure(figsize=(10, 4.1))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 112), ylim=(0, 45.92), aspect="equal")
    axes.axis("off")
    for x, y, seed in ((9, MIDDLE, 1), (98.7, MIDDLE, 8), (98.7, 7.9, 9)):
        cells(axes, x, y, GENES, seed)
    for k, colour in enumerate(PROGRAMS):
        cells(axes, 21.7 + 4.2 * k, MIDDLE, [colour] * 2 + ["none" if k == 3 else colour], 2 + k)
    network(axes, 46.6, side=1)
    network(axes, 83, side=-1)
    box(axes, 64.8, MIDDLE, 16, 9)
    spiral = np.arange(9)[:, None] * [[2.4]] + [[0, np.pi / 2]]  # sunflower: near, never touching
    cloud = np.cos(spiral) * np.sqrt(np.arange(9))[:, None] * 0.62
    ends = cloud + [[[59.8, MIDDLE - 1.6]], [[69.8, MIDDLE + 1.6]]]
    for start, end in zip(*ends, strict=True):
        arrow(axes, start, end, PALE, "arc3,rad=0.15", "-")
    axes.scatter(*ends.reshape(-1, 2).T, s=10, c=[SOFT] * 9 + PROGRAMS[:1] * 9, lw=0, zorder=3)
    for x, title, note in zip(COLUMNS, TITLES.split("|"), NOTES.split("|"), strict=True):
        text(axes, x, 31, title)
        text(axes, x, 18.2, note, 7, color=SOFT, va="baseline")
    for start, end in ((15.5, 19.2), (36.8, 39.7), (53.4, 56), (73.6, 76.2), (89.8, 92.4)):
        arrow(axes, (start, MIDDLE), (end, MIDDLE))
    for x, width, words in ((28, 20, "GRC: balanced transport"), (64.8, 16, "condition encoder")):
        box(axes, x, 37, width, 4.2, words)
        arrow(axes, (x, 34.9), (x, 32.6))
    for x, words in ((22, "embeddings"), (34, "STRING"), (64.8, "perturbations {A, B}")):
        text(axes, x, 43.4, words, 7.5)
        arrow(axes, (x, 42), (x, 39.2))
    for i, ha, words in ((-1, "right", "cluster\ncorrelation"), (1, "left", "pathway\ntransport")):
        x, colour = 98.7 + 3 * i, {-1: "#D55E00", 1: "#0072B2"}[i]
        arrow(axes, (x, 21.5), (x, 11.4), colour, f"arc3,rad={-0.35 * i}", "<|-|>")
        text(axes, x + 2.6 * i, 15.8, words, 7.5, color=colour, ha=ha, va="center")
    text(axes, 98.7, 2.6, "measured cells, A + B")
    text(axes, 3.5, 6, "Stage 1\nStage 2", ha="left", va="baseline", linespacing=1.8, weight="bold")
    text(axes, 11.5, 6, STAGES, ha="left", va="baseline", linespacing=1.8)
    return figure


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/method.png", help="a png, pdf or svg file")
    save(draw(), parser.parse_args().out, dpi=160)
