"""The entries of a measurement as real numbers, and the images that are measured as vectors of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from napari_convgen.core.columns import as_column
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.pace import Paced
from napari_convgen.core.problem import Problem
from napari_convgen.core.spectra.centering import Centering, ChannelMeans, FlatResponses, as_real, from_real
from napari_convgen.core.spectra.eigenpairs import Eigenpairs
from napari_convgen.core.spectra.jacobian import measured


class Entries:
    """The entries of a measurement, complex ones as pairs of real numbers along a last axis.

    Parameters
    ----------
    problem
        Measurement and linear operator.
    measures_image
        True if the measurement is an image, so that the mean of each channel is left out; False for another one, of which what constant
        images would measure is left out.

    Attributes
    ----------
    is_observed
        Mask: 1 for each observed value, 0 for each missing one.
    centered
        Projection onto what was observed and has structure.
    image
        Projection of the measurement.
    levels
        Value of each channel with which constant images explain the measurement best; ``None`` if it is an image.
    noise_level
        Standard deviation of the noise of each observed value; ``None`` if it is not known.
    """

    def __init__(self, problem: Problem, measures_image: bool) -> None:
        self._problem = problem
        self._is_complex = problem.measurement.is_complex()
        whole = as_real(problem.measurement)
        seen = (problem.weights > 0).to(problem.weights)
        self.is_observed: Tensor = seen[..., None].expand_as(whole).contiguous() if self._is_complex else seen
        self.levels: Tensor | None = None
        self.centered: Centering = ChannelMeans(self.is_observed)
        if not measures_image:
            self.centered = flat = FlatResponses.of(self._operator, self.is_observed)
            self.levels = flat.levels(whole)
        self.image: Tensor = self.centered(whole)
        self._places = self.is_observed.flatten().nonzero().squeeze(1)

    @property
    def _operator(self) -> LinearMap:
        operator = self._problem.forward_model
        assert isinstance(operator, LinearMap)
        return operator

    @property
    def noise_level(self) -> Float[Tensor, "n"] | None:
        """Standard deviation of the noise of each observed value; ``None`` if it is not known. A complex one has half its variance."""
        level = self._problem.noise_level
        if level is None:
            return None
        own = level / 2**0.5 if self._is_complex else level
        return as_column(own, self.image.ndim).expand_as(self.image).flatten()[self._places]

    def jacobian(self, whole: LinearMap) -> LinearMap:
        """Return the map to the entries from a map to images, such as the Jacobian of a generator."""
        return whole if self._problem.is_denoising else measured(whole, self._operator, self._is_complex)

    def residual(self, image: Float[Tensor, "c *spatial"]) -> Float[Tensor, "n"]:
        """Return what is predicted of the observed values minus what was measured."""
        return as_real(self._problem.residual(image)).flatten()[self._places]

    def spread(self, values: Float[Tensor, "n"]) -> Tensor:
        """Return values at the observed places among zeros, flattened."""
        return values.new_zeros(self.image.numel()).index_copy(0, self._places, values)

    def gathered(self, values: Tensor) -> Float[Tensor, "n"]:
        """Return the observed values of flattened ones."""
        return values[self._places]

    def shaped(self, vectors: Float[Tensor, "n_all r"]) -> NDArray[Any]:
        """Return columns in the shape of the measurement, the column's number first."""
        each = vectors.T.reshape(-1, *self.image.shape)
        return as_array(from_real(each, self._is_complex))

    def power(self, squares: Float[Tensor, "n_all"]) -> NDArray[Any]:
        """Return squares in the shape of the measurement, those of a complex entry added."""
        shaped = squares.view(self.image.shape)
        return as_array(shaped.sum(-1) if self._is_complex else shaped)

    def error(self, errors: Float[Tensor, "n_all"]) -> NDArray[Any]:
        """Return standard errors in the shape of the measurement, those of a complex entry combined."""
        return np.asarray(np.sqrt(self.power(errors.square())))

    def images(self, whole: LinearMap, part: LinearMap, pairs: Eigenpairs) -> Paced[Tensor]:
        """Find the image of the linearized generator that is measured as each vector, but for the levels of its channels.

        Parameters
        ----------
        whole, part
            Jacobian of the generator, and that of the entries with structure.
        pairs
            Eigenpairs of the latter times its adjoint.
        """
        assert isinstance(self.centered, FlatResponses)
        found = []
        least = torch.finfo(pairs.values.dtype).tiny
        for value, vector in zip(pairs.values, pairs.vectors.T, strict=True):
            image = whole.apply(part.adjoint(vector.reshape(part.out_shape)))[0] / value.clamp_min(least)
            levels = self.centered.levels(as_real(self._operator.apply(image)))
            found.append(image - as_column(levels, image.ndim))
            yield
        return torch.stack(found)


def as_array(values: Tensor) -> NDArray[Any]:
    """Return a tensor as an array on the CPU."""
    array: NDArray[Any] = values.cpu().numpy()
    return array
