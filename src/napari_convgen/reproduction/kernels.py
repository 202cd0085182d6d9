"""The trigonometric basis, and kernels with the weights that they give to each frequency: figures 3 and 6."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.theory.dual_kernel import dual_kernel, squared_weights
from napari_convgen.core.theory.kernels import convolve, gaussian, normalized, triangular
from napari_convgen.core.theory.trigonometric import frequencies, trigonometric_basis
from napari_convgen.figures.panel import Curve, Plot
from napari_convgen.reproduction.study import Claim, Findings, Setting

Vector = NDArray[np.float64]

N = 300
"""Samples, in both figures."""

SHOWN = (1, 2, 6, 21)
"""Functions of figure 3, counted from one."""

HALF_WIDTHS, WIDTHS = (1, 10, 30), (0.005, 0.01, 0.05)
"""Of the triangles and Gaussians of figure 6."""

PRINTED: Mapping[str, tuple[float, float]] = {
    "triangle, p = 1": (0.1666664294124757, 0.1666664294124757),
    "triangle, p = 10": (0.004869964834235159, 1.957451126942472),
    "triangle, p = 30": (0.0015584634297893334, 5.896218826235423),
    "Gaussian, s = 0.005": (0.0210919829944388, 0.4960470114114067),
    "Gaussian, s = 0.01": (0.009148520805936729, 0.9829880396044313),
    "Gaussian, s = 0.05": (0.0017704492841324963, 4.900697183926314),
}
"""Least and largest weight that the authors' notebook prints for each kernel."""

GUARD = 1e-11
"""Taken off each cosine in the authors' notebook, to keep the arccosine from failing at 1."""

N_LOW = 10
"""Frequencies counted as low: 0 to 9 periods."""


def figure3(setting: Setting) -> Findings:
    """Draw functions of the trigonometric basis, and check that circulant matrices have them as singular vectors."""
    basis = trigonometric_basis(N)
    not_orthonormal = float(np.abs(basis.T @ basis - np.eye(N)).max())
    ramp = np.arange(N, dtype=float)  # the authors' kernel: not symmetric
    reversed_ramp = np.roll(ramp[::-1], 1)
    eigenvalues = np.abs(np.fft.fft(ramp)) ** 2
    products = np.stack([convolve(ramp, convolve(reversed_ramp, w)) for w in basis.T], 1)
    not_singular = float(np.abs(products - basis * eigenvalues).max() / eigenvalues.max())
    claims = [
        Claim(
            "the functions of definition 1 are orthonormal",
            f"to {not_orthonormal:.0e}",
            "to 1e-12",
            not_orthonormal < 1e-12,
        ),
        Claim(
            "they are the left singular vectors of every circulant matrix",
            f"to {not_singular:.0e} of the largest eigenvalue of UU', for the authors' kernel 0, 1, …, 299",
            "to 1e-12",
            not_singular < 1e-12,
        ),
    ]
    panels = [Plot(f"Function {i}", "sample", "value", [Curve("", np.arange(N), basis[:, i - 1])]) for i in SHOWN]
    numbers = {"n": N, "shown": list(SHOWN), "not_orthonormal": not_orthonormal, "not_singular": not_singular}
    notes = [
        "Definition 1 lists all cosines before the sines, and the sines by falling frequency: "
        "its first p functions hold no sine. Where a signal of low frequency is meant here, the functions are sorted by frequency."
    ]
    return Findings(claims, panels, numbers, notes)


def figure6(setting: Setting) -> Findings:
    """Draw kernels and their dual kernels, and set the authors' printed weights beside ours."""
    kernels = {
        name: normalized(kernel)
        for name, kernel in zip(
            PRINTED,
            [*(triangular((N,), p) for p in HALF_WIDTHS), *(gaussian((N,), s) for s in WIDTHS)],
            strict=True,
        )
    }
    weights = {name: squared_weights(kernel) for name, kernel in kernels.items()}
    numbers = {name: _numbers(name, kernel) for name, kernel in kernels.items()}
    slip = max(row["from_printed"] for row in numbers.values())
    dense = max(row["from_dense"] for row in numbers.values())
    low = {name: row["low_share"] for name, row in numbers.items()}
    triangles, gaussians = list(low.values())[:3], list(low.values())[3:]
    largest = ", ".join(f"{row['largest_dual']:.4f}" for row in numbers.values())
    claims = [
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
    centered = np.arange(N) - N // 2
    panels = []
    for kind in ("triangle", "Gaussian"):
        names = [name for name in kernels if name.startswith(kind)]
        shapes = [Curve(name, centered, np.fft.fftshift(kernels[name])) for name in names]
        duals = [Curve(name, np.arange(1, N + 1), np.sort(dual_kernel(kernels[name]))[::-1]) for name in names]
        panels += [
            Plot(f"Kernels: {kind}s", "sample", "value, norm 1", shapes),
            Plot(f"Dual kernels: {kind}s", "i, by falling weight", "weight σ_i", duals, "log", "log"),
        ]
    return Findings(
        claims, panels, {"n": N, "kernels": numbers, "weights_sum": {k: float(w.sum()) for k, w in weights.items()}}
    )


def notebook_weights(kernel: Vector) -> Vector:
    """Return what the authors' notebook takes for the dual kernel: eigenvalues of a matrix with 1/6 where equation 13 has 1/2."""
    matrix = _circulant(kernel)
    products = matrix @ matrix.T
    cosines = products / (kernel @ kernel)
    gram = (1 - np.arccos(cosines - GUARD) / np.pi) * products / 6
    return np.linalg.svd(gram, compute_uv=False).astype(np.float64)


def _numbers(name: str, kernel: Vector) -> dict[str, float]:
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
    """U, a shifted kernel in each column."""
    return np.stack([np.roll(kernel, i) for i in range(len(kernel))], 1)
