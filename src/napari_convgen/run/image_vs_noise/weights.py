"""How far the weights of a generator's layers move from where they start."""

from __future__ import annotations

import torch

from napari_convgen.core.generators import Generator


class WeightDistances:
    r"""Relative distance :math:`\|W_t - W_0\| / \|W_0\|` of each layer's convolution weights W, for each member.

    Parameters
    ----------
    generator
        Generator at its start.

    Attributes
    ----------
    layers
        Names of the layers, from the latent to the image: ``"layer 1"``, …, ``"output"``.

    References
    ----------
    Heckel and Soltanolkotabi (2020), figure 9.
    """

    def __init__(self, generator: Generator) -> None:
        weights = generator.layer_weights()
        self.layers = tuple(weights)
        self._weights = list(weights.values())
        self._starts = [[w.detach().clone() for w in layer] for layer in self._weights]

    @torch.no_grad()
    def measure(self) -> list[list[float]]:
        """Return the distances now: a list over the layers for each member."""
        distances = [
            torch.stack([(now - start).norm() / start.norm() for now, start in zip(*layer, strict=True)])
            for layer in zip(self._weights, self._starts, strict=True)
        ]
        by_member: list[list[float]] = torch.stack(distances, dim=1).tolist()
        return by_member
