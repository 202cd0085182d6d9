import numpy as np
from skimage.restoration import denoise_tv_chambolle

from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.baselines.tv import total_variation


def error(a, b):
    return float(np.sqrt(np.mean((a - b) ** 2)))


def test_the_weight_of_total_variation_is_near_the_best(scene):
    clean = scene((64, 64))
    noisy = clean + 0.15 * np.random.default_rng(0).normal(size=clean.shape)
    best = min(
        error(denoise_tv_chambolle(noisy, weight, eps=0, max_num_iter=100), clean)
        for weight in 0.15 * np.geomspace(0.3, 3, 25)
    )
    assert error(total_variation(NoisyFrame(noisy[np.newaxis], np.array([0.15])))[0], clean) < 1.03 * best
