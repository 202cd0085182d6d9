"""The classical image that each problem gives to compare with."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace

from napari_convgen.core.image import Image
from napari_convgen.errors import InputError
from napari_convgen.run.reconstruct.run import ReconstructTask
from napari_convgen.run.simulate import simulate

Y, X = np.mgrid[:32, :28]
SMOOTH = 100 + 40 * np.sin(X / 5) * np.cos(Y / 6)
MICRON = ("micrometer",) * 3


def rms(image):
    return float(np.sqrt(np.mean(np.square(image))))


def test_missing_pixels_are_filled_smoothly():
    is_missing = np.random.default_rng(0).random(SMOOTH.shape) < 0.4
    task = ReconstructTask(
        SMOOTH, problem="inpaint", is_missing=is_missing, changes={"noise.kind": "gaussian", "noise.sigma": 0}
    )
    filled = task.baseline()
    assert filled.shape == SMOOTH.shape
    assert rms((filled - SMOOTH)[is_missing]) < 0.02 * np.ptp(SMOOTH)


def test_a_blurred_image_is_sharpened_as_by_a_wiener_filter():
    blurred = gaussian_filter(SMOOTH, 2, mode="reflect")
    task = ReconstructTask(blurred, problem="deblur", sigma=2.0, changes={"noise.kind": "gaussian", "noise.sigma": 0.1})
    assert rms(task.baseline() - SMOOTH) < 0.4 * rms(blurred - SMOOTH)
    noisier = ReconstructTask(
        blurred, problem="deblur", sigma=2.0, changes={"noise.kind": "gaussian", "noise.sigma": 10}
    )
    assert rms(laplace(noisier.baseline())) < rms(laplace(task.baseline()))


def test_sums_of_pixels_give_the_smoothest_image():
    made = simulate(SMOOTH, problem="sensing", measured=0.5)
    task = ReconstructTask(made.measurement, problem="sensing", n_rows=32, n_columns=28)
    assert rms(task.baseline() - SMOOTH) < 0.1 * np.ptp(SMOOTH)


@pytest.mark.parametrize("depths", [[-2.0, 0.0, 2.0], [0.0, 2.0, 4.0], [1.0, 3.0]])
def test_planes_give_a_phase_by_the_transport_of_intensity(depths):
    truth = Image(0.6 * np.exp(-((Y - 15) ** 2 + (X - 12) ** 2) / 30), "YX", (0.2, 0.2), MICRON[1:])
    made = simulate(truth, problem="phase", depths=depths)
    task = ReconstructTask(made.measurement, problem="phase", depths=depths, pixel_size=0.2, n_zernikes=0)
    phase = task.baseline()
    assert phase.dtype == np.float32
    assert abs(phase.mean()) < 1e-6
    assert np.corrcoef(phase.ravel(), truth.data.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("images", [{"depths": [2.0, 2.0]}, {"lights": [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3)]}])
def test_images_without_a_classical_phase_say_so(images):
    truth = Image(0.6 * np.exp(-((Y - 15) ** 2 + (X - 12) ** 2) / 30), "YX", (0.2, 0.2), MICRON[1:])
    made = simulate(truth, problem="phase", **images)
    task = ReconstructTask(made.measurement, problem="phase", pixel_size=0.2, n_zernikes=0, **images)
    with pytest.raises(InputError, match="no classical image to compare with: the transport of intensity needs planes"):
        task.baseline()
