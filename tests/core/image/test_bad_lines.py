import numpy as np
import pytest
from scipy import ndimage

from napari_convgen.core.image import Layout, Measured
from napari_convgen.core.image.bad_lines import find_bad_lines

N = 96


def noisy(seed=0):
    rng = np.random.default_rng(seed)
    return 100 + 300 * ndimage.gaussian_filter(rng.standard_normal((N, N)), 4) + 10 * rng.standard_normal((N, N))


def changed(rows, change):
    image = noisy()
    image[rows] = change(image[rows])
    return image


def more_noise(lines):
    return lines + 40 * np.random.default_rng(1).standard_normal(lines.shape)


BAD = {
    "offset": ([40], lambda lines: lines + 40),
    "two with an offset": ([40, 41], lambda lines: lines - 40),
    "noise": ([40], more_noise),
    "two with noise": ([40, 41], more_noise),
    "dead": ([40], np.zeros_like),
    "hot": ([40], lambda lines: np.full_like(lines, 4095)),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_rows_and_columns_are_found_and_left_out(name):
    rows, change = BAD[name]
    image = changed(rows, change)
    for turned in (image, image.T):
        found = find_bad_lines(turned, np.isfinite(turned))
        expected = np.zeros((N, N), bool)
        expected[rows] = True
        assert (found == (expected if turned is image else expected.T)).all()
        measured = Measured.of(turned, Layout.of(turned.shape))
        assert (~measured.is_observed[0])[expected if turned is image else expected.T].all()
    words = "far outside the range" if name == "hot" else "of single rows or columns"
    assert any(f"{len(rows) * N} pixels {words}" in each for each in measured.left_out.sentences())


def fiber(width):
    image = noisy()
    return image + 80 * np.exp(-0.5 * ((np.arange(N) - 48) / width) ** 2)[:, None]


GOOD = {
    "noise": noisy,
    "a fiber along the rows": lambda: fiber(1.0),
    "a short line": lambda: noisy() + 60 * ((np.arange(N) == 48)[:, None] & (np.arange(N) < 60)),
    "an edge": lambda: noisy() + 80 * (np.arange(N) > 48)[:, None],
    "four rows": lambda: changed([40, 41, 42, 43], lambda lines: lines + 40),
    "stripes": lambda: noisy() + 30 * np.random.default_rng(1).standard_normal((N, 1)),
    "few photons": lambda: np.random.default_rng(0).poisson(0.05, (N, N)).astype(float),
    "small": lambda: changed([40], lambda lines: lines + 40)[:, :32],
    "missing": lambda: np.where(np.random.default_rng(1).random((N, N)) < 0.9, np.nan, noisy()),
}


@pytest.mark.parametrize("name", GOOD)
def test_structure_is_not_taken_for_a_bad_line(name):
    image = GOOD[name]()
    assert not find_bad_lines(image, np.isfinite(image)).any()


def test_each_plane_of_a_volume_is_looked_at():
    volume = np.stack([noisy(0), changed([40], lambda lines: lines + 40), noisy(2)])
    found = find_bad_lines(volume, np.isfinite(volume))
    assert found[1, 40].all()
    assert found.sum() == N
