"""The part of a widget that runs into a file."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_convgen.config import Config
from napari_convgen.core.image import ArrayLike
from napari_convgen.viewer.large.session import StoreRequest, StoreSession
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.region import middle_of_view
from napari_convgen.viewer.parts.buttons import button
from napari_convgen.viewer.parts.chooser import InputChooser
from napari_convgen.viewer.parts.folded import Folded
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.parts.run_controls import RunControls, RunText, Tooltips
from napari_convgen.viewer.worker.session import Session

if TYPE_CHECKING:
    from napari.components import ViewerModel

LARGE = 2**28
"""Bytes of a layer from which this part is unfolded. Our choice, no benchmark."""

TOOLTIPS = Tooltips(
    run="Denoise the active layer into the file, frame by frame and tile by tile, beginning with the frame and the tile on "
    "screen. What is done already with the same settings is not done again.",
    stop="End the run now. What is done stays in the file: Run goes on from there.",
    cancel="End the run and remove its layer. What is done stays on the disk.",
    progress="Frames and tiles that are done.",
)


class IntoFile(Folded):
    """Runs into an OME-Zarr image, for layers that are lazy or large.

    Parameters
    ----------
    viewer
        The viewer.
    chooser
        The choice of the input.
    config
        Function that returns the settings.
    other
        Session of the widget, which does not run at the same time.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        chooser: InputChooser,
        config: Callable[[], Config],
        other: Session[Any, Any, Any, Any],
    ) -> None:
        super().__init__("Run into a file")
        self.toggleButton().setToolTip(
            "Write the result to the disk as it is made, for images that are lazy or do not fit into memory."
        )
        self.session = StoreSession(viewer)
        self._viewer, self._chooser, self._config, self._other = viewer, chooser, config, other
        self._path: Path | None = None
        self._where = text_label(tooltip="OME-Zarr image that the result is written to.")
        self._choose = button(
            "Choose file …",
            "Choose where the result is written, as OME-Zarr; by default in a folder for scratch files.",
        )
        self.controls = RunControls(self.session, TOOLTIPS, self._request)
        self._said = RunText(self.session)
        self._inside = QWidget()
        column = QVBoxLayout(self._inside)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self._where, self._choose, self.controls, self._said):
            column.addWidget(part)
        self.addWidget(self._inside)
        self._inside.hide()
        self._choose.clicked.connect(self._ask)
        self.controls.run_clicked.connect(self.run)
        chooser.changed.connect(self._on_input)
        other.state_changed.connect(self._on_other)
        self.session.progressed.connect(lambda progress: self._said.setText(str(progress)))
        self.session.finished.connect(lambda result: self._said.setText("" if result is None else str(result)))
        self._on_input()

    @property
    def path(self) -> Path:
        """OME-Zarr image that is written: the one that was chosen, or one in a folder for scratch files."""
        name = "image" if self._chooser.layer is None else re.sub(r"[^\w.-]+", "_", self._chooser.layer.name)
        return self._path or Path(tempfile.gettempdir()) / "napari-convgen" / f"{name}_denoised.zarr"

    def expand(self, animate: bool = True) -> None:
        """Unfold it; while it is folded, nothing in it can be reached."""
        self._inside.show()
        super().expand(animate)

    def collapse(self, animate: bool = True) -> None:
        """Fold it."""
        super().collapse(animate)
        self._inside.hide()

    def run(self) -> None:
        """Start, or go on."""
        with self.controls.error.shown_errors():
            self.session.run(self._request())

    def _request(self) -> StoreRequest:
        source, layer = self._chooser.read(), self._chooser.layer
        first = {}
        if layer is not None:
            middle = middle_of_view(self._viewer, layer, self._chooser.axes.value.upper())
            first = middle | self._chooser.place_on_screen(layer)
        return StoreRequest(source, self._config(), self.path, first)

    def _ask(self) -> None:
        answer, _ = QFileDialog.getSaveFileName(self, "Write into", str(self.path), "OME-Zarr (*.zarr)")
        if answer:
            path = Path(answer)
            self._path = path if path.suffix == ".zarr" else path.with_name(f"{path.name}.zarr")
            self._on_input()

    def _on_input(self) -> None:
        """Show where the result would be written, and unfold for a layer that is lazy or large."""
        self._where.setText(str(self.path))
        layer = self._chooser.layer
        if layer is not None and is_large(finest_level(layer)):
            self.expand(animate=False)

    def _on_other(self) -> None:
        self.controls.block(self._other.is_busy)


def is_large(data: ArrayLike) -> bool:
    """Return True for data that are lazy, or larger than `LARGE`."""
    n_bytes = float(np.prod(data.shape, dtype=float)) * np.dtype(data.dtype).itemsize
    return not isinstance(data, np.ndarray) or n_bytes > LARGE
