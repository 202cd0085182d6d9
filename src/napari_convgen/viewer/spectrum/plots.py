"""The plots of *Why it works* on their tabs, and the fit that is compared with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari.layers import Image
from psygnal import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLayout, QVBoxLayout, QWidget

from napari_convgen.viewer.layers.names import name_events
from napari_convgen.viewer.parts.buttons import button
from napari_convgen.viewer.parts.form import LEAST_WIDTH
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.plots.tabs import PlotTabs
from napari_convgen.viewer.spectrum.fit_record import FitRecord, find_fits, read_fit
from napari_convgen.viewer.spectrum.panels import spectrum_panels
from napari_convgen.viewer.spectrum.request import SpectrumRequest
from napari_convgen.viewer.spectrum.summary import describe_fit, describe_stop

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.spectrum.result import SpectrumResult

TABS = {
    "Values": (1, "Singular values: a fit takes up first what lies in vectors of large ones."),
    "Energy": (
        2,
        "Share of the image and of white noise that the first vectors hold; and how long Jᵀy is for the image, and for samples of noise.",
    ),
    "Descent": (
        2,
        "Error and degrees of freedom at each step of gradient descent, as the linearization predicts them.",
    ),
    "Fit": (2, "The prediction, on the course of a real fit."),
    "Change": (1, "How the space of the vectors turns while the generator is fitted."),
}
"""Largest number of panels on each tab, and what they show."""

VIEW_HEIGHT = 180
"""Least height of a plot, in pixels."""

NO_FIT = "none"
NO_FIT_YET = "<i>Choose a denoised layer above, or press Fit to denoise the image with these settings.</i>"


class SpectrumPlots(QWidget):
    """Plots of a result on tabs; a denoised layer whose fit is compared with the prediction can be chosen.

    Parameters
    ----------
    viewer
        Viewer whose layers may be denoised ones.
    """

    fit_clicked = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._fits: dict[str, Image] = {}
        self._shown: tuple[SpectrumRequest, SpectrumResult, int] | None = None
        self._fit_of = QComboBox()
        self._fit_of.setAccessibleName("Fit of layer")
        self._fit_of.setMinimumWidth(LEAST_WIDTH)
        self._fit_of.setToolTip("A denoised layer of the same shape, whose fit is compared with the prediction.")
        self._fit = button("Fit", "")
        self._stop_texts = {name: text_label() for name in ("Descent", "Fit")}
        self._no_change = text_label("<i>Look at two steps or more, for example 0, 50, 200.</i>")
        self._tabs = self._build_tabs()
        save = button("Save …", "Save the plots on the open tab as PNG or SVG, or the points of their curves as CSV.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._tabs, stretch=1)
        column.addWidget(save)
        save.clicked.connect(self._tabs.save)
        self._fit.clicked.connect(lambda: self.fit_clicked.emit())
        self._fit_of.activated.connect(self._draw)
        for event in name_events(viewer.layers):
            event.connect(self._offer_fits)
        self.hide()

    def show_result(self, request: SpectrumRequest, result: SpectrumResult, position: int) -> None:
        """Show the plots of one of the steps that were looked at.

        Parameters
        ----------
        request, result
            Request and result of the run.
        position
            Number of the step among those of the result, from 0.
        """
        is_new = self._shown is None or self._shown[1] is not result
        self._shown = request, result, position
        if is_new:
            self._offer_fits()
        self._draw()
        self.show()

    def clear(self) -> None:
        """Show no plots."""
        self._shown = None
        self.hide()

    def show_fit(self, name: str) -> None:
        """Compare with the fit of the layer of that name."""
        self._offer_fits()
        self._fit_of.setCurrentText(name)
        self._draw()

    def show_fit_state(self, is_fitting: bool, is_allowed: bool) -> None:
        """Let the button *Fit* start a fit, or stop the one that is under way.

        Parameters
        ----------
        is_fitting
            True while a fit is under way.
        is_allowed
            True if a fit may be started.
        """
        self._fit.setEnabled(is_fitting or is_allowed)
        self._fit.setText("Stop fit" if is_fitting else "Fit")
        self._fit.setToolTip(
            "End the fit and keep the best image so far."
            if is_fitting
            else "Denoise the image with these settings, to compare its course with the prediction."
        )

    def follow_theme(self, theme: str) -> None:
        """Take the colors of a napari theme."""
        self._tabs.follow_theme(theme)

    def _build_tabs(self) -> PlotTabs:
        fits = QHBoxLayout()
        fits.addWidget(self._fit_of, stretch=1)
        fits.addWidget(self._fit)
        above: dict[str, list[QWidget | QLayout]] = {
            "Descent": [self._stop_texts["Descent"]],
            "Fit": [fits, self._stop_texts["Fit"]],
            "Change": [self._no_change],
        }
        tabs = PlotTabs(self._viewer.theme)
        for name, (n_views, meaning) in TABS.items():
            tabs.add_page(name, n_views, meaning, above.get(name, []), min_height=VIEW_HEIGHT)
        return tabs

    def _offer_fits(self) -> None:
        """Offer the results that may be fits of the image; the one that was chosen stays, or goes with its layer."""
        if self._shown is None:
            return
        request = self._shown[0]
        chosen = self._fits.get(self._fit_of.currentText())
        shapes = request.stack_shape, tuple(request.source.data.shape)
        self._fits = {layer.name: layer for layer in find_fits(self._viewer, *shapes)}
        names = [name for name, layer in self._fits.items() if layer is chosen]
        names += [name for name in self._fits if name == f"{request.source.name} denoised"]
        self._fit_of.clear()
        self._fit_of.addItems([NO_FIT, *self._fits])
        self._fit_of.setCurrentText(names[0] if names else NO_FIT)
        if self._fits.get(self._fit_of.currentText()) is not chosen:
            self._draw()

    def _read_fit(self, request: SpectrumRequest) -> FitRecord | None:
        layer = self._fits.get(self._fit_of.currentText())
        if layer is None:
            return None
        is_stack = layer.data.shape != request.source.data.shape
        return read_fit(layer, request.number if is_stack else 0)

    def _draw(self) -> None:
        if self._shown is None:
            return
        request, result, position = self._shown
        fit = self._read_fit(request)
        self._tabs.show_panels(spectrum_panels(result, position, fit))
        self._stop_texts["Descent"].setText(describe_stop(result, position))
        self._stop_texts["Fit"].setText(NO_FIT_YET if fit is None else describe_fit(result, fit))
        self._no_change.setVisible(len(result.spectra) == 1)
