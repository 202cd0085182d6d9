"""The dock widget *Kernel explorer*."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QStackedWidget,
    QWidget,
)

from napari_convgen.errors import ConfigError
from napari_convgen.run.kernels.panels import SHOWN
from napari_convgen.run.kernels.run import KINDS, MAX_LENGTH, MIN_LENGTH, STEPS
from napari_convgen.viewer.kernels.session import Answer, ExplorerSession, KernelSettings
from napari_convgen.viewer.layers.door import finest_level
from napari_convgen.viewer.layers.kspace import images_among
from napari_convgen.viewer.layers.names import name_events
from napari_convgen.viewer.parts.buttons import button
from napari_convgen.viewer.parts.dock import DockWidget
from napari_convgen.viewer.parts.errors import sentence_of, shown_errors
from napari_convgen.viewer.parts.form import LEAST_WIDTH
from napari_convgen.viewer.parts.labels import name_of_layer, text_label
from napari_convgen.viewer.parts.preferences import keep, page
from napari_convgen.viewer.plots.tabs import PlotTabs

if TYPE_CHECKING:
    from napari.components import ViewerModel

N_VIEWS = {"Kernel": 2, "Weights": 3, "Basis": 1, "Filter": 2, "Bound": 1}
"""Largest number of panels on each tab."""

MEANING = {
    "Kernel": "The fixed kernel of the generator's upsampling, on a signal and on an image.",
    "Weights": "How strongly the generator weights each frequency: a fit takes up first what has a large weight.",
    "Basis": "Functions that a fit takes up one after the other: waves of more and more periods.",
    "Filter": "Part of each frequency that is fitted after the step, and the predicted error at each step.",
    "Bound": "Theorem 1: the error is below the sum of two terms. From 1 on, the sum says nothing.",
}

NO_TAPS = "none"

GROUP = "kernels"
"""Name of the widget's group of preferences."""


class KernelWidget(DockWidget):
    """Choose a kernel, see what it does to each frequency, and apply it as a filter to the active layer.

    Parameters
    ----------
    napari_viewer
        The viewer that the widget is docked in.
    """

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__("Shows, without a fit, what a network's upsampling kernel lets pass of your image.")
        self.viewer = napari_viewer
        self.session = ExplorerSession(napari_viewer)
        self._wanted_taps: Image | None = None
        self._build()
        self._recall()
        self._connect()
        self._fit_width()
        self._signals: tuple[tuple[Any, Any], ...] = ()
        self.enter()

    def settings(self) -> KernelSettings:
        """Return the settings that the form shows.

        Raises
        ------
        ConfigError
            Text that is no number.
        """
        taps = self._taps.currentText()
        return KernelSettings(
            kind=KINDS[self._kind.currentIndex()],
            width=self._width.value(),
            taps=None if taps == NO_TAPS else taps,
            length=self._length.value(),
            sigma=_read_sigma(self._sigma.text()),
            signal_share=self._share.value() / 100,
            functions=_read_functions(self._functions.text()),
        )

    def _build(self) -> None:
        self._description = text_label()
        self._description.setToolTip("The image layer that was active last: select another one in the layer list.")
        self._text = text_label()
        self._text.setToolTip(
            "The noise, and the predicted root mean squared error: 1 is that of the noisy image. Freedom: how much of its values' "
            "noise the image can take up."
        )
        self.column.addWidget(self._description)
        self.column.addLayout(self._build_form())
        self.column.addLayout(self._build_steps())
        self.column.addWidget(self._text)
        self.column.addWidget(self._build_tabs(), stretch=1)

    def _build_form(self) -> QFormLayout:
        self._kind = QComboBox()
        self._kind.addItems([kind.capitalize() for kind in KINDS])
        self._width = QDoubleSpinBox()
        self._width.setRange(0.5, 10_000)
        self._width.setValue(5)
        self._width.setSuffix(" px")
        self._taps = QComboBox()
        self._shape = QStackedWidget()
        self._shape.addWidget(self._width)
        self._shape.addWidget(self._taps)
        self._shape.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._length = QSpinBox()
        self._length.setRange(MIN_LENGTH, MAX_LENGTH)
        self._length.setValue(KernelSettings.length)
        self._sigma = QLineEdit("auto")
        for number in (self._width, self._length):
            number.setKeyboardTracking(False)
        form = QFormLayout()
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rows = (
            (
                "Kernel",
                self._kind,
                "Bilinear: that of upsampling by two, (1, 3, 3, 1)/4. Custom: the values of a layer.",
            ),
            (
                "Width",
                self._shape,
                "Distance from the middle to where a triangle is zero, or a Gaussian is at 37 %. For a custom kernel the layer with "
                "its values: one row, used along both axes, or an image.",
            ),
            ("Signal length", self._length, "Samples of the signal; without an image also its rows and columns."),
            (
                "Noise",
                self._sigma,
                "Standard deviation of the noise, the same everywhere, in the image's units; auto: kind and strength are estimated.",
            ),
        )
        labels = {name: _add_row(form, name, editor, tooltip) for name, editor, tooltip in rows}
        self._shape_name = labels["Width"]
        return form

    def _build_steps(self) -> QGridLayout:
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setRange(0, len(STEPS) - 1)
        self._slider.setAccessibleName("Step")
        self._slider.setToolTip("The step at which the fit is stopped, on a logarithmic scale.")
        self._step = QLabel()
        self._step.setMinimumWidth(self.fontMetrics().horizontalAdvance(f"{STEPS[-1]:,.0f}"))
        self._step.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._best = button(
            "Best step",
            "Go to the step of the smallest predicted error, and stay at the best when something is changed.",
        )
        self._preview = QCheckBox("Preview")
        self._preview.setChecked(True)
        self._preview.setToolTip("Show the filtered image as a layer.")
        self._keep = button("Keep", "Leave the preview as a layer of its own.")
        self._save = button(
            "Save …", "Save the plots on the open tab as PNG or SVG, or the points of their curves as CSV."
        )
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(QLabel("Step τ"), 0, 0)
        grid.addWidget(self._slider, 0, 1)
        grid.addWidget(self._step, 0, 2)
        buttons = QHBoxLayout()
        for widget in (self._best, self._preview, self._keep, self._save):
            buttons.addWidget(widget)
        grid.addLayout(buttons, 1, 0, 1, 3)
        return grid

    def _build_tabs(self) -> PlotTabs:
        self._functions = QLineEdit(", ".join(map(str, SHOWN)))
        self._share = QDoubleSpinBox()
        self._share.setRange(0.1, 99)
        self._share.setValue(100 * KernelSettings.signal_share)
        self._share.setDecimals(1)
        self._share.setSuffix(" %")
        self._share.setKeyboardTracking(False)
        self._bound = text_label()
        self._bound.setToolTip(
            "Errors are in units of the noise. The theorem assumes that the signal has no energy outside of the functions, except its mean."
        )
        own_rows = {
            "Basis": (
                "Functions",
                self._functions,
                "Numbers of the functions, from 1 on, by rising frequency; a cosine comes before its sine.",
            ),
            "Bound": (
                "Functions of the signal",
                self._share,
                "p/n of theorem 1: share of the functions, those of largest weight, that hold the signal.",
            ),
        }
        self.tabs = PlotTabs(self.viewer.theme)
        for name, n_views in N_VIEWS.items():
            above = []
            if name in own_rows:
                form = QFormLayout()
                _add_row(form, *own_rows[name])
                above.append(form)
            self.tabs.add_page(name, n_views, MEANING[name], above, [self._bound] if name == "Bound" else [])
        return self.tabs

    def _recall(self) -> None:
        """Show what was chosen last, also in an earlier session."""
        if (kept := page(GROUP)) is None:
            return
        self._kind.setCurrentIndex(KINDS.index(kept.kernel))
        self._sigma.setText(kept.noise)
        self._functions.setText(kept.functions)
        for number, value in ((self._width, kept.width), (self._length, kept.length), (self._share, kept.share)):
            number.setValue(value)
        self._preview.setChecked(kept.preview)
        self.session.has_preview = kept.preview
        with shown_errors():
            self.session.settings = self.settings()

    def _remember(self) -> None:
        """Keep what is chosen for the next session; a custom kernel goes with its layer."""
        keep(
            GROUP,
            **({} if (kind := KINDS[self._kind.currentIndex()]) == "custom" else {"kernel": kind}),
            width=self._width.value(),
            length=self._length.value(),
            noise=self._sigma.text(),
            functions=self._functions.text(),
            share=self._share.value(),
            preview=self._preview.isChecked(),
        )

    def _connect(self) -> None:
        self._kind.currentIndexChanged.connect(self._fit_width)
        self._kind.currentIndexChanged.connect(self._change)
        for number in (self._width, self._length, self._share):
            number.valueChanged.connect(self._change)
        for line in (self._sigma, self._functions):
            line.editingFinished.connect(self._change)
        self._taps.activated.connect(self._want_taps)
        self._slider.valueChanged.connect(self._move)
        self._best.clicked.connect(lambda: self.session.show_step(None))
        self._preview.toggled.connect(self.session.want_preview)
        self._preview.toggled.connect(self._remember)
        self._keep.clicked.connect(self._keep_preview)
        self._save.clicked.connect(self.tabs.save)
        self.session.bound.connect(self._describe)
        self.session.answered.connect(self._show)
        self.session.preview_removed.connect(self._uncheck_preview)

    def enter(self) -> None:
        """Follow the viewer."""
        if self._signals:
            return
        self._signals = (
            *((event, self._offer_taps) for event in name_events(self.viewer.layers)),
            (self.viewer.events.theme, self._follow_theme),
        )
        for event, slot in self._signals:
            event.connect(slot)
        self._offer_taps()
        self._follow_theme()
        self.session.open()
        self._describe()

    def leave(self) -> None:
        """Let go of the viewer: nothing is computed while nobody looks."""
        self.session.close()
        for event, slot in self._signals:
            event.disconnect(slot)
        self._signals = ()

    def _change(self) -> None:
        with shown_errors():
            self.session.change(self.settings())
            self._remember()

    def _move(self, position: int) -> None:
        self.session.show_step(float(STEPS[position]))
        self._step.setText(f"{STEPS[position]:,.0f}")

    def _fit_width(self) -> None:
        """Ask for what the kind of kernel needs: a width, a triangle's a whole number, or a layer."""
        kind = KINDS[self._kind.currentIndex()]
        is_triangle, is_custom = kind == "triangle", kind == "custom"
        self._shape.setCurrentWidget(self._taps if is_custom else self._width)
        self._shape_name.setText("From layer" if is_custom else "Width")
        self._width.setEnabled(kind != "bilinear")
        was_blocked = self._width.blockSignals(True)
        self._width.setDecimals(0 if is_triangle else 1)
        self._width.setMinimum(1 if is_triangle else 0.5)
        self._width.setSingleStep(1 if is_triangle else 0.5)
        self._width.blockSignals(was_blocked)

    def _offer_taps(self) -> None:
        """Offer the image layers as custom kernels; the one that was chosen stays chosen, or goes with its layer."""
        names = {layer.name: layer for layer in images_among(self.viewer.layers)}
        chosen = self._taps.currentText()
        wanted = next((name for name, layer in names.items() if layer == self._wanted_taps), NO_TAPS)
        self._taps.clear()
        self._taps.addItems([NO_TAPS, *(name for name, layer in names.items() if layer is not self.session.preview)])
        self._taps.setCurrentText(wanted)
        if chosen not in ("", wanted):
            self._change()

    def _want_taps(self) -> None:
        name = self._taps.currentText()
        self._wanted_taps = None if name == NO_TAPS else self.viewer.layers[name]
        self._change()

    def _describe(self) -> None:
        layer, frame = self.session.layer, self.session.frame
        if layer is None:
            self._description.setText("<i>Select an image layer to see the filter on it.</i>")
            return
        data = finest_level(layer)
        text = f"{name_of_layer(layer.name)} · {' × '.join(map(str, data.shape))} · {np.dtype(data.dtype)}"
        if frame is not None and frame.place:
            text += f" · {frame.place}"
        self._description.setText(text)

    def _show(self, answer: Answer) -> None:
        if answer.error is None:
            self._text.setText("<br>".join(map(html.escape, answer.prediction)))
            self._show_position(answer.step)
        else:
            self._text.setText(f"<i>{html.escape(sentence_of(answer.error))}</i>")
        self._text.setVisible(bool(self._text.text()))
        self._bound.setText("<br>".join(map(html.escape, answer.bound)))
        self.tabs.show_panels(answer.panels)
        self._best.setEnabled(answer.best is not None)
        self._keep.setEnabled(self.session.preview is not None)
        self._save.setEnabled(bool(answer.panels))

    def _show_position(self, step: float) -> None:
        """Put the slider where the answer is, unless the user has moved it on."""
        if self.session.step in (None, step):
            self._slider.blockSignals(True)
            self._slider.setValue(int(np.abs(STEPS - step).argmin()))
            self._slider.blockSignals(False)
            self._step.setText(f"{step:,.0f}")

    def _keep_preview(self) -> None:
        with shown_errors():
            self.session.keep()
        self._keep.setEnabled(False)

    def _uncheck_preview(self) -> None:
        self._preview.blockSignals(True)
        self._preview.setChecked(False)
        self._preview.blockSignals(False)
        self._keep.setEnabled(False)

    def _follow_theme(self) -> None:
        self.tabs.follow_theme(self.viewer.theme)


def _add_row(form: QFormLayout, name: str, editor: QWidget, tooltip: str) -> QLabel:
    label = QLabel(name)
    for widget in (label, editor):
        widget.setToolTip(tooltip)
    editor.setMinimumWidth(LEAST_WIDTH)
    form.addRow(label, editor)
    return label


def _read_sigma(text: str) -> float | Literal["auto"]:
    if text.strip() == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"The noise must be 'auto' or a standard deviation, got {text!r}. Give a number.") from None


def _read_functions(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(
            f"Functions of the basis must be whole numbers, got {text!r}. Separate them by commas."
        ) from None
