"""Chance inside a generator, fresh at each step: noise on its input, and dropout.

The draws are a function of a seed, the number of the draw and the place alone: the same on every device, in a captured
CUDA graph too, and a fit goes on bit for bit once its two numbers are restored.

References
----------
Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, figure 16 (SplitMix64).
"""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor, nn

STRIDE = 0x9E3779B97F4A7C15 - 2**64
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
"""Factors of SplitMix64, as signed numbers: products and sums wrap around."""


class _Draws(nn.Module):
    """A source of numbered draws."""

    seed: Tensor
    n_draws: Tensor

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("seed", torch.randint(-(2**63), 2**63 - 1, (), generator=rng))
        self.register_buffer("n_draws", torch.zeros((), dtype=torch.int64))

    def integers(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the next draw: an integer of that type, all being equally likely, for each value of x."""
        self.n_draws += 1
        key = mix(self.seed + self.n_draws * STRIDE)
        n_hashes = -(-x.numel() * dtype.itemsize // torch.int64.itemsize)
        hashes = mix(torch.arange(1, 1 + n_hashes, device=x.device).mul_(STRIDE).add_(key))
        return hashes.view(dtype)[: x.numel()].reshape(x.shape)


class InputNoise(_Draws):
    """Add fresh noise to a tensor while training; each call is one draw.

    The noise is uniform, which costs less than Gaussian noise and serves as well.

    Parameters
    ----------
    sd
        Its standard deviation, in the units of the tensor; 0 adds nothing.
    rng
        Source of the seed, on the CPU whatever the device.
    """

    def __init__(self, sd: float, rng: torch.Generator) -> None:
        super().__init__(rng)
        self.sd = sd

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the next draw added, or x itself when not training or without noise."""
        if not self.training or self.sd == 0:
            return x
        return torch.add(x, self.integers(x, torch.int16).to(x.dtype), alpha=self.sd * 3**0.5 / 2**15)


class GaussianDraws(_Draws):
    """Standard Gaussian noise; each call is one draw.

    Parameters
    ----------
    rng
        Source of the seed, on the CPU whatever the device.

    References
    ----------
    Box and Muller, "A Note on the Generation of Random Normal Deviates", Annals of Mathematical Statistics 29, 1958.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the next draw, in the shape and on the device of x."""
        first, second = (self.integers(x, torch.int32).to(x.dtype) / 2**32 + 0.5 for _ in range(2))
        return (-2 * first.clamp_min(2**-33).log()).sqrt_() * (2 * torch.pi * second).cos_()


class Dropout(_Draws):
    """Set values to zero by chance while training, and scale the others so that the mean stays; each call is one draw.

    Parameters
    ----------
    share
        Share of the values that are set to zero, 0 to below 1, in steps of 1/256.
    rng
        Source of the seed, on the CPU whatever the device.
    """

    def __init__(self, share: float, rng: torch.Generator) -> None:
        super().__init__(rng)
        self.n_dropped = round(256 * share)

    def forward(self, x: Tensor) -> Tensor:
        """Return x with the values of the next draw dropped, or x itself when not training or without dropout."""
        if not self.training or self.n_dropped == 0:
            return x
        is_kept = self.integers(x, torch.int8) >= self.n_dropped - 128
        return x * is_kept.to(x.dtype).mul_(256 / (256 - self.n_dropped))


def mix(x: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
    """Hash whole numbers of 64 bits, each by itself."""
    for shift, factor in zip((30, 27), FACTORS, strict=True):
        x = (x ^ _shifted(x, shift)) * factor
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, n: int) -> Tensor:
    """Shift to the right, zeros coming in."""
    shifted: Tensor = (x >> n) & (2 ** (64 - n) - 1)
    return shifted
