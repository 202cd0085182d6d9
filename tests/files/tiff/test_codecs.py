"""Values that are stored in other ways than one after the other: compressed, in some bits, or shared by several pixels."""

import io
import itertools
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convgen.errors import FileError
from napari_convgen.files.images import read_image, write_image
from napari_convgen.files.tiff.codecs import tiff_of_strip


def values(shape, dtype, seed=0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = 90 + 60 * np.sin(x / 7) * np.cos(y / 5)
    noise = np.random.default_rng(seed).normal(0, 9, shape)
    image = (smooth.reshape(*smooth.shape, *(1,) * (len(shape) - 2)) + noise).clip(0, 255)
    return image > 90 if dtype == "bool" else (image * (200 if dtype == "uint16" else 1)).astype(dtype)


def lzw(data):
    """Compress bytes as TIFF's LZW does: those of a picture of one row."""
    content = io.BytesIO()
    Image.frombytes("L", (len(data), 1), data).save(content, "TIFF", compression="tiff_lzw")
    content.seek(0)
    with tifffile.TiffFile(content) as file:
        [start], [n_bytes] = file.pages[0].dataoffsets, file.pages[0].databytecounts
    return content.getvalue()[start : start + n_bytes]


def float_differences(values, **_):
    """Difference the bytes of a picture of floating-point numbers, as TIFF's predictor 3 does."""
    n_columns, size = values.shape[-2], values.dtype.itemsize
    numbers = np.ascontiguousarray(values.reshape(-1, n_columns).astype(values.dtype.newbyteorder(">")))
    planes = numbers.view(np.uint8).reshape(-1, n_columns, size).swapaxes(1, 2).reshape(len(numbers), -1)
    return np.diff(planes, axis=1, prepend=np.uint8(0)).view(values.dtype).reshape(values.shape)


@pytest.fixture
def _codecs(monkeypatch):
    """Let tifffile write what it cannot without another package."""
    pack = lambda data, **_: lzw(data if isinstance(data, bytes) else data.tobytes())  # noqa: E731
    monkeypatch.setitem(tifffile.TIFF.COMPRESSORS._codecs, 5, pack)
    monkeypatch.setitem(tifffile.TIFF.PREDICTORS._codecs, 3, float_differences)


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("shape", [{"rowsperstrip": 16}, {"tile": (16, 32)}])
@pytest.mark.parametrize(
    ("dtype", "tags"),
    [
        ("uint8", {}),
        ("uint16", {"predictor": 2}),
        ("float32", {}),
        ("float64", {}),
        ("uint16", {"photometric": "rgb"}),
        ("uint16", {"photometric": "rgb", "planarconfig": "separate", "predictor": 2}),
        ("uint8", {"photometric": "rgb", "extrasamples": ("unassalpha",)}),
    ],
)
@pytest.mark.usefixtures("_codecs")
def test_lzw_is_read_without_loss(tmp_path, byteorder, shape, dtype, tags):
    path, copy = tmp_path / "image.tif", tmp_path / "copy.tif"
    samples = (3 + ("extrasamples" in tags),) * ("photometric" in tags)
    data = values((40, 50, *samples), dtype)
    stored = np.moveaxis(data, -1, 0) if "planarconfig" in tags else data
    tifffile.imwrite(path, stored, compression="lzw", byteorder=byteorder, metadata=None, **shape, **tags)
    with tifffile.TiffFile(path) as file:
        assert file.pages[0].compression == 5
    image = read_image(path)
    np.testing.assert_array_equal(image.data, stored)
    assert image.axes == ("SYX" if "planarconfig" in tags else "YXS"[: data.ndim])
    write_image(copy, image.data, image)
    np.testing.assert_array_equal(tifffile.imread(copy), stored)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compression", ["lzw", "zlib"])
@pytest.mark.usefixtures("_codecs")
def test_differences_between_bytes_of_floating_point_numbers_are_undone(tmp_path, compression, dtype):
    data = values((40, 50), dtype)
    tifffile.imwrite(tmp_path / "image.tif", data, compression=compression, predictor=3, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "image.tif").data, data)


BYTES = ("tiff_lzw", "packbits", "tiff_adobe_deflate", "lzma", "zstd")
ALL = [
    *itertools.product(BYTES, ("1", "L", "RGB", "RGBA", "I;16", "F", "P", "LA")),
    *itertools.product(("group3", "group4", "tiff_ccitt"), ("1",)),
    *itertools.product(("jpeg",), ("L", "RGB", "RGBA")),
]


@pytest.mark.parametrize(("compression", "mode"), ALL)
def test_what_pillow_writes_is_read_as_pillow_reads_it(tmp_path, compression, mode):
    if mode == "I;16":
        picture = Image.fromarray(values((40, 50), "uint16"))
    else:
        picture = Image.fromarray(values((40, 50, 3), "uint8")).convert(mode)
    picture.save(tmp_path / "image.tif", compression=compression)
    with Image.open(tmp_path / "image.tif") as written:
        expected = np.asarray(written.convert({"P": "RGB", "LA": "L"}.get(mode, written.mode)))
    np.testing.assert_array_equal(read_image(tmp_path / "image.tif").data, expected)


def test_stacks_and_jpeg_tables_are_read(tmp_path):
    pictures = [Image.fromarray(values((40, 50, 3), "uint8", seed)) for seed in range(3)]
    pictures[0].save(tmp_path / "image.tif", compression="jpeg", save_all=True, append_images=pictures[1:], quality=95)
    image = read_image(tmp_path / "image.tif")
    assert image.data.shape == (3, 40, 50, 3)
    for read, picture in zip(image.data, pictures, strict=True):
        assert np.abs(read.astype(int) - np.asarray(picture)).mean() < 6


def test_a_compression_that_nothing_reads_is_named_with_the_package_that_does(tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, values((40, 50), "uint8"), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(34887)
    with pytest.raises(FileError, match=r"LERC.* requires the 'imagecodecs' package\. Install it with: pip install"):
        read_image(path)


@pytest.mark.parametrize("fill_order", [1, 2])
@pytest.mark.parametrize(("n_bits", "n_samples"), [(12, 1), (12, 3), (4, 1), (2, 3), (10, 1), (24, 1)])
@pytest.mark.parametrize("compression", [1, 5, 8])
def test_values_of_some_bits_are_read(tmp_path, n_bits, n_samples, compression, fill_order):
    path, shape = tmp_path / "image.tif", (7, 5, n_samples)
    data = np.random.default_rng(n_bits).integers(0, 2**n_bits, shape)
    bits = (data.reshape(7, -1, 1) >> np.arange(n_bits)[::-1]) & 1
    packed = np.packbits(bits.reshape(7, -1).astype(np.uint8), axis=1)
    if n_bits == 24:
        packed = np.ascontiguousarray(packed.reshape(7, -1, 3)[..., ::-1])  # whole bytes are in the order of the file
    content = {1: bytes, 5: lzw, 8: zlib.compress}[compression](packed.tobytes())
    if fill_order == 2:
        content = np.packbits(np.unpackbits(np.frombuffer(content, np.uint8)), bitorder="little").tobytes()
    fields = {256: 5, 257: 7, 258: (n_bits,) * n_samples, 259: compression, 262: 1 if n_samples == 1 else 2}
    path.write_bytes(tiff(fields | {266: fill_order, 277: n_samples, 278: 7, 279: len(content)}, content))
    image = read_image(path)
    np.testing.assert_array_equal(image.data, data.squeeze())
    write_image(tmp_path / "copy.tif", image.data, image)
    np.testing.assert_array_equal(read_image(tmp_path / "copy.tif").data, data.squeeze())


def tiff(fields, content):
    """A TIFF file of one strip, from the numbers in its directory."""
    return tiff_of_strip(
        {
            code: ("I" if code in (256, 257, 278, 279, 513, 514) else "H", tuple(np.ravel(value)))
            for code, value in fields.items()
        },
        content,
    )


def test_jpeg_of_the_old_style_is_read(tmp_path):
    path, content = tmp_path / "image.tif", io.BytesIO()
    picture = Image.fromarray(values((40, 50, 3), "uint8"))
    picture.save(content, "JPEG", quality=95, subsampling=0)
    jpeg = content.getvalue()
    fields = {256: 50, 257: 40, 258: (8, 8, 8), 259: 6, 262: 6, 277: 3, 278: 40, 279: len(jpeg), 512: 1, 514: len(jpeg)}
    start = len(tiff(fields | {513: 0}, b""))
    path.write_bytes(tiff(fields | {513: start}, jpeg))
    image = read_image(path)
    assert image.axes == "YXS"
    assert np.abs(image.data.astype(int) - np.asarray(Image.open(content))).max() <= 2
    path.write_bytes(tiff(fields | {513: start}, jpeg[:90]))
    with pytest.raises(FileError, match="cannot be read"):
        read_image(path)


@pytest.mark.parametrize(("across", "down"), [(2, 2), (2, 1), (1, 2), (4, 2)])
@pytest.mark.parametrize("compression", [1, 5])
def test_chrominance_that_pixels_share_is_read(tmp_path, across, down, compression):
    rows, columns = 11, 13  # no multiples of the units
    rng = np.random.default_rng(0)
    n_units = -(-rows // down), -(-columns // across)
    luminance = rng.integers(60, 200, (n_units[0] * down, n_units[1] * across), "uint8")
    chrominance = rng.integers(100, 150, (*n_units, 2), "uint8")
    units = luminance.reshape(n_units[0], down, n_units[1], across).swapaxes(1, 2).reshape(*n_units, -1)
    content = np.concatenate([units, chrominance], -1).tobytes()
    packed = lzw(content) if compression == 5 else content
    fields = {256: columns, 257: rows, 258: (8, 8, 8), 259: compression, 262: 6, 277: 3, 278: rows, 279: len(packed)}
    path = tmp_path / "image.tif"
    path.write_bytes(tiff(fields | {530: (across, down)}, packed))
    whole = np.concatenate([luminance[..., None], chrominance.repeat(down, 0).repeat(across, 1)], -1)[:rows, :columns]
    expected = np.asarray(Image.fromarray(np.ascontiguousarray(whole), "YCbCr").convert("RGB"))
    image = read_image(path)
    assert np.abs(image.data.astype(int) - expected).max() <= 1
    assert image.tiff["photometric"] == "rgb"
