"""Passes over patches on any device, by PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_convgen.core.non_local.patches import Patches

FIXED_POINT = 2**24
"""Smallest part that sums are rounded to is one over this: about the precision of float32 at 1. Sums of integers do not depend on their
order, so that they are the same in each run on a GPU."""


class PlainPasses:
    """`napari_convgen.core.non_local.passes.Passes` on any device."""

    def match(self, image: Tensor, patches: Patches) -> Tensor:  # noqa: D102
        starts = [torch.from_numpy(each).to(image.device) for each in patches.starts(image.shape)]
        counts = [len(each) for each in starts]
        own = self._places(image, *torch.meshgrid(*starts, indexing="ij"))
        best, places = torch.full((*counts, 1), -1.0, device=image.device, dtype=image.dtype), own[..., None]
        along = torch.arange(-patches.reach[2], patches.reach[2] + 1, device=image.device)
        for dz in range(-patches.reach[0], patches.reach[0] + 1):
            for dy in range(-patches.reach[1], patches.reach[1] + 1):
                distances = self._distances(image, patches, starts, dz, dy)
                if dz == dy == 0:
                    distances[..., patches.reach[2]] = torch.inf  # the patch itself, which is in
                found = own[..., None] + (dz * image.shape[1] + dy) * image.shape[2] + along
                best, order = torch.cat((best, distances), -1).sort(dim=-1, stable=True)
                places = torch.cat((places, found), -1).gather(-1, order)
                best, places = best[..., : patches.n_similar], places[..., : patches.n_similar]
        places = torch.where(best.isfinite(), places, own[..., None])  # what is not finite can lie outside the image
        return places.flatten(0, 2).to(torch.int32).contiguous()

    def gather(self, image: Tensor, places: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        found = image.reshape(-1)[places[..., None] + offsets]
        means = found.mean(1)
        return found - means[:, None], means

    def invert(self, matrices: Tensor) -> Tensor:  # noqa: D102
        return torch.cholesky_inverse(torch.linalg.cholesky(matrices))

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
        mixed = estimates + noise_share[:, None, None] * (noisy - estimates)
        added = torch.stack((estimates + means[:, None], mixed + means[:, None], torch.ones_like(mixed)), -1)
        rounded = (FIXED_POINT * weights[..., None, None] * added).round().to(torch.int64)
        sums.index_add_(0, (places[..., None] + offsets).flatten(), rounded.flatten(0, 2))

    def each(self, work: Callable[[int], None], n_tasks: int) -> None:  # noqa: D102
        for task in range(n_tasks):
            work(task)

    def new_sums(self, image: Tensor) -> Tensor:  # noqa: D102
        return torch.zeros(1, image.numel(), 3, dtype=torch.int64, device=image.device)

    @staticmethod
    def _places(image: Tensor, z: Tensor, y: Tensor, x: Tensor) -> Tensor:
        return (z * image.shape[1] + y) * image.shape[2] + x

    @staticmethod
    def _distances(image: Tensor, patches: Patches, starts: list[Tensor], dz: int, dy: int) -> Tensor:
        """Return the squared distances to the patches ``dz`` and ``dy`` away, one after the other along X; infinite beyond edges."""
        reach, shape = patches.reach[2], image.shape
        shifts = torch.arange(-reach, reach + 1, device=image.device)
        rows = [torch.arange(n, device=image.device) for n in shape]
        ends = [n - p for n, p in zip(shape, patches.size, strict=True)]
        moved = image[(rows[0] + dz).clamp(0, shape[0] - 1)][:, (rows[1] + dy).clamp(0, shape[1] - 1)]
        moved = moved[:, :, (rows[2] + shifts[:, None]).clamp(0, shape[2] - 1)].movedim(2, 0)
        squares = (moved - image).square()[:, None]
        sums = F.avg_pool3d(squares, patches.size, 1, divisor_override=1)[:, 0]
        z, y, x = starts
        distances = sums[:, z][:, :, y][:, :, :, x].movedim(0, -1)
        is_in = ((z + dz >= 0) & (z + dz <= ends[0]))[:, None, None] & ((y + dy >= 0) & (y + dy <= ends[1]))[:, None]
        there = x[:, None] + shifts
        is_in = is_in[..., None] & ((there >= 0) & (there <= ends[2]))
        return torch.where(is_in, distances, torch.inf)
