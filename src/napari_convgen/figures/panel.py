"""What a figure shows, as data: whoever draws it, a window or a file, gets the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Scale = Literal["linear", "log"]


class Curve:
    """Values over an axis.

    Parameters
    ----------
    label
        For the legend.
    x, y
        Of the same length; a NaN in y leaves a gap.
    style
        A line through the points, or dots.
    """

    def __init__(
        self, label: str, x: ArrayLike, y: ArrayLike, style: Literal["line", "dots", "dashes"] = "line"
    ) -> None:
        self.label, self.style = label, style
        self.x: NDArray[np.float64] = np.asarray(x, float)
        self.y: NDArray[np.float64] = np.asarray(y, float)


@dataclass(frozen=True, eq=False)
class Plot:
    """Curves over one axis.

    Attributes
    ----------
    title, x_label, y_label
        The labels name the quantity and its unit.
    curves
        In the order of the legend.
    x_scale, y_scale
        Of the axes.
    marks
        Vertical lines, each with a label and a position.
    span
        Positions between which the plot is shaded.
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
    """An image.

    Attributes
    ----------
    title
        Over the image.
    values
        ``(rows, columns)``, or ``(rows, columns, 3)`` in [0, 1].
    limits
        Values drawn black and white; the least and the largest by default.
    is_signed
        Whether it is drawn in two colors around zero, which is white, instead of gray.
    """

    title: str
    values: NDArray[np.floating]
    limits: tuple[float, float] | None = None
    is_signed: bool = False


Panel = Plot | Picture
