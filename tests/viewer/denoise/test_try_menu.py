"""A run on a part of an image: a rectangle, what is in view, or a frame; then on all, with the same settings."""

import numpy as np
import pytest
from napari.layers import Shapes

from napari_convgen.config import PRESETS
from napari_convgen.viewer.denoise.widget import DenoiseWidget


@pytest.fixture(autouse=True)
def _presets(small, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", small.replace({"n_steps": 3}))


@pytest.fixture
def widget(make_widget):
    widget = make_widget(DenoiseWidget)
    widget.viewer.layers.remove("truth")
    widget.viewer.layers["cells"].scale = (0.5, 0.5)
    return widget


@pytest.fixture
def viewer(widget):
    return widget.viewer


@pytest.fixture
def entry(user):
    """Return an entry of the menu."""
    return lambda text: next(a for a in user.button("Try first").menu().actions() if a.text() == text)


@pytest.fixture
def try_on(user, entry):
    """Choose an entry of the menu, and wait for the end."""

    def choose(text):
        entry(text).trigger()
        user.wait_until_idle()

    return choose


def drawn(*rectangles):
    """Return a layer of rectangles, each from one corner to the other."""
    return Shapes([np.array([(a, b), (c, d)]) for a, b, c, d in rectangles], shape_type="rectangle", name="drawn")


def world_extent(layer):
    return np.asarray(layer.extent.world)[:, -2:].tolist()


def test_a_drawn_rectangle_is_tried_and_then_all(viewer, user, try_on, noisy):
    viewer.add_layer(drawn((2, 3, 11, 13)))
    assert viewer.layers.selection.active.name == "drawn"
    try_on("Try on this region")
    part = viewer.layers["cells (Y 4:23, X 6:27) denoised"]
    assert world_extent(part) == [[2, 3], [11, 13]]
    assert part.data.shape == (19, 21)
    assert part.metadata["napari-convgen"]["input"]["shape"] == [19, 21]
    assert viewer.layers.selection.active.name == "cells"
    user.run()
    assert viewer.layers["cells denoised"].data.shape == noisy.shape
    assert (
        part.metadata["napari-convgen"]["config"]
        == viewer.layers["cells denoised"].metadata["napari-convgen"]["config"]
    )


def test_a_selected_rectangle_is_meant_also_beneath_the_input(viewer, try_on):
    shapes = viewer.add_layer(drawn((0, 0, 15, 15), (4, 4, 15, 12)))
    viewer.layers.selection.active = viewer.layers["cells"]
    shapes.selected_data = {1}
    try_on("Try on this region")
    assert "cells (Y 8:31, X 8:25) denoised" in viewer.layers
    shapes.visible = False
    try_on("Try on this region")
    assert "cells denoised" in viewer.layers  # nothing is drawn on a canvas, so that all is in view


def test_a_rectangle_beside_the_image_is_refused_in_a_sentence(viewer, user, try_on, notes):
    viewer.add_layer(drawn((-20, -20, -10, -10)))
    try_on("Try on this region")
    assert "The rectangle lies beside 'cells'" in notes[0].message
    assert user.button("Run").isEnabled()


def test_the_frame_on_screen_is_tried_where_it_lies_with_its_reference(viewer, user, entry, try_on, noisy):
    assert not entry("Try on this frame").isEnabled()
    stack = np.stack([noisy, noisy // 2 + 40, noisy // 3])
    viewer.add_image(stack // 2, name="reference", scale=(2, 1, 1))
    viewer.add_image(stack, name="stack", scale=(2, 1, 1))
    user.fill("Reference", "reference")
    viewer.dims.set_current_step(0, 1)
    try_on("Try on this frame")
    layer = viewer.layers["stack (Z 1) denoised"]
    assert (layer.data.shape, layer.translate.tolist()) == ((1, 32, 32), [2, 0, 0])
    assert abs(layer.data.mean() - stack[1].mean()) < 5
    assert "PSNR" in user.text
    viewer.add_layer(drawn((4, 4, 20, 20)))
    try_on("Try on this region")
    assert viewer.layers["stack (Z 1, Y 4:21, X 4:21) denoised"].translate.tolist() == [2, 4, 4]


def test_what_is_in_view_is_tried(viewer, user, try_on, notes):
    viewer.layers["cells"].corner_pixels = np.array([[4, 16], [12, 31]])  # as its canvas has drawn it
    try_on("Try on this region")
    assert viewer.layers["cells (Y 4:13, X 16:32) denoised"].data.shape == (9, 16)
    viewer.dims.ndisplay = 3
    try_on("Try on this region")
    assert "Show two, or draw a rectangle" in notes[-1].message


def test_of_a_multiscale_image_what_is_in_view_is_tried_and_not_all_that_is_loaded(viewer, try_on):
    cells = viewer.layers["cells"].data
    viewer.layers.clear()
    layer = viewer.add_image([cells, cells[::2, ::2]], name="levels", multiscale=True, scale=(0.5, 0.5))
    layer.corner_pixels = np.array([[0, 0], [31, 31]])
    viewer.canvas.size, viewer.scene.camera.zoom, viewer.scene.camera.center = (12, 16), 2, (0, 8, 9)
    viewer.layers.selection.active = layer
    try_on("Try on this region")
    assert viewer.layers["levels (Y 10:23, X 10:27) denoised"].data.shape == (13, 17)
    layer.corner_pixels, layer._data_level = np.array([[0, 0], [15, 15]]), 1  # as napari shows the whole of it
    viewer.scene.camera.zoom = 0.1
    try_on("Try on this region")
    assert viewer.layers["levels denoised"].data.shape == (32, 32)
