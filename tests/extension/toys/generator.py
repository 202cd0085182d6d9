"""A toy generator: a learned mixture of fixed smooth random images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from napari_convgen.core.generators.generator import FLOAT_BYTES, N_IMAGES, Generator, named_layers


class ToyGenerator(Generator):
    """Sigmoid of a mixture, of which the weights are learned."""

    waves: Tensor

    def __init__(
        self,
        size: Sequence[int],
        n_outputs: int,
        *,
        n_channels: int,
        highest_frequency: float,
        rngs: Sequence[torch.Generator],
    ) -> None:
        super().__init__()
        axes = torch.meshgrid(*(torch.linspace(0, 1, n) for n in size), indexing="ij")
        waves = []
        for rng in rngs:
            frequencies = highest_frequency * torch.rand(n_channels, len(size), generator=rng)
            phases = torch.rand(n_channels, generator=rng).view(-1, *(1,) * len(size))
            waves.append(
                torch.sin(2 * math.pi * (torch.einsum("ka, a... -> k...", frequencies, torch.stack(axes)) + phases))
            )
        self.register_buffer("waves", torch.stack(waves))
        self.output_weights = nn.Parameter(torch.zeros(len(rngs), n_outputs, n_channels))

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        return torch.einsum("mck, mk... -> mc...", self.output_weights, self.waves).sigmoid()

    def dead_fraction(self) -> float:
        return 0.0

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        return named_layers([], self.output_weights.unbind())


def memory_bytes(size: Sequence[int], n_outputs: int, *, n_members: int, n_channels: int, **_: Any) -> int:
    """Return about how many bytes a step of a fit takes at its peak."""
    return FLOAT_BYTES * math.prod(size) * n_members * (n_channels + N_IMAGES * n_outputs)
