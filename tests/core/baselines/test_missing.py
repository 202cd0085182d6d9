import numpy as np

from napari_convgen.core.baselines.missing import fill_missing


def test_missing_pixels_get_a_mean_of_their_surroundings():
    ramp = np.broadcast_to(np.linspace(0, 1, 40), (2, 30, 40)).copy()
    is_observed = np.random.default_rng(0).random(ramp.shape) > 0.2
    is_observed[0, 8:20, 10:25] = False
    is_observed[1] = False
    filled = fill_missing(np.where(is_observed, ramp, 0.5), is_observed)
    np.testing.assert_array_equal(filled[is_observed], ramp[is_observed])
    assert np.abs(filled[0] - ramp[0]).max() < 0.15
    assert np.isfinite(filled).all()
    white = np.random.default_rng(0).normal(size=(1, 40, 40))
    is_observed = np.ones(white.shape, bool)
    is_observed[0, 10:30, 10:30] = False
    assert fill_missing(white, is_observed)[~is_observed].std() < 0.35
    lone = np.zeros((1, 30, 40), bool)
    lone[0, 3, 3] = True
    np.testing.assert_allclose(fill_missing(np.where(lone, 0.7, 0.5), lone), 0.7)
