"""Take one picture of all widgets, narrow and wide, in the dark and the light theme: ``make pictures``."""

from __future__ import annotations

import os

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
from PIL import Image
from qtpy.QtGui import QImage
from screenshots import FOLDER, wait

WIDGETS = (
    "Denoise (convolutional generator)",
    "Reconstruct",
    "Compare methods",
    "Image against noise",
    "Why it works",
    "Kernel explorer",
)
WIDTHS = (300, 460)
"""Widths of a widget in pixels: the least that napari's docks have beside an image on a laptop, and a comfortable one."""

HEIGHT = 760
"""Height of a widget in pixels, which fits a window of 1280 × 800."""


def picture(viewer: napari.Viewer, name: str, width: int) -> Image.Image:
    """Return the picture of a widget of some width."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    dock.setFloating(True)
    dock.resize(width, HEIGHT)
    wait(lambda: False, 2)
    shot = widget.grab().toImage().convertToFormat(QImage.Format_RGB888)
    rows = shot.constBits()
    if hasattr(rows, "setsize"):  # PyQt
        rows.setsize(shot.sizeInBytes())
    taken = Image.frombytes("RGB", (shot.width(), shot.height()), bytes(rows), "raw", "RGB", shot.bytesPerLine())
    viewer.window.remove_dock_widget(dock)
    wait(lambda: False, 0.5)
    return taken


def main() -> None:
    """Take the pictures, and put them into one: a row for each theme and width."""
    rows = []
    for theme in ("dark", "light"):
        viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        viewer.theme = theme
        viewer.open_sample("napari-convgen", "fluorescence")
        rows += [[picture(viewer, name, width) for name in WIDGETS] for width in WIDTHS]
        viewer.close()
    sheet = Image.new("RGB", (max(sum(each.width for each in row) for row in rows), sum(row[0].height for row in rows)))
    y = 0
    for row in rows:
        x = 0
        for each in row:
            sheet.paste(each, (x, y))
            x += each.width
        y += row[0].height
    sheet.save(FOLDER / "widgets.png", optimize=True)


if __name__ == "__main__":
    main()
