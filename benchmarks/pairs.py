"""Pairs of noisy images and references from a folder, and their scores."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_convgen.core.metrics import psnr
from napari_convgen.files.images import read_image


@dataclass(frozen=True, eq=False)
class Pair:
    """A noisy image with its reference.

    Attributes
    ----------
    name, kind
        File's stem, and the first two folders of its path.
    noisy, reference
        Central crops, the same shape.
    axes
        Of both.
    data_range
        Peak of the PSNR.
    is_stretched
        Whether the two were stretched apart, so that images are fitted to the reference before they are scored.
    """

    name: str
    kind: str
    noisy: np.ndarray
    reference: np.ndarray
    axes: str
    data_range: float
    is_stretched: bool

    def psnr(self, image: np.ndarray) -> float:
        """Score an image, after a least-squares gain and offset where the pair was stretched."""
        image = np.asarray(image, dtype=float)
        if self.is_stretched:
            columns = np.stack([image.ravel(), np.ones(image.size)], axis=1)
            gain, offset = np.linalg.lstsq(columns, self.reference.astype(float).ravel(), rcond=None)[0]
            image = gain * image + offset
        return psnr(image, self.reference, self.data_range)


def load_pairs(folder: Path, size: int, names: list[str] | None = None) -> list[Pair]:
    """Read the pairs that ``PAIRS.tsv`` of a folder lists, cropped to ``size`` pixels a side."""
    pairs = []
    with (folder / "PAIRS.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = Path(row["noisy"])
            if names is None or path.stem in names:
                noisy, reference = read_image(folder / path), read_image(folder / row["gt"])
                data, truth = (_crop(image.data, image.axes, size) for image in (noisy, reference))
                kind = "/".join(path.parts[:2])
                stretched = "affine fit" in (row["note"] or "")
                pairs.append(Pair(path.stem, kind, data, truth, noisy.axes, float(row["data_range"]), stretched))
    return pairs


def _crop(data: np.ndarray, axes: str, size: int) -> np.ndarray:
    index: list[Any] = [slice(None)] * data.ndim
    for i, letter in enumerate(axes):
        if letter in "YX":
            start = max(0, (data.shape[i] - size) // 2)
            index[i] = slice(start, start + size)
    return np.ascontiguousarray(data[tuple(index)])


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table, numbers to the right."""
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i == 0 else "--:" for i in range(len(head))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"
