import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtWidgets import QLineEdit, QPushButton

from napari_convgen.config import PRESETS, presets_for
from napari_convgen.core.image import Image
from napari_convgen.core.operators.microscopes import led_array
from napari_convgen.core.optics.objective import Objective
from napari_convgen.run.reconstruct.problems import PROBLEMS as SOLVED
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.simulate import simulate
from napari_convgen.viewer.layers.door import METADATA_KEY
from napari_convgen.viewer.plots.curves import CurvePlot
from napari_convgen.viewer.plots.panels import PanelView
from napari_convgen.viewer.reconstruct.problems import PROBLEMS
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget

INPUTS = (
    "K-space",
    "K-space file",
    "Calibration lines",
    "Missing pixels",
    "Point spread",
    "Width of the blur",
    "Enlargement",
    "Measured pixels are",
)
SCROLL_BAR = 16
"""Width in pixels that it takes of a dock."""


@pytest.fixture(autouse=True)
def _presets(small, endless, monkeypatch):
    """Presets that are quick, and one that runs until it is ended."""
    monkeypatch.setitem(PRESETS, "tiny", small.replace({"n_steps": 6}))
    monkeypatch.setitem(PRESETS, "endless", endless)


@pytest.fixture
def viewer(noisy):
    viewer = ViewerModel()
    viewer.add_image(noisy, name="cells", scale=(0.1, 0.1), units=("um", "um"))
    return viewer


@pytest.fixture
def widget(viewer, workers_end, qtbot):
    widget = ReconstructWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.session.cancel()


def sees(user, *labels):
    """Return those of the editors that are shown."""
    return [label for label in labels if user.editor(label).isVisibleTo(user.widget)]


def test_only_the_inputs_of_the_problem_are_shown(user):
    assert sees(user, *INPUTS) == ["Missing pixels"]
    assert "guided-network" in user.choices("Preset")
    user.fill("Problem", "Deblur")
    assert sees(user, *INPUTS) == ["Point spread", "Width of the blur"]
    assert "quick" in user.choices("Preset")
    assert "guided-network" not in user.choices("Preset")
    assert user.box("Wiener filter").isVisibleTo(user.widget)
    user.fill("Problem", "Enlarge")
    assert sees(user, *INPUTS) == ["Enlargement", "Measured pixels are"]
    assert user.box("Plain enlargement").isVisibleTo(user.widget)
    assert user.value("Preset") == "tiny"


def test_no_plot_is_shown_before_a_fit_of_several_steps(widget):
    assert widget.findChild(CurvePlot).isHidden()


def test_a_phase_is_found_from_a_stack_and_its_aberrations_are_plotted(viewer, widget, user):
    y, x = np.mgrid[:24, :22]
    truth = Image(0.8 * np.exp(-((y - 11) ** 2 + (x - 9) ** 2) / 18), "YX", (0.2, 0.2), ("um", "um"))
    made = simulate(truth, problem="phase", n_planes=3, z_step=2.0, photons=500)
    viewer.add_image(np.asarray(made.measurement.data), name="stack", scale=(2, 0.2, 0.2), units=("um",) * 3)
    assert "the shown frame only (1 of 3)" in user.text
    user.fill("Problem", "Phase microscopy")
    assert "3 images of 24 × 22, all taken" in user.text
    user.fill("Preset", "tiny")
    assert sees(user, *INPUTS, "Numerical aperture", "Z step (µm)", "Plane in focus", "Aberrations") == [
        "Numerical aperture",
        "Z step (µm)",
        "Plane in focus",
        "Aberrations",
    ]
    user.fill("Aberrations", 2)
    user.fill("Starts", 1)
    user.check("Residual")
    user.check("Transport of intensity")
    user.run()
    assert "stack phase (rad)" in viewer.layers, user.text
    transport = viewer.layers["stack transport of intensity"]
    np.testing.assert_allclose(transport.scale, (0.2, 0.2))
    assert np.corrcoef(transport.data.ravel(), truth.data.ravel())[0, 1] > 0.8
    layer = viewer.layers["stack phase (rad)"]
    assert layer.data.shape == (24, 22)
    np.testing.assert_allclose(layer.scale, (0.2, 0.2))
    np.testing.assert_allclose(layer.contrast_limits, (layer.data.min(), layer.data.max()), rtol=1e-5)
    assert "The aberrations that were found are" in user.text
    shown = [view.panel.title for view in widget.findChildren(PanelView) if view.isVisibleTo(widget)]
    assert shown[0] == "Aberrations"
    assert shown[1].startswith("Phase of the pupil (radians, up to ±")
    assert_residual_of_each_image(viewer, widget, "stack", "plane")


def test_a_phase_is_found_under_an_array_of_lights(viewer, user, tmp_path):
    waves = 0.4 * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1]])
    imaging = led_array(Objective(0.5, 0.52, 1.0), (0.2, 0.2), waves, (20, 18), 0, 2)
    y, x = np.mgrid[: imaging.size[0], : imaging.size[1]]
    phase = 0.8 * np.exp(-((y - imaging.size[0] / 2) ** 2 + (x - imaging.size[1] / 2) ** 2) / 40)
    images = imaging.joint(torch.from_numpy(phase)[None], torch.zeros(1, dtype=torch.float64))[0].numpy()
    noisy = np.random.default_rng(0).poisson(500 * images)
    viewer.add_image(noisy, name="lights", scale=(1, 0.4, 0.4), units=("pixel", "um", "um"))
    user.fill("Problem", "Phase microscopy")
    user.fill("Images are", "one for each light")
    named = ("Z step (µm)", "Plane in focus", "Light directions", "Enlargement", "Aberrations")
    assert sees(user, *named) == ["Light directions", "Enlargement", "Aberrations"]
    user.fill("Preset", "tiny")
    user.fill("Aberrations", 0)
    user.fill("Starts", 1)
    user.fill("Enlargement", 2)
    user.check("Residual")
    user.press("Run")
    assert "The directions of the lights are missing" in user.text
    path = tmp_path / "lights.csv"
    path.write_text("0, 0, 0\n")
    user.editor("Light directions").findChild(QLineEdit).setText(str(path))
    assert "Write two numbers in each row" in user.text
    assert "The directions of the lights are missing" not in user.text
    np.savetxt(path, waves[:-1], delimiter=",")
    user.run()
    assert "expected (7, 2), got (6, 2)" in user.text
    np.savetxt(path, waves, delimiter=",")
    user.check("Transport of intensity")
    user.run()
    assert "This measurement has no classical image to compare with" in user.text
    user.check("Transport of intensity", False)
    user.run()
    assert "lights phase (rad)" in viewer.layers, user.text
    layer = viewer.layers["lights phase (rad)"]
    assert layer.data.shape == (40, 36)
    np.testing.assert_allclose(layer.scale, (0.2, 0.2))
    np.testing.assert_allclose(layer.translate, (-0.1, -0.1))
    assert_residual_of_each_image(viewer, user.widget, "lights", "light")


def assert_residual_of_each_image(viewer, widget, name, counted):
    """The residual lies where the stack lies, image by image, in its units, and is its prediction minus the stack."""
    stack, residual = viewer.layers[name], viewer.layers[f"{name} residual"]
    np.testing.assert_array_equal(residual.data, widget.session.result.residual[0])
    assert residual.data.dtype == np.float32
    assert residual.data.shape == stack.data.shape
    assert residual.axis_labels == (counted, "y", "x")
    assert residual.units == stack.units
    np.testing.assert_allclose(residual.scale, stack.scale)
    np.testing.assert_allclose(residual.contrast_limits[0], -residual.contrast_limits[1])
    assert not residual.visible
    assert 0 < np.std(residual.data) < np.std(stack.data)


def test_an_image_alone_shows_no_phase(user):
    user.fill("Problem", "Phase microscopy")
    user.press("Run")
    assert "needs a layer with a stack of images" in user.text


@pytest.mark.parametrize("name", ["inpaint", "deblur", "enlarge"])
def test_the_form_says_what_the_verb_does(name, widget, user, noisy):
    user.fill("Problem", PROBLEMS[name].title)
    user.fill("Preset", "deep-decoder")
    image = np.where(noisy == noisy.max(), np.nan, noisy)
    by_form, by_name = (ReconstructTask(image, each, problem=name) for each in (widget.config(), "deep-decoder"))
    assert by_form.config == by_name.config


def test_the_number_of_steps_is_in_sight_where_a_network_is_fitted(user):
    for preset, is_in_sight in (("quick", False), ("default", True), ("deep-decoder", True)):
        user.fill("Preset", preset)
        assert user.editor("Steps at most").isVisibleTo(user.widget) == is_in_sight


def test_problems_begin_with_the_preset_of_the_verb():
    assert {name: each.preset for name, each in PROBLEMS.items()} == {
        name: each.preset
        for name, each in SOLVED.items()
        if name != "sensing"  # a row of numbers is no layer
    }


def test_a_mask_that_is_drawn_is_taken_while_its_layer_is_active(viewer, widget, user):
    assert user.value("Missing pixels") == "NaN of the image"
    viewer.add_shapes(
        [np.array([[1, 1], [1, 2], [2, 2], [2, 1]])], shape_type="polygon", name="scratch", units=("um",) * 2
    )
    assert user.value("Missing pixels") == "scratch"
    viewer.layers["scratch"].name = "bad pixels"
    assert user.value("Missing pixels") == "bad pixels"
    assert viewer.layers.selection.active is viewer.layers["bad pixels"]
    user.check("Residual")
    user.run()
    assert "cells · 32 × 32" in user.text
    is_missing = np.isnan(viewer.layers["cells residual"].data)
    assert is_missing[11:20, 11:20].all()
    assert is_missing.sum() < 130
    viewer.layers.remove("bad pixels")
    assert user.value("Missing pixels") == "NaN of the image"


def test_the_line_of_a_profile_is_no_mask(viewer, user):
    viewer.add_shapes([np.eye(2)], shape_type="line", name="line of the profile")
    viewer.layers.selection.active = viewer.layers["cells"]
    assert user.value("Missing pixels") == "NaN of the image"
    assert "line of the profile" in user.choices("Missing pixels")


def test_nan_of_the_image_is_filled_in(viewer, user, noisy):
    values = noisy.astype(np.float32)
    values[3:5, 4:9] = np.nan
    viewer.add_image(values, name="holes")
    user.run()
    assert np.isfinite(viewer.layers["holes filled in"].data).all()
    assert "agrees with the measurement" in user.text


@pytest.mark.parametrize(
    ("give", "sentence"),
    [
        (lambda viewer: None, "nothing to fill in"),
        (lambda viewer: viewer.add_labels(np.zeros((5, 5), int)), "marks no pixel"),
        (lambda viewer: viewer.add_labels(np.ones((999, 999), int)), "marks every pixel"),
        (lambda viewer: viewer.add_shapes([np.eye(2)], shape_type="line"), "have no area"),
    ],
)
def test_what_cannot_be_filled_in_is_one_notification(viewer, user, notes, give, sentence):
    give(viewer)
    layers = list(viewer.layers)
    user.run()
    assert [sentence in str(note.message) for note in notes] == [True]
    assert list(viewer.layers) == layers


def test_the_width_of_a_blur_is_said_in_the_units_of_the_layer(viewer, user, noisy):
    user.fill("Problem", "Deblur")
    assert "Standard deviation 0.15 µm, full width at half maximum 0.353 µm" in user.text
    user.fill("Width of the blur", "2")
    assert "Standard deviation 0.2 µm" in user.text
    viewer.add_image(noisy, name="plain")
    assert "Full width at half maximum: 4.71 pixels" in user.text
    user.fill("Problem", "Enlarge")
    assert "Full width" not in user.text


def test_a_psf_is_computed_from_the_microscope_and_the_pixels_of_the_layer(viewer, widget, user, noisy):
    user.fill("Problem", "Deblur")
    user.fill("Point spread", "Widefield")
    assert sees(user, *INPUTS, "Numerical aperture", "Pinhole (Airy units)") == ["Point spread", "Numerical aperture"]
    assert "Pixels of the layer: 0.1 µm" in user.text
    user.fill("Numerical aperture", "1.2")
    user.run()
    assert "numerical aperture 1.2, 520 nm" in user.text
    assert "pixels of 0.1 × 0.1 micrometers" in user.text
    user.fill("Point spread", "Confocal")
    assert sees(user, "Pinhole (Airy units)")
    viewer.add_image(noisy, name="plain")
    assert "no unit of length: give the size of its pixels" in user.text


def test_a_layer_of_a_point_is_a_point_spread_function(viewer, widget, user, notes):
    psf = np.zeros((5, 5))
    psf[2, 1:4] = psf[1:4, 2] = 1
    beads = viewer.add_image(psf, name="bead", scale=(100, 100), units=("nm", "nm"))
    viewer.layers.selection.active = viewer.layers["cells"]
    user.fill("Problem", "Deblur")
    user.fill("Point spread", "bead")
    assert sees(user, *INPUTS) == ["Point spread"]
    user.run()
    np.testing.assert_array_equal(widget.session.result.residual.shape, (1, 32, 32))
    assert "cells deblurred" in viewer.layers
    beads.scale = (150, 100)
    user.run()
    user.wait_until_idle()
    assert "along Y: expected 0.1 micrometers, got 0.15" in str(notes[-1].message)


def test_of_a_stack_the_shown_frame_is_taken_and_said(viewer, widget, user, noisy):
    viewer.add_image(np.stack([noisy, 255 - noisy, noisy // 2]), name="stack")
    assert "the shown frame only (1 of 3)" in user.text
    assert user.editor("Z axis is").isVisibleTo(widget)  # not folded away
    user.fill("Problem", "Phase microscopy")
    assert not user.editor("Z axis is").isVisibleTo(widget)
    user.fill("Problem", "Enlarge")
    assert user.editor("Z axis is").isVisibleTo(widget)
    viewer.dims.set_point(0, 2)
    assert "the shown frame only (3 of 3)" in user.text
    user.run()
    np.testing.assert_array_equal(widget.session.result.input, noisy[None] // 2)
    assert viewer.layers["stack enlarged"].translate[0] == 2


def test_the_usual_preset_reconstructs_through_an_operator(viewer, widget, user):
    user.fill("Problem", "Enlarge")
    user.check("Generator's image")
    user.fill("Preset", "quick")
    for box in (user.box("Snapshots"), user.box("Generator's image")):
        assert not box.isEnabled()
        assert "No network is fitted" in box.toolTip()
    user.run()
    assert viewer.layers["cells enlarged"].data.shape == (64, 64)
    assert "No network was fitted" in user.text
    assert user.curves.isHidden()
    assert "cells snapshots" not in viewer.layers
    assert "cells generator" not in viewer.layers
    user.fill("Preset", "tiny")
    user.run()
    assert not user.curves.isHidden()
    assert "cells snapshots" in viewer.layers


def test_a_preset_takes_more_steps_of_a_scan(user):
    user.fill("Preset", "deep-decoder")
    usual = user.widget.config().n_steps
    user.fill("Problem", "MRI scan")
    assert user.value("Preset") == "deep-decoder"
    assert user.widget.config().n_steps == presets_for("sense")["deep-decoder"].n_steps > usual
    user.fill("Problem", "Enlarge")
    assert user.widget.config().n_steps == usual


def test_presets_show_the_network_that_is_fitted_to_a_measurement(viewer, user, make_widget, hands, preferences):
    user.fill("Problem", "Enlarge")
    user.fill("Preset", "default")
    assert user.widget.config().generator.kind == "guided-network"
    user.press("Run")
    user.press("Cancel")
    kept = preferences().reconstruct
    assert (kept.preset, kept.changes) == ("default", "operator.kind=downsampling")
    again = hands(make_widget(ReconstructWidget))
    assert (again.value("Preset"), again.widget.config()) == ("default", user.widget.config())
    report = {"config": again.widget.config().model_dump(), "problem": "enlarge"}
    viewer.layers["cells"].metadata[METADATA_KEY] = report
    user.fill("Preset", "tiny")
    [menu] = [each.menu() for each in user.widget.findChildren(QPushButton) if each.text() == "Load settings"]
    next(action for action in menu.actions() if action.text() == "Load settings from this layer").trigger()
    assert (user.value("Preset"), user.widget.config()) == ("default", again.widget.config())


def test_numbers_out_of_range_are_one_notification(widget, user, notes):
    user.fill("Problem", "Deblur")
    user.fill("Width of the blur", "wide")
    user.press("Run")
    assert ["operator.sigma cannot be 'wide'" in str(note.message) for note in notes] == [True]
    assert not widget.session.is_busy


def test_progress_curves_and_result_are_shown(viewer, user):
    user.fill("Problem", "Deblur")
    user.fill("Preset", "endless")
    user.press("Run")
    user.wait_for(lambda: user.curves.n_steps > 3)
    assert "left" in user.progress
    assert "of at most 1000000" in user.text
    user.press("Stop and keep")
    user.wait_until_idle()
    assert "The image agrees with the measurement" in user.text
    before = user.text
    user.press("Run")
    user.wait_for(lambda: "of at most" in user.text)
    user.press("Cancel")
    assert user.text == before


def test_each_control_has_a_tooltip_and_the_widget_fits_a_narrow_dock(open_widget):
    widget, user = open_widget("Reconstruct")
    for title in ("MRI scan", "Fill in missing pixels", "Deblur", "Enlarge"):
        user.fill("Problem", title)
        assert user.width <= 300 - SCROLL_BAR
    for label in (*INPUTS, "Problem", "Preset"):
        assert user.editor(label).toolTip()
    user.run()
    assert [layer.name for layer in widget.viewer.layers] == ["truth", "cells", "cells enlarged", "cells snapshots"]
