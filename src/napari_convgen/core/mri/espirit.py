r"""Coil sensitivities from the calibration region of k-space (ESPIRiT).

Every small block of k-space, all coils together, is a combination of few vectors: the row space of the matrix of all blocks in the
calibration region. In image space, being in that space says at each pixel that the vector of the coils' values is an eigenvector, with the
eigenvalue 1, of a small matrix: this eigenvector has the sensitivities there.

The eigenvectors' phases are arbitrary. Here they are those that make the sensitivity of a virtual coil, the combination of all coils with
the most signal, real and positive: so sensitivities are smooth, and the image has that coil's phase.

References
----------
M. Uecker et al., "ESPIRiT: an eigenvalue approach to autocalibrating parallel MRI", Magn. Reson. Med. 71(3), 2014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from napari_convgen.core.operators.fourier import centered_fft, centered_ifft

KERNEL_SIDE = 6
"""Side of the blocks of k-space, in points; that of the paper. It is half of the calibration region at most, so that there are several."""

LEAST_SINGULAR = 0.02
"""Singular value, relative to the largest, from which on vectors belong to the row space; between the 0.01 and 0.025 of the paper."""

LEAST_EIGENVALUE = 0.9
"""Eigenvalue below which a pixel is outside of the object and sensitivities are 0: 1 within it but for noise; chosen a little below the
0.95 that programs usually have, since what is cut off cannot be reconstructed."""

CHUNK = 4096
"""Pixels whose matrices are decomposed at once: a few MiB for 32 coils."""


def coil_maps(
    calibration: Complex[Tensor, "coils *region"],
    size: Sequence[int],
    *,
    kernel_side: int = KERNEL_SIDE,
    least_singular: float = LEAST_SINGULAR,
    least_eigenvalue: float = LEAST_EIGENVALUE,
) -> Complex[Tensor, "coils *spatial"]:
    """Estimate the sensitivity of each coil in each pixel; their squares sum to 1, or to 0 outside of the object.

    Parameters
    ----------
    calibration
        Fully sampled region in the middle of k-space, its origin at index n // 2 along each axis.
    size
        Number of pixels of the image along each axis.
    kernel_side
        Side of the blocks of k-space in points, at most half of the region; default `KERNEL_SIDE`.
    least_singular
        Singular value, relative to the largest, of the row space's vectors, 0 to 1; default `LEAST_SINGULAR`.
    least_eigenvalue
        Eigenvalue from which on a pixel belongs to the object, 0 to 1; default `LEAST_EIGENVALUE`. 0 keeps all pixels.
    """
    kernels = _row_space(calibration, kernel_side, least_singular)
    matrices = _pixel_matrices(kernels, size)
    n_coils = len(calibration)
    vectors, values = [], []
    for part in matrices.split(CHUNK):
        found, eigenvectors = torch.linalg.eigh(part)
        values.append(found[:, -1])
        vectors.append(eigenvectors[:, :, -1])
    maps = torch.cat(vectors).T.reshape(n_coils, *size)
    maps = torch.where(torch.cat(values).view(*size) >= least_eigenvalue, maps, 0)
    strongest, *_ = torch.linalg.svd(calibration.flatten(1), full_matrices=False)
    virtual = torch.tensordot(strongest[:, 0].conj(), maps, 1)
    return maps * _phase(virtual).conj()


def phase_reference(
    calibration: Complex[Tensor, "coils *region"], maps: Complex[Tensor, "coils *spatial"]
) -> Complex[Tensor, "*spatial"]:
    """Return the phase factors of the smooth image of the calibration region, combined with sensitivities; 1 where it is 0.

    An image divided by them has hardly any imaginary part where its phase varies slowly, so that there is less to reconstruct.

    Parameters
    ----------
    calibration
        Fully sampled region in the middle of k-space.
    maps
        Sensitivities.
    """
    size, axes = maps.shape[1:], tuple(range(1, maps.ndim))
    window = torch.ones((), dtype=calibration.real.dtype)
    for n in calibration.shape[1:]:  # without its ripples
        window = window[..., None] * torch.hann_window(n + 2, periodic=False, dtype=window.dtype)[1:-1]
    padded = _in_the_middle(window.to(calibration.device) * calibration, size)
    return _phase((maps.conj() * centered_ifft(padded, axes)).sum(0))


def _row_space(calibration: Tensor, side: int, least: float) -> Complex[Tensor, "kernels coils *block"]:
    """Return an orthonormal basis of the space of blocks."""
    n_coils, region = len(calibration), calibration.shape[1:]
    blocks = calibration
    for axis, n in enumerate(region, start=1):
        blocks = blocks.unfold(axis, min(side, (n + 1) // 2), 1)
    block = blocks.shape[-len(region) :]
    rows = blocks.movedim(0, len(region)).reshape(-1, n_coils * math.prod(block))
    _, singular_values, vectors = torch.linalg.svd(rows, full_matrices=False)
    n_kept = int((singular_values >= least * singular_values[0]).sum())
    kernels: Tensor = vectors[:n_kept]
    return kernels.view(n_kept, n_coils, *block)


def _pixel_matrices(kernels: Tensor, size: Sequence[int]) -> Complex[Tensor, "pixels coils coils"]:
    """Return the matrix of each pixel whose eigenvector to the eigenvalue 1 has the sensitivities."""
    block = kernels.shape[2:]
    n_block, axes = math.prod(block), tuple(range(1, 1 + len(block)))
    padded = [2 * n for n in block]
    # The matrices vary as slowly as products of two kernels do: they are summed on a small grid and then interpolated.
    total = torch.zeros((), dtype=kernels.dtype, device=kernels.device)
    for kernel in kernels:
        image = centered_ifft(_in_the_middle(kernel, padded), axes)
        total = total + image[:, None] * image[None].conj()
    scale = math.prod(padded) / n_block
    spectrum = centered_fft((total * scale).flatten(0, 1), axes)
    grown = centered_ifft(_in_the_middle(spectrum, size), axes) * math.sqrt(math.prod(size) / math.prod(padded))
    return grown.flatten(1).T.reshape(-1, len(kernels[0]), len(kernels[0]))


def _in_the_middle(values: Tensor, size: Sequence[int]) -> Tensor:
    """Return values amid zeros, or the middle of them where the grid is smaller; the origin stays at index n // 2."""
    for axis, n in enumerate(size, start=values.ndim - len(size)):
        m = values.shape[axis]
        if m > n:
            values = values.narrow(axis, m // 2 - n // 2, n)
            continue
        before, after = list(values.shape), list(values.shape)
        before[axis] = n // 2 - m // 2
        after[axis] = n - m - before[axis]
        values = torch.cat((values.new_zeros(before), values, values.new_zeros(after)), axis)
    return values


def _phase(image: Complex[Tensor, "*spatial"]) -> Complex[Tensor, "*spatial"]:
    """Return the phase factors of an image; 1 where it is 0."""
    size: Float[Tensor, "*spatial"] = image.abs()
    return torch.where(size > 0, image / size.clamp_min(torch.finfo(size.dtype).tiny), 1)
