"""Files of the fastMRI data set: HDF5 with a dataset ``kspace``, (slices, coils, rows, columns), read out along the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_convgen.files.kspace.scan import Header, Scan

if TYPE_CHECKING:
    import h5py


def claims(file: h5py.File) -> bool:
    """Return True for a file of this format."""
    return "kspace" in file and file["kspace"].ndim in (3, 4)


def open_scan(file: h5py.File) -> Scan:
    """Return the scan of an open file; a single coil has no axis there."""
    kspace = file["kspace"]
    size = kspace.shape[-2:]
    mask = np.asarray(file["mask"]).astype(bool) if "mask" in file else None
    return Scan(
        len(kspace),
        lambda number: np.asarray(kspace[number]).reshape(-1, *size),
        is_sampled=None if mask is None else np.broadcast_to(mask, size).copy(),
        readout=0,
        header=Header.of(file["ismrmrd_header"][()]) if "ismrmrd_header" in file else None,
    )
