"""What the formats of raw data have in common: slices that are read one by one, and what the header says of all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Bool, Complex


@dataclass(frozen=True)
class Header:
    """What the XML header of ISMRMRD, which fastMRI has too, says of a scan.

    Attributes
    ----------
    n_points
        Number of points of the grid of k-space along the readout, the first phase encoding and the second one.
    field_of_view
        Lengths of the image of this grid along these axes, in millimeters.
    wanted_length
        Length along the readout of the image that is wanted, in millimeters: half of the other where the readout was oversampled twice.
    middle_line
        Number of the line through the origin of k-space along the first phase encoding.
    trajectory
        Course of the readout: ``"cartesian"`` along straight lines of a grid.
    calibration_mode
        How calibration lines were measured, in ISMRMRD's words; empty if it does not say.
    """

    n_points: tuple[int, int, int]
    field_of_view: tuple[float, float, float]
    wanted_length: float
    middle_line: int
    trajectory: str
    calibration_mode: str

    @classmethod
    def of(cls, xml: bytes | str) -> Header:
        """Read the header; what it must have and lacks is an error of any kind."""
        encoding = ElementTree.fromstring(xml).find("{*}encoding")
        assert encoding is not None

        def text(path: str, default: str | None = None) -> str:
            found = encoding.findtext("/".join(f"{{*}}{name}" for name in path.split("/")), default)
            if found is None:
                raise ValueError(f"the header lacks {path}")
            return found.strip()

        n_points = tuple(int(text(f"encodedSpace/matrixSize/{axis}")) for axis in "xyz")
        lengths = tuple(float(text(f"encodedSpace/fieldOfView_mm/{axis}")) for axis in "xyz")
        return cls(
            (n_points[0], n_points[1], n_points[2]),
            (lengths[0], lengths[1], lengths[2]),
            float(text("reconSpace/fieldOfView_mm/x", str(lengths[0]))),
            int(text("encodingLimits/kspace_encoding_step_1/center", str(n_points[1] // 2))),
            text("trajectory", "cartesian").lower(),
            text("parallelImaging/calibrationMode", "").lower(),
        )


@dataclass(frozen=True, eq=False)
class Scan:
    """K-space of several slices.

    Attributes
    ----------
    n_slices
        Number of slices; contrasts, repetitions and the like count as slices too.
    read
        Function that returns one of them, of the shape (coils, rows, columns), by its number from 0.
    is_sampled
        True where k-space was sampled, of the shape (rows, columns); ``None``, the default, if the file does not say.
    readout
        Axis of the readout, 0 for columns of points and 1 for rows; ``None``, the default, if the file does not say.
    header
        Header of the file; ``None``, the default, if it has none.
    notes
        Sentences that the user should know; none by default.
    """

    n_slices: int
    read: Callable[[int], Complex[np.ndarray, "coils y x"]]
    is_sampled: Bool[np.ndarray, "y x"] | None = None
    readout: int | None = None
    header: Header | None = None
    notes: tuple[str, ...] = ()
