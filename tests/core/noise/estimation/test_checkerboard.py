import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.config import PRESETS
from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.estimation.checkerboard import measure_checkerboard, without_checkerboard
from napari_convgen.run.denoise.run import denoise

SIDE, SIGMA = 96, 5.0
BOARD = 1.0 - 2 * (np.add.outer(np.arange(SIDE), np.arange(SIDE)) % 2)


def scene():
    image = 100 + 300 * ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE)), 4)
    image[40:60, 30:90] += 60
    return image


def noisy(seed=1):
    return scene() + SIGMA * np.random.default_rng(seed).standard_normal((SIDE, SIDE))


@pytest.mark.parametrize("offset", [2.0, -5.0, 40.0])
def test_the_offset_of_every_other_pixel_is_taken_away(offset):
    image = np.stack([noisy() + offset * BOARD, noisy(2)])
    seen = np.random.default_rng(4).random(image.shape) > 0.1
    found = measure_checkerboard(image, seen)
    assert found == (pytest.approx(offset, abs=0.3), 0)
    assert np.abs(without_checkerboard(image, found)[0] - noisy()).max() < 0.3
    model = estimate_noise(image[:1], seen[:1])
    assert model.sigma[0] == pytest.approx(SIGMA, rel=0.1)
    assert not any(model.stripes)
    assert "every other pixel with an offset of" in str(model)


def test_structure_is_no_checkerboard():
    seen = np.ones((1, SIDE, SIDE), bool)
    alternating = np.broadcast_to(BOARD[:, :1] * BOARD[0, 0], BOARD.shape)
    patch = np.where(np.arange(SIDE) < 30, BOARD, 0)  # a fabric
    for structure in (0, 0.2 * BOARD, 20 * alternating, 20 * alternating.T, 30 * patch):
        image = (noisy() + structure)[None]
        assert measure_checkerboard(image, seen) == ()
        assert without_checkerboard(image, ()) is image
    assert measure_checkerboard(noisy()[None, :20], seen[:, :20]) == ()
    assert measure_checkerboard(noisy()[None, 0], seen[:, 0]) == ()


def test_a_denoised_image_has_no_checkerboard_unless_it_is_to_stay():
    image = (noisy() + 8 * BOARD).astype(np.float32)
    config = PRESETS["quick"].replace({"n_threads": 1})
    removed, kept = (denoise(image, config.replace({"noise.has_stripes": each})) for each in ("auto", "no"))
    errors = [float(np.std(result.image - scene())) for result in (removed, kept)]
    assert errors[0] < 0.6 * errors[1]
