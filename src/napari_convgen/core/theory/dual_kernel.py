r"""The dual kernel: the weight that the two-layer generator gives to each frequency.

For random weights C, the expected Gram matrix :math:`\Sigma = E[J J^\top]` of the Jacobian of :math:`\mathrm{ReLU}(UC)v` is
circulant, so its eigenvectors are the trigonometric basis, or the Fourier basis on several axes; its eigenvalues are the
squared dual kernel.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def relu_dual(correlation: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    r"""Return :math:`g(t) = \frac12 (1 - \arccos(t)/\pi) t`.

    For unit vectors a and b with :math:`\langle a, b\rangle = t` and Gaussian c, this is t times the probability that both a and b have a
    positive product with c.

    Parameters
    ----------
    correlation
        Cosine t between two vectors, in [-1, 1].
    """
    # The arctangent stays accurate near t = ±1, where the slope of the arccosine is infinite.
    angle = np.arctan2(np.sqrt((1 - correlation) * (1 + correlation)), correlation)
    dual: np.ndarray = (1 - angle / np.pi) * correlation / 2
    return dual


def expected_gram(kernel: Float[np.ndarray, "*spatial"]) -> Float[np.ndarray, "*spatial"]:
    r"""Return the first column of :math:`\Sigma`, which is :math:`\|u\|^2 g(\rho)`.

    :math:`\rho` is the normalized autocorrelation of the kernel u: :math:`\rho_{i - j}` is the cosine between rows i and j of U.
    The paper writes a convolution of the kernel with itself instead, which is the same only for symmetric kernels.

    Parameters
    ----------
    kernel
        Kernel u, of the shape of the image, see `napari_convgen.core.theory.kernels`.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, equation 13.
    """
    products = np.fft.irfftn(np.abs(np.fft.rfftn(kernel)) ** 2, kernel.shape, range(kernel.ndim))
    energy = products.flat[0]
    gram: np.ndarray = energy * relu_dual(np.clip(products / energy, -1, 1))
    return gram


def squared_weights(kernel: Float[np.ndarray, "*spatial"]) -> Float[np.ndarray, "*spatial"]:
    r"""Return the eigenvalues :math:`\sigma_i^2` of :math:`\Sigma`, one for each frequency.

    They are in the order of `numpy.fft.fftn`, and none is negative.

    Parameters
    ----------
    kernel
        Kernel u, of the shape of the image, see `napari_convgen.core.theory.kernels`.
    """
    # Rounding errors are about 1e-16 of the largest eigenvalue and can make the smallest ones negative.
    eigenvalues: np.ndarray = np.maximum(np.fft.fftn(expected_gram(kernel)).real, 0)
    return eigenvalues


def dual_kernel(kernel: Float[np.ndarray, "*spatial"]) -> Float[np.ndarray, "*spatial"]:
    r"""Return the dual kernel :math:`\sigma = \|u\| \sqrt{F g(u \star u / \|u\|^2)}`, one value for each frequency.

    References
    ----------
    Heckel and Soltanolkotabi, ICLR 2020, definition 2.
    """
    weights: np.ndarray = np.sqrt(squared_weights(kernel))
    return weights
