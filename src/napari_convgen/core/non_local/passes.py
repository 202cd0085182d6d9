"""What the non-local estimate does with each patch, apart from the linear algebra of groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from napari_convgen.core.non_local.patches import Patches


class Passes(Protocol):
    """Passes over the patches of an image, all values in standard deviations of the noise.

    A place is the number of a patch's first pixel in the flattened image.
    """

    def match(self, image: Float[Tensor, "z y x"], patches: Patches) -> Int[Tensor, "g k"]:
        """Return the places of each group: the patch itself and those within reach of the least squared distance to it."""
        ...

    def gather(
        self, image: Float[Tensor, "z y x"], places: Int[Tensor, "g k"], offsets: Int[Tensor, "n"]
    ) -> tuple[Float[Tensor, "g k n"], Float[Tensor, "g n"]]:
        """Return the patches at places less the mean of their group, and that mean."""
        ...

    def invert(self, matrices: Float[Tensor, "g n n"]) -> Float[Tensor, "g n n"]:
        """Return the inverses of symmetric positive definite matrices, whose memory may be used for them."""
        ...

    def scatter(
        self,
        sums: Shaped[Tensor, "p 3"],
        places: Int[Tensor, "g k"],
        offsets: Int[Tensor, "n"],
        estimates: Float[Tensor, "g k n"],
        noisy: Float[Tensor, "g k n"],
        means: Float[Tensor, "g n"],
        noise_share: Float[Tensor, "g"],
        weights: Float[Tensor, "g k"],
    ) -> None:
        r"""Add patches, times their weights, to the sums at their places.

        Parameters
        ----------
        sums
            Sums at each pixel, which no other call may add to at the same time: the estimates, their mixture with the noisy patches,
            and the weights.
        places, offsets
            Places of the patches, and the distances of their pixels from the first one.
        estimates, noisy, means
            Denoised and noisy patches, both without the mean of their group, which is added.
        noise_share
            Share :math:`\rho` of the noisy patches in the mixture :math:`(1 - \rho) \cdot` estimate :math:`+ \rho\, \cdot` noisy patch.
        weights
            Weight of each patch.
        """
        ...

    def new_sums(self, image: Float[Tensor, "z y x"]) -> Shaped[Tensor, "s p 3"]:
        """Return empty sums for `scatter`, several that can be added to at the same time."""
        ...

    def each(self, work: Callable[[int], None], n_tasks: int) -> None:
        """Call a function with the number of each task."""
        ...


def computed_on(device: torch.device) -> torch.device:
    """Return where the estimate of an image on a device is computed: there, but for MPS, which lacks double precision, on the CPU."""
    return torch.device("cpu") if device.type == "mps" else device


def passes_on(device: torch.device, n_threads: int) -> Passes:
    """Return the fastest passes on a device: those of Numba on the CPU if it can be loaded, otherwise those of PyTorch.

    Parameters
    ----------
    device
        Device of the images.
    n_threads
        Number of threads on the CPU.
    """
    if device.type == "cpu":
        try:
            from napari_convgen.core.non_local.cpu import CpuPasses
        except ImportError:
            return _plain_passes()
        return CpuPasses(n_threads)
    return _plain_passes()


def _plain_passes() -> Passes:
    from napari_convgen.core.non_local.plain import PlainPasses

    return PlainPasses()
