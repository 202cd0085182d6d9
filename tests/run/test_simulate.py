"""What is simulated is what the operator says, with the noise that was asked for."""

import re

import numpy as np
import pytest

from napari_convgen import simulate
from napari_convgen.config import Config
from napari_convgen.core.image import Image
from napari_convgen.errors import ConfigError, InputError, ShortMemoryError
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.setup import forecast


@pytest.fixture
def truth():
    y, x = np.mgrid[:48, :40]
    return Image(100 + 60 * np.sin(x / 5) * np.cos(y / 4), "YX", (0.2, 0.1), ("micron", "micron"), "cells")


def test_a_share_of_the_pixels_is_missing(truth):
    made = simulate(truth, problem="inpaint", missing=0.3, seed=4)
    measured, is_missing = made.measurement.data, made.is_missing.data
    assert is_missing.mean() == pytest.approx(0.3, abs=0.05)
    np.testing.assert_array_equal(np.isnan(measured), is_missing)
    np.testing.assert_array_equal(measured[~is_missing], truth.data.astype(np.float32)[~is_missing])
    assert measured.dtype == np.float32
    assert (made.measurement.scale, made.is_missing.scale, made.psf) == (truth.scale, truth.scale, None)
    assert np.array_equal(simulate(truth, problem="inpaint", missing=0.3, seed=4).measurement.data, measured, True)
    assert not np.array_equal(simulate(truth, problem="inpaint", missing=0.3, seed=5).is_missing.data, is_missing)
    given = simulate(truth, problem="inpaint", is_missing=255 * is_missing)
    assert np.array_equal(given.measurement.data, measured, True)


def test_a_truth_is_blurred_by_the_point_spread_function_that_comes_along(truth):
    made = simulate(truth, problem="deblur", numerical_aperture=1.0, refractive_index=1.33)
    assert made.psf.data.sum() == pytest.approx(1)
    assert made.psf.scale == truth.scale
    assert any("widefield microscope: numerical aperture 1, 520 nm" in note for note in made.notes)
    k, n = made.psf.data.shape[0] // 2, made.psf.data.shape[1] // 2
    expected = (truth.data[24 - k : 25 + k, 20 - n : 21 + n] * made.psf.data[::-1, ::-1]).sum()
    assert made.measurement.data[24, 20] == pytest.approx(expected, rel=1e-5)
    given = simulate(truth, problem="deblur", psf=made.psf)
    np.testing.assert_allclose(given.measurement.data, made.measurement.data, rtol=1e-5)
    flat = simulate(np.full((20, 20), 7.0), problem="deblur", sigma=1)
    np.testing.assert_allclose(flat.measurement.data, 7, rtol=1e-6)  # mirrored at its borders


def test_pixels_become_larger_in_each_channel(truth):
    channels = Image(np.stack([truth.data, truth.data + 5], 1), "YCX", (0.2, 1, 0.1), ("micron", "pixel", "micron"))
    made = simulate(channels, problem="enlarge", factor=4)
    means = channels.data.reshape(12, 4, 2, 10, 4).mean((1, 4))
    np.testing.assert_allclose(made.measurement.data, means, rtol=1e-5)
    assert made.measurement.scale == pytest.approx((0.8, 1, 0.4))
    assert made.pixel_ratio == 0.25


def test_photons_are_those_of_the_brightest_pixel_and_read_noise_is_in_image_units():
    made = simulate(np.full((60, 60), 3.0), problem="deblur", sigma=0.5, photons=50)
    noise = made.measurement.data.astype(float) - 3
    assert abs(noise.mean()) < 4 * 3 / np.sqrt(50 * 3600)
    assert noise.std() == pytest.approx(3 / np.sqrt(50), rel=0.05)
    read = simulate(np.full((60, 60), 3.0), problem="inpaint", noise=0.4).measurement.data
    assert np.nanstd(read) == pytest.approx(0.4, rel=0.08)


def test_a_volume_and_a_single_frame_are_simulated(truth):
    volume = np.stack([truth.data] * 4)
    made = simulate(volume, Config().replace({"z_axis": "volume"}), problem="enlarge", axes="ZYX")
    assert made.measurement.data.shape == (2, 24, 20)
    assert simulate(volume[:1], problem="inpaint", axes="TYX").measurement.data.shape == (1, 48, 40)


@pytest.mark.parametrize(("problem", "inputs"), [("inpaint", {}), ("deblur", {"sigma": 1.2}), ("enlarge", {})])
def test_what_was_simulated_can_be_reconstructed_and_scored(truth, problem, inputs):
    made = simulate(truth, problem=problem, noise=1.0, **inputs)
    task = ReconstructTask(made.measurement, made.config, problem=problem, reference=truth.data)
    assert task.posed.image_shape == truth.data.shape


@pytest.mark.parametrize(
    ("problem", "given", "error", "sentence"),
    [
        ("sharpen", {}, ConfigError, "The problems are inpaint, deblur, enlarge"),
        ("inpaint", {"missing": 1.0}, InputError, "must be above 0 and below 1, got 1"),
        ("inpaint", {"missing": 1e-9}, InputError, "marks no pixel"),
        ("inpaint", {"missing": "half"}, InputError, "missing must be a number above 0"),
        ("inpaint", {"missing": 0.5, "is_missing": np.eye(48, 40)}, InputError, "Leave one of them out"),
        ("inpaint", {"is_missing": np.eye(4)}, InputError, "must have the shape of the image"),
        ("deblur", {"missing": 0.5}, InputError, "for the problem 'inpaint'"),
        ("inpaint", {"sigma": 2}, ConfigError, "takes no sigma"),
        ("deblur", {"photons": 0}, InputError, "photons must be a number above 0 and up to 1e+12, got 0"),
        ("deblur", {"noise": float("nan")}, InputError, "noise must be a number above 0"),
        ("deblur", {"truth": np.eye(30) - 0.5, "photons": 9}, InputError, "got values from -0.5"),
        ("inpaint", {"truth": np.zeros((9, 9)), "photons": 9}, InputError, "not all of it dark"),
        ("deblur", {"truth": np.full((30, 30), np.nan)}, InputError, "infinite or not a number"),
        ("deblur", {"truth": np.zeros((30, 30), complex)}, InputError, "real numbers as values, got complex128"),
        ("enlarge", {"truth": np.zeros((2, 8, 8))}, InputError, "A simulation is that of a single image, got 2 frames"),
        ("enlarge", {"factor": 7}, InputError, "multiples of the factor 7: expected (42, 35), got (48, 40)"),
        ("enlarge", {"seed": -1}, ConfigError, "seed cannot be -1"),
    ],
)
def test_what_cannot_be_simulated_is_refused(truth, problem, given, error, sentence):
    given = {"truth": truth} | given
    with pytest.raises(error, match=re.escape(sentence)):
        simulate(given.pop("truth"), problem=problem, **given)


@pytest.mark.parametrize(
    ("problem", "name"), [("inpaint", "is_missing"), ("deblur", "psf"), ("sense", "is_sampled"), ("sense", "coil_maps")]
)
def test_what_comes_along_is_taken_as_it_is_by_the_reconstruction(truth, problem, name):
    made = simulate(truth, problem=problem)
    image, array = ({name: part} for part in (getattr(made, name), getattr(made, name).data))
    tasks = [ReconstructTask(made.measurement, made.config, problem=problem, **given) for given in (image, array)]
    assert len({task.config for task in tasks}) == 1


def test_the_plane_in_focus_comes_along_with_a_simulated_stack():
    phase = Image(np.random.default_rng(0).random((32, 32)), "YX", (0.2, 0.2), ("micrometer",) * 2)
    made = simulate(phase, problem="phase", depths=[0.0, 2.0, 4.0, 6.0])
    task = ReconstructTask(made.measurement, made.config, problem="phase")
    np.testing.assert_allclose(task.posed.imaging.depths, [0, 2, 4, 6], atol=1e-9)
    changes = {"operator.kind": "led-array", "operator.factor": 2}
    with pytest.raises(InputError, match=r"multiple of operator\.factor"):
        simulate(np.zeros((33, 32)), problem="phase", lights=np.zeros((3, 2)), changes=changes, pixel_size=0.2)


@pytest.mark.parametrize("knows_pixels", [True, False])
def test_images_under_lights_know_the_pixels_of_the_camera(knows_pixels):
    values = np.random.default_rng(0).random((32, 32))
    phase = Image(values, "YX", (0.2, 0.2), ("micrometer",) * 2) if knows_pixels else values
    waves, inputs = [[0, 0], [0.3, 0], [0, 0.3]], {} if knows_pixels else {"pixel_size": 0.2}
    made = simulate(phase, problem="phase", lights=waves, changes={"operator.kind": "led-array"}, factor=2, **inputs)
    assert made.measurement.axes == "TYX"
    assert made.measurement.scale == (1, 0.4, 0.4)
    assert made.pixel_ratio == 0.5
    task = ReconstructTask(made.measurement, made.config, problem="phase", lights=waves, n_zernikes=0)
    np.testing.assert_allclose(task.posed.imaging.spacing, (0.2, 0.2))


def test_uneven_planes_know_their_pixels_too():
    phase = Image(np.random.default_rng(0).random((32, 32)), "YX", (0.2, 0.2), ("micrometer",) * 2)
    made = simulate(phase, problem="phase", depths=[0.0, 2.0, 3.0])
    assert made.measurement.axes == "TYX"
    ReconstructTask(made.measurement, made.config, problem="phase", depths=[0.0, 2.0, 3.0], n_zernikes=0)


def test_a_truth_too_large_for_the_memory_is_refused_before_it_is_copied():
    volume = Image(np.broadcast_to(np.float32(1), (4000,) * 3), "ZYX")
    with pytest.raises(
        ShortMemoryError, match=r"The simulation needs about 6\.5 TiB of memory, .* on cpu\. Crop the image\."
    ):
        simulate(volume, problem="inpaint", changes={"z_axis": "volume"})


@pytest.mark.parametrize(
    ("problem", "given", "sentence"),
    [
        ("sense", {"n_coils": 128}, "Crop it, or use fewer coils"),
        ("phase", {"n_planes": 100, "z_step": 1.0, "numerical_aperture": 0.5}, "Crop it, or use fewer images"),
    ],
)
def test_a_measurement_that_is_too_large_for_the_memory_is_refused(truth, monkeypatch, problem, given, sentence):
    monkeypatch.setattr(forecast, "free_bytes", lambda device: 10 * truth.data.nbytes * 14)
    with pytest.raises(ShortMemoryError, match=f"The simulation needs about .* {sentence}"):
        simulate(truth, problem=problem, **given)
