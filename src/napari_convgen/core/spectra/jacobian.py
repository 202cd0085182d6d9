"""The derivative of a generator's output with respect to its parameters, as a linear map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from napari_convgen.core.linear_map import LinearMap

Parameters = Mapping[str, Tensor]


def jacobian(output: Callable[[Parameters], Tensor], parameters: Parameters) -> LinearMap:
    """Return the Jacobian of ``output`` at ``parameters``, from all parameters in one vector to the output.

    Parameters
    ----------
    output
        Made of operations that `torch.func` can differentiate in both directions, without side effects.
    parameters
        Where the derivative is taken; they must not change while the map is in use.
    """
    point = {name: parameter.detach() for name, parameter in parameters.items()}
    value, pull_back = cast(tuple[Tensor, Callable[[Tensor], tuple[Parameters]]], vjp(output, point))
    sizes = [parameter.numel() for parameter in point.values()]

    def apply(vector: Tensor) -> Tensor:
        parts = zip(point.items(), vector.split(sizes), strict=True)
        tangent: Tensor = jvp(output, (point,), ({name: part.view_as(p) for (name, p), part in parts},))[1]
        return tangent.detach()

    def adjoint(image: Tensor) -> Tensor:
        (gradients,) = pull_back(image)
        return torch.cat([gradients[name].flatten() for name in point])

    return LinearMap(apply, adjoint, (sum(sizes),), tuple(value.shape))


def module_jacobian(generator: nn.Module) -> LinearMap:
    """Return the Jacobian of a generator, which is called without arguments, at its present parameters."""
    return jacobian(
        lambda parameters: functional_call(generator, dict(parameters), ()),
        {name: parameter.detach().clone() for name, parameter in generator.named_parameters()},
    )
