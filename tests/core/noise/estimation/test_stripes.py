import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.config import PRESETS
from napari_convgen.core.image import Layout, check_array
from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.estimation.stripes import has_drift, measure_stripes, without_stripes
from napari_convgen.run.denoise.run import denoise

SIGMA, SIDE = 5.0, 128


def scene():
    """Blobs, an edge and a bar along the rows, in gray levels."""
    blobs = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((SIDE, SIDE)), 4)
    image = 100 + 300 * blobs
    image[40:60, 30:90] += 60
    image[:, 100:] += 30
    return image


def noisy(seed=1):
    return scene() + SIGMA * np.random.default_rng(seed).standard_normal((SIDE, SIDE))


def offsets(kind, strength):
    if kind == "alternating":
        return strength * (2 * (np.arange(SIDE) % 2) - 1.0)
    return strength * np.random.default_rng(7).standard_normal(SIDE)


@pytest.mark.parametrize("strength", [5.0, 30.0])
@pytest.mark.parametrize("kind", ["independent", "alternating"])
@pytest.mark.parametrize("axis", [0, 1])
def test_offsets_of_rows_or_columns_are_measured_and_taken_away(strength, kind, axis):
    lines = np.expand_dims(offsets(kind, strength), 1 - axis)
    image, seen = (noisy() + lines)[None], np.ones((1, SIDE, SIDE), bool)
    stripes = measure_stripes(image, seen)
    assert stripes[1 - axis] == 0
    left = without_stripes(image, seen, stripes)[0] - noisy()
    assert left.std() < 0.4 * lines.std() + 1.6
    assert stripes[axis] == pytest.approx(strength, rel=0.25)
    assert estimate_noise(image, seen).sigma[0] == pytest.approx(SIGMA, rel=0.1)


def test_stripes_in_both_directions_are_found():
    image = noisy() + offsets("independent", 6.0)[:, None] + np.random.default_rng(9).normal(0, 6.0, SIDE)
    assert min(measure_stripes(image[None], np.ones((1, SIDE, SIDE), bool))) > 4


@pytest.mark.parametrize("axis", [0, 1])
def test_a_drift_of_rows_or_columns_is_noticed_and_kept(axis):
    seen = np.ones((1, SIDE, SIDE), bool)
    image = (noisy() + np.expand_dims(np.cumsum(offsets("independent", 8.0)), 1 - axis))[None]
    assert has_drift(image, seen) == (axis == 0, axis == 1)
    assert measure_stripes(image, seen)[1 - axis] == 0
    [note] = [note for note in check_array(image[0], Layout.of((SIDE, SIDE)))[0].notes if "drifts" in note]
    assert note.startswith(f"The offset of {('rows', 'columns')[axis]} drifts")


def test_structure_is_not_taken_for_a_drift():
    seen = np.ones((1, SIDE, SIDE), bool)
    y, x = np.mgrid[:SIDE, :SIDE]
    waves, bars, slope = 60 * np.sin(y / 2), 80.0 * (y // 6 % 2), 2.0 * y + 0.02 * x**2
    stripes = (offsets("independent", 8.0)[:, None], offsets("alternating", 8.0))
    for structure in (0, waves, bars, slope, 30 * np.sin(x / 1.5), *stripes):
        assert has_drift((noisy() + structure)[None], seen) == (False, False)
    assert has_drift(noisy()[None, 0], seen[:, 0]) == (False, False)
    assert has_drift(np.zeros((1, SIDE, SIDE)), seen) == (False, False)


def test_structure_is_not_taken_for_stripes():
    seen = np.ones((1, SIDE, SIDE), bool)
    y, x = np.mgrid[:SIDE, :SIDE]
    waves = 60 * np.sin(y / 2)  # layers along the rows, as in a section of tissue
    bars = 80.0 * (y // 6 % 2)
    for structure in (0, waves, bars, 30 * np.sin(x / 1.5), 100.0 * (ndimage.gaussian_filter(noisy(3), 1) > 100)):
        image = (noisy() + structure)[None]
        assert measure_stripes(image, seen) == (0, 0)
        assert np.array_equal(without_stripes(image, seen, (0.0, 0.0)), image)
    assert measure_stripes(noisy()[None, 0], seen[:, 0]) == (0, 0)


def test_missing_pixels_and_planes_of_a_volume_have_offsets_of_their_own():
    lines = np.random.default_rng(3).normal(0, 8.0, (3, SIDE, 1))
    volume = (noisy() + lines)[None]
    seen = np.random.default_rng(4).random(volume.shape) > 0.3
    stripes = measure_stripes(volume, seen)
    left = without_stripes(volume, seen, stripes)[0] - noisy()
    assert left.std() < 0.4 * lines.std() + 0.8


def test_a_denoised_image_has_no_stripes_unless_they_are_to_stay():
    image = (noisy() + offsets("independent", 8.0)[:, None]).astype(np.float32)
    config = PRESETS["quick"].replace({"n_threads": 1})
    removed, kept = (denoise(image, config.replace({"noise.has_stripes": each})) for each in ("auto", "no"))
    errors = [float(np.std(result.image - scene())) for result in (removed, kept)]
    assert errors[0] < 0.75 * errors[1]
    assert "rows with offsets of standard deviation" in str(removed.frames[0].noise)
