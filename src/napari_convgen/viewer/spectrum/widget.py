"""The dock widget *Why it works*."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel

from napari_convgen.errors import ConfigError
from napari_convgen.viewer.denoise.request import DenoiseRequest, Outputs
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.frame import frame_number
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.image_chooser import ImageChooser
from napari_convgen.viewer.parts.labels import text_label
from napari_convgen.viewer.parts.loading import LoadButton
from napari_convgen.viewer.parts.run_controls import RunControls, RunText, Tooltips, show_notes
from napari_convgen.viewer.reconstruct.inputs import looked_at
from napari_convgen.viewer.spectrum.form import SpectrumForm
from napari_convgen.viewer.spectrum.plots import SpectrumPlots
from napari_convgen.viewer.spectrum.request import SpectrumRequest
from napari_convgen.viewer.spectrum.session import SpectrumSession
from napari_convgen.viewer.spectrum.summary import describe_components, describe_cost, summarize

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.spectrum.progress import SpectrumForecast, SpectrumProgress

TOOLTIPS = Tooltips(
    run="Find the singular vectors for the active layer, and all that is computed from them.",
    forecast="Take two products with the Jacobian and say what memory and time a run would take.",
    stop="End soon and keep the steps that are done; if none is, it is the same as Cancel.",
    progress="Products with the Jacobian, and steps of the fit, of those to take at most.",
)

MEANING = (
    "J: derivative of the generator's image with respect to its parameters; y: the image. "
    "Vectors hold a share of its squared length, each channel's mean left out."
)


class WhyItWorksWidget(DockWidget):
    """Take the Jacobian of a generator apart beside the active layer: which structures a fit takes up first, and when to stop.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__("Shows which structures a network fits first, and how much of your image is in them.")
        self.viewer = napari_viewer
        self.session = SpectrumSession(napari_viewer)
        self.fitting = DenoiseSession(napari_viewer)
        self._form = SpectrumForm()
        self._input = ImageChooser(napari_viewer, lambda: self._form.z_axis.value)
        self._problem = looked_at(napari_viewer, self._input)
        self._prediction = ""
        self._build()
        self._connect()
        self._input.follow_layers()
        self._show_result()
        self._on_state()

    def run(self) -> None:
        """Start looking at the active layer's frame on screen."""
        with self._controls.error.shown_errors():
            self.session.run(self._request())
            self._form.keep()
            self._prediction = ""

    def fit(self) -> None:
        """Denoise the image with the same generator, to have a course to compare with; end a fit that is under way."""
        if self.fitting.is_busy:
            self.fitting.stop()
            return
        request = self.session.request
        if request is None:
            return
        with self._controls.error.shown_errors():
            if request.measured.problem:
                raise ConfigError(
                    "Only a fit to the image itself is compared with the vectors. Choose no problem, and run again."
                )
            outputs = Outputs(has_snapshots=False)
            self.fitting.run(DenoiseRequest(request.source, self._form.config(), outputs))

    def _request(self) -> SpectrumRequest:
        measured = self._problem.read()
        config = self._form.config().replace(measured.settings)
        if measured.place is not None:
            source = measured.place
            return SpectrumRequest(source, config, self._form.settings(), 0, tuple(source.data.shape), measured)
        source, place = self._input.read(), self._input.place()
        shape = tuple(finest_level(self._input.layer).shape) if self._input.layer else source.data.shape
        return SpectrumRequest(source, config, self._form.settings(), frame_number(shape, place), shape, measured)

    def _build(self) -> None:
        self._form.lay_out(self._input, self._problem)
        self._controls = RunControls(self.session, TOOLTIPS, self._request)
        self._load = LoadButton(self.viewer, self._controls.error.shown_errors)
        self._text = RunText(self.session)
        self._at_slider = text_label(tooltip="The vectors that napari's slider 'component' points to.")
        self._plots = SpectrumPlots(self.viewer)
        self.column.addWidget(self._input.description)
        self.column.addWidget(self._form)
        self.column.addWidget(self._controls)
        self.column.addWidget(self._text)
        self.column.addLayout(self._build_shown_step())
        self.column.addWidget(self._at_slider)
        self.column.addWidget(self._plots, stretch=1)
        self.column.addWidget(self._load)
        self.column.addStretch()

    def _build_shown_step(self) -> QHBoxLayout:
        self._shown_step = QComboBox()
        self._shown_step.setAccessibleName("Layers show")
        self._shown_step.setToolTip("The step whose vectors the layers show, and that the text describes.")
        self._shown_step_name = QLabel("Layers show")
        row = QHBoxLayout()
        row.addWidget(self._shown_step_name)
        row.addWidget(self._shown_step, stretch=1)
        return row

    def _connect(self) -> None:
        self._controls.run_clicked.connect(self.run)
        self._plots.fit_clicked.connect(self.fit)
        self._load.loaded.connect(lambda report: self._text.setText(html.escape(self._form.show_report(report))))
        self._form.z_axis.changed.connect(self._input.describe)
        self._shown_step.activated.connect(self._show_step)
        self.session.state_changed.connect(self._on_state)
        self.session.forecasted.connect(self._on_forecast)
        self.session.progressed.connect(self._on_progress)
        self.session.finished.connect(self._show_current)
        self.session.turned.connect(self._show_current)
        self.fitting.state_changed.connect(self._on_state)
        self.fitting.progressed.connect(self._controls.show_progress)
        self.fitting.finished.connect(self._on_fit)
        self.viewer.dims.events.point.connect(self._describe_components)
        self.viewer.events.theme.connect(self._follow_theme)

    def _describe_components(self) -> None:
        """Say what the slider of the components shows."""
        layers, result = self.session.layers, self.session.result
        n = None if layers is None else layers.n_components
        if result is not None and n is not None:
            self._at_slider.setText(describe_components(result.spectra[self._position], n))
        self._at_slider.setVisible(n is not None)

    @property
    def _position(self) -> int:
        """Number of the step that is shown among those of the result."""
        return max(0, self._shown_step.currentIndex())

    def _on_state(self) -> None:
        is_fitting = self.fitting.is_busy
        self._controls.block(is_fitting)
        is_allowed = self.session.result is not None and not self.session.is_busy
        self._plots.show_fit_state(is_fitting, is_allowed)

    def _on_forecast(self, forecast: SpectrumForecast | None) -> None:
        self._prediction = "" if forecast is None else html.escape(str(forecast))

    def _on_progress(self, progress: SpectrumProgress) -> None:
        self._text.setText(f"{self._prediction}<br>{progress}")

    def _show_current(self) -> None:
        """Show the current run: after a cancel the one before it, if there was one."""
        self._shown_step.clear()
        if self.session.result is not None and self.session.layers is not None:
            self._shown_step.addItems([f"step {spectrum.step:,}" for spectrum in self.session.result.spectra])
            self._shown_step.setCurrentIndex(self.session.layers.position)
        self._show_result()
        self._on_state()

    def _show_result(self) -> None:
        request, result = self.session.request, self.session.result
        has_steps = result is not None and len(result.spectra) > 1
        self._shown_step_name.setVisible(has_steps)
        self._shown_step.setVisible(has_steps)
        self._describe_components()
        if request is None or result is None:
            self._text.setText("")
            self._text.setToolTip("")
            self._plots.clear()
            return
        self._text.setText(summarize(result.spectra[self._position], self._problem.unsaid(result.notes)))
        self._text.setToolTip(f"{MEANING} {describe_cost(result)}")
        self._plots.show_result(request, result, self._position)

    def _show_step(self, position: int) -> None:
        if self.session.layers is not None and self.session.result is not None:
            self.session.layers.show(self.session.result, position)
        self._show_result()

    def _on_fit(self, result: DenoiseResult | None) -> None:
        """Choose the layer of a fit that has ended, and say what there is to note: the text is about the Jacobian."""
        show_notes(result)
        layers = self.fitting.layers
        if result is not None and layers is not None and layers.result is not None:
            self._plots.show_fit(layers.result.name)

    def _follow_theme(self) -> None:
        self._plots.follow_theme(self.viewer.theme)
