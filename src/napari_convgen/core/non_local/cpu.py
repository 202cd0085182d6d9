"""Passes over patches on the CPU, by Numba."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from napari_convgen.core.cpu.threads import share_out
from napari_convgen.core.non_local import cpu_kernels
from napari_convgen.core.non_local.patches import Patches


class CpuPasses:
    """`napari_convgen.core.non_local.passes.Passes` on the CPU, with the number of threads that PyTorch is set to.

    Each thread adds up patches of its own, so that the last bits depend on the number of threads.
    """

    def match(self, image: Tensor, patches: Patches) -> Tensor:  # noqa: D102
        starts = patches.starts(image.shape)
        n_lines, n_columns = len(starts[0]) * len(starts[1]), len(starts[2])
        places = torch.empty(n_lines * n_columns, patches.n_similar, dtype=torch.int32)
        n_compared = places.numel() * math.prod(patches.reach)
        share_out(
            cpu_kernels.match, n_lines, n_compared, image.numpy(), patches.size, patches.reach, *starts, places.numpy()
        )
        return places

    def gather(self, image: Tensor, places: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        found = image.new_empty(*places.shape, len(offsets))
        means = image.new_empty(len(places), len(offsets))
        arrays = (each.numpy() for each in (image.view(-1), places, offsets, found, means))
        share_out(cpu_kernels.gather, len(places), found.numel(), *arrays)
        return found, means

    def invert(self, matrices: Tensor) -> Tensor:  # noqa: D102
        n_products = matrices.numel() * matrices.shape[-1]
        share_out(cpu_kernels.invert, len(matrices), n_products, matrices.numpy())
        return matrices

    def scatter(  # noqa: D102
        self,
        sums: Tensor,
        places: Tensor,
        offsets: Tensor,
        estimates: Tensor,
        noisy: Tensor,
        means: Tensor,
        noise_share: Tensor,
        weights: Tensor,
    ) -> None:
        tensors = (places, offsets, estimates, noisy, means, noise_share, weights, sums)
        arrays = (np.ascontiguousarray(each.numpy()) for each in tensors[:-1])
        share_out(cpu_kernels.scatter, len(sums), estimates.numel() * len(sums), *arrays, sums.numpy())

    def new_sums(self, image: Tensor) -> Tensor:  # noqa: D102
        return image.new_zeros(torch.get_num_threads(), image.numel(), 3)
