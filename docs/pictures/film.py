"""Take a short film of a run from the real napari window: ``make pictures``.

The image appears and gets better, the slider goes back through the steps, and the input is swiped over the result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QPushButton
from screenshots import FOLDER, open_sample, wait

SIDE = 128
"""Side of the image, in pixels: a part of the sample, so that its pixels can be seen, and the run is short."""

WIDTH = 800
"""Width of the film, in pixels: the text of the widget can just be read."""

N_COLORS = 128
"""Colors of the film, the same in all pictures, so that what stands still takes no space."""

MOST_BYTES = 2 * 2**20
"""Largest size of the film."""

BLINK, STILL = 120, 1500
"""Time that a picture is shown, and that the last of a part is shown, in milliseconds."""


def shot(viewer: napari.Viewer) -> Image.Image:
    """Return a picture of the window."""
    wait(lambda: False, 0.1)
    picture = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    return picture.resize((WIDTH, round(WIDTH * picture.height / picture.width)), Image.Resampling.LANCZOS)


def press(widget: QPushButton, text: str) -> None:
    """Click a button of a widget."""
    next(each for each in widget.findChildren(QPushButton) if each.text() == text).click()


def fit_view(viewer: napari.Viewer) -> None:
    """Show the image as large as the canvas, after napari has fitted the view to what the layers were before."""
    wait(lambda: False, 1)
    viewer.reset_view()
    wait(lambda: False, 1)
    side = SIDE * float(viewer.layers[0].scale[-1])
    viewer.scene.camera.center = (0, side / 2, side / 2)
    viewer.scene.camera.zoom *= 2
    wait(lambda: False, 1)


def pictures() -> Iterator[tuple[Image.Image, int]]:
    """Go through the scene, and return its pictures with the time that each is shown."""
    viewer, widget = open_sample("Denoise")
    for layer in viewer.layers:
        layer.data = layer.data[:SIDE, :SIDE]
    fit_view(viewer)
    yield shot(viewer), STILL
    press(widget, "Run")
    while widget.session.is_busy:
        wait(lambda: False, 0.8)
        yield shot(viewer), BLINK
    fit_view(viewer)
    yield shot(viewer), STILL
    axis = 0
    steps = [snapshot.step for snapshot in widget.session.result.snapshots]
    for step in [*steps[::-3], *steps[::3], widget.session.result.step]:
        viewer.dims.set_point(axis, step)
        yield shot(viewer), BLINK
    press(widget, "Swipe")
    swipe = viewer.layers[-1]
    start, end = swipe.extent.world[:, -1]
    for share in np.sin(np.linspace(0, 2 * np.pi, 15)):
        widget._before_after._swipe.move_to((0, 0, start + (end - start) * (1 + 0.8 * share)))
        yield shot(viewer), BLINK
    yield shot(viewer), STILL
    viewer.close()


def main() -> None:
    """Take the film."""
    shots, times = zip(*pictures(), strict=True)
    typical = Image.fromarray(np.vstack([np.asarray(each) for each in shots[:: max(1, len(shots) // 6)]]))
    palette = typical.quantize(N_COLORS)
    frames = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in shots]
    path = FOLDER / "film.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=list(times), loop=0, optimize=True)
    n_bytes = path.stat().st_size
    print(f"{len(frames)} pictures, {n_bytes / 2**20:.2f} MB")
    if n_bytes > MOST_BYTES:
        raise SystemExit(f"The film is larger than {MOST_BYTES / 2**20:g} MB. Take fewer pictures, or smaller ones.")


if __name__ == "__main__":
    main()
