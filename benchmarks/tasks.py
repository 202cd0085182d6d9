"""Everyday tasks, timed through the real window: each clicks what a user sees, found by its text.

    tools/with-display python benchmarks/tasks.py --output benchmarks/results/tasks.md

A click is a press of the mouse, an entry of a menu, or a value that is chosen or typed; so is a file that is picked in a dialog.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
import numpy as np
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QLabel,
    QLineEdit,
    QMainWindow,
    QMenu,
    QPushButton,
    QScrollBar,
    QSpinBox,
    QTableWidget,
    QWidget,
)

from napari_convgen.files.images import read_image
from napari_convgen.samples import fluorescence, mri

DENOISE = "Denoise"
PATIENCE = 600
"""Seconds after which a task has failed."""


class User:
    """Finds what is visible by its text, clicks it, and counts."""

    def __init__(self, folder: Path, side: int) -> None:
        self.folder, self.side = folder, side
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1280, 800)
        self.clicks = 0
        self.waited = 0.0

    @property
    def window(self) -> QMainWindow:
        """The window that was opened last."""
        return [w for w in QApplication.topLevelWidgets() if isinstance(w, QMainWindow) and w.isVisible()][-1]

    def wait(self, until: Callable[[], bool]) -> None:
        """Let the window live until something holds."""
        started = time.perf_counter()
        while not until():
            if time.perf_counter() - started > PATIENCE:
                raise TimeoutError("What a task waits for does not happen.")
            QApplication.processEvents()
            time.sleep(0.02)
        self.waited += time.perf_counter() - started

    def settle(self) -> None:
        """Let the window draw what was changed."""
        end = time.perf_counter() + 0.3
        self.wait(lambda: time.perf_counter() > end)

    def visible(self, kind: type) -> list[QWidget]:
        """Return the visible widgets of a kind, the last window's."""
        return [child for child in self.window.findChildren(kind) if child.isVisible()]

    def button(self, text: str) -> QPushButton:
        """Return the button whose text begins so."""
        found = [b for b in self.visible(QPushButton) if b.text() == text]
        return (found or [b for b in self.visible(QPushButton) if b.text().startswith(text)])[-1]

    def press(self, text: str) -> None:
        """Click a button."""
        button = self.button(text)
        assert button.isEnabled(), f"'{text}' is disabled"
        button.click()
        self.clicks += 1

    def run(self) -> None:
        """Press Run, and wait for the end."""
        self.press("Run")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        """Wait until a run can be started."""
        run = self.button("Run")
        self.wait(run.isEnabled)
        if errors := [label.text() for label in self.visible(QLabel) if "⚠" in label.text()]:
            raise RuntimeError(errors[-1])

    def menu(self, *texts: str) -> None:
        """Go through a menu of the window."""
        self._choose(self.window.menuBar(), texts)

    def button_menu(self, button: str, text: str) -> None:
        """Choose an entry of a button's menu."""
        self.clicks += 1
        self._choose(self.button(button).menu(), (text,))

    def _choose(self, menu: QWidget, texts: tuple[str, ...]) -> None:
        for text in texts:
            if isinstance(menu, QMenu):
                menu.aboutToShow.emit()
            [action] = [a for a in menu.actions() if a.text().replace("&", "").partition("\t")[0].startswith(text)]
            self.clicks += 1
            menu = action.menu()
        action.trigger()
        self.settle()

    def pick(self, *names: str) -> None:
        """Answer the next dialog for files."""
        paths = [str(self.folder / name) for name in names]
        QFileDialog.getOpenFileNames = lambda *_, **__: (paths, "")
        QFileDialog.getOpenFileName = QFileDialog.getSaveFileName = lambda *_, **__: (paths[0], "")
        self.clicks += 1

    def open(self, name: str) -> None:
        """Open a file by the File menu."""
        self.pick(name)
        self.menu("File", "Open File(s)")
        self.wait(lambda: any(layer.source.path == str(self.folder / name) for layer in self.viewer.layers))

    def dock(self, name: str) -> None:
        """Open a widget by the Plugins menu."""
        self.menu("Plugins", "Convolutional generators", name)

    def choose(self, label: str, value: str) -> None:
        """Choose a value of the editor with a label."""
        editors = [
            layout.itemAt(i, QFormLayout.ItemRole.FieldRole).widget()
            for layout in self.window.findChildren(QFormLayout)
            for i in range(layout.rowCount())
            if (item := layout.itemAt(i, QFormLayout.ItemRole.LabelRole)) is not None
            and isinstance(item.widget(), QLabel)
            and item.widget().text() == label
            and item.widget().isVisible()
        ]
        editor = editors[-1]
        assert isinstance(editor, QComboBox)
        index = editor.findText(value)
        assert index >= 0, f"'{label}' does not offer '{value}'"
        editor.setCurrentIndex(index)
        self.clicks += 2

    def type(self, name: str, number: int) -> None:
        """Type a number into the box with an accessible name."""
        [box] = [each for each in self.visible(QSpinBox) if each.accessibleName() == name]
        box.setValue(number)
        self.clicks += 1

    def check(self, text: str, is_checked: bool) -> None:
        """Check a box, or uncheck it."""
        box = [b for b in self.visible(QCheckBox) if b.text() == text][-1]
        if box.isChecked() != is_checked:
            box.click()
            self.clicks += 1

    def slide(self, axis: str, value: int) -> None:
        """Move the slider of an axis."""
        [label] = [each for each in self.visible(QLineEdit) if each.text() == axis]
        bars = label.parentWidget().findChildren(QScrollBar)
        [slider] = [bar for bar in bars if bar.isVisible() and bar.orientation() == Qt.Horizontal]
        slider.setValue(value)
        self.settle()
        self.clicks += 1


def open_image(user: User) -> bool:
    """Open a file and the widget."""
    user.open("noisy.tif")
    user.dock(DENOISE)
    return user.button("Run").isEnabled()


def try_region(user: User) -> bool:
    """Try it on a region first: what is in view."""
    camera = getattr(user.viewer, "scene", user.viewer).camera
    camera.zoom *= 3  # as the wheel of the mouse does
    user.clicks += 1
    user.settle()
    user.button_menu("Try first", "Try on this region")
    user.wait_until_idle()
    tried = user.viewer.layers[-1]
    is_part = max(tried.data.shape[-2:]) < user.side
    user.viewer.reset_view()
    return is_part


def denoise(user: User) -> bool:
    """Denoise it."""
    user.run()
    return "noisy denoised" in user.viewer.layers


def scrub(user: User) -> bool:
    """Look at an earlier step of the fit."""
    user.slide("iteration", 5)
    return user.button("Promote step").isEnabled()


def promote(user: User) -> bool:
    """Make it the result."""
    before = user.viewer.layers["noisy denoised"].data.copy()
    user.press("Promote step")
    return not np.array_equal(user.viewer.layers["noisy denoised"].data, before)


def save(user: User) -> bool:
    """Save the image and the whole run."""
    for name, text in (("mine.tif", "Save result …"), ("run.npz", "Save run …")):
        user.pick(name)
        user.button_menu("Save and load", text)
    saved = read_image(user.folder / "mine.tif").data
    return np.array_equal(saved, user.viewer.layers["noisy denoised"].data) and (user.folder / "run.npz").exists()


def repeat(user: User) -> bool:
    """Repeat the run from the command line."""
    user.press("Undo")
    user.button_menu("Save and load", "Copy command line")
    _, *arguments = shlex.split(QApplication.clipboard().text())
    subprocess.run([sys.executable, "-m", "napari_convgen.cli", *arguments, "--quiet"], check=True)
    output = Path(arguments[arguments.index("--output") + 1])
    return np.array_equal(read_image(output).data, user.viewer.layers["noisy denoised"].data)


def compare(user: User) -> bool:
    """Compare with two classical methods."""
    user.dock("Compare methods")
    for text in ("NLM", "BM3D"):
        if any(box.text() == text for box in user.visible(QCheckBox)):
            user.check(text, False)
    user.run()
    return user.visible(QTableWidget)[-1].rowCount() >= 3


def reopen(user: User) -> bool:
    """Open the saved run in a new window, and continue it."""
    shown = user.viewer.layers["noisy denoised"].data.copy()
    user.viewer.close()
    user.viewer = napari.Viewer()
    user.dock(DENOISE)
    user.pick("run.npz")
    user.button_menu("Save and load", "Open run …")
    user.press("Undo")
    is_same = np.array_equal(user.viewer.layers["noisy denoised"].data, shown)
    n_steps = len(user.viewer.layers["noisy snapshots"].data)
    user.type("Steps to add", 20)
    user.press("Continue")
    user.wait_until_idle()
    return is_same and len(user.viewer.layers["noisy snapshots"].data) > n_steps


def volume(user: User) -> bool:
    """Denoise a magnitude volume as one."""
    user.viewer.layers.clear()
    user.open("head.tif")
    user.choose("Values are", "magnitude (MRI)")
    user.choose("Z axis is", "volume")
    user.run()
    return user.viewer.layers["head denoised"].data.shape == (6, user.side // 2, user.side // 2)


TASKS = (open_image, try_region, denoise, scrub, promote, save, repeat, compare, reopen, volume)
"""The tasks, in the order in which they follow each other."""


def write_images(folder: Path, side: int) -> None:
    """Write the images that the tasks open."""
    tifffile.imwrite(folder / "noisy.tif", fluorescence().noisy[:side, :side], metadata={"axes": "YX"})
    head = mri().noisy[100 : 100 + side // 2, 100 : 100 + side // 2]
    values = np.stack([head + i for i in range(6)]).astype(np.float32)
    tifffile.imwrite(folder / "head.tif", values, imagej=True, metadata={"axes": "ZYX"})


def main() -> None:
    """Go through the tasks, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--side", type=int, default=128, help="Side of the images, in pixels; default 128, so that fits are short."
    )
    parser.add_argument("--output", type=Path, help="Markdown file for the table.")
    arguments = parser.parse_args()
    rows = ["| task | clicks | seconds | of them waiting |  |", "|---|---:|---:|---:|---|"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_images(folder, arguments.side)
        user = User(folder, arguments.side)
        for task in TASKS:
            user.clicks, user.waited, started = 0, 0.0, time.perf_counter()
            try:
                outcome = "done" if task(user) else "FAILED"
            except Exception as error:  # the other tasks are tried all the same
                outcome = f"FAILED: {error}"
            seconds = time.perf_counter() - started
            title = (task.__doc__ or "").rstrip(".")
            rows.append(f"| {title} | {user.clicks} | {seconds:.1f} | {user.waited:.1f} | {outcome} |")
            print(rows[-1], flush=True)
        user.viewer.close()
    if arguments.output:
        where = f"Made by `python benchmarks/tasks.py`, {arguments.side} × {arguments.side} pixels, on {os.cpu_count()} cores."
        arguments.output.write_text("\n".join(["# Tasks through the real window", "", where, "", *rows, ""]))


if __name__ == "__main__":
    main()
