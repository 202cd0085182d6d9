"""How results show themselves: as text, as a figure, and both in a notebook."""

from __future__ import annotations

import base64
import html
import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image import Layout
from napari_convgen.figures.files import draw
from napari_convgen.figures.panel import Curve, Panel, Picture, Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PIXELS = 1000
"""Most pixels along a side of a picture: more than a figure has. Our choice, no benchmark."""


class ShownResult(ABC):
    """A result with a short text, and a figure."""

    notes: tuple[str, ...]

    @abstractmethod
    def lines(self) -> Iterator[str]:
        """Say in a few lines what the result is."""

    @abstractmethod
    def panels(self) -> list[Panel]:
        """Return the content of `plot`."""

    def plot(self) -> Figure:
        """Return a figure of Matplotlib, with pictures and the curves of the fit; ``result.plot().savefig("run.png")`` writes it."""
        return draw(self.panels())

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def _repr_html_(self) -> str:
        png = io.BytesIO()
        self.plot().savefig(png, format="png", dpi=100)
        picture = base64.b64encode(png.getvalue()).decode()
        return f'<pre>{html.escape(repr(self))}</pre><img src="data:image/png;base64,{picture}">'

    def _count_notes(self) -> str:
        n = len(self.notes)
        return f"{n} note{'s' * (n > 1)}, see .notes" if n else "no notes"


def shown_planes(images: Mapping[str, Any], layout: Layout) -> list[Panel]:
    """Return pictures of images with the same axes, in shades from the least to the greatest value of the last of them.

    Parameters
    ----------
    images
        Images by title. Of a volume or a stack the middle is shown, of several channels the first, of complex values the magnitude.
    layout
        Meaning of their axes.
    """
    planes = {title: _plane(image, layout) for title, image in images.items()}
    *_, last = planes.values()
    low, high = (float(end(last)) if np.isfinite(last).any() else 0.0 for end in (np.nanmin, np.nanmax))
    if not layout.is_color:
        return [Picture(title, plane, (low, high)) for title, plane in planes.items()]
    span = (high - low) or 1.0
    return [Picture(title, np.clip((plane - low) / span, 0, 1)) for title, plane in planes.items()]


def fit_plots(
    loss: Sequence[float],
    criterion: Sequence[float],
    name: str,
    kept_step: int,
    interval: tuple[int, int] | None = None,
) -> list[Panel]:
    """Return plots of the loss by step and, if the stopping rule watched any, of its criterion.

    Parameters
    ----------
    loss, criterion
        Values by step, from step 1; the criterion is NaN where the rule has none.
    name
        Words for the criterion.
    kept_step
        Step that is marked.
    interval
        First and last step that cannot be told from the best, which are shaded; ``None``, the default, for none.
    """
    steps = np.arange(1, len(loss) + 1)
    curves = {"Loss": np.asarray(loss, float), name: np.asarray(criterion, float)}
    return [
        Plot(
            title,
            "step",
            title.lower(),
            [Curve("", steps, values)],
            y_scale="log" if (values[np.isfinite(values)] > 0).all() else "linear",
            marks=[("kept", kept_step)],
            span=interval,
        )
        for title, values in curves.items()
        if np.isfinite(values).any()
    ]


def _plane(image: Any, layout: Layout) -> NDArray[np.float64]:
    """Return the plane of an image that is shown: rows and columns, and color if there is any, in few enough pixels."""
    shown = [letter for letter in layout.axes if letter in "YXS"]
    index = tuple(
        slice(None, None, _stride(n))
        if letter in "YX"
        else slice(3)
        if letter == "S"
        else 0
        if letter == "C"
        else n // 2
        for letter, n in zip(layout.axes, image.shape, strict=True)
    )
    plane = np.asarray(image[index])
    plane = np.abs(plane) if np.iscomplexobj(plane) else plane
    plane = plane.transpose([shown.index(letter) for letter in "YXS" if letter in shown]).astype(np.float64)
    return plane if "Y" in shown else plane[np.newaxis]


def _stride(n: int) -> int:
    return -(-n // MOST_PIXELS)
