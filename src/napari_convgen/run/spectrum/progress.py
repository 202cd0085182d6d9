"""The state of the computation of a spectrum while it runs, and its forecast."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from napari_convgen.core.pace import Paced
from napari_convgen.run.labels import (
    describe_search,
    describe_uncounted,
    format_bytes,
    format_each,
    format_place,
    format_seconds,
)
from napari_convgen.run.task import Progress

INSTRUMENT = "finding out about the instrument"
"""Name of the part of the work that comes before the first product, of a measurement that needs it."""


@dataclass(frozen=True, kw_only=True)
class SpectrumProgress(Progress):
    """The state of the computation.

    Attributes
    ----------
    step
        Step of the fit whose Jacobian is computed, or on the way to the next.
    doing
        Name of the current part of the work, such as ``"singular vectors"``.
    n_done, n_total
        Number of products with the Jacobian and of steps of the fit, done and in all; some may not be needed.
    before, found, seconds_before
        Share of the work that comes before these, to find out about the instrument, share of that which is done, and its seconds; by
        default 0, 1 and 0: there is no such work.
    """

    step: int
    doing: str
    n_done: int
    n_total: int
    before: float = 0.0
    found: float = 1.0
    seconds_before: float = 0.0

    @property
    def share(self) -> float:
        """Share of the work that is done, 0 to 1; products and steps count the same."""
        return self.before * self.found + (1 - self.before) * self.n_done / self.n_total

    @property
    def is_finding(self) -> bool:
        """True while the instrument is being found."""
        return self.doing == INSTRUMENT

    @property
    def seconds_left(self) -> float:
        """Seconds for the rest, about; infinite while the instrument is being found, since no product was timed."""
        if self.is_finding:
            return math.inf
        return (self.n_total - self.n_done) * (self.seconds - self.seconds_before) / max(1, self.n_done)

    def __str__(self) -> str:
        """Say where it is, for the user."""
        return describe_search(self.found) if self.is_finding else f"Step {self.step:,}: {self.doing} …"


@dataclass(frozen=True)
class SpectrumForecast:
    """Memory and time of the computation.

    Attributes
    ----------
    n_bytes, n_bytes_free
        Bytes that it takes at its peak, and bytes that are free on its device; about.
    seconds_per_product
        Seconds of a product with the Jacobian and its adjoint, measured.
    n_products
        Number of products for all steps.
    n_steps
        Number of steps of the fit on the way, whose time is not included.
    device, n_threads
        Device, and number of threads of the CPU.
    leaves_out_search
        True if the instrument is found before, which is not counted; default False.
    """

    n_bytes: int
    n_bytes_free: int
    seconds_per_product: float
    n_products: int
    n_steps: int
    device: str
    n_threads: int
    leaves_out_search: bool = False

    @property
    def seconds(self) -> float:
        """Seconds for the products, about."""
        return self.seconds_per_product * self.n_products

    def __str__(self) -> str:
        fit = f" and {self.n_steps} steps of a fit" if self.n_steps else ""
        return (
            f"About {format_bytes(self.n_bytes)} of memory, {format_bytes(self.n_bytes_free)} are free. "
            f"{format_each(self.seconds_per_product)} a product: about {format_seconds(self.seconds)} "
            f"for {self.n_products} products{fit}, on {format_place(self.device, 'torch', self.n_threads)}"
            f"{describe_uncounted(self.leaves_out_search)}."
        )


def named(step: int, doing: str, computation: Paced[Any]) -> Generator[tuple[int, str], None, Any]:
    """Name what a computation does at each of its pauses."""
    while True:
        try:
            next(computation)
        except StopIteration as end:
            return end.value
        yield step, doing
