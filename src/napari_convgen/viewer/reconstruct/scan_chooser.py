"""The choice of a scan: a file that is opened, or a layer that shows k-space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, PushButton, SpinBox
from magicgui.widgets.bases import ValueWidget
from napari.layers import Image, Labels, Layer
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari_convgen.errors import ConvgenError, InputError
from napari_convgen.files.kspace.reading import KSpaceFile, read_kspace
from napari_convgen.viewer.layers.kspace import KEY, OpenScan, kspace_layer, scan_of
from napari_convgen.viewer.parts.form import leave_out
from napari_convgen.viewer.worker.latest import Latest

if TYPE_CHECKING:
    from napari.components import ViewerModel

FILES = "K-space (*.cfl *.h5 *.hdf5 *.mrd);;All files (*)"
NO_SCAN = "none: open a file"

ESTIMATED, FOUND = "estimated", "k-space is not 0"
"""Choices of coil maps and of a mask for scans that need none."""


class ScanChooser:
    """Editors of the scan, which is a layer with k-space; files are read, and sampling is found, in a thread.

    Parameters
    ----------
    viewer
        Viewer whose layers there are to choose from.

    Attributes
    ----------
    text
        Sentence on the sampling of the scan that is chosen; empty until it is found.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = viewer
        self.text = ""
        self._open = PushButton(
            label="K-space file",
            tooltip="BART (.cfl), fastMRI or ISMRMRD file (.h5) of a scan with several coils; its k-space becomes a layer.",
        )
        self._open.native.setText("Open…")
        self._layer = ComboBox(choices=(NO_SCAN,), label="K-space", tooltip="Layer of the k-space to reconstruct.")
        self._maps = ComboBox(
            choices=(ESTIMATED,),
            label="Coil maps",
            tooltip="Sensitivities of the coils: estimated from the calibration lines, or a layer of a file that was opened like k-space.",
        )
        self._sampling = ComboBox(
            choices=(FOUND,),
            label="Sampled points",
            tooltip="Layer that is not zero where k-space was sampled, in the shape of k-space or of one row or column of it; or where the "
            "file says so, and k-space is not 0.",
        )
        self._slice = SpinBox(min=0, max=0, value=0, label="Slice", tooltip="Number of the slice of the file, from 0.")
        self._described: tuple[OpenScan | None, str | int, Any] = (None, "auto", FOUND)
        self._reading, self._describing = Latest(self._on_read), Latest(self._on_described)
        self._open.changed.connect(self.open_file)
        self._layer.changed.connect(lambda _: self.follow_layers())
        self._sampling.changed.connect(lambda _: self.describe())
        self._slice.changed.connect(self._read_slice)

    @property
    def layer(self) -> Image | None:
        """Layer of the scan that is chosen; ``None`` if there is none."""
        chosen = self._layer.value
        return chosen if isinstance(chosen, Image) else None

    def rows(self) -> list[ValueWidget[Any] | str]:
        """Return the editors for `napari_convgen.viewer.parts.form.labeled_rows`."""
        return [self._open, self._layer, self._slice, self._maps, self._sampling]

    def show(self, is_shown: bool) -> None:
        """Show the editors or hide them; that of the slice if there are several."""
        scan = scan_of(self.layer)
        leave_out(self._open, not is_shown)
        leave_out(self._layer, not is_shown)
        leave_out(self._maps, not is_shown)
        leave_out(self._sampling, not is_shown)
        leave_out(self._slice, not is_shown or scan is None or scan.file.n_slices == 1 or scan.path is None)

    def read(self) -> tuple[OpenScan, str]:
        """Return the scan that is chosen, and the name of its layer.

        Raises
        ------
        InputError
            There is none.
        """
        layer = self.layer
        scan = scan_of(layer)
        if layer is None or scan is None:
            raise InputError("There is no k-space. Open a file of k-space, or choose the layer of one.")
        return replace(scan, file=self._with_sampling(scan.file)), layer.name

    def read_maps(self) -> NDArray[Any] | None:
        """Return the sensitivities that are chosen; ``None`` if they are to be estimated.

        Raises
        ------
        InputError
            Those of another slice.
        """
        maps, (scan, _) = scan_of(_layer_or_none(self._maps.value)), self.read()
        if maps is None:
            return None
        if maps.file.n_slices > 1 and maps.file.slice_number != scan.file.slice_number:
            raise InputError(
                f"The coil maps are those of slice {maps.file.slice_number}, and k-space is that of slice {scan.file.slice_number}. "
                "Choose the layer of the maps as k-space, and its slice."
            )
        return maps.file.kspace

    def _with_sampling(self, file: KSpaceFile) -> KSpaceFile:
        """Return k-space with the mask that is chosen."""
        layer = _layer_or_none(self._sampling.value)
        return file if layer is None else replace(file, is_sampled=np.asarray(layer.data) != 0)

    def follow_layers(self) -> None:
        """Offer the layers of k-space that there are, the active one first."""
        layers: list[Layer] = [layer for layer in reversed(self.viewer.layers) if scan_of(layer) is not None]
        masks = [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Image | Labels) and layer.ndim == 2 and not getattr(layer, "rgb", False)
        ]
        wanted = self.viewer.layers.selection.active
        chosen = wanted if wanted in layers else self._layer.value
        with self._layer.changed.blocked():
            self._layer.choices = [(layer.name, layer) for layer in layers] or [(NO_SCAN, NO_SCAN)]
            if chosen in layers:
                self._layer.value = chosen
        _offer(self._maps, [layer for layer in layers if layer is not self._layer.value], ESTIMATED)
        _offer(self._sampling, masks, FOUND)
        self.describe()

    def open_file(self) -> None:
        """Ask for a file, and add the layer of its middle slice."""
        path, _ = QFileDialog.getOpenFileName(self._open.native, "Open k-space", "", FILES)
        if path:
            self._reading.ask(_read, Path(path), None)

    def describe(self, n_calibration: str | int | None = None) -> None:
        """Say where the k-space that is chosen was sampled, once it is found.

        Parameters
        ----------
        n_calibration
            Number of calibration lines, or ``"auto"``; ``None``, the default, for the last one.
        """
        calibration = self._described[1] if n_calibration is None else n_calibration
        scan, chosen = scan_of(self.layer), self._sampling.value
        if (scan, calibration, chosen) != self._described:
            self._described, self.text = (scan, calibration, chosen), ""
            if scan is not None:
                with self._slice.changed.blocked():
                    self._slice.max = scan.file.n_slices - 1
                    self._slice.value = scan.file.slice_number
                self._describing.ask(_describe, self._with_sampling(scan.file), calibration)
        self.changed.emit()

    def _read_slice(self, number: int) -> None:
        scan = scan_of(self.layer)
        if scan is not None and scan.path is not None:
            self._reading.ask(_read, scan.path, number)

    def _on_read(self, scan: OpenScan | str) -> None:
        """Show a slice in the layer of its file, if that is the one that is chosen, or in a new one."""
        if isinstance(scan, str):
            show_error(scan)
            return
        assert scan.path is not None
        chosen, layer = scan_of(self.layer), self.layer
        data, look, _ = kspace_layer(scan, f"{scan.path.stem} k-space")
        if layer is not None and chosen is not None and chosen.path == scan.path:
            layer.data, layer.metadata = data, {**layer.metadata, KEY: scan}
            self.describe()
        else:
            self.viewer.layers.selection.active = self.viewer.add_layer(Image(data, **look))

    def _on_described(self, text: str) -> None:
        self.text = text
        self.changed.emit()


def _layer_or_none(chosen: Any) -> Layer | None:
    return chosen if isinstance(chosen, Layer) else None


def _offer(editor: ComboBox, layers: list[Layer], usual: str) -> None:
    """Offer layers beside the usual choice; the one that is chosen stays, if it is among them."""
    chosen = editor.value
    with editor.changed.blocked():
        editor.choices = [(usual, usual), *((layer.name, layer) for layer in layers)]
        editor.value = chosen if chosen in layers else usual


def _read(path: Path, number: int | None) -> OpenScan | str:
    """Return a slice of a file, or a sentence on why it cannot be read."""
    try:
        return OpenScan(read_kspace(path, number), path)
    except ConvgenError as error:
        return str(error)


def _describe(file: KSpaceFile, n_calibration: str | int) -> str:
    """Return a sentence on the sampling of k-space, or on why it cannot be reconstructed."""
    from napari_convgen.run.reconstruct.problems.sense import describe_kspace

    try:
        return describe_kspace(file.kspace, file.is_sampled, None if n_calibration == "auto" else int(n_calibration))
    except (ConvgenError, ValueError) as error:
        return str(error)
