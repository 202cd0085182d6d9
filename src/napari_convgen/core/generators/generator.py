"""What the loop and the verbs need of a generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor, nn

Group = Literal["convolutions", "norms", "output"]

GROUPS: tuple[Group, ...] = ("convolutions", "norms", "output")
"""Groups of parameters: the hidden convolutions, the channel norms (scales and offsets), and the output layer."""

N_IMAGES = 16
"""Images on the finest grid that a step holds at once beside the generator: measurement, weights, average, their temporaries."""

N_WEIGHT_COPIES = 4
"""Tensors of the size of the weights: the weights, their gradient, and the two moments of Adam."""

LATENT_SCALE = 0.1
"""Largest value of a latent, which is uniform in [0, 0.1] as in the authors' code."""

OutputMap = Literal["sigmoid", "linear"]
"""Map from the last layer to the image."""

FLOAT_BYTES = 4
"""Bytes of a weight, and of a value of an image."""


class Generator(nn.Module):
    """Several untrained networks of one architecture, the members, each with parameters and a latent of its own.

    Attributes
    ----------
    is_capturable
        True if a step can be recorded as a CUDA graph: it takes no values from the host.
    has_lessons
        True for a generator that learns from examples which it makes itself, see `learn`; False, the default, for one that is fitted
        to the measurement.
    n_lessons
        Number of lessons in a step, if it has any.
    pace
        Factor on the learning rate, 1 by default: less for a generator that knows something before its first step, and would forget it.
    usual_share
        Share of the generator that suits an image in a mixture with an estimate, on average over images with white noise: 0.2. Chosen on
        the tuning images of benchmarks/quality.py.
    makes_tensors_anew
        True if each step makes its hidden tensors anew, of many sizes; False, the default, if they are few or stay.
    pace_of_torch
        Pace of plain PyTorch against the fastest backend, in words.
    """

    is_capturable = True
    has_lessons: ClassVar[bool] = False
    n_lessons: int = 0
    pace: float = 1.0
    usual_share: float = 0.2
    makes_tensors_anew: ClassVar[bool] = False
    pace_of_torch: ClassVar[str] = "slower"

    @classmethod
    def backends(cls, n_axes: int) -> tuple[str, ...]:
        """Return the names of what computes such a generator beside plain PyTorch, over that many spatial axes."""
        return ()

    @classmethod
    def precisions(cls, backend: str) -> tuple[str, ...]:
        """Return the number formats of the hidden layers that a backend can compute with."""
        return ("float32",)

    @property
    def is_settled(self) -> bool:
        """True once the images are what the generator is for, and no longer a means to fit better ones."""
        return True

    def prepare(
        self,
        measurements: Shaped[Tensor, "m c *entries"],
        weights: Float[Tensor, "m c *entries"],
        noise_level: Float[Tensor, "c"] | None,
        noise_spectrum: Float[np.ndarray, "a b"] | None,
    ) -> None:
        """Take note, before the first step, of what the members are fitted to, and of its noise; most generators need not."""

    def guide(self, guides: Float[Tensor, "m c *spatial"], noise_level: Float[Tensor, "c"] | None = None) -> None:
        """Take estimates of the clean image to draw from, one for each member, before the first step.

        Parameters
        ----------
        guides
            The estimates.
        noise_level
            Level of which a share is added to them as noise, for each channel; ``None``, the default, for that of the measurement.
        """
        raise TypeError(f"A {type(self).__name__} draws from no image.")

    def forward(self) -> Float[Tensor, "m c *spatial"]:
        """Return each member's image, values around [0, 1]."""
        raise NotImplementedError

    def learn(self, member: int) -> None:
        """Give a member its next lesson: its parameters get the gradient of the loss."""
        raise NotImplementedError

    def draw(self) -> Iterator[Float[Tensor, "p c *spatial"]]:
        """Yield the members' images in their order, by default all at once.

        Where members are computed one after the other, each is fitted before the next is drawn: the hidden tensors of one are alive at a
        time.
        """
        yield self()

    def targets(self, measurements: Shaped[Tensor, "m c *entries"]) -> Shaped[Tensor, "m c *entries"]:
        """Return what the images of the last forward pass are to be near: the measurements, unless they were part of its input."""
        return measurements

    def update(self, step: int, averages: Float[Tensor, "m c *spatial"]) -> None:
        """Take note of a step that was taken, and of the running average of each member's images; most generators need not."""

    def dead_fraction(self) -> float:
        """Return the largest share, over members and hidden layers, of channels that are the same at every pixel."""
        raise NotImplementedError

    def layer_weights(self) -> Mapping[str, Sequence[Tensor]]:
        """Return the learned convolution weights of each layer by its name, from the latent to the image, one tensor a member.

        The tensors are the parameters or views of them, so that they change during a fit. The layers are named ``"layer 1"``, …, and
        ``"output"``.
        """
        raise NotImplementedError

    def parameter_group(self, name: str) -> Group:
        """Return the group of the parameter of that name; by default the name says it."""
        if "norm" in name:
            return "norms"
        return "output" if "output" in name else "convolutions"


def named_layers(hidden: Sequence[Sequence[Tensor]], output: Sequence[Tensor]) -> dict[str, Sequence[Tensor]]:
    """Name hidden layers and the output layer, see `Generator.layer_weights`."""
    return {f"layer {i}": weights for i, weights in enumerate(hidden, 1)} | {"output": output}
