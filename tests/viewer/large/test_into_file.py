"""A lazy layer is denoised into a file, from the widget."""

import threading

import dask.array as da
import numpy as np
import pytest

from napari_convgen.batch import piece as piece_module
from napari_convgen.config import PRESETS
from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.large.into_file import IntoFile
from napari_convgen.viewer.layers.under_way import UnderWay

pytest.importorskip("zarr")


@pytest.fixture
def part(make_widget, hands, small, noisy, monkeypatch, tmp_path):
    """The part of a widget that runs into a file, beside a lazy stack, and its user."""
    monkeypatch.setitem(PRESETS, "tiny", small.replace({"n_steps": 40}))
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    widget = make_widget(DenoiseWidget)
    hands(widget).fill("Preset", "tiny")
    stack = da.from_array(np.stack([noisy, noisy[::-1], noisy.T, noisy[:, ::-1]]), chunks=(1, -1, -1))
    widget.viewer.add_image(stack, name="stack", scale=(2, 1, 1))
    widget.viewer.dims.set_current_step(0, 2)
    part = widget.findChild(IntoFile)
    assert part.isExpanded()
    yield widget, hands(part)
    part.session.cancel()


def test_a_stopped_run_shows_what_is_done_and_the_input_and_goes_on(part, noisy, tmp_path, monkeypatch):
    widget, user = part
    layers, fit, gate = widget.viewer.layers, piece_module._fit, threading.Event()

    def waiting(job):
        """Fit the frame on screen, and others once the gate is open."""
        if job.number != 2:
            gate.wait()
        return (yield from fit(job))

    monkeypatch.setattr(piece_module, "_fit", waiting)
    user.press("Run")
    user.wait_for(lambda: "1 of 4 are done" in user.text)
    user.press("Stop and keep")
    gate.set()
    user.wait_until_idle()
    shown = layers["stack denoised"]
    np.testing.assert_array_equal(shown.data[3], noisy[:, ::-1])
    assert shown.data[2].std() < noisy.std()
    assert (shown.scale == (2, 1, 1)).all()
    assert "are done and kept" in user.text

    user.press("Run")
    user.wait_until_idle()
    assert "All 4 pieces are done" in user.text
    assert [layer.name for layer in layers] == ["truth", "cells", "stack", "stack denoised"]
    assert shown.data[3].std() < noisy.std()
    assert (tmp_path / "napari-convgen" / "stack_denoised.zarr" / "zarr.json").is_file()
    assert shown.metadata["napari-convgen"]["n_done"] == 4


def test_each_piece_is_shown_once(part, monkeypatch):
    _, user = part
    shown, fill = [], UnderWay.__setitem__
    monkeypatch.setattr(
        UnderWay, "__setitem__", lambda image, index, values: shown.append(index) or fill(image, index, values)
    )
    user.press("Run")
    user.wait_until_idle()
    assert len(shown) == len(set(map(str, shown))) > 0


def test_a_finished_image_is_shown_in_all_its_resolutions(part, noisy, monkeypatch):
    widget, user = part
    layers = widget.viewer.layers
    monkeypatch.setattr("napari_convgen.files.ome_zarr.writing.SIDE", max(noisy.shape) // 2)
    user.press("Run")
    user.wait_until_idle()
    shown = layers["stack denoised"]
    assert [layer.name for layer in layers] == ["truth", "cells", "stack", "stack denoised"]
    assert (shown.multiscale, [level.shape for level in shown.data]) == (
        True,
        [(4, *noisy.shape), (4, *(n // 2 for n in noisy.shape))],
    )
    assert (shown.scale == (2, 1, 1)).all()
    assert shown.metadata["napari-convgen"]["n_done"] == 4
    assert layers.selection.active is layers["stack"]

    user.press("Run")
    user.wait_until_idle()
    assert layers["stack denoised"].multiscale


def test_an_image_that_lies_elsewhere_has_a_layer_of_its_own(part, noisy):
    widget, user = part
    viewer = widget.viewer
    viewer.layers.remove("stack")
    for place in ({}, {"rotate": 90, "translate": (50, 50)}):
        layer = viewer.add_image(da.from_array(noisy), name="stack", **place)
        viewer.layers.selection.active = layer
        user.press("Run")
        user.wait_until_idle()
        viewer.layers.remove(layer)
    first, second = (viewer.layers[name] for name in ("stack denoised", "stack denoised [1]"))
    assert (tuple(first.translate), tuple(second.translate)) == ((0, 0), (50, 50))
    np.testing.assert_allclose(second.rotate, [[0, -1], [1, 0]], atol=1e-12)


def test_a_plane_begins_with_the_middle_of_the_view(part, noisy):
    widget, _ = part
    height, width = noisy.shape[0], 3 * noisy.shape[1]
    layer = widget.viewer.add_image(da.from_array(np.tile(noisy, (1, 3))), name="plane")
    layer.corner_pixels = np.array([[0, width - 8], [height - 1, width - 1]])
    assert widget.findChild(IntoFile)._request().first == {0: height // 2, 1: width - 4}
    widget.viewer.dims.ndisplay = 3
    assert widget.findChild(IntoFile)._request().first == {}
