"""Values that `tifffile` leaves to a package of its own, decoded by Pillow and NumPy, piece by piece and without loss.

Pillow reads few kinds of TIFF files whole: it reduces color with 16 bits to 8, and knows no stacks. So only the compressed pieces of an
image, its strips or tiles, are handed to Pillow; predictors, bytes and axes stay with `tifffile`. Only pages in the old style of JPEG,
whose pieces are of no use alone, are read whole.
"""

from __future__ import annotations

import copy
import importlib.util
import io
import math
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

BYTES = (5, 50000)
"""Compressions of bytes, whatever they mean: LZW and Zstandard."""

FAX, JPEG, PICTURES = (2, 3, 4), (7,), (34712, 33005, 34933, 34927, 50001)
"""Compressions of pictures: of black and white, JPEG, and files of other formats (JPEG 2000, PNG, WebP) within the file."""

WHOLE_BITS = (1, 8, 16, 32, 64)
"""Numbers of bits that tifffile reads itself."""

DEFAULT_SUBSAMPLING = (2, 2)
"""Pixels along a row and a column that share their chrominance, if a file does not say how many (TIFF 6.0, section 21)."""

FLOAT_PREDICTOR = 3
"""Differences between the bytes of floating-point numbers (Adobe, TIFF Technical Note 3)."""

KEPT_TAGS = {3: (292,), 4: (293,), 7: (347, 530)}
"""Tags of an image that a piece of it needs, for each compression: options of fax, tables and subsampling of JPEG."""

Decoded = tuple[NDArray[Any] | None, tuple[int, ...], tuple[int, ...]]
"""Values of a piece, its place in the image, and its shape in planes, rows, columns and samples."""


def read_old_jpeg(path: Path, series: tifffile.TiffPageSeries) -> NDArray[Any]:
    """Return the values of an image in the old style of JPEG (compression 6), page by page.

    Raises
    ------
    ValueError
        Pillow reads a page in another shape, or does not know it.
    """
    planes = []
    with Image.open(path) as file:
        for page in series.pages:
            if not isinstance(page, tifffile.TiffPage | tifffile.TiffFrame) or not isinstance(page.index, int):
                raise ValueError("it has pages of JPEG in the old style that are no pages of their own")
            file.seek(page.index)
            planes.append(np.asarray(file))
    return np.stack(planes).reshape(series.shape)


def help_to_decode(page: tifffile.TiffPage) -> None:
    """Decode the pieces of a page, if tifffile alone cannot.

    Parameters
    ----------
    page
        Page whose function `decode` is replaced.
    """
    is_for_pillow = page.compression in (*BYTES, *FAX, *JPEG, *PICTURES)
    is_packed, is_subsampled = _is_packed(page), _is_subsampled(page)
    needs_codecs = is_for_pillow or is_packed or page.predictor == FLOAT_PREDICTOR
    if not is_subsampled and (not needs_codecs or importlib.util.find_spec("imagecodecs")):
        return
    plain: Any = copy.copy(page)  # the same page, as if its pieces were not compressed
    plain.compression = tifffile.COMPRESSION.NONE
    plain.fillorder = tifffile.FILLORDER.MSB2LSB
    if page.predictor == FLOAT_PREDICTOR or page.compression not in BYTES:
        plain.predictor = tifffile.PREDICTOR.NONE
    if page.compression in JPEG and page.planarconfig == tifffile.PLANARCONFIG.CONTIG:
        plain.photometric, plain.subsampling = tifffile.PHOTOMETRIC.RGB, None
    if is_subsampled:
        plain.subsampling = (1, 1)
    if is_packed:
        plain.bitspersample = 8 * np.dtype(page.dtype).itemsize
    unpack: Callable[..., Decoded] = plain.decode

    def decode(data: bytes | None, index: int, *, _fullsize: bool = False, **_: Any) -> Decoded:
        shape = unpack(None, index)[2]
        content = None if data is None else _decompress(page, data, shape)
        return unpack(content, index, _fullsize=_fullsize)

    page.__dict__["decode"] = decode  # where Python keeps the value of such a property
    page.__dict__["is_contiguous"] = page.is_contiguous and not is_subsampled


def _is_packed(page: tifffile.TiffPage) -> bool:
    """Return True for whole numbers of some bits that are no whole bytes, such as 12."""
    is_whole = page.bitspersample in WHOLE_BITS or page.compression in (*FAX, *JPEG, *PICTURES)
    return not is_whole and page.dtype is not None and np.dtype(page.dtype).kind in "ui"


def _is_subsampled(page: tifffile.TiffPage) -> bool:
    """Return True for colors as luminance and fewer values of chrominance, without JPEG."""
    is_plain = page.compression not in tifffile.TIFF.IMAGE_COMPRESSIONS and page.bitspersample == 8
    is_contiguous = page.planarconfig == tifffile.PLANARCONFIG.CONTIG and page.samplesperpixel == 3
    return bool(page.is_subsampled and is_plain and is_contiguous)


def _decompress(page: tifffile.TiffPage, data: bytes, shape: tuple[int, ...]) -> bytes:
    """Return the bytes of a piece as they would be in the file without compression, all of its values in whole bytes."""
    content = _decompressed(page, data, shape)
    if _is_subsampled(page):
        return _undo_subsampling(content, page, shape)
    return _undo_packing(content, page, shape) if _is_packed(page) else content


def _decompressed(page: tifffile.TiffPage, data: bytes, shape: tuple[int, ...]) -> bytes:
    depth, rows, columns, samples = shape
    row_bytes = math.ceil(columns * samples * page.bitspersample / 8)
    if _is_subsampled(page):
        across, down = page.subsampling or DEFAULT_SUBSAMPLING
        rows, row_bytes = math.ceil(rows / down), math.ceil(columns / across) * (across * down + 2)
    if page.fillorder == tifffile.FILLORDER.LSB2MSB and page.compression not in (*BYTES, *FAX, *JPEG, *PICTURES):
        data = np.packbits(np.unpackbits(np.frombuffer(data, np.uint8)), bitorder="little").tobytes()
    if page.compression in BYTES:
        n_bytes = depth * rows * row_bytes
        content = _picture(page, data, n_bytes, 1, 1).tobytes()
    elif page.compression in FAX:
        content = np.packbits(np.asarray(_picture(page, data, columns, rows, 1)), axis=-1).tobytes()
    elif page.compression in (*JPEG, *PICTURES):
        content = _samples(_decoded_picture(page, data, shape), page, shape)
    elif page.compression == tifffile.COMPRESSION.NONE:
        content = data
    else:
        content = bytes(tifffile.TIFF.DECOMPRESSORS[page.compression](data, out=depth * rows * row_bytes))
    if page.predictor == FLOAT_PREDICTOR and page.compression not in (*FAX, *JPEG, *PICTURES):
        return _undo_float_predictor(content, page, columns, samples)
    return content


def _decoded_picture(page: tifffile.TiffPage, data: bytes, shape: tuple[int, ...]) -> Image.Image:
    """Return a piece that is compressed as a picture.

    Raises
    ------
    ValueError
        Pillow cannot decode it.
    """
    _, rows, columns, samples = shape
    try:
        is_file = page.compression in PICTURES
        picture = Image.open(io.BytesIO(data)) if is_file else _picture(page, data, columns, rows, samples)
        picture.load()
    except OSError as error:
        name = tifffile.COMPRESSION(page.compression).name
        raise ValueError(
            f"its {name} data are damaged, or of a kind that needs the 'imagecodecs' package ({error})"
        ) from error
    return picture


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


def _undo_packing(content: bytes, page: tifffile.TiffPage, shape: tuple[int, ...]) -> bytes:
    """Return numbers of whole bytes, in the byte order of the file, from packed bits; each row begins with a byte of its own.

    Numbers of 24 bits are whole bytes already, in the byte order of the file.
    """
    depth, rows, columns, samples = shape
    n, n_bits, dtype = columns * samples, int(page.bitspersample), np.dtype(page.dtype)
    row_bytes = math.ceil(n * n_bits / 8)
    packed = np.frombuffer(content, np.uint8, min(len(content) // row_bytes, depth * rows) * row_bytes)
    if n_bits % 8 == 0 and page.parent.byteorder == "<":
        packed = np.ascontiguousarray(packed.reshape(-1, n_bits // 8)[:, ::-1])
    bits = np.unpackbits(packed.reshape(-1, row_bytes), axis=1)[:, : n * n_bits].reshape(-1, n_bits)
    values = np.zeros(len(bits), f"u{dtype.itemsize}")
    for column in bits.T:
        values = (values << 1) | column
    if dtype.kind == "i":
        n_free = 8 * dtype.itemsize - n_bits
        values = (values << n_free).view(dtype.newbyteorder("=")) >> n_free
    return values.astype(dtype.newbyteorder(page.parent.byteorder)).tobytes()


def _undo_subsampling(content: bytes, page: tifffile.TiffPage, shape: tuple[int, ...]) -> bytes:
    """Return luminance and chrominance of each pixel, from units of several pixels that share their chrominance.

    References
    ----------
    TIFF 6.0, section 21: a unit has the luminance of its pixels, row by row, and then two values of chrominance.
    """
    _, rows, columns, _ = shape
    across, down = page.subsampling or DEFAULT_SUBSAMPLING
    n_units = math.ceil(rows / down), math.ceil(columns / across)
    units = np.frombuffer(content, np.uint8, math.prod(n_units) * (across * down + 2)).reshape(*n_units, -1)
    luminance = units[..., :-2].reshape(*n_units, down, across).swapaxes(1, 2).reshape(n_units[0] * down, -1)
    chrominance = units[..., -2:].repeat(down, 0).repeat(across, 1)
    pixels = np.concatenate([luminance[..., np.newaxis], chrominance], -1)
    return pixels[:rows, :columns].tobytes()


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
    return Image.open(io.BytesIO(tiff_of_strip(fields, data)))


def tiff_of_strip(fields: Mapping[int, tuple[str, tuple[int, ...] | bytes]], data: bytes) -> bytes:
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
