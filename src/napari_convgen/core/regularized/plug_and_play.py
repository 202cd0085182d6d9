r"""The non-local estimate as the prior of a reconstruction (plug and play).

Denoising and agreement with the measurement take turns:

.. math:: z = D_\sigma(x), \qquad x = \arg\min_x \| W^{1/2} (A x - y) \|^2 + \rho \, \| x - z \|^2, \quad \rho = \sigma_y^2 / (2 \sigma^2),

with the denoiser D, the noise level :math:`\sigma` of each channel of the image, which falls from turn to turn, and that of the complex
measurement, :math:`\sigma_y`.

References
----------
S. Venkatakrishnan, C. Bouman, B. Wohlberg, "Plug-and-play priors for model based reconstruction", GlobalSIP 2013.
K. Zhang et al., "Plug-and-play image restoration with deep denoiser prior", IEEE TPAMI 44(10), 2022, for falling levels.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.consistency import make_consistent
from napari_convgen.core.non_local import non_local_estimate
from napari_convgen.core.problem import Problem

LEAST_RHO = 1e-3
"""Least weight of the distance from the denoised image: a smaller one changes hardly more than the conjugate gradients leave."""


def plug_in(
    problem: Problem,
    image: Float[Tensor, "c *spatial"],
    level: float,
    noise: float,
    weights: Float[Tensor, "n *entries"],
) -> Float[Tensor, "c *spatial"]:
    """Take one turn.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    image
        Image to begin from.
    level
        Noise level of each channel of the image, above 0.
    noise
        Mean squared noise of an entry of the measurement.
    weights
        Weights of the entries of the measurement.
    """
    denoised = non_local_estimate(image, torch.full((len(image),), level))
    return make_consistent(problem, denoised, max(LEAST_RHO, noise / (2 * level**2)), weights, image)
