"""Denoise images with untrained convolutional generators: in napari, from the command line, and from Python.

>>> from napari_convgen import denoise
>>> result = denoise("noisy.tif")  # doctest: +SKIP
>>> result  # five lines; in a notebook with pictures and curves  # doctest: +SKIP
>>> result.image, result.step, result.reason  # doctest: +SKIP

Importing this package loads neither torch nor Qt; a name is loaded when it is first used.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from napari_convgen.lazy_names import load_name

if TYPE_CHECKING:
    from napari_convgen.batch.progress import BatchProgress
    from napari_convgen.batch.result import BatchResult
    from napari_convgen.batch.run import BatchTask, denoise_files
    from napari_convgen.config import PRESETS, Config
    from napari_convgen.core.image import Image
    from napari_convgen.core.snapshot import Snapshot, StopReason
    from napari_convgen.files.images import new_image, read_image, write_image
    from napari_convgen.files.kspace.reading import KSpaceFile, read_kspace
    from napari_convgen.run.compare.progress import CompareProgress
    from napari_convgen.run.compare.result import CompareResult, MethodResult
    from napari_convgen.run.compare.run import CompareTask, compare
    from napari_convgen.run.denoise.progress import DenoiseProgress
    from napari_convgen.run.denoise.result import DenoiseResult
    from napari_convgen.run.denoise.run import DenoiseTask, denoise
    from napari_convgen.run.denoise.saved import load
    from napari_convgen.run.image_vs_noise.config import TargetsConfig
    from napari_convgen.run.image_vs_noise.progress import CompareFitsProgress
    from napari_convgen.run.image_vs_noise.result import CompareFitsResult
    from napari_convgen.run.image_vs_noise.run import CompareFitsTask, compare_fits
    from napari_convgen.run.reconstruct.result import ReconstructResult
    from napari_convgen.run.reconstruct.run import ReconstructTask, reconstruct
    from napari_convgen.run.simulate import Simulation, simulate
    from napari_convgen.run.spectrum.progress import SpectrumProgress
    from napari_convgen.run.spectrum.result import SpectrumResult
    from napari_convgen.run.spectrum.run import SpectrumTask, spectrum

try:
    __version__ = version("napari-convgen")
except PackageNotFoundError:  # a checkout whose src/ is on the path, without an installation
    __version__ = "unknown"

__all__ = [
    "PRESETS",
    "BatchProgress",
    "BatchResult",
    "BatchTask",
    "CompareFitsProgress",
    "CompareFitsResult",
    "CompareFitsTask",
    "CompareProgress",
    "CompareResult",
    "CompareTask",
    "Config",
    "DenoiseProgress",
    "DenoiseResult",
    "DenoiseTask",
    "Image",
    "KSpaceFile",
    "MethodResult",
    "ReconstructResult",
    "ReconstructTask",
    "Simulation",
    "Snapshot",
    "SpectrumProgress",
    "SpectrumResult",
    "SpectrumTask",
    "StopReason",
    "TargetsConfig",
    "__version__",
    "compare",
    "compare_fits",
    "denoise",
    "denoise_files",
    "load",
    "new_image",
    "read_image",
    "read_kspace",
    "reconstruct",
    "simulate",
    "spectrum",
    "write_image",
]

_HOMES = {
    "PRESETS": "config",
    "BatchProgress": "batch.progress",
    "BatchResult": "batch.result",
    "BatchTask": "batch.run",
    "CompareFitsProgress": "run.image_vs_noise.progress",
    "CompareFitsResult": "run.image_vs_noise.result",
    "CompareFitsTask": "run.image_vs_noise.run",
    "CompareProgress": "run.compare.progress",
    "CompareResult": "run.compare.result",
    "CompareTask": "run.compare.run",
    "Config": "config",
    "DenoiseProgress": "run.denoise.progress",
    "DenoiseResult": "run.denoise.result",
    "DenoiseTask": "run.denoise.run",
    "Image": "core.image",
    "KSpaceFile": "files.kspace.reading",
    "MethodResult": "run.compare.result",
    "ReconstructResult": "run.reconstruct.result",
    "ReconstructTask": "run.reconstruct.run",
    "Simulation": "run.simulate",
    "Snapshot": "core.snapshot",
    "SpectrumProgress": "run.spectrum.progress",
    "SpectrumResult": "run.spectrum.result",
    "SpectrumTask": "run.spectrum.run",
    "StopReason": "core.snapshot",
    "TargetsConfig": "run.image_vs_noise.config",
    "compare": "run.compare.run",
    "compare_fits": "run.image_vs_noise.run",
    "denoise": "run.denoise.run",
    "denoise_files": "batch.run",
    "load": "run.denoise.saved",
    "new_image": "files.images",
    "read_image": "files.images",
    "read_kspace": "files.kspace.reading",
    "reconstruct": "run.reconstruct.run",
    "simulate": "run.simulate",
    "spectrum": "run.spectrum.run",
    "write_image": "files.images",
}


def __getattr__(name: str) -> Any:
    return load_name(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
