"""Phase from images through focus by the transport of intensity, and by turns of the planes; neither finds aberrations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from napari_convgen.core.baselines.inverse.held_out import least_strength
from napari_convgen.core.operators.phase import PhaseImaging, filtered
from napari_convgen.core.problem import Problem, squared

FIRST_STRENGTH = 0.1
"""Strength from which the search for that of the transport of intensity begins, in inverse square micrometers."""

N_STEPS = 200
"""Number of turns among which the held-out entries choose."""


def transport_of_intensity(
    imaging: PhaseImaging, images: Float[Tensor, "1 k rows columns"], strength: float
) -> Float[Tensor, "1 h w"]:
    r"""Return the phase by the transport of intensity between two planes next to the focus, on its two sides if there are planes on both.

    With the wavenumber k, :math:`\partial I / \partial z = - I \nabla^2 \varphi / k`, solved for frequencies q by

    .. math:: \hat \varphi = k \, q^2 / (q^4 + \epsilon^2) \; \widehat{\partial I / \partial z} / I.

    Parameters
    ----------
    imaging
        Microscope, whose planes are at two distances from the focus at least.
    images
        Images of a stack through focus.
    strength
        Strength of the regularization :math:`\epsilon`, in radians squared per square micrometer.

    References
    ----------
    Teague, "Deterministic phase retrieval: a Green's function solution", J. Opt. Soc. Am. 73, 1983. Paganin and Nugent, "Noninterferometric
    phase imaging with partially coherent light", Phys. Rev. Lett. 80, 1998.
    """
    depths = imaging.depths
    order = np.argsort(np.abs(depths), kind="stable")
    sides = [[int(i) for i in order if sign * depths[i] > 0] for sign in (1, -1)]
    nearest = int(order[0])
    above, below = (
        (sides[0][0], sides[1][0])
        if all(sides)
        else (next(int(i) for i in order if depths[i] != depths[nearest]), nearest)
    )
    slope = (images[0, above] - images[0, below]) / float(depths[above] - depths[below]) / images.mean()
    rows, columns = imaging.margins
    whole = torch.nn.functional.pad(slope, (columns, columns, rows, rows))
    lines = [2 * torch.pi * torch.fft.fftfreq(n, d) for n, d in zip(imaging.size, imaging.spacing, strict=True)]
    square = (lines[0][:, None] ** 2 + lines[1] ** 2).to(whole)
    inverse = imaging.objective.wavenumber * square / (square**2 + strength**2)
    phase: Tensor = torch.fft.ifftn(inverse * torch.fft.fftn(whole)).real[None]
    return phase


def tuned_transport(imaging: PhaseImaging, images: Float[Tensor, "1 k rows columns"]) -> Float[Tensor, "1 h w"]:
    """Return the phase by the transport of intensity, with the strength that predicts all planes best.

    Parameters
    ----------
    imaging, images
        As for `transport_of_intensity`.
    """
    model = imaging.model(torch.zeros(imaging.n_parameters))
    problem = Problem(images / images.mean(), torch.ones_like(images), operator=model)

    def error(strength: float) -> float:
        return float(squared(problem.residual(transport_of_intensity(imaging, images, strength))).mean())

    return transport_of_intensity(imaging, images, least_strength(error, FIRST_STRENGTH))


def gerchberg_saxton(
    imaging: PhaseImaging, images: Float[Tensor, "1 k rows columns"], is_out: Float[Tensor, "1 k rows columns"]
) -> Float[Tensor, "1 h w"]:
    """Return the phase that turns of the planes find: each field takes the measured amplitude, and the object that of light.

    The number of turns is that which predicts entries best that were held out.

    Parameters
    ----------
    imaging, images
        As for `transport_of_intensity`.
    is_out
        1 at entries that are held out, 0 at others.

    References
    ----------
    Gerchberg and Saxton, "A practical algorithm for the determination of phase from image and diffraction plane pictures", Optik 35, 1972;
    for several planes Allen and Oxley, "Phase retrieval from series of images obtained by defocus variation", Opt. Commun. 199, 2001.
    """
    scaled = images / images.mean()
    problem = Problem(scaled, is_out, operator=imaging.model(torch.zeros(imaging.n_parameters)))
    best, least = torch.zeros(imaging.in_shape), float("inf")
    for phase, _ in zip(_turns(imaging, scaled, is_out), range(N_STEPS), strict=False):
        error = float((is_out * squared(problem.residual(phase))).sum())
        if error < least:
            best, least = phase, error
    return best


def _turns(imaging: PhaseImaging, images: Tensor, is_out: Tensor) -> Iterator[Tensor]:
    pupils = imaging.pupils(torch.zeros(imaging.n_parameters))
    rows, columns = imaging.margins
    around = (columns, columns, rows, rows)
    amplitude, is_known = (
        torch.nn.functional.pad(each[0], around) for each in (images.clamp_min(0).sqrt(), 1 - is_out)
    )
    field = torch.ones(imaging.size, dtype=torch.complex64)
    while True:
        seen = filtered(pupils, field[None])
        measured = torch.where(is_known > 0, torch.polar(amplitude, seen.angle()), seen)
        passed = filtered(pupils.conj(), measured - seen).mean(0)
        field = torch.polar(torch.ones(imaging.size), (field + passed).angle())
        yield field.angle()[None]
