"""Compressions that `tifffile` leaves to a package of its own, decoded by Pillow, piece by piece and without loss.

Pillow reads few kinds of TIFF files whole: it reduces color with 16 bits to 8, and knows no stacks. So only the compressed pieces of an
image, its strips or tiles, are handed to Pillow; predictors, bytes and axes stay with `tifffile`.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

BYTES = (5, 50000)
"""Compressions of bytes, whatever they mean: LZW and Zstandard."""

FAX, JPEG, PICTURES = (2, 3, 4), (7,), (34712, 33005, 34933, 34927, 50001)
"""Compressions of pictures: of black and white, JPEG, and files of other formats (JPEG 2000, PNG, WebP) within the file."""

FLOAT_PREDICTOR = 3
"""Differences between the bytes of floating-point numbers (Adobe, TIFF Technical Note 3)."""

KEPT_TAGS = {3: (292,), 4: (293,), 7: (347, 530)}
"""Tags of an image that a piece of it needs, for each compression: options of fax, tables and subsampling of JPEG."""

Decoded = tuple[NDArray[Any] | None, tuple[int, ...], tuple[int, ...]]
"""Values of a piece, its place in the image, and its shape in planes, rows, columns and samples."""


def help_to_decode(page: tifffile.TiffPage) -> None:
    """Let Pillow decode the pieces of a page, if tifffile alone cannot.

    Parameters
    ----------
    page
        Page whose function `decode` is replaced.
    """
    is_for_pillow = page.compression in (*BYTES, *FAX, *JPEG, *PICTURES)
    if importlib.util.find_spec("imagecodecs") or not (is_for_pillow or page.predictor == FLOAT_PREDICTOR):
        return
    plain: Any = copy.copy(page)  # the same page, as if its pieces were not compressed
    plain.compression = tifffile.COMPRESSION.NONE
    if is_for_pillow:
        plain.fillorder = tifffile.FILLORDER.MSB2LSB
    if page.predictor == FLOAT_PREDICTOR or page.compression not in BYTES:
        plain.predictor = tifffile.PREDICTOR.NONE
    if page.compression in JPEG and page.planarconfig == tifffile.PLANARCONFIG.CONTIG:
        plain.photometric, plain.subsampling = tifffile.PHOTOMETRIC.RGB, None
    unpack: Callable[..., Decoded] = plain.decode

    def decode(data: bytes | None, index: int, *, _fullsize: bool = False, **_: Any) -> Decoded:
        shape = unpack(None, index)[2]
        content = None if data is None else _decompress(page, data, shape)
        return unpack(content, index, _fullsize=_fullsize)

    page.__dict__["decode"] = decode  # where Python keeps the value of such a property


def _decompress(page: tifffile.TiffPage, data: bytes, shape: tuple[int, ...]) -> bytes:
    """Return the bytes of a piece as they would be in the file without compression."""
    depth, rows, columns, samples = shape
    row_bytes = math.ceil(columns * samples * page.bitspersample / 8)
    if page.compression in BYTES:
        n_bytes = depth * rows * row_bytes
        content = _picture(page, data, n_bytes, 1, 1).tobytes()
    elif page.compression in FAX:
        content = np.packbits(np.asarray(_picture(page, data, columns, rows, 1)), axis=-1).tobytes()
    elif page.compression in (*JPEG, *PICTURES):
        is_file = page.compression in PICTURES
        content = _samples(
            Image.open(io.BytesIO(data)) if is_file else _picture(page, data, columns, rows, samples), page, shape
        )
    elif page.compression == tifffile.COMPRESSION.NONE:
        content = data
    else:
        content = bytes(tifffile.TIFF.DECOMPRESSORS[page.compression](data, out=depth * rows * row_bytes))
    if page.predictor == FLOAT_PREDICTOR and page.compression not in (*FAX, *JPEG, *PICTURES):
        return _undo_float_predictor(content, page, columns, samples)
    return content


def _samples(picture: Image.Image, page: tifffile.TiffPage, shape: tuple[int, ...]) -> bytes:
    """Return the values of a picture in the byte order of the file.

    Raises
    ------
    ValueError
        They are of another type, or fewer: Pillow has reduced them.
    """
    values = np.asarray(picture)
    if values.dtype != page.dtype or values.size % (shape[2] * shape[3]):
        raise ValueError(
            f"{tifffile.COMPRESSION(page.compression).name} with values of type {page.dtype} needs the package imagecodecs"
        )
    return values.astype(values.dtype.newbyteorder(page.parent.byteorder)).tobytes()


def _undo_float_predictor(content: bytes, page: tifffile.TiffPage, columns: int, samples: int) -> bytes:
    """Return floating-point numbers in the byte order of the file, from differences of bytes: the highest bytes of a row, then the next."""
    dtype = np.dtype(page.dtype)
    size = dtype.itemsize
    differences = np.frombuffer(content, np.uint8).reshape(-1, size * columns, samples)
    planes = differences.cumsum(axis=1, dtype=np.uint8).reshape(-1, size, columns * samples)
    values = np.ascontiguousarray(planes.swapaxes(1, 2)).view(dtype.newbyteorder(">"))
    return values.astype(dtype.newbyteorder(page.parent.byteorder)).tobytes()


def _picture(page: tifffile.TiffPage, data: bytes, columns: int, rows: int, samples: int) -> Image.Image:
    """Return a piece as a picture, by way of a TIFF file that holds nothing else."""
    bits = 1 if page.compression in FAX else 8
    gray, photometric = int(tifffile.PHOTOMETRIC.MINISBLACK), int(page.photometric)
    fields: dict[int, tuple[str, tuple[int, ...] | bytes]] = {
        256: ("I", (columns,)),
        257: ("I", (rows,)),
        258: ("H", (bits,) * samples),
        259: ("H", (int(page.compression),)),
        262: ("H", (photometric if samples > 1 else gray,)),
        266: ("H", (int(page.fillorder) if page.compression not in JPEG else 1,)),
        277: ("H", (samples,)),
        278: ("I", (rows,)),
        279: ("I", (len(data),)),
    }
    for code in KEPT_TAGS.get(page.compression, ()):
        value = page.tags.valueof(code)
        if value is not None:
            fields[code] = (
                ("B", value) if isinstance(value, bytes) else ("H" if code == 530 else "I", tuple(np.ravel(value)))
            )
    return Image.open(io.BytesIO(_tiff(fields, data)))


def _tiff(fields: Mapping[int, tuple[str, tuple[int, ...] | bytes]], data: bytes) -> bytes:
    """Return a TIFF file of one strip, with the fields of its directory: type and values by code."""
    start = 8 + 2 + 12 * (len(fields) + 1) + 4
    content = {
        code: bytes(value) if kind == "B" else struct.pack(f"<{len(value)}{kind}", *value)
        for code, (kind, value) in fields.items()
    }
    behind = b"".join(value for value in content.values() if len(value) > 4)
    entries, place = {}, start
    for code, (kind, value) in fields.items():
        head = struct.pack("<HHI", code, {"B": 7, "H": 3, "I": 4}[kind], len(value))
        if len(content[code]) > 4:
            entries[code] = head + struct.pack("<I", place)
            place += len(content[code])
        else:
            entries[code] = head + content[code].ljust(4, b"\0")
    entries[273] = struct.pack("<HHII", 273, 4, 1, place)
    directory = b"".join(entries[code] for code in sorted(entries))
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + directory + bytes(4) + behind + data
