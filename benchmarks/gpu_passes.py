"""The fused decoder on a GPU against the CPU: each of its passes, and its image and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import napari_convgen.run  # noqa: F401  sets how PyTorch's threads wait, so it comes before PyTorch

# isort: split
import torch
from torch import Tensor

from gpu_items import Items, Row, Write
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused import FusedDecoder
from napari_convgen.core.generators.fused.grid import Grid
from napari_convgen.core.generators.fused.passes import Block, Passes, Slope
from napari_convgen.core.generators.fused.products import Precision, Products
from napari_convgen.core.generators.upsampling import half_size

LOWS = {"relu-norm": (0.0, -math.inf), "norm-relu": (-math.inf, 0.0)}
"""Bounds of a block by the order of ReLU and norm."""

TOLERANCES = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.3}
"""Largest error of a result, as the norm of the difference over the norm of the result in double precision on the CPU.

Where a value lies within rounding of the ReLU's bound, another order of sums puts it on the other side, and the gradient there is another
one. With significands of 2⁻²⁴ and 2⁻⁹ that befalls about this share of all values, and its root is the error: 2e-4 and 4e-2, in a layer;
the tolerances are five to seven times that, for five layers. In double precision it befalls none, and 1e-9 is the tolerance of the tests.
A wrong pass is off by about 1."""


@dataclass(frozen=True)
class Case:
    """A decoder, whose last layer's passes are also compared alone.

    Attributes
    ----------
    size
        Shape of the image, in pixels.
    n_channels, n_outputs, n_members, n_scales
        Numbers of the decoder.
    order, kernel
        Settings of the decoder.
    dtypes
        Number formats that are compared.
    """

    size: tuple[int, ...]
    n_channels: int
    order: str
    kernel: str
    n_outputs: int = 1
    n_members: int = 1
    n_scales: int = 3
    dtypes: tuple[str, ...] = ("float64", "float32")

    def __str__(self) -> str:
        members = f", {self.n_members} members" if self.n_members > 1 else ""
        outputs = f", {self.n_outputs} outputs" if self.n_outputs > 1 else ""
        size = " × ".join(map(str, self.size))
        return f"{size}, k = {self.n_channels}, {self.order}, {self.kernel}{members}{outputs}"


CASES = (
    Case((256, 256), 64, "norm-relu", "smooth", n_members=2, n_scales=4),  # the preset default
    Case((203, 131), 40, "relu-norm", "smooth", n_outputs=3, n_members=2),
    Case((19, 33, 40), 24, "norm-relu", "linear", n_outputs=2),
    Case((1003,), 130, "relu-norm", "linear", n_members=3),
    Case((256, 256), 512, "relu-norm", "linear", n_scales=5, dtypes=("float32",)),  # the preset paper
)
"""Cases with every order, kernel and number of axes, odd and even sizes, and numbers of channels within and beyond a block."""

TINY_CASES = (
    Case((6, 5), 3, "norm-relu", "smooth", n_members=2, n_scales=1),
    Case((9,), 3, "relu-norm", "linear", n_outputs=2, n_scales=1, dtypes=("float32",)),
)
"""Cases of a rehearsal, for Triton's interpreter."""


def passes(device: str) -> Items:
    """Return the comparisons of single passes."""
    return {f"{case}, {name}": partial(_passes, case, name, device) for case, name in _each(device)}


def decoders(device: str) -> Items:
    """Return the comparisons of whole decoders, with the passes of a GPU and, on a GPU, plain."""
    items = {f"{case}, {name}": partial(_decoders, case, name, device) for case, name in _each(device)}
    first = (CASES if device == "cuda" else TINY_CASES)[0]
    return items | {f"{first}, bfloat16": partial(_decoders, first, "bfloat16", device)}


def _each(device: str) -> list[tuple[Case, str]]:
    return [(case, name) for case in (CASES if device == "cuda" else TINY_CASES) for name in case.dtypes]


def errors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> dict[str, float]:
    """Return the error of each result by its name, as defined at `TOLERANCES`."""
    differences = {name: found[name].detach().double().cpu() - value for name, value in expected.items()}
    return {name: float(differences[name].norm() / value.norm().clamp_min(1e-30)) for name, value in expected.items()}


def verdict(found: Iterable[float], precision: str) -> Row:
    """Return the tolerance, and whether all errors are within it: an error that is not a number is not."""
    return {"tolerance": TOLERANCES[precision], "holds": all(error <= TOLERANCES[precision] for error in found)}


def _passes(case: Case, precision: str, device: str, write: Write) -> None:
    from napari_convgen.core.generators.fused.cpu import CpuPasses
    from napari_convgen.core.generators.fused.gpu import GpuPasses

    expected = pass_results(CpuPasses(), case, "cpu", torch.float64)
    found = errors(pass_results(GpuPasses(), case, device, getattr(torch, precision)), expected)
    write({"case": str(case), "numbers": precision} | found | verdict(found.values(), precision))


def pass_results(passes: Passes, case: Case, device: str, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return what every pass makes of the same random numbers; what a pass left unwritten is NaN."""
    grid = Grid(half_size(case.size), case.size, case.kernel)
    rng, m, k, n_outputs = torch.Generator().manual_seed(0), case.n_members, case.n_channels, case.n_outputs

    def some(*shape: int) -> Tensor:
        return torch.randn(m, *shape, generator=rng, dtype=torch.float64).to(device, dtype)

    def written(call: Callable[[Tensor], object], *shape: int) -> Tensor:
        out = torch.full((m, *shape), math.nan, device=device, dtype=dtype)
        call(out)
        return out

    z, g, features_g = some(grid.n_coarse, k), some(n_outputs, grid.n_fine), some(grid.n_fine, k)
    weights = some(n_outputs, k)
    block, slope = Block(*LOWS[case.order], *(0.3 * some(k) for _ in range(5))), Slope(some(k), some(k))
    results = {}
    results["mean"], results["variance"] = passes.moments(z, grid, block.low1)

    def by_output(out: Tensor) -> None:
        results["output sums"] = passes.output_sums(z, grid, block, g, weights, out)
        passes.output_adjoint(z, grid, block, slope, g, weights, out)

    def by_features(out: Tensor) -> None:
        results["feature sums"] = passes.feature_sums(z, grid, block, features_g, out)
        passes.feature_adjoint(z, grid, block, slope, features_g, out)

    results["features"] = written(lambda out: passes.features(z, grid, block, out), grid.n_fine, k)
    results["output"] = written(lambda out: passes.output(z, grid, block, weights, out), n_outputs, grid.n_fine)
    results["output adjoint"] = written(by_output, grid.n_coarse, k)
    results["feature adjoint"] = written(by_features, grid.n_coarse, k)
    return results


def _decoders(case: Case, precision: str, device: str, write: Write) -> None:
    from napari_convgen.core.generators.fused.gpu import GpuPasses

    expected = image_and_gradients(decoder(case))
    dtype = torch.float64 if precision == "float64" else torch.float32
    products: Precision = "bfloat16" if precision == "bfloat16" else "float32"
    generators = {"fused": FusedDecoder(decoder(case).to(device, dtype), GpuPasses(), Products(products))}
    if precision != "bfloat16":
        generators["plain"] = decoder(case).to(device, dtype)
    for kind, generator in generators.items():
        found = errors(image_and_gradients(generator), expected)
        worst = max((name for name in found if name != "image"), key=found.__getitem__)
        row = {"image": found["image"], "worst gradient": found[worst], "which is that of": worst}
        write({"case": str(case), "numbers": precision, "decoder": kind} | row | verdict(found.values(), precision))


def decoder(case: Case) -> DeepDecoder:
    """Return a decoder in double precision on the CPU, with norms as random as after some steps."""
    rngs = [torch.Generator().manual_seed(seed) for seed in range(case.n_members)]
    plain = DeepDecoder(
        case.size,
        case.n_outputs,
        n_channels=case.n_channels,
        n_scales=case.n_scales,
        order=case.order,
        kernel=case.kernel,
        rngs=rngs,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for parameter in [*plain.norm_scales, *plain.norm_offsets]:
            parameter.copy_(torch.rand(parameter.shape, generator=rngs[0], dtype=torch.float64) + 0.1)
    return plain


def image_and_gradients(generator: DeepDecoder | FusedDecoder) -> dict[str, Tensor]:
    """Return the image and the gradient of each parameter, by name, for a fixed gradient of the image."""
    image = generator()
    g = torch.randn(image.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(image)
    plain = generator.decoder if isinstance(generator, FusedDecoder) else generator
    names, parameters = zip(*plain.named_parameters(), strict=True)
    gradients = torch.autograd.grad((image * g).sum(), parameters)
    return {"image": image.detach(), **dict(zip(names, gradients, strict=True))}
