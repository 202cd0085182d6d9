"""File → Open Sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_convgen import samples
from napari_convgen.files.kspace.reading import KSpaceFile
from napari_convgen.viewer.layers.kspace import OpenScan, kspace_layer

LayerData = tuple[Any, dict[str, Any], str]


def open_fluorescence() -> list[LayerData]:
    """Open the fluorescence sample, its clean reference below it."""
    return _layers(samples.fluorescence(), "magma")


def open_mri() -> list[LayerData]:
    """Open the MRI sample, its clean reference below it."""
    return _layers(samples.mri(), "gray")


def open_mri_volume() -> list[LayerData]:
    """Open the MRI volume, its clean reference below it."""
    return _layers(samples.mri_volume(), "gray")


def open_sparse_confocal() -> list[LayerData]:
    """Open the confocal sample with its missing pixels as labels, its clean reference below it."""
    return _layers(samples.sparse_confocal(), "magma", "with missing pixels")


def open_blurred_beads() -> list[LayerData]:
    """Open the blurred beads and their point spread function, the sharp reference below them."""
    return _layers(samples.blurred_beads(), "magma", "blurred")


def open_cells_through_focus() -> list[LayerData]:
    """Open cells through focus, the phase that is to be found below them."""
    sample = samples.cells_through_focus()
    place: dict[str, Any] = {"scale": (sample.pixel_size,) * 2, "units": (sample.unit,) * 2, "axis_labels": ("y", "x")}
    stack = {"scale": (sample.z_step, *place["scale"]), "units": (sample.unit,) * 3, "axis_labels": ("z", "y", "x")}
    return [
        (sample.clean, {"name": f"{sample.name} (true phase)", "visible": False, **place}, "image"),
        (sample.noisy, {"name": f"{sample.name} (through focus)", **stack}, "image"),
    ]


def open_kspace() -> list[LayerData]:
    """Open the k-space of a head, its clean reference below it."""
    scan = samples.kspace()
    reference = {"name": "head (clean reference)", "visible": False, "axis_labels": ("y", "x")}
    file = KSpaceFile(scan.kspace, None, slice_number=0, n_slices=1, calibration=None)
    return [(np.abs(scan.image), reference, "image"), kspace_layer(OpenScan(file), "head k-space")]


def _layers(sample: samples.Sample, colormap: str, condition: str = "noisy") -> list[LayerData]:
    above = () if sample.noisy.ndim == 2 else (sample.z_step,)
    scale = (*above, sample.pixel_size, sample.pixel_size)
    place = {"scale": scale, "units": (sample.unit,) * len(scale), "axis_labels": ("z", "y", "x")[-len(scale) :]}
    names = {"reference": f"{sample.name} (clean reference)", "measured": f"{sample.name} ({condition})"}
    limits = (float(sample.clean.min()), float(sample.clean.max()))
    measured = limits if sample.psf is None else (float(sample.noisy.min()), float(sample.noisy.max()))
    look = place | {"colormap": colormap}
    layers: list[LayerData] = [
        (sample.clean, {"name": names["reference"], "visible": False, "contrast_limits": limits, **look}, "image")
    ]
    if sample.is_missing is not None:
        labels = sample.is_missing.astype(np.uint8)
        layers.append((labels, {"name": f"{sample.name} (missing pixels)", "visible": False, **place}, "labels"))
    if sample.psf is not None:
        name = f"{sample.name} (point spread function)"
        layers.append((sample.psf, {"name": name, "visible": False, **look}, "image"))
    last = sample.noisy, {"name": names["measured"], "contrast_limits": measured, **look}, "image"
    return [*layers, last]  # the last one is selected, so that the widgets take it
