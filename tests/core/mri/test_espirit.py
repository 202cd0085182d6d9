import warnings

import numpy as np
import pytest
import torch

from napari_convgen.core.mri.espirit import coil_maps, phase_reference
from napari_convgen.core.mri.simulation import equispaced, head, ring_of_coils, scan

SIZE = (48, 40)
REGION = (slice(None), slice(24 - 8, 24 + 8), slice(20 - 8, 20 + 8))


@pytest.fixture(scope="module")
def scanned():
    return scan(head(SIZE, 1), equispaced(SIZE, 3, 16), n_coils=6, noise=0.001)


@pytest.fixture(scope="module")
def maps(scanned):
    return coil_maps(torch.from_numpy(scanned.kspace[REGION]), SIZE).numpy()


def misfit(maps, others):
    """The share of the energy of one that is not in the other, where both see something."""
    both = maps.any(0) & others.any(0)
    return 1 - np.abs((maps.conj() * others).sum(0)[both]) ** 2


def test_sensitivities_are_those_of_the_coils(scanned, maps):
    sees = np.abs(scanned.image) > 0.05 * np.abs(scanned.image).max()
    assert maps.any(0)[sees].mean() > 0.98
    assert np.median(misfit(maps, scanned.coil_maps)) < 1e-4
    np.testing.assert_allclose((np.abs(maps) ** 2).sum(0)[maps.any(0)], 1, rtol=1e-4)


def test_they_are_those_of_another_program(scanned, maps):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        app = pytest.importorskip("sigpy.mri.app")
    theirs = app.EspiritCalib(
        scanned.kspace, calib_width=16, thresh=0.02, kernel_width=6, crop=0.9, max_iter=300, show_pbar=False
    ).run()
    assert np.median(misfit(maps, theirs)) < 1e-5
    assert misfit(maps, theirs).mean() < 1e-3
    assert (maps.any(0) == (theirs != 0).any(0)).mean() > 0.99


def test_their_phase_is_smooth(maps):
    sees = maps.any(0)
    steps = np.angle(maps[:, 1:] * maps[:, :-1].conj()) * (np.abs(maps[:, 1:]) > 0.1) * (np.abs(maps[:, :-1]) > 0.1)
    assert np.quantile(np.abs(steps[:, sees[1:] & sees[:-1]]), 0.99) < 0.6


def test_an_image_without_its_smooth_phase_is_nearly_real(scanned, maps):
    combined = (maps.conj() * scanned.coil_maps * scanned.image).sum(0)
    phase = phase_reference(torch.from_numpy(scanned.kspace[REGION]), torch.from_numpy(maps)).numpy()
    np.testing.assert_allclose(np.abs(phase), 1, rtol=1e-5)
    without = combined * phase.conj()
    assert np.linalg.norm(without.imag) < 0.1 * np.linalg.norm(without.real)
    assert np.linalg.norm(combined.imag) > 0.3 * np.linalg.norm(combined.real)


def test_one_coil_sees_everything_alike():
    region = torch.from_numpy(scan(head(SIZE), equispaced(SIZE, 3, 16), n_coils=1).kspace[REGION])
    maps = coil_maps(region, SIZE).numpy()
    np.testing.assert_allclose(np.abs(maps[0][maps.any(0)]), 1, rtol=1e-5)


def test_the_squares_of_simulated_sensitivities_sum_to_one():
    np.testing.assert_allclose((np.abs(ring_of_coils(SIZE, 5)) ** 2).sum(0), 1)


def test_there_are_none_where_nothing_is_seen():
    """A point in the middle has the same k-space everywhere, times its sensitivities."""
    sensitivities = torch.tensor([0.6, 0.8j])
    maps = coil_maps(sensitivities[:, None, None].expand(2, 16, 16).contiguous(), SIZE).numpy()
    np.testing.assert_allclose(np.abs(maps[:, 24, 20]), (0.6, 0.8), rtol=1e-3)
    assert not maps[:, :12].any()
    assert not maps[:, :, :10].any()
