import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.config import PRESETS
from napari_convgen.core.image import Layout, check_array
from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.estimation.interference import Wave, count_waves, find_waves, without_waves
from napari_convgen.run.denoise.run import denoise

SHAPE, SIGMA = (96, 101), 5.0
WAVES = Wave((0.131, 0.2222), 8.0, 1.0), Wave((-0.31, 0.0822), 5.0, -2.0)


def scene():
    image = 100 + 300 * ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(SHAPE), 4)
    image[40:60, 30:90] += 60
    return image


def noisy(seed=1):
    return scene() + SIGMA * np.random.default_rng(seed).standard_normal(SHAPE)


def disturbed():
    return noisy() + sum(wave.at(SHAPE) for wave in WAVES)


def test_a_wave_is_the_cosine_of_its_formula():
    rows, columns = np.indices(SHAPE)
    cosine = 8 * np.cos(2 * np.pi * (0.131 * rows + 0.2222 * columns) + 1)
    assert np.allclose(WAVES[0].at(SHAPE), cosine)
    assert WAVES[0].length == pytest.approx(1 / np.hypot(0.131, 0.2222))


def test_waves_are_measured_and_taken_away():
    found = find_waves(disturbed())
    assert len(found) == 2
    for wave, true in zip(found, WAVES, strict=True):
        assert wave.frequency == pytest.approx(true.frequency, abs=1e-3)
        assert wave.amplitude == pytest.approx(true.amplitude, rel=0.1)
    values, seen = disturbed()[None], np.random.default_rng(4).random((1, *SHAPE)) > 0.02
    left = without_waves(values, seen, count_waves(values, seen))[0] - noisy()
    assert left.std() < 0.25 * (disturbed() - noisy()).std()


def test_structure_and_short_waves_are_no_interference():
    rows, columns = np.indices(SHAPE)
    patch = np.where(columns < 40, 10 * np.cos(1.2 * columns), 0)  # a fabric
    board = 10.0 * (-1.0) ** (rows + columns)
    lines = 10.0 * (-1.0) ** rows
    slow = 20 * np.cos(2 * np.pi * rows / 40)
    for structure in (0, patch, board, lines, slow):
        assert find_waves(noisy() + structure) == ()
    assert find_waves(disturbed()[:40]) == ()
    assert find_waves(np.where(np.random.default_rng(0).random(SHAPE) < 0.3, np.nan, disturbed())) == ()
    line = disturbed()[None, 0]
    assert count_waves(line, np.isfinite(line)) == 0


def test_a_note_says_so_and_a_setting_takes_them_away():
    image = disturbed().astype(np.float32)
    [note] = check_array(image, Layout.of(SHAPE))[0].notes
    assert "3.9 pixels from crest to crest" in note
    config = PRESETS["quick"].replace({"n_threads": 1})
    kept, removed = (denoise(image, config.replace({"noise.has_interference": each})) for each in ("no", "yes"))
    errors = [float(np.std(result.image - scene())) for result in (removed, kept)]
    assert errors[0] < 0.9 * errors[1]
    assert any(note in each for each in kept.notes)
    model = estimate_noise(image[None], np.ones((1, *SHAPE), bool), has_interference="yes")
    assert model.n_waves == 2
    assert "2 waves of interference, taken away" in str(model)
    assert model.sigma[0] == pytest.approx(SIGMA, rel=0.15)
