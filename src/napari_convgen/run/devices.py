"""Where a fit runs."""

from __future__ import annotations

import torch

from napari_convgen.errors import DeviceError


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
    device = torch.device(name)
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
