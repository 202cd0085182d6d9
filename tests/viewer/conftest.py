import html
import re

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSlider,
    QTableWidget,
    QWidget,
)

from napari_convgen import Image, simulate
from napari_convgen.config import PRESETS, Config
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.files.kspace.reading import KSpaceFile
from napari_convgen.viewer.layers.kspace import OpenScan, kspace_layer
from napari_convgen.viewer.plots.curves import CurvePlot
from napari_convgen.viewer.plots.panels import PanelView
from napari_convgen.viewer.plots.tabs import PlotTabs

SECONDS = 60
"""A test fails if what it waits for takes longer."""


@pytest.fixture(autouse=True)
def _no_preferences(monkeypatch):
    """Nothing is remembered, and nothing is written into the user's preferences."""
    monkeypatch.setattr("napari.settings.get_plugin_settings", lambda plugin: {}[plugin])


@pytest.fixture(autouse=True)
def _few_trials(monkeypatch):
    """How noisy a small image is, and which aberrations there are, is found in few steps: a window shows it, good or not."""
    monkeypatch.setattr("napari_convgen.core.regularized.plug_and_play.MAX_DRAWS", 1)
    monkeypatch.setattr("napari_convgen.core.phase.calibration.N_STEPS", 4)


@pytest.fixture
def preferences(tmp_path, monkeypatch):
    """Preferences on the disk, as napari has them after a start; a call starts napari anew."""
    from napari.settings._plugin_config_generator import plugin_configuration_generator

    def start():
        kept = plugin_configuration_generator()["napari-convgen"](config_path=tmp_path / "napari-convgen.yaml")
        monkeypatch.setattr("napari.settings.get_plugin_settings", lambda plugin: {"napari-convgen": kept}[plugin])
        return kept

    start()
    return start


@pytest.fixture
def phase_stack():
    """Add three images of a phase through focus to a viewer, and choose them."""

    def add(viewer):
        y, x = np.mgrid[:18, :17]
        truth = Image(0.8 * np.exp(-((y - 8) ** 2 + (x - 7) ** 2) / 12), "YX", (0.2, 0.2), ("um", "um"))
        images = simulate(truth, problem="phase", n_planes=3, z_step=2.0, photons=500).measurement.data
        layer = viewer.add_image(np.asarray(images), name="stack", scale=(2, 0.2, 0.2), units=("um",) * 3)
        viewer.layers.selection.active = layer

    return add


@pytest.fixture
def scan_layer():
    """Add k-space of a head to a viewer, choose it, and return the scan."""

    def add(viewer, size):
        made = scan(head(size, 3), equispaced(size, 2, 12), n_coils=3, noise=0.005)
        data, look, _ = kspace_layer(OpenScan(KSpaceFile(made.kspace, made.is_sampled, 0, 1, None)), "knee k-space")
        viewer.layers.selection.active = viewer.add_image(data, **look)
        return made

    return add


@pytest.fixture
def small():
    """A configuration that takes a fraction of a second."""
    return Config().replace(
        {
            "generator.n_channels": 8,
            "n_steps": 30,
            "n_seeds": 1,
            "stopping.kind": "fixed",
            "n_threads": 1,
            "device": "cpu",
        }
    )


@pytest.fixture
def endless(small):
    """A configuration that runs until it is ended."""
    return small.replace({"n_steps": 1_000_000})


@pytest.fixture
def noisy():
    y, x = np.mgrid[:32, :32]
    clean = 100 + 80 * np.sin(x / 5) * np.cos(y / 7)
    return (clean + np.random.default_rng(0).normal(0, 10, clean.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def two(small):
    """A quick configuration with two generators and the automatic rule."""
    return small.replace({"n_seeds": 2, "stopping.kind": "auto"})


@pytest.fixture
def viewer(noisy):
    """A viewer without a window, with a layer "cells" whose pixels have a size."""
    model = ViewerModel()
    model.add_image(noisy, name="cells", scale=(0.5, 0.5), units=("um", "um"), axis_labels=("y", "x"))
    return model


@pytest.fixture
def quick_preset(small, monkeypatch):
    """A preset "tiny" that is quick."""
    monkeypatch.setitem(PRESETS, "tiny", small)


@pytest.fixture
def make_widget(qtbot, workers_end, noisy, quick_preset):
    """Make a widget without a window, which takes a second to open and close, beside the layers "truth" and "cells"."""
    made = []

    def make(kind):
        viewer = ViewerModel()
        viewer.add_image(noisy // 2, name="truth")
        viewer.add_image(noisy, name="cells")
        made.append(kind(viewer))
        qtbot.addWidget(made[-1])
        return made[-1]

    yield make
    for widget in made:
        widget.session.cancel()


@pytest.fixture
def open_widget(make_napari_viewer, workers_end, noisy, quick_preset, hands):
    """Open a widget in a window, as the Plugins menu does, beside the layers "truth" and "cells"; return it and its user."""
    opened = []

    def open_one(name):
        viewer = make_napari_viewer()
        viewer.add_image(noisy // 2, name="truth")
        viewer.add_image(noisy, name="cells")
        _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
        opened.append(widget)
        user = hands(widget)
        user.fill("Preset", "tiny")
        return widget, user

    yield open_one
    for widget in opened:
        widget.session.cancel()


@pytest.fixture
def user(widget, hands):
    """A user who has chosen the quick preset in the test's own widget."""
    user = hands(widget)
    user.fill("Preset", "tiny")
    return user


@pytest.fixture
def notes():
    """Notifications of the test."""
    seen = []
    notification_manager.notification_ready.connect(seen.append)
    yield seen
    notification_manager.notification_ready.disconnect(seen.append)


@pytest.fixture
def workers_end():
    """Wait after the test until no worker is left; a fixture that starts sessions asks for it first and cancels them."""
    yield
    from napari._qt.qthreading import wait_for_workers_to_quit

    wait_for_workers_to_quit(120_000)  # the first fit on a machine is compiled


@pytest.fixture
def hands(qtbot):
    """Return the hands and eyes of a user at a widget."""
    return lambda widget: Hands(widget, qtbot)


class Hands:
    """Finds what a user sees of a widget by its text, and clicks it.

    Editors are found by their label or their accessible name. What the user cannot see is not found.
    """

    def __init__(self, widget, qtbot):
        self.widget = widget
        self.qtbot = qtbot

    # What is seen

    def children(self, kind):
        """Return the children of a kind that are not hidden."""
        return [child for child in self.widget.findChildren(kind) if child.isVisibleTo(self.widget)]

    @property
    def text(self):
        """The text of all labels, without markup."""
        return "\n".join(_plain(label.text()) for label in self.children(QLabel))

    def label(self, part):
        """Return the one label whose text has this part."""
        [label] = [label for label in self.children(QLabel) if part in _plain(label.text())]
        return label

    def button(self, text):
        """Return the button with this text, or else the one whose text begins with it."""
        buttons = self.children(QPushButton)
        [found] = [b for b in buttons if b.text() == text] or [b for b in buttons if b.text().startswith(text)]
        return found

    def enabled(self, *texts):
        """Return those of the buttons that can be clicked."""
        return [text for text in texts if self.button(text).isEnabled()]

    def box(self, text):
        """Return the check box with this text."""
        [box] = [box for box in self.widget.findChildren(QCheckBox) if box.text() == text]
        return box

    def editor(self, label):
        """Return the editor with this label, or with this accessible name; it may be folded away."""
        named = [child for child in self.widget.findChildren(QWidget) if child.accessibleName() == label]
        [found] = named or [
            layout.itemAt(i, QFormLayout.ItemRole.FieldRole).widget()
            for layout in self.widget.findChildren(QFormLayout)
            for i in range(layout.rowCount())
            if (item := layout.itemAt(i, QFormLayout.ItemRole.LabelRole)) is not None and item.widget().text() == label
        ]
        return found.currentWidget() if hasattr(found, "currentWidget") else found

    def value(self, label):
        """Return what an editor shows."""
        editor = self.editor(label)
        if isinstance(editor, QComboBox):
            return editor.currentText()
        return editor.text() if isinstance(editor, QLineEdit) else editor.value()

    def choices(self, label):
        """Return what an editor offers."""
        editor = self.editor(label)
        return [editor.itemText(i) for i in range(editor.count())]

    @property
    def rows(self):
        """The cells of the table, row by row, without hidden columns."""
        table = self.widget.findChild(QTableWidget)
        columns = [i for i in range(table.columnCount()) if not table.isColumnHidden(i)]
        return [[table.item(row, i).text() for i in columns] for row in range(table.rowCount())]

    @property
    def progress(self):
        """The text of the progress bar."""
        return self.widget.findChild(QProgressBar).format()

    @property
    def curves(self):
        """The live plot of a fit."""
        return self.widget.findChild(CurvePlot)

    @property
    def curve_names(self):
        """The names of the curves of the live plot, each after its mark."""
        return re.findall(r"— (.+?)(?=\s+—|\s*$)", self.curves.plotItem.titleLabel.item.toPlainText())

    @property
    def panels(self):
        """The panels that are drawn and not on tabs, in their order."""
        return [view.panel for view in self.children(PanelView) if view.panel is not None]

    def tab(self, name):
        """Return the panels that are drawn on a tab."""
        return [view.panel for view in self.widget.findChild(PlotTabs).views[name] if view.panel is not None]

    @property
    def width(self):
        """Least width of the content of a dock, in pixels."""
        return self.widget.widget().minimumSizeHint().width()

    @property
    def cut(self):
        """The texts of buttons and numbers that do not fit into their place."""
        numbers = [(box.lineEdit(), box.text()) for box in self.children(QAbstractSpinBox)]
        places = [*numbers, *((button, button.text()) for button in self.children(QPushButton))]
        return [text for place, text in places if place.fontMetrics().horizontalAdvance(text) > place.width() - 4]

    # What is done

    def press(self, text):
        """Click a button."""
        self.button(text).click()

    def check(self, text, is_checked=True):
        """Check a box, or uncheck it."""
        box = self.box(text)
        if box.isChecked() != is_checked:
            box.click()

    def fill(self, label, value):
        """Choose or type a value."""
        editor = self.editor(label)
        if isinstance(editor, QComboBox):
            index = editor.findText(value)
            assert index >= 0, f"{label} offers {self.choices(label)}"
            editor.setCurrentIndex(index)
            editor.activated.emit(index)
        elif isinstance(editor, QLineEdit):
            editor.setText(value)
            editor.editingFinished.emit()
        else:
            assert isinstance(editor, QAbstractSpinBox | QSlider)
            editor.setValue(value)

    def wait_for(self, is_so):
        """Let the window live until something holds."""
        self.qtbot.waitUntil(is_so, timeout=SECONDS * 1000)

    def wait_until_idle(self):
        """Let the window live until a run can be started again."""
        self.wait_for(self.button("Run").isEnabled)

    def run(self):
        """Run, and wait for the end."""
        self.press("Run")
        self.wait_until_idle()


def _plain(text):
    """Return a text without its markup, and with plain spaces."""
    return html.unescape(re.sub(r"<[^>]+>", "", text)).replace("\N{NO-BREAK SPACE}", " ")
