"""How far the weights of a generator's layers move from where they start."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from napari_convgen.core.generators import DeepDecoder, Generator, SkipNetwork
from napari_convgen.core.generators.fused.decoder import FusedDecoder


class WeightDistances:
    r"""Relative distance :math:`\|W_t - W_0\| / \|W_0\|` of each layer's convolution weights W, for each member.

    Parameters
    ----------
    generator
        At its start.

    Attributes
    ----------
    layers
        Names, from the latent to the image: ``"layer 1"``, …, ``"output"``.

    References
    ----------
    Heckel and Soltanolkotabi (2020), figure 9.
    """

    def __init__(self, generator: Generator) -> None:
        self._weights = list(_layer_weights(generator))
        self._starts = [[w.detach().clone() for w in layer] for layer in self._weights]
        self.layers = (*(f"layer {i}" for i in range(1, len(self._weights))), "output")

    @torch.no_grad()
    def measure(self) -> list[list[float]]:
        """Return the distances now: a list over the layers for each member."""
        distances = [
            torch.stack([(now - start).norm() / start.norm() for now, start in zip(*layer, strict=True)])
            for layer in zip(self._weights, self._starts, strict=True)
        ]
        by_member: list[list[float]] = torch.stack(distances, dim=1).tolist()
        return by_member


def _layer_weights(generator: Generator) -> Iterator[Sequence[Tensor]]:
    """Go through the layers; of each, the convolution weights of all members, which change as they are moved."""
    if isinstance(generator, SkipNetwork):
        members = [dict(member.named_parameters()) for member in generator.members]
        names = [name for name in members[0] if name.endswith(".weights")]
        output = next(name for name in members[0] if name.endswith("output_weights"))
        yield from ([member[name] for member in members] for name in (*sorted(names, key=_place), output))
        return
    decoder = generator.decoder if isinstance(generator, FusedDecoder) else generator
    assert isinstance(decoder, DeepDecoder)
    yield from (weights.unbind() for weights in (*decoder.convolutions, decoder.output_convolution))


def _place(name: str) -> tuple[bool, int]:
    """Where a skip network's layer lies on the way down and up again; its way up is listed from the image's grid."""
    _, way_up, rest = name.partition("ways_up.")
    return bool(way_up), -int(rest.split(".")[0]) if way_up else 0
