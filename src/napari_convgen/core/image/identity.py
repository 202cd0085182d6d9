"""What a report says of the image that it is about."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from napari_convgen.core.image.lazy import ArrayLike


def identity_of(name: str | None, data: ArrayLike, path: str | None) -> dict[str, Any]:
    """Return name, shape, type and file of an image and, if it is in memory, the SHA-256 of its values, row by row.

    Parameters
    ----------
    name, path
        Name and file; ``None`` without one.
    data
        Values.
    """
    is_in_memory = isinstance(data, np.ndarray)
    digest = hashlib.sha256(np.ascontiguousarray(data).data).hexdigest() if is_in_memory else None
    return {
        "name": name,
        "shape": [int(n) for n in data.shape],
        "dtype": str(data.dtype),
        "path": path,
        "sha256": digest,
    }
