"""What an image is the measurement of, for widgets that look at a generator through one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core import image as core
from napari_convgen.viewer.layers.door import LayerInput


@dataclass(frozen=True, eq=False)
class Measured:
    """What an image is the measurement of, for widgets that look at one.

    Attributes
    ----------
    problem
        Name of the problem.
    settings
        Settings of the operator, by dotted name.
    given
        What the problem needs beside the measurement, by keyword of the verbs; nothing by default.
    measurement
        K-space or a stack of images, in the place of an image; ``None``, the default, for an image.
    place
        Place of the generator's images, if the measurement is none of these; else ``None``, the default.
    """

    problem: str
    settings: Mapping[str, Any]
    given: Mapping[str, NDArray[np.generic] | core.Image | None] = field(default_factory=dict)
    measurement: core.Image | None = None
    place: LayerInput | None = None

    def image(self, source: LayerInput) -> core.Image:
        """Return the measurement: its own, or the image that is looked at."""
        return source.image if self.measurement is None else self.measurement

    def inputs(self) -> dict[str, Any]:
        """Return the problem and what it needs, by keyword of the verbs."""
        return {"problem": self.problem, **self.given}
