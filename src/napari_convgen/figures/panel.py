"""The content of a figure as data, so that windows and files show the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scale = Literal["linear", "log"]


class Curve:
    """A curve of a plot.

    Parameters
    ----------
    label
        Text in the legend; an empty one leaves the curve out of it.
    x, y
        Coordinates of the points, in the units that the axis labels name; both have the same length. A NaN in y leaves a gap.
    style
        Line through the points (default), dots, dashes, or a band from y to ``top``.
    top
        Upper ends of a band; ``None``, the default, for the other styles.
    """

    def __init__(
        self,
        label: str,
        x: ArrayLike,
        y: ArrayLike,
        style: Literal["line", "dots", "dashes", "band"] = "line",
        top: ArrayLike | None = None,
    ) -> None:
        self.label, self.style = label, style
        self.top: NDArray[np.float64] | None = None if top is None else np.asarray(top, float)
        self.x: NDArray[np.float64] = np.asarray(x, float)
        self.y: NDArray[np.float64] = np.asarray(y, float)


@dataclass(frozen=True, eq=False)
class Plot:
    """Curves over one axis.

    Attributes
    ----------
    title, x_label, y_label
        Title, and labels of the axes, which name the quantity and its unit.
    curves
        Curves, in the order of the legend.
    x_scale, y_scale
        Scales of the axes: linear (default) or logarithmic.
    marks
        Vertical lines, each with a label and an x coordinate; none by default.
    span
        Range of x in which the plot is shaded; ``None``, the default, for no shading.
    """

    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    marks: Sequence[tuple[str, float]] = ()
    span: tuple[float, float] | None = None


@dataclass(frozen=True, eq=False)
class Picture:
    """An image of a figure.

    Attributes
    ----------
    title
        Title above the image.
    values
        Gray values ``(rows, columns)``, or red, green and blue ``(rows, columns, 3)`` in [0, 1].
    limits
        Values that are shown black and white; the minimum and maximum by default.
    is_signed
        True to show two colors around zero, which is white; False, the default, for gray.
    """

    title: str
    values: NDArray[np.floating]
    limits: tuple[float, float] | None = None
    is_signed: bool = False


Panel = Plot | Picture
