"""File → Open Sample."""

from __future__ import annotations

from typing import Any

from napari_convgen import samples

LayerData = tuple[Any, dict[str, Any], str]


def open_fluorescence() -> list[LayerData]:
    """Open the fluorescence sample, its clean reference below it."""
    return _layers(samples.fluorescence(), "magma")


def open_mri() -> list[LayerData]:
    """Open the MRI sample, its clean reference below it."""
    return _layers(samples.mri(), "gray")


def _layers(sample: samples.Sample, colormap: str) -> list[LayerData]:
    common = {
        "scale": (sample.pixel_size,) * 2,
        "units": (sample.unit,) * 2,
        "axis_labels": ("y", "x"),
        "colormap": colormap,
        "contrast_limits": (float(sample.clean.min()), float(sample.clean.max())),
    }
    return [
        (sample.clean, {"name": f"{sample.name} (clean reference)", "visible": False, **common}, "image"),
        (sample.noisy, {"name": f"{sample.name} (noisy)", **common}, "image"),
    ]
