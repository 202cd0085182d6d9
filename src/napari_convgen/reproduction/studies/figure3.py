"""Figure 3: the trigonometric basis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.theory.kernels import convolve
from napari_convgen.core.theory.trigonometric import trigonometric_basis
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.study import Claim, Study

N = 300
"""Samples, as in the paper."""

SHOWN = (1, 2, 6, 21)
"""Functions in the picture, counted from one, as in the paper."""


@dataclass(frozen=True, eq=False)
class Measured:
    """The basis, and how exact it is.

    Attributes
    ----------
    basis
        Functions as columns, ``(N, N)``.
    not_orthonormal
        Largest difference of a scalar product from 0 or 1.
    not_singular
        Largest difference of UU' times a function from eigenvalue times function, over the largest eigenvalue.
    """

    basis: NDArray[np.float64]
    not_orthonormal: float
    not_singular: float


class Figure3(Study[Measured]):
    """Draw functions of the trigonometric basis, and check that circulant matrices have them as singular vectors."""

    def measure(self) -> Measured:
        """Compute the basis, and its image under a circulant matrix with the authors' kernel, a ramp."""
        basis = trigonometric_basis(N)
        not_orthonormal = float(np.abs(basis.T @ basis - np.eye(N)).max())
        ramp = np.arange(N, dtype=float)  # not symmetric
        reversed_ramp = np.roll(ramp[::-1], 1)
        eigenvalues = np.abs(np.fft.fft(ramp)) ** 2
        products = np.stack([convolve(ramp, convolve(reversed_ramp, w)) for w in basis.T], 1)
        not_singular = float(np.abs(products - basis * eigenvalues).max() / eigenvalues.max())
        return Measured(basis, not_orthonormal, not_singular)

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Check both properties of the basis."""
        return [
            Claim(
                "the functions of definition 1 are orthonormal",
                f"to {measured.not_orthonormal:.0e}",
                "to 1e-12",
                measured.not_orthonormal < 1e-12,
            ),
            Claim(
                "they are the left singular vectors of every circulant matrix",
                f"to {measured.not_singular:.0e} of the largest eigenvalue of UU', for the authors' kernel 0, 1, …, 299",
                "to 1e-12",
                measured.not_singular < 1e-12,
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show a few functions."""
        samples = np.arange(N)
        return [Plot(f"Function {i}", "sample", "value", [Curve("", samples, measured.basis[:, i - 1])]) for i in SHOWN]

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return how exact the basis is."""
        return {
            "n": N,
            "shown": list(SHOWN),
            "not_orthonormal": measured.not_orthonormal,
            "not_singular": measured.not_singular,
        }

    def notes(self, measured: Measured) -> Sequence[str]:
        """Return the differences from the paper's setting."""
        return [
            "Definition 1 lists all cosines before the sines, and the sines by falling frequency: "
            "its first p functions hold no sine. Where a signal of low frequency is meant here, the functions are sorted by frequency."
        ]
