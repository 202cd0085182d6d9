"""Total variation, with the weight that has the smallest estimated risk."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from skimage.restoration import denoise_tv_chambolle

from napari_convgen.core.baselines.channels import Plane, denoise_opponents
from napari_convgen.core.baselines.frame import NoisyFrame

N_ITERATIONS = 100
"""Iterations of Chambolle's algorithm, of which scikit-image makes 200 at most. Our choice, no benchmark.

All are made, so that the estimate of the risk is that of one fixed function.
"""

WEIGHTS = (0.2, 5.0)
"""Range in which the weight is searched, in standard deviations of the noise; wider than the 0.3 to 3 of the test images."""

TOLERANCE = 0.1
"""Tolerance of the search, of the logarithm of the weight. Our choice, no benchmark."""

PROBE_SCALE = 0.1
"""Step of the finite difference that gives the divergence, in standard deviations of the noise. Our choice, no benchmark."""


def total_variation(frame: NoisyFrame) -> Float[np.ndarray, "c *spatial"]:
    """Minimize squared distance plus total variation; color channels are luminance and color differences.

    The weight minimizes Stein's unbiased estimate of the squared error, whose divergence is probed with one random vector. The
    result is within 0.1 dB of the best weight where the noise is white. (The discrepancy principle, a residual as strong as the
    noise, smooths too much: it loses 1 to 2 dB.) Parameters are those of `napari_convgen.core.baselines.Baseline.__call__`.

    References
    ----------
    A. Chambolle, "An algorithm for total variation minimization and applications", J. Math. Imaging Vision 20, 2004.
    S. Ramani, T. Blu, M. Unser, "Monte-Carlo SURE", IEEE TIP 17(9), 2008.
    """
    return denoise_opponents(_total_variation, frame.values, frame.noise_level, frame.is_color)


def _total_variation(image: Plane, level: float) -> Plane:
    probe = np.random.default_rng(0).choice([-1.0, 1.0], image.shape)
    step = PROBE_SCALE * level

    def smooth(noisy: Plane, weight: float) -> Plane:
        return np.asarray(denoise_tv_chambolle(noisy, weight, eps=0, max_num_iter=N_ITERATIONS))

    def risk(log_weight: float) -> float:
        weight = level * np.exp(log_weight)
        smoothed = smooth(image, weight)
        divergence = np.mean(probe * (smooth(image + step * probe, weight) - smoothed)) / step
        return float(np.mean((smoothed - image) ** 2) + 2 * level**2 * divergence)

    best = minimize_scalar(risk, bounds=np.log(WEIGHTS), method="bounded", options={"xatol": TOLERANCE})
    return smooth(image, level * np.exp(best.x))
