"""Optimizers of the weights of a generator.

They take the very steps of those in `torch.optim`. Its classes load PyTorch's compiler, which takes longer than a short fit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

DECAYS = 0.9, 0.999
"""Share of the running means of the gradients and of their squares that stays at each step: the published values."""

LEAST_DIVISOR = 1e-8
"""Number that is added to what the mean gradient is divided by: the published value."""


class Optimizer(ABC):
    """Changes weights by their gradients, which `torch.Tensor.backward` has added up since `zero_grad`.

    Parameters
    ----------
    parameters
        Weights, on the device where they stay.
    learning_rate
        Step size, above 0.

    Attributes
    ----------
    memory
        What it remembers from step to step: tensors that it changes in place.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        self.parameters = list(parameters)
        self.learning_rate = learning_rate
        self.memory: list[Tensor] = []

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def restore(self, memory: Iterable[Tensor]) -> None:
        """Go on with what this optimizer, or another over weights of the same shapes, remembered: copies go into `memory`."""
        for tensor, kept in zip(self.memory, memory, strict=True):
            tensor.copy_(kept)

    @abstractmethod
    def step(self) -> None:
        """Change the weights; one without a gradient stays as it is."""


class GradientDescent(Optimizer):
    """Gradient descent, as `torch.optim.SGD`.

    Parameters
    ----------
    parameters, learning_rate
        See `Optimizer`.
    momentum
        Share of the last step that is taken again, from 0, the default, to below 1.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, learning_rate)
        self.momentum = momentum
        if momentum:
            self.memory = [torch.zeros_like(each, requires_grad=False) for each in self.parameters]

    @torch.no_grad()
    def step(self) -> None:  # noqa: D102
        for i, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                step = self.memory[i].mul_(self.momentum).add_(parameter.grad) if self.momentum else parameter.grad
                parameter.add_(step, alpha=-self.learning_rate)


class Adam(Optimizer):
    """Adam (Kingma and Ba, ICLR 2015), as `torch.optim.Adam`; its steps can be captured by a CUDA graph."""

    def __init__(self, parameters: Iterable[nn.Parameter], learning_rate: float) -> None:
        super().__init__(parameters, learning_rate)
        self._means = [torch.zeros_like(each, requires_grad=False) for each in self.parameters]
        self._squares = [torch.zeros_like(each, requires_grad=False) for each in self.parameters]
        self._steps = [_count_for(each) for each in self.parameters]
        self.memory = [*self._means, *self._squares, *self._steps]

    @torch.no_grad()
    def step(self) -> None:  # noqa: D102
        pairs = [(i, each, each.grad) for i, each in enumerate(self.parameters) if each.grad is not None]
        if not pairs:
            return
        device = pairs[0][1].device.type
        adam(
            [parameter for _, parameter, _ in pairs],
            [gradient for _, _, gradient in pairs],
            [self._means[i] for i, _, _ in pairs],
            [self._squares[i] for i, _, _ in pairs],
            [],
            [self._steps[i] for i, _, _ in pairs],
            foreach=False,
            capturable=device == "cuda",
            fused=_is_fused(device),
            amsgrad=False,
            beta1=DECAYS[0],
            beta2=DECAYS[1],
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=LEAST_DIVISOR,
            maximize=False,
        )


def _is_fused(device: str) -> bool:
    return device != "mps"


def _count_for(parameter: Tensor) -> Tensor:
    """Return a number of steps, 0, where PyTorch wants it."""
    return torch.zeros((), dtype=torch.float32, device=parameter.device if _is_fused(parameter.device.type) else "cpu")
