"""The shortest time that a step can take: matrix products, on a GPU memory traffic too, at the measured speed of the machine."""

from __future__ import annotations

import math

from speed_methods import (
    AUTHORS,
    FUSED,
    FUSED_AUTHORS,
    FUSED_AUTHORS_BFLOAT16,
    FUSED_BFLOAT16,
    Case,
    Machine,
    format_milliseconds,
    format_ratio,
    pace,
    step_times,
)

# It sets how PyTorch's threads wait, so it comes before PyTorch.
# isort: split
import torch

from napari_convgen.core.generators.fused.products import Precision, Products
from napari_convgen.run.compare.result import markdown_table

TRAFFIC = 14
"""Smallest number of times that each value of a layer's tensors, before upsampling, is written or read in a step.

No tensor is stored on the layer's own finer grid. The layer's input is written once and read by two products (3). The product z is written
and read by moments, features, sums and adjoint (5). The gradient of z is written and read by two products (3). The gradient of the input is
written and read by the sums and the adjoint of the layer before (3). All values are float32, and none stay in a cache between two passes.
"""


PRECISIONS: dict[str, Precision] = {
    FUSED: "float32",
    FUSED_BFLOAT16: "bfloat16",
    FUSED_AUTHORS: "float32",
    FUSED_AUTHORS_BFLOAT16: "bfloat16",
}
"""Number format of the products of each method that is compared with the floor."""


def floor_section(times: dict[Case, dict[str, float]], machine: Machine) -> str:
    """Return the table of the fused decoder's steps beside their floor."""
    floor = Floor(machine)
    rows = []
    for method in (FUSED, FUSED_BFLOAT16):
        for case, seconds in times.items():
            rows.append([str(case), PRECISIONS[method], *floor.compare(case, method, seconds[method])])
    head = ["ms a step", "precision", "floor", "fused", "fused / floor"]
    return f"\n### The floor\n\n{floor}\n\n{markdown_table(head, rows)}"


def paper_section(case: Case, machine: Machine, n_turns: int) -> str:
    """Return the table of the network of the preset ``paper``."""
    floor = Floor(machine)
    seconds = step_times([AUTHORS, FUSED_AUTHORS, FUSED_AUTHORS_BFLOAT16], case, machine, n_turns)
    rows = []
    for method, time_of_step in seconds.items():
        least, _, ratio = floor.compare(case, method, time_of_step) if method in PRECISIONS else ("", "", "")
        ratio_to_authors = format_ratio(seconds[AUTHORS] / time_of_step)
        rows.append([method, format_milliseconds(time_of_step), ratio_to_authors, least, ratio])
    head = ["method", "ms a step", "authors' / it", "floor", "it / floor"]
    return f"### The preset `paper`\n\nThe authors' network, {case}. {floor}\n\n{markdown_table(head, rows)}"


class Floor:
    """The shortest time of a step on a machine, by the speeds measured there; `str` says them.

    Parameters
    ----------
    machine
        The machine.
    """

    def __init__(self, machine: Machine) -> None:
        self.products = {precision: product_speed(precision, machine) for precision in ("float32", "bfloat16")}
        self.copies = memory_speed(machine) if machine.device.type == "cuda" else math.inf

    def __str__(self) -> str:
        speeds = " and ".join(
            f"{1e-12 * speed:.2g} TFLOP/s in {precision}" for precision, speed in self.products.items()
        )
        text = f"Least time of a step: the matrix products at the speed measured here, {speeds}"
        return text + (
            "."
            if math.isinf(self.copies)
            else f", and the memory traffic at that of a copy, {1e-12 * self.copies:.2f} TB/s."
        )

    def compare(self, case: Case, method: str, seconds: float) -> tuple[str, str, str]:
        """Return the floor of a step of a method, the time that it took, and their ratio, as text."""
        has_extra_layer = method in (FUSED_AUTHORS, FUSED_AUTHORS_BFLOAT16)
        least = operations(case, has_extra_layer) / self.products[PRECISIONS[method]] + traffic(case) / self.copies
        return format_milliseconds(least), format_milliseconds(seconds), format_ratio(seconds / least)


def operations(case: Case, has_extra_layer: bool = False) -> int:
    """Return the number of floating-point operations in the matrix products between hidden layers in a step.

    Parameters
    ----------
    case
        Image and decoder.
    has_extra_layer
        True for the authors' network, which has another hidden layer on the finest grid. Default: false.
    """
    # Forward, and the gradients with respect to the weights and to the input; the latent needs none.
    pixels = _coarse_pixels(case)
    n_pixels = sum(pixels) + (math.prod(case.size) if has_extra_layer else 0)
    return 2 * case.n_channels**2 * (3 * n_pixels - pixels[-1])


def traffic(case: Case) -> int:
    """Return the number of bytes that a step has to write and read."""
    return TRAFFIC * case.n_channels * sum(_coarse_pixels(case)) * torch.float32.itemsize


def _coarse_pixels(case: Case) -> list[int]:
    """Return the number of pixels of each layer's tensors before upsampling, the finest first."""
    return [math.prod(case.size) // 2 ** (len(case.size) * i) for i in range(1, case.n_scales + 1)]


def product_speed(precision: Precision, machine: Machine, n: int = 8192) -> float:
    """Return the operations per second in a product of matrices: with ``n`` rows and columns on a GPU, on a CPU as the decoder does it."""
    if machine.device.type == "cuda":
        x = torch.rand(n, n, device=machine.device).to(getattr(torch, precision))
        out = torch.empty_like(x)
        return 2 * n**3 / min(pace(lambda: torch.mm(x, x, out=out), machine) for _ in range(5))
    k = 512
    x, matrix = torch.rand(1, 8 * n, k), torch.rand(1, k, k)
    out = torch.empty_like(x)
    products = Products(precision)
    return 2 * 8 * n * k**2 / min(pace(lambda: products.multiply(x, matrix, out), machine) for _ in range(5))


def memory_speed(machine: Machine, n: int = 2**28) -> float:
    """Return the bytes per second in a copy of ``n`` values, read and written."""
    x = torch.rand(n, device=machine.device)
    out = torch.empty_like(x)
    return 2 * x.nbytes / min(pace(lambda: out.copy_(x), machine) for _ in range(5))
