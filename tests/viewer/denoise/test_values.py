"""What the values of an image are stands at the top of the widget, follows the file, and decides the kind of the noise."""

import json

import numpy as np
import pytest
from napari.layers._source import layer_source

from napari_convgen.config import PRESETS
from napari_convgen.viewer.denoise.widget import DenoiseWidget


@pytest.fixture
def widget(make_widget, small, monkeypatch):
    monkeypatch.setitem(PRESETS, "other", small.replace({"n_steps": 20}))
    return make_widget(DenoiseWidget)


@pytest.fixture
def viewer(widget):
    return widget.viewer


@pytest.fixture
def scan(viewer, noisy, tmp_path):
    """Open a NIfTI file with a description beside it."""

    def opened(name, **said):
        (tmp_path / f"{name}.json").write_text(json.dumps(said))
        with layer_source(path=str(tmp_path / f"{name}.nii.gz")):
            return viewer.add_image(noisy.astype(np.float32), name=name)

    return opened


def shown(user):
    return user.value("Values are"), user.value("Noise")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["ORIGINAL", "M"], ("magnitude (MRI)", "rician")),
        (["ORIGINAL", "PHASE"], ("real or phase (MRI)", "gaussian")),
        (["ORIGINAL", "IMAGINARY"], ("real or phase (MRI)", "gaussian")),
        (["ORIGINAL", "MIXED"], ("intensities", "auto")),
    ],
)
def test_the_file_of_a_layer_says_what_its_values_are(viewer, user, scan, words, values):
    assert shown(user) == ("intensities", "auto")
    scan("scan", Modality="MR", ImageType=words)
    assert shown(user) == values
    user.fill("Preset", "other")
    assert shown(user) == values
    viewer.layers.selection.active = viewer.layers["cells"]
    assert shown(user) == ("intensities", "auto")


def test_what_a_user_chooses_stays_and_sets_the_noise(viewer, widget, user, scan):
    user.fill("Values are", "magnitude (MRI)")
    assert shown(user) == ("magnitude (MRI)", "rician")
    viewer.layers.selection.active = viewer.layers["truth"]
    assert shown(user) == ("magnitude (MRI)", "rician")
    user.run()
    assert widget.session.result.config.noise.kind == "rician"
    user.fill("Noise", "poisson-gaussian")
    assert shown(user) == ("intensities", "poisson-gaussian")
    user.fill("Values are", "real or phase (MRI)")
    assert shown(user) == ("real or phase (MRI)", "gaussian")


def test_what_a_file_says_is_not_kept_for_other_images(widget, user, scan, preferences):
    user.fill("Preset", "deep-decoder")
    scan("scan", Modality="MR", ImageType=["M"])
    user.press("Run")
    user.press("Cancel")
    assert "noise.kind" not in preferences().denoise.changes
    user.fill("Values are", "real or phase (MRI)")
    user.press("Run")
    user.press("Cancel")
    assert "noise.kind=gaussian" in preferences().denoise.changes


def test_a_complex_pair_is_fitted_as_two_channels_together(viewer, widget, user, noisy):
    user.fill("Values are", "complex pair (MRI)")
    user.press("Run")
    assert "an axis C of length 2. The axes of this image are YX" in user.text
    assert not widget.session.is_busy
    user.fill("Values are", "intensities")
    viewer.add_image(np.stack([noisy, noisy[::-1]]).astype(np.float32) - 100, name="pair")
    user.fill("Values are", "complex pair (MRI)")
    assert user.value("Axes") == "CYX"
    user.run()
    result = widget.session.result
    assert (len(result.frames), result.config.noise.kind) == (1, "gaussian")
    assert result.image.shape == (2, 32, 32)
    user.fill("Preset", "other")
    assert widget.config().channels == "joint"
    user.fill("Values are", "magnitude (MRI)")
    assert widget.config().channels == "auto"


def test_magnitudes_that_are_found_in_the_image_are_shown(viewer, user):
    y, x = np.mgrid[:128, :128]
    clean = 150.0 * (np.hypot(y - 64, x - 64) < 40) + 80 * (np.hypot(y - 50, x - 64) < 20)
    parts = np.random.default_rng(0).normal(0, 12, (2, *clean.shape))
    viewer.add_image(np.hypot(clean + parts[0], parts[1]).astype(np.float32), name="head")
    user.press("Forecast")
    user.wait_until_idle()
    assert "Rician" in user.text
    assert shown(user) == ("magnitude (MRI)", "auto")
