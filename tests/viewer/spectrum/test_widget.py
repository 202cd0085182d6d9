import numpy as np
import pyqtgraph as pg
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_convgen.config import PRESETS
from napari_convgen.core.image import Image
from napari_convgen.run.spectrum.run import spectrum
from napari_convgen.viewer.plots.tabs import PlotTabs
from napari_convgen.viewer.spectrum.request import SpectrumSettings
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget

SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


pytestmark = pytest.mark.usefixtures("few_products")


@pytest.fixture
def quick(workers_end, hands, small, monkeypatch):
    """Fill the form of a widget so that a run is quick, and end what it is doing after the test."""
    made = []
    monkeypatch.setitem(PRESETS, "tiny", small)

    def fill(widget):
        made.append(widget)
        user = hands(widget)
        user.fill("Preset", "tiny")
        user.fill("Device", "cpu")
        user.fill("Vectors", 4)
        user.fill("Passes", 1)
        return user

    yield fill
    for widget in made:
        widget.session.cancel()
        widget.fitting.cancel()


@pytest.fixture
def widget(viewer, quick, qtbot):
    widget = WhyItWorksWidget(viewer)
    qtbot.addWidget(widget)
    return widget


@pytest.fixture
def user(widget, quick):
    """A user who has chosen settings that are quick."""
    return quick(widget)


@pytest.fixture
def docked(make_napari_viewer, quick, noisy):
    """The widget as the Plugins menu opens it, with napari's style."""
    viewer = make_napari_viewer()
    viewer.add_image(noisy, name="cells")
    return viewer.window.add_plugin_dock_widget("napari-convgen", "Why it works")[1]


def open_tab(user, name):
    user.widget.findChild(PlotTabs).show_page(name)


def test_run_fills_viewer_text_and_plots(viewer, user):
    assert not user.children(PlotTabs)
    user.run()
    assert len(viewer.layers) == 5
    assert "times as far as noise" in user.text
    assert "Parameters: convolutions, norms, output" in user.label("times as far as noise").toolTip()
    assert "Vector 4" in user.text
    [tabs] = user.children(PlotTabs)
    assert {name: len(user.tab(name)) for name in tabs.views} == {
        "Values": 1,
        "Energy": 2,
        "Descent": 2,
        "Fit": 0,
        "Change": 0,
    }
    open_tab(user, "Change")
    assert "Look at two steps or more" in user.text


def test_form_says_what_is_asked_for(viewer, widget, user):
    user.fill("At steps", " 0, 10")
    user.check("Norms", False)
    user.check("Side by side", False)
    user.fill("Channels", 5)
    user.run()
    assert widget.session.request.settings == SpectrumSettings(4, 1, (0, 10), ("convolutions", "output"), False)
    assert widget.session.request.config == PRESETS["tiny"].replace({"generator.n_channels": 5})
    assert not viewer.canvas.grid.enabled


def test_a_preset_leaves_the_seed_as_it_is(user):
    user.fill("Seed", 4)
    user.fill("Preset", "paper")
    assert user.value("Seed") == 4
    assert user.value("Device") == "cpu"
    assert user.value("Channels") == PRESETS["paper"].generator.n_channels


@pytest.mark.parametrize(("text", "part"), [("0, soon", "whole numbers"), ("1,2,3,4,5,6", "At most 5")])
def test_bad_steps_are_one_notification(user, notes, text, part):
    user.fill("At steps", text)
    user.press("Run")
    assert [part in note.message for note in notes] == [True]
    assert user.button("Run").isEnabled()


def test_no_parameters_are_one_notification_and_the_last_result_stays(viewer, user, notes):
    user.run()
    before = user.text
    for text in ("Convolutions", "Norms", "Output"):
        user.check(text, False)
    user.run()
    assert ["at least one" in note.message for note in notes] == [True]
    assert before.splitlines()[-1] in user.text
    assert len(viewer.layers) == 5


def test_the_text_says_what_the_slider_shows(viewer, widget, user):
    user.run()
    viewer.dims.set_point(widget.session.layers.axis, 2)
    assert "Vector 2" in user.text
    for name in ("vectors", "projection", "remainder"):
        viewer.layers.remove(f"{name}, cells")
    viewer.dims.set_point(0, 1)
    assert "Vector 1" not in user.text
    assert "Vector 2" not in user.text


def test_another_step_is_shown_in_layers_text_and_plots(viewer, widget, user):
    user.fill("At steps", "0, 10")
    user.run()
    assert [curve.label for curve in user.tab("Change")[0].curves] == ["step 10"]
    user.fill("Layers show", "step 10")
    assert "Step 10. " in user.text
    assert user.tab("Descent") == []
    assert "predicted from step 0 alone" in user.text
    np.testing.assert_array_equal(viewer.layers["projection, cells"].data[2], widget.session.result.projection(2, 1))


def test_a_fit_is_offered_and_compared(viewer, widget, user):
    user.run()
    open_tab(user, "Fit")
    assert user.choices("Fit of layer") == ["none"]
    assert "press Fit" in user.text
    user.press("Fit")
    assert user.enabled("Stop fit", "Run", "Forecast") == ["Stop fit"]
    user.wait_until_idle()
    assert user.choices("Fit of layer") == ["none", "cells denoised"]
    assert user.value("Fit of layer") == "cells denoised"
    np.testing.assert_array_equal(user.tab("Fit")[0].curves[0].y, widget.fitting.result.frames[0].loss)
    assert "The fit" in user.text
    viewer.layers["cells denoised"].name = "kept"
    assert user.value("Fit of layer") == "kept"
    viewer.layers.remove("kept")
    assert user.value("Fit of layer") == "none"
    assert user.tab("Fit") == []


def test_a_layer_that_was_denoised_before_is_chosen(viewer, user, qtbot, small):
    from napari_convgen.viewer.denoise.request import DenoiseRequest
    from napari_convgen.viewer.denoise.session import DenoiseSession
    from napari_convgen.viewer.layers.door import read_layer

    session = DenoiseSession(viewer)
    session.run(DenoiseRequest(read_layer(viewer.layers["cells"]), small))
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    user.run()
    assert user.value("Fit of layer") == "cells denoised"
    assert len(user.tab("Fit")) == 1


def test_of_a_stack_the_shown_frame_is_looked_at(viewer, widget, user, noisy):
    viewer.add_image(np.stack([noisy, noisy[::-1], noisy.T]), name="stack")
    viewer.dims.set_point(0, 1)
    assert "the shown frame only (2 of 3)" in user.text
    assert user.editor("Z axis is").isVisibleTo(widget)  # not folded away
    user.run()
    np.testing.assert_array_equal(widget.session.result.image.frame, noisy[::-1])
    viewer.layers.selection.active = viewer.layers["stack"]
    user.fill("Axes", "CYX")
    assert "the shown frame only" not in user.text


@pytest.mark.parametrize("layer", [None, "labels"])
def test_without_an_image_a_run_is_one_notification(viewer, user, notes, layer):
    viewer.layers.clear()
    if layer is not None:
        viewer.add_labels(np.zeros((8, 8), int))
    assert "Select an image layer" in user.text
    user.press("Run")
    assert len(notes) == 1
    assert "Traceback" not in notes[0].message


def test_the_plots_of_the_open_tab_are_saved(user, tmp_path, monkeypatch):
    user.run()
    open_tab(user, "Energy")
    for name, chosen, made in (("a", "CSV table (*.csv)", "a.csv"), ("b.svg", "", "b.svg")):
        answer = str(tmp_path / name), chosen
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, answer=answer: answer)
        user.press("Save …")
        text = (tmp_path / made).read_text()
        assert "Energy in the first vectors" in text
        assert "Singular values" not in text


def test_plots_have_the_colors_of_the_theme(viewer, widget):
    colors = {}
    for theme in ("light", "dark"):
        viewer.theme = theme
        plot = widget.findChild(pg.PlotWidget)
        colors[theme] = plot.getAxis("left").textPen().color().name()
    assert colors["light"] != colors["dark"]


def test_in_a_narrow_dock_a_run_fits_and_goes_on_while_the_widget_is_closed(docked, quick, noisy):
    widget, viewer, user = docked, docked.viewer, quick(docked)
    assert user.width <= 300 - SCROLL_BAR
    user.fill("At steps", "0, 10")
    user.run()
    assert user.width <= 300 - SCROLL_BAR
    viewer.layers.selection.active = viewer.layers["cells"]
    user.fill("At steps", "0, 1000000")
    user.press("Run")
    user.wait_for(lambda: "fit …" in user.text)
    assert "of memory" in user.text
    viewer.window.remove_dock_widget(widget)
    assert widget.session.is_busy
    widget.session.stop()
    user.wait_for(lambda: not widget.session.is_busy)
    assert [each.step for each in widget.session.result.spectra] == [0]
    viewer.add_image(noisy, name="new")
    viewer.dims.set_point(0, 1)
    viewer.theme = "light"


def test_a_jacobian_is_taken_through_a_measurement(viewer, widget, user):
    user.fill("Problem", "Deblur")
    assert user.editor("Width of the blur").isVisibleTo(widget)
    user.run()
    assert widget.session.result.config.operator.kind == "blur"
    assert viewer.layers["vectors, cells"].data.shape[-2:] == viewer.layers["cells"].data.shape
    widget.fit()
    assert "Only a fit to the image itself is compared" in user.text


def test_a_jacobian_is_taken_through_a_scan_and_shown_as_images_of_it(viewer, widget, user, scan_layer):
    size = (20, 18)
    made = scan_layer(viewer, size)
    user.fill("Problem", "MRI scan")
    assert [label for label in ("K-space", "Images are") if user.editor(label).isVisibleTo(widget)] == ["K-space"]
    user.run()
    result = widget.session.result
    expected = spectrum(
        Image(made.kspace, "CYX"), result.config, problem="sense", is_sampled=made.is_sampled, rank=4, n_passes=1
    )
    np.testing.assert_allclose(result.spectra[0].singular_values, expected.spectra[0].singular_values, rtol=1e-4)
    names = [layer.name for layer in viewer.layers if "knee" in layer.name]
    assert names == ["knee k-space", "vectors, knee", "projection, knee"]
    vectors, projection = viewer.layers["vectors, knee"].data, viewer.layers["projection, knee"].data
    assert vectors.shape == projection.shape == (5, 1, *size)  # beside the axis of the coils
    np.testing.assert_array_equal(vectors[2, 0], result.vector(1)[0])
    np.testing.assert_array_equal(projection[4, 0], np.abs(result.projection(4)))
    viewer.dims.set_point(0, 2)
    assert "Vector 2" in user.text
    assert user.text.count("points of k-space were sampled") == 1


def test_a_jacobian_is_taken_through_a_stack_of_a_phase(viewer, widget, user, phase_stack):
    phase_stack(viewer)
    user.fill("Problem", "Phase microscopy")
    assert "3 images of 18 × 17, all taken" in user.text
    user.fill("Aberrations", 0)
    user.fill("Starts", 1)
    user.run()
    assert widget.session.result.spectra[0].left_vectors.shape == (4, 1, 3, 18, 17)
    shown = viewer.layers["projection, stack"]
    assert shown.data.shape == (5, 1, 18, 17)
    np.testing.assert_allclose(shown.scale[1:], (6, 0.2, 0.2))  # one pixel as long as the stack
    user.fill("Problem", "none")
    assert "the shown frame only" in user.text
