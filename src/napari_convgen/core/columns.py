"""One value for each channel, beside the channels' pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


@overload
def as_column(values: NDArray[Any], n_axes: int) -> NDArray[Any]: ...


@overload
def as_column(values: Tensor, n_axes: int) -> Tensor: ...


def as_column(values: Any, n_axes: int) -> Any:
    """Return one value for each channel, shaped to be broadcast over an array with ``n_axes`` axes, channels first."""
    return values.reshape(-1, *(1,) * (n_axes - 1))
