"""Denoise images with untrained convolutional generators: in napari, from the command line, and from Python.

>>> from napari_convgen import denoise
>>> result = denoise(image)  # doctest: +SKIP
>>> result.image, result.step, result.reason  # doctest: +SKIP

Importing this package loads neither torch nor Qt; a name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_convgen.config import PRESETS, Config
    from napari_convgen.core.snapshot import Snapshot, StopReason
    from napari_convgen.run.compare.result import ComparisonResult, MethodResult
    from napari_convgen.run.compare.run import Comparison, ComparisonProgress, compare
    from napari_convgen.run.denoise.result import Result
    from napari_convgen.run.denoise.run import Denoising, Progress, denoise
    from napari_convgen.run.image_vs_noise.config import FitsConfig
    from napari_convgen.run.image_vs_noise.result import FitsResult
    from napari_convgen.run.image_vs_noise.run import FitsProgress, FitsRun, compare_fits
    from napari_convgen.run.spectrum.result import SpectrumResult
    from napari_convgen.run.spectrum.run import SpectrumProgress, SpectrumRun, spectrum

__version__ = version("napari-convgen")

__all__ = [
    "PRESETS",
    "Comparison",
    "ComparisonProgress",
    "ComparisonResult",
    "Config",
    "Denoising",
    "FitsConfig",
    "FitsProgress",
    "FitsResult",
    "FitsRun",
    "MethodResult",
    "Progress",
    "Result",
    "Snapshot",
    "SpectrumProgress",
    "SpectrumResult",
    "SpectrumRun",
    "StopReason",
    "__version__",
    "compare",
    "compare_fits",
    "denoise",
    "spectrum",
]

_HOMES = {
    "PRESETS": "config",
    "Comparison": "run.compare.run",
    "ComparisonProgress": "run.compare.run",
    "ComparisonResult": "run.compare.result",
    "Config": "config",
    "Denoising": "run.denoise.run",
    "FitsConfig": "run.image_vs_noise.config",
    "FitsProgress": "run.image_vs_noise.run",
    "FitsResult": "run.image_vs_noise.result",
    "FitsRun": "run.image_vs_noise.run",
    "MethodResult": "run.compare.result",
    "Progress": "run.denoise.run",
    "Result": "run.denoise.result",
    "Snapshot": "core.snapshot",
    "SpectrumProgress": "run.spectrum.run",
    "SpectrumResult": "run.spectrum.result",
    "SpectrumRun": "run.spectrum.run",
    "StopReason": "core.snapshot",
    "compare": "run.compare.run",
    "compare_fits": "run.image_vs_noise.run",
    "denoise": "run.denoise.run",
    "spectrum": "run.spectrum.run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
