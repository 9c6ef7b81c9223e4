"""Write a label beside each point of a plot, where no label covers another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_RADII = (6, 12, 20, 30, 42, 56)  # points from the point to the nearest corner of the label
_DIRECTIONS = ((1, 1), (-1, 1), (1, -1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))
# From a label to its point, unless it is beside it
_LINE = {"arrowstyle": "-", "color": style.GRAY, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 0}
_POINT = 3  # points, about half of a marker
_GAP = 1.5  # points between two labels
_CROWD = 30  # labels; more would make a thicket of lines, so that only near places are tried


def label_points(axes: Axes, positions: Sequence[tuple[float, float]], labels: Sequence[str]) -> list[int]:
    """Write the labels of points, the first ones nearest; call it last, since it lays out the figure.

    Args:
        axes: Where the points are drawn.
        positions: Coordinates of the points, the most important first.
        labels: The text of each point.

    Returns:
        The indices of the points whose label has no room.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # until then the place of the axes is not known
    scale = figure.dpi / 72
    centres = axes.transData.transform(np.asarray(positions, dtype=float).reshape(-1, 2)) / scale
    room = Bbox(axes.get_window_extent().get_points() / scale)
    radii = _RADII if len(labels) <= _CROWD else _RADII[:1]
    points = [Bbox.from_extents(*centre, *centre).padded(_POINT) for centre in centres]
    taken: list[Bbox] = []
    absent: list[int] = []
    for index, (centre, label) in enumerate(zip(centres, labels, strict=True)):
        width, height = 72 * style.text_width(label), 1.2 * style.SMALL
        places = _list_places(width, height, radii)
        free = [place for place in places if _is_free(_box(centre, place, width, height), room, taken)]
        if not free:
            absent.append(index)
            continue
        # If possible where it covers no other point
        offset = next((place for place in free if _is_free(_box(centre, place, width, height), room, points)), free[0])
        taken.append(_box(centre, offset, width, height).padded(_GAP))
        _write(axes, positions[index], label, offset, with_line=offset not in places[: len(_DIRECTIONS)])
    return absent


def _list_places(width: float, height: float, radii: Sequence[float]) -> list[tuple[float, float]]:
    """Return offsets from a point to the centre of its label, in points, the nearest first."""
    return [(x * (radius + width / 2), y * (radius + height / 2)) for radius in radii for x, y in _DIRECTIONS]


def _box(centre: NDArray[np.float64], offset: tuple[float, float], width: float, height: float) -> Bbox:
    x, y = centre + offset
    return Bbox.from_bounds(x - width / 2, y - height / 2, width, height)


def _is_free(box: Bbox, room: Bbox, taken: Sequence[Bbox]) -> bool:
    inside = box.x0 >= room.x0 and box.x1 <= room.x1 and box.y0 >= room.y0 and box.y1 <= room.y1
    return bool(inside and not any(box.overlaps(other) for other in taken))


def _write(
    axes: Axes, position: tuple[float, float], label: str, offset: tuple[float, float], *, with_line: bool
) -> None:
    axes.annotate(
        label,
        position,
        offset,
        textcoords="offset points",
        fontsize=style.SMALL,
        ha="center",
        va="center",
        zorder=4,
        arrowprops=_LINE if with_line else None,
    ).set_in_layout(False)
