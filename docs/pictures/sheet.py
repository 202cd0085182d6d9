"""Take one picture of all widgets: ``make pictures``.

It shows them before, during and after a run, in a narrow dock, on a laptop and on a 4K screen, in the dark and the light theme.
Single pictures, to look at closely, are written with ``--keep FOLDER``; those of a widget that are there already are not taken again.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
from PIL import Image, ImageDraw
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QDockWidget, QPushButton
from screenshots import FOLDER, wait

SIDE = 128
"""Side of the image, in pixels: a part of the sample, so that runs are short."""

NARROW = 300, 700
"""Least size of a dock, in pixels: that of napari's docks beside an image on a laptop."""

WINDOWS = {"1280 × 800": (1280, 800), "4K": (3840, 2160)}
"""Sizes of the window, in pixels."""

SIZES = ("narrow", *WINDOWS)
STATES = ("before", "during", "after")
"""Order of the rows of the sheet."""

CELL = 300
"""Width of a picture on the sheet, in pixels: narrow docks are as large as they are."""

HEIGHT = 720
"""Largest height of a picture on the sheet, in pixels: below that a dock on a 4K screen is empty."""

MARGIN, LINE = 90, 24
"""Width of the names of the rows, and height of those of the columns, in pixels."""

PREVIEW_SECONDS = 4.0
"""Longest time, in seconds, to wait for a layer before the run is paused: some widgets add none before the end."""

N_COLORS = 128
"""Colors of the sheet."""


def enlarge(widget: object) -> None:
    """Choose the problem that needs nothing but the image."""
    widget._problem.name.value = "enlarge"


def few_methods(widget: object) -> None:
    """Leave out the methods that take long."""
    for name, box in widget._methods.items():
        box.value = name in ("tv", "wavelet", "lichi", "convgen")


def few_steps(widget: object) -> None:
    """Take few steps, but enough for the run to go on while it is looked at."""
    widget._settings.editors["n_steps"].value = 600


def few_vectors(widget: object) -> None:
    """Find few vectors."""
    widget._form._rank.value = 20


WIDGETS: dict[str, Callable[[object], None] | None] = {
    "Denoise": lambda widget: None,
    "Reconstruct": enlarge,
    "Compare methods": few_methods,
    "Image against noise": few_steps,
    "Why it works": few_vectors,
    "Kernel explorer": None,
}
"""Widgets, and what is chosen in each so that its run is short; ``None`` for one without a run."""


def grabbed(widget: object) -> Image.Image:
    """Return the picture of a Qt widget."""
    shot = widget.grab().toImage().convertToFormat(QImage.Format_RGB888)
    rows = shot.constBits()
    if hasattr(rows, "setsize"):  # PyQt
        rows.setsize(shot.sizeInBytes())
    return Image.frombytes("RGB", (shot.width(), shot.height()), bytes(rows), "raw", "RGB", shot.bytesPerLine())


def sizes(viewer: napari.Viewer, dock: QDockWidget, widget: object) -> dict[str, Image.Image]:
    """Return pictures of a widget in a narrow dock, and of the window in all sizes."""
    dock.setFloating(True)
    dock.resize(*NARROW)
    wait(lambda: False, 1)
    taken = {"narrow": grabbed(widget)}
    dock.setFloating(False)
    for name, size in WINDOWS.items():
        viewer.window.resize(*size)
        wait(lambda: False, 2)
        viewer.reset_view()
        wait(lambda: False, 0.5)
        taken[name] = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    taken[name] = grabbed(dock)  # of the largest window the dock alone: the rest is the image
    viewer.window.resize(*WINDOWS["1280 × 800"])  # without a graphics card, a run takes long in a large window
    return taken


def states(theme: str, name: str) -> Iterator[tuple[str, dict[str, Image.Image]]]:
    """Go through a run of a widget, and take its pictures before, during and after it."""
    viewer = napari.Viewer()
    viewer.theme = theme
    viewer.open_sample("napari-convgen", "fluorescence")
    for layer in viewer.layers:
        was_visible, layer.visible = layer.visible, True  # napari notices the new extent of visible layers only
        layer.data = layer.data[:SIDE, :SIDE]
        layer.visible = was_visible
    dock, widget = viewer.window.add_plugin_dock_widget("napari-convgen", name)
    wait(lambda: False, 2)
    if (prepare := WIDGETS[name]) is None:
        wait(lambda: widget.session.preview is not None)
        yield "after", sizes(viewer, dock, widget)
    else:
        yield "before", sizes(viewer, dock, widget)
        prepare(widget)
        buttons = {each.text(): each for each in widget.findChildren(QPushButton) if each.isVisible()}
        run, pause, layers = buttons["Run"], buttons["Pause"], len(viewer.layers)
        run.click()
        wait(lambda: pause.isEnabled() or run.isEnabled())
        wait(lambda: len(viewer.layers) > layers or run.isEnabled(), PREVIEW_SECONDS)
        if pause.isEnabled():
            pause.click()
            yield "during", sizes(viewer, dock, widget)
            pause.click()
        wait(run.isEnabled)
        yield "after", sizes(viewer, dock, widget)
    viewer.close()


def sheet(pictures: dict[tuple[str, str, str, str], Image.Image]) -> Image.Image:
    """Put the pictures into one: a column for each widget, and a row for each size, state and theme."""
    rows: dict[tuple[str, str, str], list[tuple[int, Image.Image]]] = {}
    for (theme, name, state, size), picture in pictures.items():
        small = picture.resize((CELL, round(CELL * picture.height / picture.width)), Image.Resampling.LANCZOS)
        small = small.crop((0, 0, CELL, min(small.height, HEIGHT)))
        rows.setdefault((size, state, theme), []).append((list(WIDGETS).index(name), small))
    heights = {row: max(small.height for _, small in cells) for row, cells in rows.items()}
    whole = Image.new("RGB", (MARGIN + CELL * len(WIDGETS), LINE + sum(heights.values())), "gray")
    pen, y = ImageDraw.Draw(whole), LINE
    for column, name in enumerate(WIDGETS):
        pen.text((MARGIN + CELL * column + 5, 6), name, "white", font_size=13)
    for row in sorted(rows, key=lambda row: (SIZES.index(row[0]), row[2], STATES.index(row[1]))):
        size, state, theme = row
        pen.text((5, y + 5), f"{size}\n{theme}\n{state}", "white", font_size=13)
        for column, small in rows[row]:
            whole.paste(small, (MARGIN + CELL * column, y))
        y += heights[row]
    return whole.quantize(N_COLORS, dither=Image.Dither.NONE)


def main() -> None:
    """Take the pictures, and put them into one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--keep", type=Path, help="Folder for single pictures; by default one that is removed.")
    parser.add_argument("--widgets", nargs="+", default=list(WIDGETS), choices=list(WIDGETS), metavar="NAME")
    parser.add_argument("--themes", nargs="+", default=["dark", "light"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = arguments.keep or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        for theme, name in itertools.product(arguments.themes, arguments.widgets):
            if not list(kept.glob(f"{theme}-{name}-after-*.png")):
                for state, taken in states(theme, name):
                    for size, picture in taken.items():
                        picture.save(kept / f"{theme}-{name}-{state}-{size}.png")
        pictures = {tuple(path.stem.split("-")): Image.open(path).convert("RGB") for path in sorted(kept.glob("*.png"))}
    sheet(pictures).save(FOLDER / "widgets.png", optimize=True)
    runs = itertools.product(arguments.themes, (name for name, prepare in WIDGETS.items() if prepare), STATES, SIZES)
    if missing := [" ".join(each) for each in runs if each not in pictures]:
        sys.exit(f"No picture of: {', '.join(missing)}.")


if __name__ == "__main__":
    main()
