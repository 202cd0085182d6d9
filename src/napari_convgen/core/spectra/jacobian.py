"""The derivative of a generator's output with respect to its parameters, as a linear map."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Mapping
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, vjp

from napari_convgen.core.linear_map import LinearMap

Parameters = Mapping[str, Tensor]

Group = Literal["convolutions", "norms", "output"]

GROUPS: tuple[Group, ...] = ("convolutions", "norms", "output")
"""Parameters of a generator: of its hidden convolutions, of its channel norms (scales and offsets), of its output layer."""

_FORWARD = threading.Lock()
"""PyTorch differentiates forwards in one thread at a time."""


def jacobian(output: Callable[[Parameters], Tensor], parameters: Parameters) -> LinearMap:
    """Return the Jacobian of ``output`` at ``parameters``, from all parameters in one vector to the output.

    Parameters
    ----------
    output
        Made of operations that PyTorch can differentiate in both directions, without side effects.
    parameters
        Where the derivative is taken; they must not change while the map is in use.
    """
    point = {name: parameter.detach() for name, parameter in parameters.items()}
    value, pull_back = cast(tuple[Tensor, Callable[[Tensor], tuple[Parameters]]], vjp(output, point))
    sizes = [parameter.numel() for parameter in point.values()]

    def apply(vector: Tensor) -> Tensor:
        # Half the time of torch.func.jvp, which wraps each operation.
        with _FORWARD, torch.no_grad(), forward_ad.dual_level():
            parts = zip(point.items(), vector.split(sizes), strict=True)
            duals = {name: forward_ad.make_dual(p, part.view_as(p)) for (name, p), part in parts}
            tangent = forward_ad.unpack_dual(output(duals)).tangent
        return torch.zeros_like(value) if tangent is None else tangent

    def adjoint(image: Tensor) -> Tensor:
        (gradients,) = pull_back(image)
        return torch.cat([gradients[name].flatten() for name in point])

    return LinearMap(apply, adjoint, (sum(sizes),), tuple(value.shape))


def module_jacobian(generator: nn.Module, groups: Collection[Group] = GROUPS) -> LinearMap:
    """Return the Jacobian of a generator, which is called without arguments, at its present parameters.

    It is that of the generator's evaluation mode, so noise on the input and dropout are left out. The generator is copied: neither it nor
    the map is touched by what happens to the other.

    Parameters
    ----------
    generator
        Made of operations that can be differentiated forwards: not a fused one.
    groups
        Of the parameters that the derivative is taken for; one at least that the generator has.
    """
    still = copy.deepcopy(generator).eval().requires_grad_(False)
    moved = {name: parameter for name, parameter in still.named_parameters() if parameter_group(name) in groups}
    return jacobian(lambda parameters: functional_call(still, dict(parameters), ()), moved)


def parameter_group(name: str) -> Group:
    """Return the group that a generator's parameter of that name belongs to."""
    if "norm" in name:
        return "norms"
    return "output" if "output" in name else "convolutions"


def observed(linear_map: LinearMap, weights: Float[Tensor, "c *spatial"]) -> LinearMap:
    """See of a map to images what is observed, each channel's mean apart from it.

    The mean is a direction of its own: convolutions between a norm and the output cannot move it, and with the norm before the ReLU
    it moves more than all else. It says nothing of the image, and would hide the other directions.

    Parameters
    ----------
    linear_map
        To images of one member, ``(1, c, *spatial)``.
    weights
        1 where a value is observed, 0 where it is missing.
    """
    shape = linear_map.out_shape

    def seen(image: Tensor) -> Tensor:
        return remove_mean(image.view(weights.shape), weights).view(shape)

    return LinearMap(
        lambda vector: seen(linear_map.apply(vector)),
        lambda image: linear_map.adjoint(seen(image)),
        linear_map.in_shape,
        shape,
    )


def remove_mean(
    image: Float[Tensor, "c *spatial"], weights: Float[Tensor, "c *spatial"]
) -> Float[Tensor, "c *spatial"]:
    """Take each channel's mean over its observed values from them; 0 where nothing is observed."""
    over = tuple(range(1, image.ndim))
    mean = (weights * image).sum(over, keepdim=True) / weights.sum(over, keepdim=True).clamp_min(1)
    return weights * (image - mean)


def gram(linear_map: LinearMap) -> Callable[[Tensor], Tensor]:
    """Return K = JJ' on vectors: the outputs of the map, flattened."""
    return lambda vector: linear_map.apply(linear_map.adjoint(vector.view(linear_map.out_shape))).flatten()
