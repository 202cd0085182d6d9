"""The operator of inpainting: what was not observed is zero in the measurement."""

from __future__ import annotations

from jaxtyping import Bool
from torch import Tensor

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.constant import Constant
from napari_convgen.errors import InputError, mismatch


def masking(is_observed: Bool[Tensor, "c *spatial"]) -> LinearMap:
    """Return the map that sets the values of an image to zero where it was not observed.

    It is its own adjoint, and a projection. To fit an image with missing pixels it is not needed: a `Problem` of the identity does the
    same with weights of zero there. It is the operator of whatever has no weights, and it masks the measurement of another operator:
    ``masking(is_observed) @ blurring(shape, psf)``.

    Parameters
    ----------
    is_observed
        True where a value was observed.

    Raises
    ------
    InputError
        Nothing was observed.
    """
    if not is_observed.any():
        raise InputError(
            "The mask leaves nothing of the image: no pixel is observed. Give one that is True where pixels are."
        )
    constant, shape = Constant(is_observed), tuple(is_observed.shape)

    def masked(x: Tensor) -> Tensor:
        return x * constant.like(x)

    return LinearMap(masked, shape, shape, masked)


def check_mask(is_missing: Bool[Tensor, "*spatial"], size: tuple[int, ...]) -> None:
    """Check the mask of the pixels to fill in.

    Parameters
    ----------
    is_missing
        True where a pixel is to be filled in.
    size
        Number of pixels of the image along each axis.

    Raises
    ------
    InputError
        Another shape than the image's, nothing to fill in, or nothing to fill it in from.
    """
    if tuple(is_missing.shape) != size:
        raise InputError(
            mismatch(
                "The mask must have the shape of the image",
                expected=size,
                got=tuple(is_missing.shape),
                advice="Draw it on the image, or crop one of them.",
            )
        )
    if not is_missing.any():
        raise InputError("The mask marks no pixel: there is nothing to fill in. Mark the missing pixels.")
    if is_missing.all():
        raise InputError(
            "The mask marks every pixel: nothing is left to fill them in from. Mark the missing pixels alone."
        )
