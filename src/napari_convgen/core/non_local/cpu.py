"""Passes over patches on the CPU, by Numba."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from napari_convgen.core.cpu.threads import share_out, share_out_tasks
from napari_convgen.core.non_local import cpu_kernels
from napari_convgen.core.non_local.patches import Patches

N_SUMS = 8
"""Number of sums that patches are added to, so that as many threads can do it at once, with the same result for any number of threads."""


class CpuPasses:
    """`napari_convgen.core.non_local.passes.Passes` on the CPU.

    Parameters
    ----------
    n_threads
        Number of threads.
    """

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def match(self, image: Tensor, patches: Patches) -> Tensor:  # noqa: D102
        starts = patches.starts(image.shape)
        n_lines, n_columns = len(starts[0]) * len(starts[1]), len(starts[2])
        places = torch.empty(n_lines * n_columns, patches.n_similar, dtype=torch.int32)
        n_compared = places.numel() * math.prod(2 * each + 1 for each in patches.reach)
        arguments = (image.numpy(), patches.size, patches.reach, *starts, places.numpy())
        share_out(cpu_kernels.match, n_lines, n_compared, *arguments, n_threads=self.n_threads)
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
        tensors = (places, offsets, estimates, noisy, means, noise_share, weights)
        cpu_kernels.scatter(*(np.ascontiguousarray(each.numpy()) for each in tensors), sums.numpy())

    def each(self, work: Callable[[int], None], n_tasks: int) -> None:  # noqa: D102
        share_out_tasks(work, n_tasks, self.n_threads)

    def new_sums(self, image: Tensor) -> Tensor:  # noqa: D102
        return image.new_zeros(N_SUMS, image.numel(), 3)
