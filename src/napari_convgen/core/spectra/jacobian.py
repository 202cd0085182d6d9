"""The Jacobian of a generator as a linear map: the derivative of the output with respect to the parameters."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Collection, Mapping
from typing import cast

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call, vjp

from napari_convgen.core.generators.generator import GROUPS, Generator, Group
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.spectra.centering import Centering, as_real, from_real

__all__ = ["GROUPS", "Group", "gram", "jacobian", "measured", "module_jacobian", "observed"]

Parameters = Mapping[str, Tensor]

_FORWARD = threading.Lock()
"""Lock for forward differentiation, which PyTorch supports in one thread at a time."""


def jacobian(output: Callable[[Parameters], Tensor], parameters: Parameters) -> LinearMap:
    """Return the Jacobian of ``output`` at ``parameters``, from all parameters in one vector to the output.

    Parameters
    ----------
    output
        Function of the parameters, without side effects, that PyTorch can differentiate forwards and backwards.
    parameters
        Point at which the derivative is taken; the parameters must not change while the map is in use.
    """
    point = {name: parameter.detach() for name, parameter in parameters.items()}
    value, pull_back = cast(tuple[Tensor, Callable[[Tensor], tuple[Parameters]]], vjp(output, point))
    sizes = [parameter.numel() for parameter in point.values()]

    def apply(vector: Tensor) -> Tensor:
        # This takes half the time of torch.func.jvp, which wraps each operation.
        with _FORWARD, torch.no_grad(), forward_ad.dual_level():
            parts = zip(point.items(), vector.split(sizes), strict=True)
            duals = {name: forward_ad.make_dual(p, part.view_as(p)) for (name, p), part in parts}
            tangent = forward_ad.unpack_dual(output(duals)).tangent
        return torch.zeros_like(value) if tangent is None else tangent

    def adjoint(image: Tensor) -> Tensor:
        (gradients,) = pull_back(image)
        return torch.cat([gradients[name].flatten() for name in point])

    return LinearMap(apply, (sum(sizes),), tuple(value.shape), adjoint)


def module_jacobian(generator: Generator, groups: Collection[Group] = GROUPS) -> LinearMap:
    """Return the Jacobian of a generator, which is called without arguments, at its current parameters.

    The derivative is taken in evaluation mode, so without noise on the input and without dropout. The generator is copied: later changes
    to it do not change the map.

    Parameters
    ----------
    generator
        Network of operations that can be differentiated forwards, so not a fused one.
    groups
        Groups of parameters with respect to which the derivative is taken; the generator has at least one of them. Default: all.
    """
    still = copy.deepcopy(generator).eval().requires_grad_(False)
    moved = {name: parameter for name, parameter in still.named_parameters() if still.parameter_group(name) in groups}
    return jacobian(lambda parameters: functional_call(still, dict(parameters), ()), moved)


def measured(linear_map: LinearMap, operator: LinearMap, is_complex: bool = False) -> LinearMap:
    """Return what an operator measures of the images of a map.

    Parameters
    ----------
    linear_map
        Map to images of one ensemble member, ``(1, c, *spatial)``, such as a Jacobian.
    operator
        Map from such an image to its measurement.
    is_complex
        True if the measurement is complex: then it comes as pairs of real numbers along a last axis; default False.
    """
    return LinearMap(
        lambda vector: as_real(operator.apply(linear_map.apply(vector)[0]))[None],
        linear_map.in_shape,
        (1, *operator.out_shape, *((2,) if is_complex else ())),
        lambda y: linear_map.adjoint(operator.adjoint(from_real(y[0], is_complex))[None]),
    )


def observed(linear_map: LinearMap, centered: Centering) -> LinearMap:
    """Restrict the output of a map to what was observed and has structure.

    Parameters
    ----------
    linear_map
        Map to images or measurements of one ensemble member, ``(1, c, *spatial)``.
    centered
        Projection of one of them.
    """
    shape = linear_map.out_shape

    def seen(values: Tensor) -> Tensor:
        return centered(values.view(shape[1:])).view(shape)

    return LinearMap(
        lambda vector: seen(linear_map.apply(vector)),
        linear_map.in_shape,
        shape,
        lambda values: linear_map.adjoint(seen(values)),
    )


def gram(linear_map: LinearMap) -> Callable[[Tensor], Tensor]:
    """Return the function that multiplies a flattened output of the map by K = JJ'."""
    return lambda vector: linear_map.apply(linear_map.adjoint(vector.view(linear_map.out_shape))).flatten()
