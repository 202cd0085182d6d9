"""The choice of one of several images that a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_convgen.errors import FileError

N_NAMED = 8
"""Largest number of images that a sentence describes."""


def choose_series(path: Path, images: Sequence[str], series: int) -> tuple[str, ...]:
    """Refuse the number of an image that is not there; return a sentence on the images if there are several.

    Parameters
    ----------
    path
        File.
    images
        Description of each image that it holds.
    series
        Number of the image to be read, from 0.

    Raises
    ------
    FileError
        The file holds no image, or none of this number.
    """
    if not images:
        raise FileError(f"{path} holds no image. Name another file.")
    more = f", and {len(images) - N_NAMED} more" if len(images) > N_NAMED else ""
    named = ", ".join(f"{i}: {image}" for i, image in enumerate(images[:N_NAMED])) + more
    held = f"{path} holds {len(images)} image{'s' * (len(images) > 1)} ({named})"
    if isinstance(series, bool) or not isinstance(series, int) or not 0 <= series < len(images):
        raise FileError(f"{held}, but none with the number {series}. Choose one from 0 to {len(images) - 1}.")
    note = f"{held}; number {series} is read. --series N (of a reference --reference-series N, in Python series=N) chooses another."
    return (note,) * (len(images) > 1)
