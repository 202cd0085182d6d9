"""What an OME-Zarr image says beside its values, to be written again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

KINDS = {"time": "T", "channel": "C"}
"""Letters of the types of axes, where an axis has no letter as its name."""


@dataclass(frozen=True, eq=False)
class Level:
    """An array of a pyramid.

    Attributes
    ----------
    path
        Name of the array in the image's group.
    shape
        Shape of the array.
    storage
        Keyword arguments with which `zarr.Group.create_array` makes an array of any type that is stored like this one: chunks, shards,
        compression, separators, attributes.
    dtype
        Type of the values of an array that was read; ``None``, the default, for a new one.
    of_type
        Keyword arguments for arrays of that type alone: filters, how values become bytes, value of what is not stored; empty by default.
    """

    path: str
    shape: tuple[int, ...]
    storage: Mapping[str, Any]
    dtype: np.dtype[Any] | None = None
    of_type: Mapping[str, Any] = field(default_factory=dict)

    def storage_of(self, dtype: np.dtype[Any]) -> Mapping[str, Any]:
        """Return all keyword arguments for an array of a type."""
        return {**self.storage, **self.of_type} if dtype == self.dtype else self.storage


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An image at several resolutions.

    Attributes
    ----------
    version
        Version of OME-Zarr: ``"0.4"``, in Zarr's format 2, or ``"0.5"``, in format 3.
    attributes
        Attributes of the image's group.
    levels
        Arrays, the largest first.
    """

    version: str
    attributes: Mapping[str, Any]
    levels: tuple[Level, ...]

    @property
    def zarr_format(self) -> int:
        """Format of Zarr."""
        return 2 if self.version == "0.4" else 3


def ome_attributes(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what OME-Zarr says among the attributes of a group: all in version 0.4, the entry ``ome`` in 0.5."""
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes
