"""The shortest time that a step can take on a GPU: matrix products and memory traffic at the measured speed of the machine."""

from __future__ import annotations

import math

from speed_methods import FUSED, FUSED_BFLOAT16, Case, Machine, format_milliseconds, format_ratio, pace

# It sets how PyTorch's threads wait, so it comes before PyTorch.
# isort: split
import torch

from napari_convgen.run.compare.result import markdown_table

TRAFFIC = 14
"""Smallest number of times that each value of a layer's tensors, before upsampling, is written or read in a step.

No tensor is stored on the layer's own finer grid. The layer's input is written once and read by two products (3). The product z is written
and read by moments, features, sums and adjoint (5). The gradient of z is written and read by two products (3). The gradient of the input is
written and read by the sums and the adjoint of the layer before (3). All values are float32, and none stay in a cache between two passes.
"""


def floor_section(times: dict[Case, dict[str, float]], machine: Machine) -> str:
    copies = memory_speed(machine)
    rows, speeds = [], []
    for precision, method in {"float32": FUSED, "bfloat16": FUSED_BFLOAT16}.items():
        products = product_speed(precision, machine)
        speeds.append(f"{products / 1e12:.0f} TFLOP/s in {precision}")
        for case, seconds in times.items():
            least = operations(case) / products + traffic(case) / copies
            rows.append([str(case), precision, format_milliseconds(least), format_milliseconds(seconds[method])])
            rows[-1].append(format_ratio(seconds[method] / least))
    head = ["ms a step", "precision", "floor", "fused", "fused / floor"]
    return (
        f"\n### The floor\n\nMatrix products and memory traffic of the formula at the speeds measured here: products at "
        f"{' and '.join(speeds)}, a copy at {copies / 1e12:.2f} TB/s.\n\n{markdown_table(head, rows)}"
    )


def operations(case: Case) -> int:
    """Return the number of floating-point operations in the matrix products between hidden layers in a step."""
    # Forward, and the gradients with respect to the weights and to the input; the latent needs none.
    pixels = _coarse_pixels(case)
    return 2 * case.n_channels**2 * (3 * sum(pixels) - pixels[-1])


def traffic(case: Case) -> int:
    """Return the number of bytes that a step has to write and read."""
    return TRAFFIC * case.n_channels * sum(_coarse_pixels(case)) * torch.float32.itemsize


def _coarse_pixels(case: Case) -> list[int]:
    """Return the number of pixels of each layer's tensors before upsampling, the finest first."""
    return [math.prod(case.size) // 2 ** (len(case.size) * i) for i in range(1, case.n_scales + 1)]


def product_speed(precision: str, machine: Machine, n: int = 8192) -> float:
    """Return the operations per second in a product of matrices with ``n`` rows and columns."""
    x = torch.rand(n, n, device=machine.device).to(getattr(torch, precision))
    out = torch.empty_like(x)
    return 2 * n**3 / min(pace(lambda: torch.mm(x, x, out=out), machine) for _ in range(5))


def memory_speed(machine: Machine, n: int = 2**28) -> float:
    """Return the bytes per second in a copy of ``n`` values, read and written."""
    x = torch.rand(n, device=machine.device)
    out = torch.empty_like(x)
    return 2 * x.nbytes / min(pace(lambda: out.copy_(x), machine) for _ in range(5))
