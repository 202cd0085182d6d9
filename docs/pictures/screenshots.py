"""Take the pictures of the real napari window: before a run, during it, after it, with another step, the expected error, and a comparison.

Run it through ``make pictures``, which provides a display, or a part of it::

    tools/with-display python docs/pictures/screenshots.py denoise compare
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # before napari is imported: no preferences are read, none are written

import napari
from qtpy.QtWidgets import QApplication, QScrollArea
from superqt import QCollapsible

from napari_convgen.viewer.plots.panels import PanelView
from napari_convgen.viewer.plots.tabs import PlotTabs

FOLDER = Path(__file__).parent


def wait(until: Callable[[], bool], seconds: float = 600) -> None:
    """Let the window live until something holds."""
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def shoot(viewer: napari.Viewer, name: str) -> None:
    """Save the whole window, once it has settled."""
    wait(lambda: False, 1)
    viewer.screenshot(str(FOLDER / f"{name}.png"), canvas_only=False, flash=False)


def open_sample(widget: str, sample: str = "fluorescence") -> tuple[napari.Viewer, QScrollArea]:
    """Open a window with a sample and a widget beside it, the reference chosen."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.open_sample("napari-convgen", sample)
    _, docked = viewer.window.add_plugin_dock_widget("napari-convgen", widget)
    wait(lambda: False, 1)
    viewer.reset_view()
    editor = docked._input.reference
    editor.value = next(name for name in editor.choices if "reference" in name)
    return viewer, docked


def denoise() -> None:
    """Take the pictures of a denoising."""
    viewer, widget = open_sample("Denoise")
    shoot(viewer, "before")

    widget._expected_error.value = True
    widget.run()
    wait(lambda: widget._plot.n_steps > 15)
    shoot(viewer, "during")

    wait(lambda: not widget.session.is_busy)
    shoot(viewer, "after")

    steps = [snapshot.step for snapshot in widget.session.result.frames[0].snapshots]
    line = widget._plot._kept
    line.moving = True
    line.setValue(1.0)  # step 10, as the mouse would drag it
    line.sigDragged.emit(line)
    line.sigPositionChangeFinished.emit(line)
    assert widget.session.result.step in steps
    shoot(viewer, "moved")

    widget.session.undo()
    layers = widget.session.layers
    layers.snapshots.visible = False
    layers.expected_error.visible = True
    shoot(viewer, "expected-error")

    next(part for part in widget.findChildren(QCollapsible) if part.text().endswith("More settings")).expand(
        animate=False
    )
    wait(lambda: False, 1)
    widget.verticalScrollBar().setValue(widget.verticalScrollBar().maximum())
    shoot(viewer, "settings")
    viewer.close()


def open_problem(sample: str, problem: str, side: int | None = None) -> tuple[napari.Viewer, QScrollArea]:
    """Open a window with a sample, or a corner of it, and beside it the widget for its problem; the truth is left out."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.open_sample("napari-convgen", sample)
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Reconstruct")
    viewer.layers.remove(viewer.layers[0])
    if side is not None:
        viewer.layers[-1].data = viewer.layers[-1].data[..., :side, :side]
    viewer.layers.selection.active = viewer.layers[-1]
    widget._problem.name.value = problem
    wait(lambda: False, 1)
    viewer.reset_view()
    return viewer, widget


def solve(widget: QScrollArea) -> None:
    """Reconstruct."""
    widget.run()
    wait(lambda: not widget.session.is_busy)
    wait(lambda: False, 1)


def reconstruct() -> None:
    """Take the picture of a scratch, drawn as shapes over a part of the sample, that was filled in."""
    viewer, widget = open_problem("fluorescence", "inpaint", 128)
    noisy = viewer.layers[-1]
    scratch = [[[10, 35], [14, 33], [96, 82], [94, 87]], [[60, 10], [64, 8], [112, 50], [109, 54]]]
    viewer.add_shapes(scratch, shape_type="polygon", name="scratch", scale=noisy.scale, units=noisy.units, opacity=0.4)
    wait(lambda: False, 1)
    solve(widget)
    shoot(viewer, "reconstruct")
    viewer.close()


def show_both(viewer: napari.Viewer) -> None:
    """Show the measurement and what was made of it side by side."""
    first, *_, last = (layer for layer in viewer.layers if layer.visible)
    for layer in viewer.layers:
        layer.visible = layer in (first, last)
    viewer.canvas.grid.enabled = True
    wait(lambda: False, 1)
    viewer.reset_view()


def deblur() -> None:
    """Take the picture of blurred beads, and of what was made of them."""
    viewer, widget = open_problem("blurred_beads", "deblur")
    widget._problem._psf.value = next(layer for layer in viewer.layers if "point spread" in layer.name)
    solve(widget)
    show_both(viewer)
    shoot(viewer, "reconstruct-deblur")
    viewer.close()


def enlarge() -> None:
    """Take the picture of a part of the sample with pixels half as large."""
    viewer, widget = open_problem("fluorescence", "enlarge", 96)
    solve(widget)
    show_both(viewer)
    shoot(viewer, "reconstruct-enlarge")
    viewer.close()


def scan() -> None:
    """Take the picture of a head that was reconstructed from the k-space of its coils."""
    viewer, widget = open_problem("kspace", "sense")
    solve(widget)
    viewer.reset_view()
    shoot(viewer, "reconstruct-scan")
    viewer.close()


def phase() -> None:
    """Take the picture of a phase that was found through focus, with the aberrations."""
    viewer, widget = open_problem("cells_through_focus", "phase", 96)
    stack = viewer.layers[-1]
    solve(widget)
    stack.visible = False
    wait(lambda: False, 1)
    widget.ensureWidgetVisible([view for view in widget.findChildren(PanelView) if view.isVisible()][-1])
    shoot(viewer, "reconstruct-phase")
    viewer.close()


def compare() -> None:
    """Take the pictures of a comparison."""
    viewer, widget = open_sample("Compare methods")
    widget.run()
    wait(lambda: not widget.session.is_busy)
    shoot(viewer, "compare")
    viewer.close()


def image_against_noise() -> None:
    """Take the picture of fits to an image and to noise."""
    viewer, widget = open_sample("Image against noise", "mri")
    widget._added.value = "25"
    widget._settings.editors["n_steps"].value = 400
    widget.run()
    wait(lambda: not widget.session.is_busy)
    viewer.reset_view()
    shoot(viewer, "image-against-noise")
    viewer.close()


def kernels() -> None:
    """Take the pictures of the kernel explorer on both samples, each tab on one of them."""
    for sample, tabs in (("mri", ("Kernel", "Weights", "Filter")), ("fluorescence", ("Basis", "Bound"))):
        viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        viewer.open_sample("napari-convgen", sample)
        _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Kernel explorer")
        wait(lambda widget=widget: widget.session.preview is not None)
        viewer.reset_view()
        for tab in tabs:
            widget.tabs.show_page(tab)
            shoot(viewer, f"kernels-{tab.lower()}")
        viewer.close()


def why_it_works() -> None:
    """Take the pictures of a Jacobian beside a part of the sample that was denoised before."""
    viewer, denoiser = open_sample("Denoise")
    for layer in viewer.layers:
        layer.data = layer.data[:128, :128]
    denoiser._preset.value = "deep-decoder"
    denoiser._snapshots.value = False
    denoiser.run()
    wait(lambda: not denoiser.session.is_busy)
    viewer.window.remove_dock_widget(denoiser)
    viewer.layers.remove(next(layer for layer in viewer.layers if "reference" in layer.name))
    _, widget = viewer.window.add_plugin_dock_widget("napari-convgen", "Why it works")
    widget._form._rank.value = 60
    widget._form._steps.value = "0, 60"
    widget.run()
    wait(lambda: not widget.session.is_busy)
    viewer.reset_view()
    widget.findChild(PlotTabs).show_page("Energy")
    shoot(viewer, "why-it-works")
    widget.findChild(PlotTabs).show_page("Fit")
    wait(lambda: False, 1)
    widget.verticalScrollBar().setValue(widget.verticalScrollBar().maximum())
    shoot(viewer, "why-it-works-fit")
    viewer.close()


PARTS = {
    "denoise": denoise,
    "reconstruct": reconstruct,
    "deblur": deblur,
    "enlarge": enlarge,
    "scan": scan,
    "phase": phase,
    "compare": compare,
    "kernels": kernels,
    "image-against-noise": image_against_noise,
    "why-it-works": why_it_works,
}
"""Function that takes the pictures of each part of the documentation."""


def main() -> None:
    """Take the pictures of the named parts, or all."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if none is named")
    for part in parser.parse_args().parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
