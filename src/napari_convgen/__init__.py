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
    from napari_convgen.run.compare import Comparison, ComparisonProgress, compare
    from napari_convgen.run.compare_fits import FitsProgress, FitsRun, compare_fits
    from napari_convgen.run.comparison import ComparisonResult, MethodResult
    from napari_convgen.run.denoise import Denoising, Progress, denoise
    from napari_convgen.run.fits_config import FitsConfig
    from napari_convgen.run.fits_result import FitsResult
    from napari_convgen.run.result import Result
    from napari_convgen.run.spectrum import SpectrumProgress, SpectrumRun, spectrum
    from napari_convgen.run.spectrum_result import SpectrumResult

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
    "Comparison": "run.compare",
    "ComparisonProgress": "run.compare",
    "ComparisonResult": "run.comparison",
    "Config": "config",
    "Denoising": "run.denoise",
    "FitsConfig": "run.fits_config",
    "FitsProgress": "run.compare_fits",
    "FitsResult": "run.fits_result",
    "FitsRun": "run.compare_fits",
    "MethodResult": "run.comparison",
    "Progress": "run.denoise",
    "Result": "run.result",
    "Snapshot": "core.snapshot",
    "SpectrumProgress": "run.spectrum",
    "SpectrumResult": "run.spectrum_result",
    "SpectrumRun": "run.spectrum",
    "StopReason": "core.snapshot",
    "compare": "run.compare",
    "compare_fits": "run.compare_fits",
    "denoise": "run.denoise",
    "spectrum": "run.spectrum",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
