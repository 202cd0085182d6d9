import re

import numpy as np
import pytest

from napari_convgen.core.mri.kspace import KSpaceNoise, Sampling, check_calibration, check_kspace, find_sampling
from napari_convgen.core.mri.simulation import equispaced, head, poisson_disc, scan
from napari_convgen.errors import InputError

SIZE = (48, 40)
KSPACE = scan(head(SIZE), equispaced(SIZE, 3, 12), n_coils=4, noise=0.01).kspace
IMAGE = head(SIZE) * np.ones((4, 1, 1))


def with_nan():
    kspace = KSPACE.copy()
    kspace[0, 5, 5] = np.nan
    return kspace


@pytest.mark.parametrize(
    ("kspace", "sentence"),
    [
        (KSPACE.real, "got float32: this looks like an image"),
        (KSPACE[None], "must be that of one slice, got the shape (1, 4, 48, 40)"),
        (KSPACE[:0], "must be that of one slice"),
        (with_nan(), "K-space has 1 value that is infinite or not a number (NaN)"),
        (0 * KSPACE, "0 throughout"),
        (IMAGE, "this looks like an image"),
        (np.fft.ifftshift(KSPACE, (1, 2)), "origin at index 0"),
        (np.roll(KSPACE, 17, 2), "its origin is elsewhere"),
    ],
)
def test_what_is_no_kspace_is_refused(kspace, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        check_kspace(kspace)


def test_kspace_of_one_coil_needs_no_axis_for_coils():
    np.testing.assert_array_equal(check_kspace(KSPACE[0]), KSPACE[:1])


@pytest.mark.parametrize("is_turned", [False, True])
def test_lines_and_their_calibration_are_found(is_turned):
    kspace = KSPACE.swapaxes(1, 2) if is_turned else KSPACE
    sampling = find_sampling(kspace)
    assert sampling.readout_axis == (0 if is_turned else 1)
    assert 12 <= sampling.n_calibration <= 14
    assert 1.9 < sampling.acceleration < 3
    assert kspace[(0, *sampling.calibration_region)].all()
    assert find_sampling(kspace, n_calibration=9).n_calibration == 9


def test_points_are_found_and_a_mask_takes_their_place():
    mask = poisson_disc(SIZE, 4, 12)
    full = scan(head(SIZE), np.ones(SIZE, bool), n_coils=4).kspace
    sampling = find_sampling(full * mask)
    np.testing.assert_array_equal(sampling.is_sampled, mask)
    assert sampling.readout_axis is None
    np.testing.assert_array_equal(find_sampling(full, mask.astype(int)).is_sampled, mask)
    rows = equispaced(SIZE, 4, 12)
    np.testing.assert_array_equal(find_sampling(full, rows[:, 0]).is_sampled, rows)
    assert find_sampling(full).n_calibration == 24


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            {"is_sampled": np.ones((3, 3))},
            "must have the shape of k-space: expected (48, 40), or (48, 1) for whole rows, (1, 40)",
        ),
        ({"is_sampled": ~KSPACE.any(0)}, "0 wherever the mask says"),
        ({"n_calibration": 30}, "n_calibration must be 0 to 13"),
    ],
)
def test_sampling_that_does_not_fit_is_refused(given, sentence):
    with pytest.raises(InputError, match=re.escape(sentence)):
        find_sampling(KSPACE, **given)


def test_sensitivities_need_calibration_lines():
    with pytest.raises(
        InputError, match=r"at least 8 fully sampled lines .*, got 7\. Give coil_maps or a larger n_calibration"
    ):
        check_calibration(find_sampling(KSPACE, n_calibration=7))


def test_noise_is_measured_in_the_corners_and_whitened():
    rng = np.random.default_rng(0)
    size = (128, 128)
    mixing = rng.standard_normal((4, 4)) + 1j * rng.standard_normal((4, 4))
    draws = (rng.standard_normal((4, *size)) + 1j * rng.standard_normal((4, *size))) / np.sqrt(2)
    noise = 0.01 * np.tensordot(mixing, draws, 1)
    noise[:, 60:68, 60:68] += 50
    found = KSpaceNoise.of(noise, np.ones(size, bool))
    assert not found.is_bound
    white = np.tensordot(found.whitening, noise[:, :20], 1).reshape(4, -1)
    covariance = white @ white.conj().T / white.shape[1]
    np.testing.assert_allclose(covariance / found.level**2, np.eye(4), atol=0.08)


def test_signal_in_the_corners_is_told_from_noise():
    y, x = np.indices((64, 64)) - 32
    kspace = np.exp(-np.hypot(y, x) / 6) * np.ones((4, 1, 1)) * (1 + 0j)
    found = KSpaceNoise.of(kspace, np.ones((64, 64), bool))
    assert found.is_bound
    np.testing.assert_array_equal(found.whitening, np.eye(4))


def test_points_of_a_poisson_disc_are_apart_and_farther_outside():
    mask = poisson_disc((64, 64), 6, 0)
    assert 5 < mask.size / mask.sum() < 7
    places = np.argwhere(mask)
    apart = np.hypot(*(places[:, None] - places).transpose(2, 0, 1)) + 100 * np.eye(len(places))
    is_outside = np.hypot(*(places.T - 32)) > 24
    assert apart[is_outside].min() > 1.5
    assert np.median(apart[is_outside].min(1)) > np.median(apart[~is_outside].min(1)) + 0.3


def test_the_calibration_region_is_no_larger_than_k_space():
    sampling = Sampling(np.ones((16, 96), bool), None, 24)
    region = sampling.calibration_region
    assert sampling.is_sampled[region].shape == (16, 24)
    assert (region[0].start, region[0].stop) == (0, 16)


@pytest.mark.parametrize("share", [1.0, 0.25, 0.125])
def test_noise_where_no_corners_were_sampled_is_a_bound_whatever_the_acceleration(share):
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(*[np.linspace(-1, 1, 64)] * 2, indexing="ij")
    is_sampled = (np.hypot(y, x) < 0.95) & ((rng.random((64, 64)) < share) | (np.hypot(y, x) < 0.2))
    signal = 1 / (0.002 + y**2 + x**2) ** 1.5
    values = signal + 0.3 * (rng.standard_normal((4, 64, 64)) + 1j * rng.standard_normal((4, 64, 64)))
    noise = KSpaceNoise.of(np.where(is_sampled, values, 0), is_sampled)
    assert noise.is_bound
    assert noise.level == pytest.approx(1.22, rel=0.15)
