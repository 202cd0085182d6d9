import numpy as np
from skimage.restoration import denoise_wavelet

from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.baselines.wavelet import wavelet_shrinkage


def error(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


def test_wavelets_do_not_depend_on_where_the_grid_lies(scene):
    noisy = scene((64, 64)) + 0.1 * np.random.default_rng(0).normal(size=(64, 64))
    shifted = np.roll(noisy, 1, axis=1)
    a = wavelet_shrinkage(NoisyFrame(noisy[np.newaxis], np.array([0.1])))[0]
    b = np.roll(wavelet_shrinkage(NoisyFrame(shifted[np.newaxis], np.array([0.1])))[0], -1, axis=1)
    one = [np.roll(denoise_wavelet(image, 0.1, "db2"), -i, axis=1) for i, image in enumerate([noisy, shifted])]
    inner = slice(12, -12), slice(12, -12)
    assert error(a[inner], b[inner]) < 0.5 * error(one[0][inner], one[1][inner])
