import re

import numpy as np
import pytest

from napari_convgen.core.optics.point_spread import PointSpread, gaussian_psf
from napari_convgen.errors import InputError


def spot(shape, center, sigma=1.0):
    squares = sum((x - c) ** 2 for x, c in zip(np.indices(shape), center, strict=True))
    return np.where(squares < 9, np.exp(-0.5 * squares / sigma**2), 0)


def test_a_centered_psf_is_divided_by_its_sum_and_stays_otherwise():
    values = spot((7, 9), (3, 4)) + 0.01
    psf = PointSpread.of((1e4 * values).astype(np.float32))
    np.testing.assert_allclose(psf.values, values / values.sum(), rtol=1e-6)
    assert not psf.notes
    assert psf.margins == (3, 4)


@pytest.mark.parametrize("center", [(4, 8), (5, 2), (0, 10)])
def test_a_psf_off_center_is_moved_and_this_is_said(center):
    psf = PointSpread.of(spot((11, 11), center))
    middle = tuple(n // 2 for n in psf.values.shape)
    assert all(n % 2 for n in psf.values.shape)
    assert psf.values.sum() == pytest.approx(1)
    [note] = psf.notes
    assert "was off center" in note
    if center == (4, 8):  # whole in its array
        assert "(1, -3) pixels" in note
        assert np.unravel_index(psf.values.argmax(), psf.values.shape) == middle
        np.testing.assert_allclose(psf.values, psf.values[::-1, ::-1], atol=1e-12)


def test_an_even_number_of_pixels_becomes_odd_without_a_word():
    psf = PointSpread.of(np.ones((4, 4)) + np.pad(np.ones((2, 2)), 1))
    assert psf.values.shape == (5, 5)
    assert not psf.notes
    assert psf.values.sum() == pytest.approx(1)


def test_dark_borders_are_cut_off():
    psf = PointSpread.of(spot((31, 41), (15, 20)))
    assert psf.values.shape == (5, 5)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.array([[0, -1, 0], [0, 3, 0]]), "negative values, -1 at least"),
        (np.full((3, 3), 7), "constant, 7"),
        (np.zeros((3, 3)), "constant, 0"),
        (np.array([1, np.nan, 1]), "not a number"),
        (np.array([1, np.inf, 1]), "infinite"),
        (np.ones((3, 3), complex), "real numbers"),
        (np.ones((1, 3, 3, 3)), "1 to 3 axes"),
        (np.ones((3, 0)), "1 to 3 axes"),
    ],
)
def test_what_is_no_psf_is_refused(values, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        PointSpread.of(values)


def test_a_gaussian_has_its_standard_deviations():
    psf = gaussian_psf((0, 1.5, 3.0)).values
    assert psf.shape == (1, 13, 25)
    for axis, sigma in ((1, 1.5), (2, 3.0)):
        profile = psf.sum(tuple({0, 1, 2} - {axis}))
        place = np.arange(len(profile)) - len(profile) // 2
        assert (profile * place**2).sum() ** 0.5 == pytest.approx(sigma, rel=2e-3)
    assert gaussian_psf((0.0,)).values == 1
    with pytest.raises(InputError, match="at least 0 and finite"):
        gaussian_psf((1, -1))
