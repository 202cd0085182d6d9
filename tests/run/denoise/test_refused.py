"""What cannot be denoised is refused before anything starts, with the way out."""

import numpy as np
import pytest
import torch

from napari_convgen.config import Config
from napari_convgen.errors import ConfigError, DeviceError, FileError, InputError
from napari_convgen.run.denoise.run import DenoiseTask, denoise

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})


def blob(shape=(20, 23)):
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.exp(-4 * sum(x**2 for x in axes))


@pytest.mark.parametrize(
    ("reference", "data_range", "message"),
    [
        (np.zeros((20, 24)), None, r"must have the shape of the image: expected \(20, 23\), got \(20, 24\)\. Crop or"),
        (np.zeros((20, 23), complex), None, "must have real numbers as values, got complex128"),
        (np.ones((20, 23)), None, r"range of the scores must be positive, got 0\.0: give data_range, or a reference"),
        (np.full((20, 23), np.inf), None, "must be positive"),
        (blob(), 0, "must be positive, got 0"),
        (blob(), np.nan, "must be positive, got nan"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar subtract:RuntimeWarning")
def test_a_reference_that_does_not_fit_is_refused_with_the_way_out(reference, data_range, message):
    with pytest.raises(InputError, match=message):
        denoise(blob(), QUICK, reference=reference, data_range=data_range)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (blob().astype(complex), "complex"),
        (np.full((8, 8), "a"), "numbers"),
        (np.zeros((0, 8)), "no pixels"),
        (np.ones((1, 1)), "too small"),
        (np.ones((8, 8)), "constant"),
        (np.full((8, 8), np.nan), "constant"),
        (np.where(blob() > 0.9, np.inf, blob()), "infinite"),
        (3.0, "single number"),
    ],
)
def test_an_image_that_cannot_be_denoised_is_refused_before_anything_starts(image, message):
    with pytest.raises(InputError, match=message):
        denoise(image, QUICK)


def test_a_file_that_is_not_there_is_refused():
    with pytest.raises(FileError, match="does not exist"):
        denoise("image.tif", QUICK)


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="expected 2 letters"):
        denoise(blob(), QUICK, axes="ZYX")
    with pytest.raises(InputError, match="z_axis = 'volume'"):
        denoise(blob(), QUICK.replace({"z_axis": "volume"}))


@pytest.mark.parametrize(
    ("shape", "n_scales", "most"), [((20, 23), 5, 4), ((64, 64), 6, 5), ((4, 4), 2, 1), ((1, 40), 6, 5), ((61,), 9, 5)]
)
def test_more_scales_than_the_image_can_be_halved_are_refused_with_the_most_there_are(shape, n_scales, most):
    with pytest.raises(ConfigError, match=rf"n_scales .* expected 1 to {most} for .*, got {n_scales}\. Use 'auto' or"):
        DenoiseTask(blob(shape), QUICK.replace({"generator.n_scales": n_scales}))
    DenoiseTask(blob(shape), QUICK.replace({"generator.n_scales": most}))


def test_a_device_that_is_not_there_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    with pytest.raises(DeviceError, match=r"'mps' is not available: this PyTorch .* is built without MPS"):
        denoise(blob(), QUICK, device="mps")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "good"}, "no preset 'good'"),
        ({"n_steps": 0}, "n_steps cannot be 0"),
        ({"seed": -1}, "seed cannot be -1"),
        ({"stopping": "wmv"}, "stopping.kind cannot be 'wmv'"),
        ({"device": "tpu"}, "device cannot be 'tpu'"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        denoise(blob(), **changes)
