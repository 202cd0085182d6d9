r"""The operator of phase microscopy: intensities behind a pupil, of light that has passed a thin object.

The object :math:`o = e^{i \varphi - a}` delays light by the phase :math:`\varphi` and may absorb some, a. Image k is

.. math:: I_k = L \, \left| F^{-1} \, T_k P \, e^{i \sum_j c_j Z_j + i z_k \kappa} \, F \, o \right|^2,

with the centered orthonormal Fourier transform F, the pupil P, 1 within the aperture, Zernike aberrations :math:`c_j Z_j` in radians, the
defocus :math:`z_k`, the wavenumber along the axis relative to that of light along it,
:math:`\kappa(f) = 2 \pi (\sqrt{(n / \lambda)^2 - f^2} - n / \lambda)`, and the light L. An oblique plane wave that lights the object moves
its spectrum. :math:`T_k` moves pupil, aberrations and defocus the other way instead: the intensity is the same, while a wave that is not
periodic over the image would have a jump at its borders. A stack through focus changes z alone, an array of lights (Fourier ptychography)
T alone.

A frequency at the edge of the aperture passes in part: by the share of its cell of the grid that is within the aperture. Images under a
light near the edge depend on this.

The coefficients c and L are parameters of the operator that belong to the instrument: `PhaseImaging.model` is the operator for given
ones, and `PhaseImaging.joint` maps object and parameters together, for fits that find both.

References
----------
Goodman, "Introduction to Fourier Optics", section 3.10. Zheng, Horstmeyer and Yang, "Wide-field, high-resolution Fourier ptychographic
microscopy", Nat. Photonics 7, 2013. Bostan, Heckel, Chen, Kellman and Waller, "Deep phase decoder", Optica 7, 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.constant import Constant
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.optics.zernike import FIRST, orders, zernike


@dataclass(frozen=True, eq=False)
class PhaseImaging:
    """Images of a thin object in one microscope, for any aberrations.

    Attributes
    ----------
    objective
        Objective and light.
    spacing
        Distance between neighboring pixels of the object along rows and columns, in micrometers.
    size
        Number of pixels of the object along rows and columns, with the margins.
    margins
        Number of pixels of the object beyond each border of the images, along rows and columns: light from there reaches the images.
    depths
        Defocus of each image in micrometers.
    waves
        Transverse direction of the light of each image along rows and columns: sin θ times the refractive index.
    n_zernikes
        Number of aberrations, from Noll's number 4.
    factor
        Number of the object's pixels along each side of a camera's pixel; default 1.
    has_absorption
        True if the object has a second channel, its absorption; default False.
    """

    objective: Objective
    spacing: tuple[float, float]
    size: tuple[int, int]
    margins: tuple[int, int]
    depths: Float[np.ndarray, "k"]
    waves: Float[np.ndarray, "k 2"]
    n_zernikes: int = 0
    factor: int = 1
    has_absorption: bool = False

    @cached_property
    def _pupils(self) -> Constant:
        rows, columns = self._sines(self.waves)
        sine, most = np.hypot(rows, columns), self.objective.numerical_aperture
        cells = [self.objective.wavelength / (n * d) for n, d in zip(self.size, self.spacing, strict=True)]
        cell = np.hypot(rows * cells[0], columns * cells[1]) / np.maximum(sine, min(cells))  # along the radius
        passed = np.clip((most - sine) / np.maximum(cell, min(cells)) + 0.5, 0, 1)
        axial = _axial(np.minimum(sine, most), self.objective)
        pupils = passed * np.exp(1j * self.depths[:, None, None] * axial)
        return Constant(torch.from_numpy(np.fft.ifftshift(pupils, (-2, -1))))

    @cached_property
    def _zernikes(self) -> Constant:
        zernikes = self.zernikes(_once(self.waves))
        return Constant(torch.from_numpy(np.fft.ifftshift(zernikes, (-2, -1))))

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.depths)

    @property
    def n_parameters(self) -> int:
        """Number of parameters: the aberrations, and the logarithm of the light."""
        return self.n_zernikes + 1

    @property
    def in_shape(self) -> tuple[int, int, int]:
        """Shape of an object: its phase, and its absorption if it has one."""
        return (1 + self.has_absorption, *self.size)

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """Shape of the images: one channel, images, rows, columns."""
        rows, columns = ((n - 2 * m) // self.factor for n, m in zip(self.size, self.margins, strict=True))
        return (1, self.n_images, rows, columns)

    @property
    def view(self) -> tuple[slice, slice]:
        """Part of the object that the images show."""
        rows, columns = (slice(m, n - m) for n, m in zip(self.size, self.margins, strict=True))
        return rows, columns

    def zernikes(self, waves: Float[np.ndarray, "k 2"]) -> Float[np.ndarray, "n k h w"]:
        """Return the aberrations over the frequencies of the object under each light, the frequency 0 at index n // 2.

        Beyond the aperture they are as at its edge.
        """
        rows, columns = self._sines(waves)
        radius = np.minimum(1, np.hypot(rows, columns) / self.objective.numerical_aperture)
        angle = np.arctan2(rows, columns)
        each = [zernike(FIRST + i, radius, angle) for i in range(self.n_zernikes)]
        return np.array(each).reshape(self.n_zernikes, *rows.shape)

    def aberration(self, coefficients: Sequence[float]) -> Float[np.ndarray, "h w"]:
        """Return the phase of the pupil in radians, the frequency 0 at index n // 2; NaN beyond the aperture."""
        axis = np.zeros((1, 2))
        is_open = np.hypot(*self._sines(axis))[0] <= self.objective.numerical_aperture
        total = np.tensordot(np.array(coefficients, np.float64), self.zernikes(axis)[:, 0], 1)
        return np.where(is_open, total, np.nan)

    def joint(self, x: Float[Tensor, "c h w"], parameters: Float[Tensor, "p"]) -> Float[Tensor, "1 k rows columns"]:
        """Return the images of an object for given parameters: the aberrations in radians, and the logarithm of the light.

        Autograd, and `torch.func`, can differentiate it for both.
        """
        field = filtered(self.pupils(parameters), self._lit(x))
        return self._shown(parameters[-1].exp() * (field.real**2 + field.imag**2))

    def model(self, parameters: Float[Tensor, "p"]) -> ForwardModel:
        """Return the operator for given parameters, see `joint`. Where lights differ, an image is held out as a whole."""
        constant = Constant(parameters.detach().double().cpu())
        return ForwardModel(
            lambda x: self.joint(x, constant.like(x)), self.in_shape, self.out_shape, entry_groups=self._groups
        )

    def twin(self, parameters: Float[Tensor, "p"]) -> Float[Tensor, "p"]:
        """Return the parameters with which the negative phase has the images of the other side of the focus: even aberrations turn."""
        signs = [-1.0 if orders(FIRST + i)[0] % 2 == 0 else 1.0 for i in range(self.n_zernikes)]
        return parameters * torch.tensor([*signs, 1.0]).to(parameters)

    def linearized(self, x: Float[Tensor, "c h w"], parameters: Float[Tensor, "p"]) -> LinearMap:
        """Return the derivative of `joint` by the object, at one."""
        behind, lens = self._lit(x), self.pupils(parameters)
        light = float(parameters[-1].exp())
        lit, pupil, back = Constant(behind), Constant(lens), Constant(lens.conj().resolve_conj())
        field = Constant(2 * light * filtered(lens, behind)[(..., *self.view)].contiguous())

        def apply(change: Tensor) -> Tensor:
            moved = torch.complex(-change[1] if self.has_absorption else torch.zeros_like(change[0]), change[0])
            passed = filtered(pupil.like(change), lit.like(change) * moved)[(..., *self.view)]
            return self._binned(_real_product(field.like(change), passed))

        def adjoint(images: Tensor) -> Tensor:
            spectra = _transform(self._around(field.like(images) * self._unbinned(images)))
            spectra = back.like(images) * spectra
            passed = _transform(spectra.sum(0, keepdim=True), is_inverse=True)
            [change] = passed.conj() * lit.like(images)
            return torch.stack((-change.imag, -change.real) if self.has_absorption else (-change.imag,))

        return LinearMap(apply, self.in_shape, self.out_shape, adjoint, entry_groups=self._groups)

    def parameter_slopes(
        self, x: Float[Tensor, "c h w"], parameters: Float[Tensor, "p"]
    ) -> Float[Tensor, "p 1 k rows columns"]:
        """Return the derivatives of `joint` by each parameter, at an object."""
        lit, pupils, light = self._lit(x), self.pupils(parameters), parameters[-1].exp()
        field = filtered(pupils, lit)
        changes = (filtered(1j * each * pupils, lit) for each in self._zernikes.like(x))
        slopes = [2 * _real_product(field, change) for change in changes]
        return torch.stack([self._shown(light * slope) for slope in (*slopes, field.abs().square())])

    def _lit(self, x: Float[Tensor, "c h w"]) -> Complex[Tensor, "1 h w"]:
        """Return the light behind the object, where it comes along the axis."""
        size = torch.exp(-x[1]) if self.has_absorption else torch.ones_like(x[0])
        return torch.complex(size * torch.cos(x[0]), size * torch.sin(x[0]))[None]

    def pupils(self, parameters: Float[Tensor, "p"]) -> Complex[Tensor, "k h w"]:
        """Return the pupil of each image, moved against its light, in the order of the Fourier transform."""
        delay = torch.tensordot(parameters[:-1], self._zernikes.like(parameters), 1)
        return self._pupils.like(parameters) * torch.complex(torch.cos(delay), torch.sin(delay))

    def _shown(self, light: Float[Tensor, "k h w"]) -> Float[Tensor, "1 k rows columns"]:
        """Return what the camera shows."""
        return self._binned(light[(..., *self.view)])

    def _binned(self, light: Float[Tensor, "k h w"]) -> Float[Tensor, "1 k rows columns"]:
        """Return light in the pixels of the camera."""
        return torch.nn.functional.avg_pool2d(light[None], self.factor) if self.factor > 1 else light[None]

    def _unbinned(self, images: Float[Tensor, "1 k rows columns"]) -> Float[Tensor, "k h w"]:
        """Return the adjoint of `_binned`."""
        parts = images[0]
        for axis in (-2, -1) if self.factor > 1 else ():
            parts = parts.repeat_interleave(self.factor, axis) / self.factor
        return parts

    def _around(self, images: Complex[Tensor, "k rows columns"]) -> Complex[Tensor, "k h w"]:
        """Return images with zeros in the margins."""
        rows, columns = self.margins
        return torch.nn.functional.pad(images, (columns, columns, rows, rows))

    @property
    def _groups(self) -> Int[Tensor, "k rows columns"] | None:
        """Number of the image, which is held out as a whole, where lights differ; of a stack pixels are held out."""
        shape = self.out_shape[1:]
        return torch.arange(shape[0]).view(-1, 1, 1).expand(shape).clone() if len(_once(self.waves)) > 1 else None

    def _sines(self, waves: Float[np.ndarray, "k 2"]) -> tuple[Float[np.ndarray, "k h w"], Float[np.ndarray, "k h w"]]:
        """Return where frequencies under each light pass the pupil, along rows and columns; the frequency 0 is at index n // 2."""
        lines = [np.fft.fftshift(np.fft.fftfreq(n, d)) for n, d in zip(self.size, self.spacing, strict=True)]
        rows, columns = np.meshgrid(*(self.objective.wavelength * each for each in lines), indexing="ij")
        return rows + waves[:, 0, None, None], columns + waves[:, 1, None, None]


def _once(each: Float[np.ndarray, "k *more"]) -> Float[np.ndarray, "n *more"]:
    """Return what belongs to each image once, if it is the same for all."""
    return each[:1] if (each == each[:1]).all() else each


def filtered(pupils: Complex[Tensor, "#k h w"], light: Complex[Tensor, "#k h w"]) -> Complex[Tensor, "_ h w"]:
    """Return light behind pupils, which are in the order of the Fourier transform."""
    return _transform(pupils * _transform(light), is_inverse=True)


def _transform(light: Complex[Tensor, "k h w"], is_inverse: bool = False) -> Complex[Tensor, "k h w"]:
    """Return the orthonormal Fourier transform over rows and columns, or its inverse."""
    transform = torch.fft.ifftn if is_inverse else torch.fft.fftn
    result: Tensor = transform(light, dim=(-2, -1), norm="ortho")
    return result


def _real_product(one: Complex[Tensor, "*shape"], other: Complex[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return the real part of the product of one and the conjugate of the other."""
    return (one * other.conj()).real


def _axial(sine: Float[np.ndarray, "k h w"], objective: Objective) -> Float[np.ndarray, "k h w"]:
    """Return the wavenumber along the axis, relative to that of light along it, in radians per micrometer."""
    index = objective.refractive_index
    return 2 * np.pi / objective.wavelength * (np.sqrt(index**2 - sine**2) - index)
