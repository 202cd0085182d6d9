"""What computes a generator: the fastest library for its kind and the device, or the one that is named."""

from __future__ import annotations

from typing import Literal

import torch

from napari_convgen.config import Config
from napari_convgen.errors import ConfigError
from napari_convgen.run.setup.build import generator_entry
from napari_convgen.run.setup.devices import FASTEST, Backend, resolve_backend, why_unusable

NumberFormat = Literal["float32", "bfloat16"]


def resolve_number_format(config: Config, device: torch.device, backend: Backend) -> NumberFormat:
    """Return the number format of a generator's hidden layers: bfloat16 where it is fast, if none is named.

    Raises
    ------
    ConfigError
        The generator cannot be computed with the format that is named on this backend.
    """
    allowed = generator_entry(config).network.precisions(backend)
    if config.precision == "auto":
        return "bfloat16" if "bfloat16" in allowed and has_fast_bfloat16(device) else "float32"
    if config.precision not in allowed:
        raise ConfigError(
            f"A {config.generator.kind} computed by '{backend}' cannot have precision = '{config.precision}'. "
            f"Choose {' or '.join(map(repr, allowed))}."
        )
    return config.precision


def has_fast_bfloat16(device: torch.device) -> bool:
    """Return True if a device has instructions for products in bfloat16."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def fastest_backend(config: Config, device: torch.device, n_axes: int) -> Backend:
    """Return what computes the generator over that many spatial axes fastest on a device, were all installed."""
    fastest = FASTEST.get(device.type, "torch")
    return fastest if fastest in generator_entry(config).network.backends(n_axes) else "torch"


def resolve_generator_backend(config: Config, device: torch.device, n_axes: int) -> Backend:
    """Return what computes the generator on a device: the fastest that is installed, where none is named.

    Raises
    ------
    ConfigError
        The backend that is named does not compute such a generator.
    DeviceError
        It does not run on the device or is not installed.
    """
    name, network = config.backend, generator_entry(config).network
    if name not in ("auto", "torch", *network.backends(n_axes)):
        volume = " of a volume" if name in network.backends(2) else ""
        raise ConfigError(f"The backend '{name}' does not compute a {config.generator.kind}{volume}. Choose 'auto'.")
    if name == "auto" and fastest_backend(config, device, n_axes) == "torch":
        name = "torch"
    return resolve_backend(name, device)


def describe_slow_backend(config: Config, device: torch.device, n_axes: int, backend: Backend) -> str | None:
    """Return a sentence on a faster backend that cannot be used; ``None`` if there is none, or the backend was chosen."""
    fastest = fastest_backend(config, device, n_axes)
    if config.backend != "auto" or backend == fastest:
        return None
    pace = generator_entry(config).network.pace_of_torch
    return f"{fastest} is not available ({why_unusable(fastest)}): plain PyTorch computed the fit, {pace}."


def compiler_notes(backend: Backend) -> tuple[str, ...]:
    """Return what went wrong with the compiled code that a backend keeps on the disk, in sentences."""
    if backend != "numba":
        return ()
    from napari_convgen.core.cpu.compiled import cache_troubles

    return cache_troubles()
