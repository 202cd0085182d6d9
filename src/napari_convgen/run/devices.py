"""Where a fit runs, and on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeVar

import torch

from napari_convgen.errors import DeviceError

T = TypeVar("T")


def resolve_threads(n_threads: Literal["auto"] | int) -> int:
    """Return the number of threads: PyTorch's own for ``"auto"``."""
    return torch.get_num_threads() if n_threads == "auto" else n_threads


def with_threads(steps: Iterator[T], n_threads: int) -> Iterator[T]:
    """Take each step on that many threads, and leave PyTorch's own number as it was in between."""
    while True:
        before = torch.get_num_threads()
        if n_threads != before:
            torch.set_num_threads(n_threads)
        try:
            step = next(steps)
        except StopIteration:
            return
        finally:
            if n_threads != before:
                torch.set_num_threads(before)
        yield step


def resolve_device(name: str) -> torch.device:
    """Return the device of that name; ``"auto"`` takes CUDA, then MPS, then the CPU.

    Parameters
    ----------
    name
        ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:N"``.

    Raises
    ------
    DeviceError
        The device is not there; the message says why.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"The device '{name}' is not available: no such name. Choose 'auto' or 'cpu'.") from error
    if reason := _why_unavailable(device):
        raise DeviceError(f"The device '{name}' is not available: {reason}. Choose 'auto' or 'cpu'.")
    return device


def _why_unavailable(device: torch.device) -> str | None:
    if device.type == "cuda":
        if torch.version.cuda is None and torch.version.hip is None:
            return f"this PyTorch ({torch.__version__}) is built without CUDA"
        if not torch.cuda.is_available():
            return "PyTorch finds no CUDA driver or GPU"
        if device.index is not None and device.index >= torch.cuda.device_count():
            return f"there are only {torch.cuda.device_count()} CUDA devices, numbered from 0"
    if device.type == "mps" and not torch.backends.mps.is_available():
        if not torch.backends.mps.is_built():
            return f"this PyTorch ({torch.__version__}) is built without MPS"
        return "this machine has no Apple GPU that PyTorch can use"
    return None
