from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.key_bindings import coerce_keybinding

from napari_convgen.config import PRESETS
from napari_convgen.viewer.denoise.before_after.controls import KEY
from napari_convgen.viewer.denoise.widget import DenoiseWidget


@pytest.fixture
def widget(make_widget, two, monkeypatch):
    monkeypatch.setitem(PRESETS, "two", two)
    widget = make_widget(DenoiseWidget)
    widget.viewer.layers["truth"].scale = widget.viewer.layers["cells"].scale = (0.5, 2.0)
    return widget


@pytest.fixture
def viewer(widget):
    return widget.viewer


def press_key(viewer):
    viewer.keymap[coerce_keybinding(KEY)](viewer)


def visible(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


def test_a_button_and_a_key_show_the_input_in_place_of_the_result(viewer, user):
    assert not user.button("Show input").isEnabled()
    user.run()
    before = visible(viewer)
    user.press("Show input")
    assert visible(viewer) == ["truth", "cells"]
    press_key(viewer)
    assert visible(viewer) == before
    press_key(viewer)
    assert user.button("Show input").isChecked()
    user.run()
    assert not user.button("Show input").isChecked()
    assert visible(viewer) == [*before, "cells denoised [1]", "cells snapshots [1]"]


def test_the_input_is_seen_after_several_runs_and_where_it_was_hidden(viewer, user):
    user.run()
    user.run()
    viewer.layers["cells"].visible = False
    before = visible(viewer)
    user.press("Show input")
    assert visible(viewer) == ["truth", "cells"]
    user.press("Show input")
    assert visible(viewer) == ["truth", "cells denoised [1]", "cells snapshots [1]"]  # of the run that is compared
    viewer.layers.selection.active = viewer.layers["cells denoised"]
    assert visible(viewer) == before
    user.press("Swipe")
    assert visible(viewer) == ["truth", "cells denoised", "cells snapshots", "cells before the line"]
    viewer.layers.selection.active = viewer.layers["cells denoised [1]"]
    assert visible(viewer) == before
    viewer.layers["cells"].name = "named anew"
    user.press("Show input")
    assert visible(viewer) == ["truth", "named anew"]
    user.press("Show input")
    viewer.layers.selection.active = viewer.layers["cells denoised"]
    viewer.layers.remove("named anew")
    user.press("Show input")
    assert not user.button("Show input").isChecked()
    assert "not in the viewer any more" in user.text
    assert visible(viewer) == before


def test_the_result_is_seen_again_where_the_input_is_removed_while_it_is_shown(viewer, user):
    user.run()
    user.press("Show input")
    viewer.layers.remove("cells")
    assert not user.button("Show input").isChecked()
    assert visible(viewer) == ["truth", "cells denoised", "cells snapshots"]


def test_another_layer_that_is_named_like_the_input_is_not_taken_for_it(viewer, user, noisy):
    viewer.layers["cells"].data = np.where(noisy > 150, np.nan, noisy.astype(np.float32))
    user.run()
    viewer.layers["cells"].name = "named anew"
    viewer.add_image(255 - noisy, name="cells")
    viewer.layers.selection.active = viewer.layers["cells denoised"]
    user.press("Show input")
    assert visible(viewer) == ["truth", "named anew"]


def test_the_profile_shows_all_values_along_the_line_and_follows_it(viewer, widget, user, noisy):
    user.fill("Preset", "two")
    user.fill("Reference", "truth")
    user.run()
    user.press("Profile")
    result = widget.session.result
    [panel] = user.panels
    curves = {curve.label: curve for curve in panel.curves}
    assert list(curves) == ["input", "result", "reference", "expected error"]
    row = (noisy[15].astype(float) + noisy[16]) / 2
    np.testing.assert_allclose(curves["input"].y, row)
    np.testing.assert_allclose(curves["input"].x, 2.0 * np.arange(32))
    band = curves["expected error"]
    np.testing.assert_allclose(band.top - band.y, (result.expected_error[15] + result.expected_error[16]), rtol=1e-4)
    line = viewer.layers["line of the profile"]
    assert viewer.layers.selection.active == viewer.layers["cells"]
    line.data = [np.array([[2.0, 0.0], [2.0, 62.0]])]
    [panel] = user.panels
    np.testing.assert_allclose(panel.curves[0].y, noisy[4])
    viewer.dims.set_point(0, 3)
    user.press("Promote step 3")
    np.testing.assert_allclose(user.panels[0].curves[1].y, result.keep(3).image[4])
    line.data = [np.array([[-20.0, 0.0], [-20.0, 62.0]])]
    assert user.panels == []
    viewer.layers.remove(line)
    assert not user.button("Profile").isChecked()


def test_a_profile_stays_that_of_the_last_run_while_another_image_is_denoised(viewer, user, noisy):
    viewer.add_image(np.stack([noisy] * 2), name="stack")
    viewer.layers.selection.active = viewer.layers["stack"]
    user.run()
    user.press("Profile")
    before = user.panels[0].curves[0].y
    viewer.layers.selection.active = viewer.layers["cells"]
    user.press("Run")
    np.testing.assert_array_equal(user.panels[0].curves[0].y, before)
    user.wait_until_idle()
    assert len(user.panels) == 1


def test_the_plot_marks_the_step_on_screen_where_it_is_not_the_one_kept(viewer, user):
    user.run()
    mark = user.curves._shown
    assert not mark.isVisible()
    viewer.dims.set_point(0, 10)
    assert mark.isVisible()
    assert mark.value() == 1.0
    user.press("Promote step 10")
    assert not mark.isVisible()


class Mouse:
    """Drags over the image, as napari tells its viewers."""

    def __init__(self, viewer):
        self.viewer = viewer

    def drag(self, start, end):
        camera = self.viewer.scene.camera
        event = SimpleNamespace(type="mouse_press", position=start, modifiers=())
        held = [callback(self.viewer, event) for callback in self.viewer.mouse_drag_callbacks]
        is_held = [next(each, "let go") != "let go" for each in held]
        assert camera.mouse_pan != any(is_held)
        event.type, event.position = "mouse_move", end
        for each in held:
            next(each, None)
        event.type = "mouse_release"
        for each in held:
            next(each, None)
        assert camera.mouse_pan


def test_swipe_shows_the_input_up_to_a_line_that_is_dragged_and_vanishes_cleanly(viewer, widget, user, noisy):
    assert not user.button("Swipe").isEnabled()
    user.run()
    before = list(viewer.layers), visible(viewer), list(viewer.mouse_drag_callbacks)
    data = {layer.name: np.array(layer.data) for layer in viewer.layers}
    selected = viewer.layers.selection.active
    user.press("Swipe")
    left = viewer.layers[-1]
    assert left not in before[0]
    assert viewer.layers.selection.active == selected
    np.testing.assert_array_equal(left.data, noisy[:, :16])
    world = viewer.dims.ndim - 2
    at = lambda y, x: (*viewer.dims.point[:world], 0.5 * y, 2.0 * x)  # noqa: E731
    mouse = Mouse(viewer)
    viewer.scene.camera.zoom = 5
    mouse.drag(at(4, 15.5), at(9, 7.5))
    np.testing.assert_array_equal(left.data, noisy[:, :8])
    np.testing.assert_allclose(left.extent.world[:, -1], viewer.layers["cells"].extent.world[:, -1] - [0, 48])
    mouse.drag(at(4, 20), at(9, 25))
    np.testing.assert_array_equal(left.data, noisy[:, :8])
    mouse.drag(at(4, 7.5), at(9, 99))
    np.testing.assert_array_equal(left.data, noisy)
    mouse.drag(at(4, 31.5), at(9, -99))
    np.testing.assert_array_equal(left.data, noisy[:, :1])
    user.press("Swipe")
    assert (list(viewer.layers), visible(viewer), list(viewer.mouse_drag_callbacks)) == before
    for layer in viewer.layers:
        np.testing.assert_array_equal(layer.data, data[layer.name])


def test_an_image_whose_columns_run_to_the_left_can_be_moved_beside_the_line(viewer, user, noisy):
    for name in ("truth", "cells"):
        viewer.layers[name].scale = (0.5, -2.0)
    user.run()
    user.press("Swipe")
    left, world = viewer.layers[-1], viewer.dims.point[: viewer.dims.ndim - 2]
    viewer.scene.camera.zoom = 5
    mouse = Mouse(viewer)
    mouse.drag((*world, 2, -40), (*world, 4, -50))
    np.testing.assert_array_equal(left.data, noisy[:, :16])
    mouse.drag((*world, 2, -31), (*world, 4, -15))
    np.testing.assert_array_equal(left.data, noisy[:, :8])


def test_swipe_ends_with_its_layer_the_plane_and_the_next_run(viewer, widget, user, noisy):
    user.run()
    n = len(viewer.layers)
    user.press("Swipe")
    viewer.layers.remove(viewer.layers[-1])
    assert not user.button("Swipe").isChecked()
    user.press("Swipe")
    viewer.dims.order = (*viewer.dims.order[:-2], viewer.dims.order[-1], viewer.dims.order[-2])
    np.testing.assert_array_equal(viewer.layers[-1].data, noisy[:16])
    viewer.dims.ndisplay = 3
    assert not user.button("Swipe").isChecked()
    assert len(viewer.layers) == n
    user.press("Swipe")
    assert not user.button("Swipe").isChecked()
    assert "in 2-D first" in user.text
    viewer.dims.ndisplay = 2
    user.press("Swipe")
    user.press("Run")
    assert not user.button("Swipe").isChecked()
    assert len(viewer.layers) == n
    user.wait_until_idle()
