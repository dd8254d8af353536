"""Names beside points, where they cover neither one another nor many points."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from ._style import FONT, INK

if TYPE_CHECKING:
    import matplotlib.axes

RADII = (3.0, 9.0, 16.0, 25.0, 36.0, 50.0)
"""Points of length between a dot and its name; from the second on a line joins them."""
ANGLES = 16
COVERED = 20
"""Points that a name may cover rather than one that has a name."""
STEPS = 16
"""Points of a line that are looked at."""


def name_points(
    axes: "matplotlib.axes.Axes",
    places: Float[np.ndarray, "points 2"],
    chosen: Sequence[int],
    names: Sequence[str],
) -> None:
    """Writes names beside some points, each at the free spot with the fewest points under it.

    Names and the lines that join them to their points are apart; a name for which there is no such
    spot in the frame is left out. The limits of the axes must be final.

    **Arguments:** `places` of all points, in the units of the axes; `chosen`, which of them are
    named, those first that matter most; `names` of these.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # only then is it known where the frame is
    pixels = axes.transData.transform(places)
    frame, scale = np.asarray(axes.get_window_extent().get_points()), figure.dpi / 72
    named = pixels[[*chosen]]
    # A dot under another's name would be taken for that one.
    covers = lambda box: _inside(pixels, box).sum() + COVERED * _inside(named, box).sum()
    spots: list[Spot] = []
    for place, name in zip(chosen, names, strict=True):
        text = _written(axes, name, tuple(places[place]))
        extent = text.get_window_extent()
        free = (
            spot for spot in _spots(pixels[place], np.array([extent.width, extent.height]), scale)
            if spot.within(frame) and not any(spot.meets(other) for other in spots)
        )  # fmt: skip
        best = min(free, key=lambda spot: spot.cost + covers(spot.box), default=None)
        if best is None:
            text.remove()
            continue
        spots.append(best)
        text.set_position(tuple((best.way[-1] - best.way[0]) / scale))
        text.arrow_patch.set_visible(best.cost > 0)


def _written(axes: Any, name: str, place: tuple[float, float]) -> Any:
    """A name on its point, with a line between the two for when it has moved away."""
    from matplotlib.patheffects import withStroke

    joint = {"arrowstyle": "-", "lw": 0.4, "color": INK, "shrinkA": 0, "shrinkB": 1}
    text = axes.annotate(
        name, place, (0, 0), textcoords="offset points", fontsize=FONT - 2, color=INK,
        ha="center", va="center", arrowprops=joint | {"relpos": (0.5, 0.5)},
        path_effects=[withStroke(linewidth=1.5, foreground="#FFFFFF")],
    )  # fmt: skip
    text.set_in_layout(False)  # it stays within the frame, which must not move for it
    return text


@dataclasses.dataclass(frozen=True, eq=False)
class Spot:
    """Where a name can be, in pixels.

    **Fields:** `box`, its corners; `way`, points on the line from its dot to its middle; `cost`, of
    the distance, in points that a name may cover instead.
    """

    box: Float[np.ndarray, "2 2"]
    way: Float[np.ndarray, "steps 2"]
    cost: float

    def within(self, frame: Float[np.ndarray, "2 2"]) -> bool:
        """Whether the whole name is."""
        return bool((self.box[0] >= frame[0]).all() and (self.box[1] <= frame[1]).all())

    def meets(self, other: "Spot") -> bool:
        """Whether one covers the other, or its line."""
        boxes = (self.box[0] < other.box[1]).all() and (other.box[0] < self.box[1]).all()
        lines = _inside(self.way, other.box).any() or _inside(other.way, self.box).any()
        return bool(boxes or lines)


def _spots(
    point: Float[np.ndarray, " 2"], size: Float[np.ndarray, " 2"], scale: float
) -> Iterator[Spot]:
    """Spots around a point, those that are near first."""
    for radius in RADII:
        for step in range(ANGLES):
            angle = 2 * math.pi * (step + 1) / ANGLES
            way = np.array([math.cos(angle), math.sin(angle)])
            # So far off that it is the name's nearest side that is `radius` away.
            middle = point + way * radius * scale + np.clip(2 * way, -1, 1) * size / 2
            box = np.stack([middle - size / 2, middle + size / 2])
            yield Spot(box, np.linspace(point, middle, STEPS), (radius - RADII[0]) / RADII[0])


def _inside(
    pixels: Float[np.ndarray, "points 2"], box: Float[np.ndarray, "2 2"]
) -> Bool[np.ndarray, " points"]:
    return ((pixels > box[0]) & (pixels < box[1])).all(axis=1)
