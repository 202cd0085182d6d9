"""What a report says of the image that it is about."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_convgen.core.image.check import ArrayLike


def identity_of(name: str | None, data: ArrayLike, path: str | None) -> dict[str, Any]:
    """Return name, shape, type and file of an image and, if it is in memory, the SHA-256 of its values, row by row.

    Parameters
    ----------
    name, path
        Name and file; ``None`` without one.
    data
        Values.
    """
    return {
        "name": name,
        "shape": [int(n) for n in data.shape],
        "dtype": str(data.dtype),
        "path": path,
        "sha256": hash_array(data) if isinstance(data, np.ndarray) else None,
    }


def hash_array(values: NDArray[Any]) -> str:
    """Return the SHA-256 of the values of an array, row by row."""
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
