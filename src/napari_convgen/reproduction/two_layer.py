"""The two-layer generator and gradient descent on it: what figure 11 and theorems 1, 2, 4 and 5 have in common.

The nets are small: they are fitted in double precision on the CPU, whatever the device.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from napari_convgen.core.generators.two_layer import TwoLayer
from napari_convgen.core.theory.induced_filter import InducedFilter
from napari_convgen.core.theory.residuals import residual_norms
from napari_convgen.core.theory.trigonometric import trigonometric_basis

Vector = NDArray[np.float64]

WEIGHT_SHARE = 0.1
"""Standard deviation of the first weights, over the measurement's root mean square. Our choice: the first image is small."""

NOISE_NORM = 0.5
"""Root of the expected squared norm of the noise, where the norm of the signal is one. Our choice."""

LINEAR_NOTE = (
    "The paper's theorems add a term for the finite width and ask for widths beyond any machine; both are left out, and nets of "
    "ordinary width are measured instead. The formulas are derived from the linear dynamics."
)


def two_layer(
    kernel: Vector, measurement: Vector, n_channels: int, seed: int, weight_share: float = WEIGHT_SHARE
) -> TwoLayer:
    """Return a generator at its start; its first image is small beside the measurement, as its first weights are.

    Parameters
    ----------
    kernel
        Fixed kernel of the convolution, ``(n,)``.
    measurement
        Vector that is to be fitted, ``(n,)``.
    n_channels
        Number of channels.
    seed
        Seed of the weights.
    weight_share
        Standard deviation of the first weights, over the measurement's root mean square.
    """
    level = weight_share * float(np.sqrt(np.mean(measurement**2)))
    rngs = [torch.Generator().manual_seed(seed)]
    return TwoLayer(torch.from_numpy(kernel), n_channels=n_channels, weight_scale=level, rngs=rngs)


def descend(generator: TwoLayer, measurement: Vector, rate: float, n_steps: int) -> Iterator[Vector]:
    """Yield the image before each step of plain gradient descent on half the squared residual, and the last.

    Parameters
    ----------
    generator
        Net that is fitted, in place.
    measurement
        Vector that is fitted, ``(n,)``.
    rate
        Step size.
    n_steps
        Number of steps.
    """
    optimizer = torch.optim.SGD(generator.parameters(), lr=rate)
    target = torch.from_numpy(measurement)
    for _ in range(n_steps):
        image = generator()[0, 0]
        yield image.detach().numpy()
        optimizer.zero_grad()
        (((image - target) ** 2).sum() / 2).backward()
        optimizer.step()
    with torch.no_grad():
        yield generator()[0, 0].numpy()


def signal_and_noise(n: int, dimension: int, noise_norm: float, seed: int) -> tuple[Vector, Vector]:
    """Return a random signal of the lowest frequencies, and white noise.

    Parameters
    ----------
    n
        Number of samples.
    dimension
        Number of trigonometric functions, by rising frequency, that the signal is made of. Its norm is one.
    noise_norm
        Root of the expected squared norm of the noise.
    seed
        Seed of both.
    """
    rng = np.random.default_rng(seed)
    signal = trigonometric_basis(n, is_sorted=True)[:, :dimension] @ rng.standard_normal(dimension)
    return signal / np.linalg.norm(signal), noise_norm * rng.standard_normal(n) / np.sqrt(n)


def amplitudes(image: Vector) -> Vector:
    """Return the absolute value of each Fourier coefficient, of an orthonormal transform."""
    values: Vector = np.abs(np.fft.fft(image)) / np.sqrt(len(image))
    return values


def predicted_residuals(descent: InducedFilter, first_residual: Vector, steps: NDArray[np.int64]) -> Vector:
    """Return the norm of the residual at each step of an infinitely wide net.

    Parameters
    ----------
    descent
        Filter that gradient descent on the infinitely wide net is.
    first_residual
        Image less measurement before the first step.
    steps
        Steps, from 0.
    """
    return residual_norms(descent.weights, descent.rate, amplitudes(first_residual), steps)
