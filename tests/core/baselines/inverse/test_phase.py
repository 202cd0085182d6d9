"""Classical phases through focus find a weak phase, and choose their strength or number of turns without the truth."""

import numpy as np
import pytest
import torch

from napari_convgen.core.baselines.inverse.phase import gerchberg_saxton, transport_of_intensity, tuned_transport
from napari_convgen.core.operators.microscopes import through_focus
from napari_convgen.core.optics.objective import Objective

IMAGING = through_focus(Objective(0.4, 0.52, 1.0), (0.2, 0.2), [-4.0, -2.0, 0.0, 2.0, 4.0], (40, 36))


def truth():
    """Return smooth bumps of half a radian, with a mean of 0 where the images show them."""
    rows, columns = np.meshgrid(*(np.arange(n) / n for n in IMAGING.size), indexing="ij")
    bumps = sum(
        height * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 0.07**2))
        for y, x, height in ((0.45, 0.4, 0.5), (0.6, 0.6, -0.3), (0.4, 0.6, 0.3))
    )
    return torch.from_numpy(bumps.astype(np.float32))[None]


def images(photons=None):
    exact = IMAGING.joint(truth(), torch.zeros(IMAGING.n_parameters))
    if photons is None:
        return exact
    return torch.from_numpy(np.random.default_rng(0).poisson(photons * exact.numpy()).astype(np.float32))


def correlation(phase):
    seen = (slice(None), *IMAGING.view)
    return float(np.corrcoef(phase[seen].flatten(), truth()[seen].flatten())[0, 1])


@pytest.mark.parametrize(("photons", "least"), [(None, 0.9), (2000, 0.8)])
def test_the_transport_of_intensity_with_its_own_strength_is_near_the_best(photons, least):
    measured = images(photons)
    tuned = correlation(tuned_transport(IMAGING, measured))
    best = max(correlation(transport_of_intensity(IMAGING, measured, strength)) for strength in np.logspace(-6, 0, 13))
    assert tuned > least
    assert tuned > best - 0.1


def test_turns_of_the_planes_find_the_phase_and_stop_by_entries_held_out():
    measured = images(2000)
    is_out = (torch.rand(measured.shape, generator=torch.Generator().manual_seed(0)) < 0.1).float()
    assert correlation(gerchberg_saxton(IMAGING, measured, is_out)) > 0.8
