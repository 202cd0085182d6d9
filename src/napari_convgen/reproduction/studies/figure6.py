"""Figure 6: kernels, and the weights that they give to each frequency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.theory.dual_kernel import dual_kernel, squared_weights
from napari_convgen.core.theory.kernels import gaussian, normalized, triangular
from napari_convgen.core.theory.trigonometric import frequencies
from napari_convgen.figures.panel import Curve, Panel, Plot
from napari_convgen.reproduction.study import Claim, Study

Vector = NDArray[np.float64]

N = 300
"""Samples, as in the paper."""

HALF_WIDTHS, WIDTHS = (1, 10, 30), (0.005, 0.01, 0.05)
"""Half-widths of the triangles in samples, and widths of the Gaussians as shares of the samples, as in the paper."""

PRINTED: Mapping[str, tuple[float, float]] = {
    "triangle, p = 1": (0.1666664294124757, 0.1666664294124757),
    "triangle, p = 10": (0.004869964834235159, 1.957451126942472),
    "triangle, p = 30": (0.0015584634297893334, 5.896218826235423),
    "Gaussian, s = 0.005": (0.0210919829944388, 0.4960470114114067),
    "Gaussian, s = 0.01": (0.009148520805936729, 0.9829880396044313),
    "Gaussian, s = 0.05": (0.0017704492841324963, 4.900697183926314),
}
"""Smallest and largest weight that the authors' notebook prints for each kernel."""

GUARD = 1e-11
"""Number subtracted from each cosine in the authors' notebook, to keep the arccosine from failing at 1."""

N_LOW = 10
"""Number of frequencies counted as low, 0 to 9 periods. Our choice."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Kernels, and what their weights are like.

    Attributes
    ----------
    kernels
        Kernels of norm 1 by name, the triangles first.
    weights
        Squared weights of each kernel.
    by_kernel
        Numbers on the weights of each kernel: extremes, differences from the printed ones and from a dense matrix, share of the
        low frequencies.
    """

    kernels: Mapping[str, Vector]
    weights: Mapping[str, Vector]
    by_kernel: Mapping[str, Mapping[str, float]]

    def column(self, key: str) -> list[float]:
        """Return one of the numbers for all kernels."""
        return [row[key] for row in self.by_kernel.values()]


class Figure6(Study[Measured]):
    """Draw kernels and their dual kernels, and compare the authors' printed weights with ours."""

    def measure(self) -> Measured:
        """Compute the weights of each kernel, by our formula, by a dense matrix, and as the authors' notebook does."""
        shapes = [*(triangular((N,), p) for p in HALF_WIDTHS), *(gaussian((N,), s) for s in WIDTHS)]
        kernels = {name: normalized(kernel) for name, kernel in zip(PRINTED, shapes, strict=True)}
        weights = {name: squared_weights(kernel) for name, kernel in kernels.items()}
        return Measured(kernels, weights, {name: _compare(name, kernel) for name, kernel in kernels.items()})

    def claims(self, measured: Measured) -> Sequence[Claim]:
        """Compare the weights with the printed ones and with the definitions."""
        slip, dense = max(measured.column("from_printed")), max(measured.column("from_dense"))
        largest = ", ".join(f"{value:.4f}" for value in measured.column("largest_dual"))
        low = dict(zip(measured.kernels, measured.column("low_share"), strict=True))
        triangles, gaussians = list(low.values())[:3], list(low.values())[3:]
        return [
            Claim(
                "the authors' notebook prints the least and the largest weight of six kernels",
                f"all twelve to {slip:.0e}, with the notebook's formula",
                "to 1e-9 of the largest",
                slip < 1e-9,
                "The formula has 1/6 where equation 13 has 1/2.",
            ),
            Claim(
                "definition 2 gives the roots of the eigenvalues of equation 13",
                f"to {dense:.0e} of the largest eigenvalue of the dense matrix",
                "to 1e-7, what rounding of the cosines leaves",
                dense < 1e-7,
            ),
            Claim(
                "figure 6 shows dual kernels",
                f"the notebook's values are a third of the squared dual kernel; the dual kernels' maxima are {largest}",
                "the same values",
                False,
                "The notebook that made figure 6 plots eigenvalues, not their roots, and with 1/6 instead of 1/2. "
                "The order of the kernels and the shape of the fall stay the same.",
            ),
            Claim(
                "wider kernels concentrate the weight on low frequencies",
                "share of the weight on "
                f"0 to {N_LOW - 1} periods: " + ", ".join(f"{share:.2f} ({name})" for name, share in low.items()),
                "rises with the width",
                triangles == sorted(triangles) and gaussians == sorted(gaussians),
            ),
        ]

    def panels(self, measured: Measured) -> Sequence[Panel]:
        """Show the kernels and their dual kernels."""
        centered = np.arange(N) - N // 2
        panels = []
        for kind in ("triangle", "Gaussian"):
            kernels = {name: kernel for name, kernel in measured.kernels.items() if name.startswith(kind)}
            shapes = [Curve(name, centered, np.fft.fftshift(kernel)) for name, kernel in kernels.items()]
            duals = [
                Curve(name, np.arange(1, N + 1), np.sort(dual_kernel(kernel))[::-1]) for name, kernel in kernels.items()
            ]
            panels += [
                Plot(f"Kernels: {kind}s", "sample", "value, norm 1", shapes),
                Plot(f"Dual kernels: {kind}s", "i, by falling weight", "weight σ_i", duals, "log", "log"),
            ]
        return panels

    def numbers(self, measured: Measured) -> Mapping[str, Any]:
        """Return the numbers on each kernel, and the sums of the weights."""
        sums = {name: float(weights.sum()) for name, weights in measured.weights.items()}
        return {"n": N, "kernels": measured.by_kernel, "weights_sum": sums}


def notebook_weights(kernel: Vector) -> Vector:
    """Return what the authors' notebook takes for the dual kernel: eigenvalues of a matrix with 1/6 where equation 13 has 1/2."""
    matrix = _circulant(kernel)
    products = matrix @ matrix.T
    cosines = products / (kernel @ kernel)
    gram = (1 - np.arccos(cosines - GUARD) / np.pi) * products / 6
    return np.linalg.svd(gram, compute_uv=False).astype(np.float64)


def _compare(name: str, kernel: Vector) -> dict[str, float]:
    """Return the numbers on a kernel."""
    weights = squared_weights(kernel)
    printed = notebook_weights(kernel)
    matrix = _circulant(kernel)
    products = matrix @ matrix.T
    cosines = np.clip(products / (kernel @ kernel), -1, 1)
    np.fill_diagonal(cosines, 1)
    eigenvalues = np.linalg.eigvalsh((1 - np.arccos(cosines) / np.pi) * products / 2)
    least, largest = PRINTED[name]
    return {
        "least": float(weights.min()),
        "largest": float(weights.max()),
        "largest_dual": float(dual_kernel(kernel).max()),
        "notebook_least": float(printed.min()),
        "notebook_largest": float(printed.max()),
        "from_printed": float(max(abs(printed.min() - least), abs(printed.max() - largest)) / largest),
        "from_dense": float(np.abs(np.sort(weights) - eigenvalues).max() / eigenvalues.max()),
        "low_share": float(weights[frequencies(N) < N_LOW].sum() / weights.sum()),
    }


def _circulant(kernel: Vector) -> Vector:
    """Return U, a shifted kernel in each column."""
    return np.stack([np.roll(kernel, i) for i in range(len(kernel))], 1)
