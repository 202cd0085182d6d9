"""The part of a measurement that has structure: what was observed, without the mean of the image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap

LEAST_RESPONSE = 1e-6
"""Least share of a constant image's energy in its measurement, by an operator of norm 1, that is no rounding error of float32."""


def remove_mean(
    image: Float[Tensor, "c *spatial"], weights: Float[Tensor, "c *spatial"]
) -> Float[Tensor, "c *spatial"]:
    """Subtract the mean of each channel's observed values from them; missing values become 0."""
    over = tuple(range(1, image.ndim))
    mean = (weights * image).sum(over, keepdim=True) / weights.sum(over, keepdim=True).clamp_min(1)
    return weights * (image - mean)


def as_real(values: Shaped[Tensor, "*shape"]) -> Float[Tensor, "*real"]:
    """Return complex values as pairs of real ones along a last axis, and real values as they are."""
    return torch.view_as_real(values) if values.is_complex() else values


def from_real(values: Float[Tensor, "*real"], is_complex: bool) -> Shaped[Tensor, "*shape"]:
    """Return the inverse of `as_real`."""
    return torch.view_as_complex(values.contiguous()) if is_complex else values


@dataclass(frozen=True, eq=False)
class ChannelMeans:
    """The projection of an image onto its observed values, without the mean of each channel.

    The mean behaves unlike the rest of the image: convolutions between a norm and the output cannot change it, and with the norm before
    the ReLU it changes more than anything else. It carries no structure and would hide the other directions.

    Attributes
    ----------
    weights
        Mask: 1 for each observed value, 0 for each missing one.
    """

    weights: Float[Tensor, "c *spatial"]

    def __call__(self, values: Float[Tensor, "c *spatial"]) -> Float[Tensor, "c *spatial"]:
        """Return the projection."""
        return remove_mean(values, self.weights)

    @property
    def n_values(self) -> int:
        """Number of dimensions that are left."""
        return int(self.weights.sum()) - len(self.weights)


@dataclass(frozen=True, eq=False)
class FlatResponses:
    """The projection of a measurement that is no image onto its observed entries, without what constant images would measure.

    For a measurement that is the image itself, that is its channels' means.

    Attributes
    ----------
    weights
        Mask: 1 for each observed entry, 0 for each missing one; complex entries are pairs of real ones.
    responses
        Observed measurement of an image of ones in each channel, and zeros in the others.
    inverse
        Pseudoinverse of the responses' inner products.
    """

    weights: Float[Tensor, "*entries"]
    responses: Float[Tensor, "c *entries"]
    inverse: Float[Tensor, "c c"]

    @classmethod
    def of(cls, operator: LinearMap, weights: Float[Tensor, "*entries"]) -> FlatResponses:
        """Measure constant images; a channel whose mean is not measured is left out.

        Parameters
        ----------
        operator
            Map from an image to the measurement, of a norm of at most 1.
        weights
            Mask of the observed entries, see the attribute.
        """
        n_channels, *size = operator.in_shape
        ones = torch.eye(n_channels).to(weights).view(n_channels, n_channels, *(1,) * len(size))
        images = ones.expand(n_channels, n_channels, *size)
        responses = torch.stack([weights * as_real(operator.apply(image.contiguous())) for image in images])
        flat = responses.flatten(1).double()
        least = LEAST_RESPONSE * images[0, 0].numel()
        inverse = torch.linalg.pinv(flat @ flat.T, atol=least, rtol=0.0, hermitian=True)
        return cls(weights, responses, inverse.to(weights))

    def __call__(self, values: Float[Tensor, "*entries"]) -> Float[Tensor, "*entries"]:
        """Return the projection."""
        flat: Tensor = torch.tensordot(self.levels(values), self.responses, 1)
        return self.weights * values - flat

    def levels(self, values: Float[Tensor, "*entries"]) -> Float[Tensor, "c"]:
        """Return the value of each channel with which constant images explain a measurement best; 0 where it is not measured."""
        levels: Tensor = self.inverse @ (self.responses * values).flatten(1).sum(1)
        return levels

    @property
    def n_values(self) -> int:
        """Number of dimensions that are left."""
        return int(self.weights.sum()) - int(torch.linalg.matrix_rank(self.inverse, hermitian=True))


Centering = ChannelMeans | FlatResponses
"""The projections onto what has structure."""
