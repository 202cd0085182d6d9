"""The device of a fit, its number of threads, and its backend."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from pathlib import Path
from typing import Literal

import torch

from napari_convgen.core.cpu.threads import is_forked
from napari_convgen.errors import ConfigError, DeviceError

Backend = Literal["numba", "triton", "torch"]

FASTEST: dict[str, Backend] = {"cpu": "numba", "cuda": "triton"}
"""The backend of fused blocks for each kind of device; others are left to PyTorch's own operations."""

_log = logging.getLogger(__name__)


def resolve_backend(name: Literal["auto"] | Backend, device: torch.device) -> Backend:
    """Return what computes the generator on a device.

    Parameters
    ----------
    name
        Backend; ``"auto"`` takes the fastest that can be loaded.
    device
        Device of the fit.

    Raises
    ------
    DeviceError
        The backend does not run on the device, is not installed or cannot be loaded.
    """
    fastest = FASTEST.get(device.type, "torch")
    if name == "auto":
        name = "torch" if why_unusable(fastest) else fastest
    elif name not in (fastest, "torch"):
        runs_on = next(kind for kind, backend in FASTEST.items() if backend == name)
        raise DeviceError(
            f"The backend '{name}' runs on {runs_on}, not on the device '{device}'. Choose 'auto' or 'torch'."
        )
    elif reason := why_unusable(name):
        raise DeviceError(
            f"The backend '{name}' cannot be used: {reason}. Install the package {name}, or choose 'auto'."
        )
    _log.info("The generator is computed by %s on %s.", name, device)
    return name


def why_unusable(backend: Backend) -> str | None:
    """Return why a backend cannot be used, such as ``"it is not installed"``; ``None`` if it can. It is loaded to see."""
    if backend in sys.modules and sys.modules[backend] is None:
        return "it is kept from being loaded"
    if importlib.util.find_spec(backend) is None:
        return "it is not installed"
    try:
        importlib.import_module(backend)
    except (
        Exception
    ) as error:  # beside a NumPy or LLVM that is too new, its binaries may end in more than an ImportError
        _log.warning("The backend %s cannot be loaded.", backend, exc_info=True)
        message = " ".join(str(error).split()).rstrip(".")
        return f"it cannot be loaded: {message or type(error).__name__}"
    return None


def keep_triton_out(maps: Path = Path("/proc/self/maps")) -> None:
    """Keep Triton from being loaded where that ends the whole program, napari included: after another LLVM.

    Triton brings an LLVM whose symbols get mixed up with those of one that is there already, such as that of Mesa's OpenGL
    drivers. PyTorch loads Triton with its compiler where it is installed, needed or not, and can do without.
    """
    if "triton" not in sys.modules and maps.exists() and "libLLVM" in maps.read_text(errors="replace"):
        sys.modules["triton"] = None  # type: ignore[assignment]  # Python's own way to make an import fail
        _log.warning("Triton is not loaded: it would crash beside the LLVM of this window's OpenGL driver.")


SPAWN = "Start processes by spawn to use more: multiprocessing.get_context('spawn')."
"""How to get processes whose threads work."""


def resolve_threads(n_threads: Literal["auto"] | int, n_spared: int = 0) -> int:
    """Return the number of threads: for ``"auto"``, PyTorch's own less those that are spared, but one at least.

    Raises
    ------
    ConfigError
        Several threads are asked for in a process made by ``fork``, where PyTorch would wait for threads that only its parent has.
    """
    if is_forked():
        if n_threads not in ("auto", 1):
            raise ConfigError(f"n_threads must be 1 in a process that was made by fork, got {n_threads}. {SPAWN}")
        return 1
    return max(1, torch.get_num_threads() - n_spared) if n_threads == "auto" else n_threads


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


def count_gpus(name: str) -> int:
    """Return how many GPUs the device of that name may be: all for ``"cuda"``, one for ``"cuda:1"`` or ``"mps"``, none for the CPU."""
    device = resolve_device(name)
    if device.type == "cpu":
        return 0
    return torch.cuda.device_count() if device == torch.device("cuda") else 1


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
