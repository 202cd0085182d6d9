"""The devices that a form offers: those that this machine can have. PyTorch, which knows for sure, is not loaded to find out."""

from __future__ import annotations

import ctypes.util
import functools
import platform
import shutil


def offered_devices() -> tuple[str, ...]:
    """Return the names of devices to choose from; ``"auto"`` and ``"cpu"`` are always among them."""
    return "auto", "cpu", *(["cuda"] if has_nvidia_driver() else []), *(["mps"] if has_apple_gpu() else [])


@functools.cache
def has_nvidia_driver() -> bool:
    """Return True if an NVIDIA driver is installed; to look for its library starts other programs, so it is done once."""
    return shutil.which("nvidia-smi") is not None or ctypes.util.find_library("cuda") is not None


def has_apple_gpu() -> bool:
    """Return True on a Mac whose GPU PyTorch may use."""
    return (platform.system(), platform.machine()) == ("Darwin", "arm64")


def explain_devices() -> str:
    """Say why a device is not offered; nothing if a GPU is."""
    if len(offered_devices()) > 2:
        return ""
    return "Only the CPU is offered: no NVIDIA driver was found, and this is no Mac with an Apple GPU."
