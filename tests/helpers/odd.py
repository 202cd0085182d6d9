"""Odd arrays, files and configurations, each from a number, and what becomes of them: a result, a refusal, or a fault.

The suite tries a few hundred of each, benchmarks/campaign.py tens of thousands.
"""

import contextlib
import re
import shutil
import struct
import traceback
import warnings
import zlib

import h5py
import mrcfile
import numpy as np
import tifffile
from PIL import Image as PillowImage

from napari_convgen.config import PRESETS, Config
from napari_convgen.errors import ConvgenError
from napari_convgen.files.images import check_image, read_image, write_image
from napari_convgen.run.denoise.run import DenoiseTask

TYPES = [
    "bool",
    "u1",
    "i1",
    "u2",
    "i2",
    "u4",
    "i4",
    "u8",
    "i8",
    "f2",
    "f4",
    "f8",
    ">f4",
    ">u2",
    "c8",
    "O",
    "U3",
    "M8[s]",
]
SMALL = {"n_steps": 2, "n_seeds": 2, "n_threads": 1, "n_restarts": 0}
NOT_SAID = ["no number", "Traceback", "NoneType", "object has no", "index out of range", "ufunc", "unexpected keyword"]
"""What a sentence for a user does not say."""


class Fault(AssertionError):
    """Something that must not happen."""


def outcome(attempt):
    """Return what becomes of an attempt: ``"result"`` or ``"refused"``; anything else is a `Fault`."""
    try:
        attempt()
    except ConvgenError as error:
        text = str(error)
        if len(text) < 20 or any(word in text for word in NOT_SAID):
            raise Fault(f"an unclear sentence: {text}") from error
        return "refused"
    except Fault:
        raise
    except Exception as error:
        raise Fault("".join(traceback.format_exception(error)[-3:])) from error
    return "result"


# --- arrays ---------------------------------------------------------------------------------------------------------------------------


def odd_array(rng):
    """Return an array, its axes, and settings."""
    n_axes = int(rng.choice([0, 1, *[2] * 10, *[3] * 6, 4, 5]))
    longest = {0: 1, 1: 80, 2: 40, 3: 16, 4: 6, 5: 5}[n_axes]
    shape = [int(rng.integers(0 if rng.random() < 0.03 else 1, longest + 1)) for _ in range(n_axes)]
    if n_axes > 2 and rng.random() < 0.3:
        shape[-1] = int(rng.choice([3, 4]))
    dtype = np.dtype(rng.choice(TYPES, p=_mostly_numbers()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # values that the type cannot hold
        array = _values(rng, shape).astype(np.float64)
        if dtype.kind in "ui":
            limits = np.iinfo(dtype)
            array = np.nan_to_num(array, nan=0, posinf=limits.max, neginf=limits.min).clip(limits.min, limits.max)
        array = array.astype(dtype)
    array = _laid_out(rng, array)
    usual = ["", "X", "YX", rng.choice(["CYX", "TYX", "ZYX"]), rng.choice(["TCYX", "TZYX", "CZYX"]), "TCZYX"][n_axes]
    mixed = "".join(rng.choice(list("TCZYXSAB"), n_axes, replace=rng.random() < 0.1))
    axes = [None, None, None, usual, usual, usual, mixed][rng.integers(7)]
    preset = str(rng.choice(list(PRESETS)))
    changes = {
        **SMALL,
        "generator.begins_with": "chance",
        "generator.n_channels": 4,
        "generator.n_lessons": 2,
        "generator.n_scales": ["auto", "auto", "auto", "auto", 1, 2, 3][rng.integers(7)],
        "noise.kind": str(
            rng.choice(
                [
                    "auto",
                    "auto",
                    "auto",
                    "auto",
                    "gaussian",
                    "poisson-gaussian",
                    "rician",
                    "intensity-dependent",
                    "none",
                ]
            )
        ),
        "stopping.kind": str(rng.choice(["fixed", "held-out", "auto"])),
        "z_axis": str(rng.choice(["frames", "volume"])) if axes and "ZYX" in axes else "frames",
        "seed": int(rng.integers(1000)),
    }
    return array, axes, preset, changes


def _mostly_numbers():
    weights = np.array([0.2 if TYPES[i] in ("c8", "O", "U3", "M8[s]") else 1.0 for i in range(len(TYPES))])
    return weights / weights.sum()


def _values(rng, shape):
    """Values of one kind, with one thing or another wrong with some of them."""
    smooth = sum((np.cos(3 * x + rng.random()) for x in np.indices(shape)), np.zeros(shape)) if shape else np.zeros(())
    kind = rng.choice([0, 0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 5, 6, 7, 7])
    scale = 10.0 ** rng.choice([-300, -30, -3, *[0, 1, 2, 3] * 4, 4, 8, 100, 300])
    values = [
        lambda: smooth + 0.2 * rng.normal(size=shape),
        lambda: rng.normal(size=shape),
        lambda: np.full(shape, rng.normal()),
        lambda: 1.0 * rng.poisson(2 + smooth.clip(0) * 5),
        lambda: np.hypot(smooth, rng.normal(size=shape)),
        lambda: 1.0 * (rng.random(shape) < 0.1),
        lambda: smooth,
        lambda: 100 + smooth + rng.normal(size=shape),
    ][kind]() * scale
    values = np.array(values, float)
    if values.size and rng.random() < 0.5:
        wrong = rng.choice([np.nan, np.nan, np.inf, -np.inf, 1e308, -1e200, 65535.0, 3.4e38, 0.0])
        where = rng.random(shape) < rng.choice([0.005, 0.005, 0.1, 0.1, 0.6, 1.0])
        if rng.random() < 0.3:
            where = np.indices(shape)[0] < 2 if shape else where
        values[where] = wrong
    return values


def _laid_out(rng, array):
    """The array in another layout of memory, or read-only."""
    array = np.array(array)
    for change, share in ((np.asfortranarray, 0.2), (lambda a: a[..., ::-1] if a.ndim else a, 0.1)):
        if rng.random() < share:
            array = change(array)
    if rng.random() < 0.2 and array.ndim:
        array = np.repeat(array, 2, axis=0)[::2]
    array = np.asarray(array)
    array.flags.writeable = rng.random() < 0.5
    return array


def denoise_odd_array(seed):
    """Denoise an odd array, and check what must hold of any result."""
    array, axes, preset, changes = odd_array(np.random.default_rng(seed))
    before = array.tobytes() if array.dtype.kind != "O" else None
    config = PRESETS[preset]
    has_begun = False

    def attempt():
        nonlocal has_begun
        task = DenoiseTask(array, config.replace({k: v for k, v in changes.items() if config.has(k)}), axes=axes)
        for _ in task:
            has_begun = True
        check_result(array, task.result())

    try:
        end = outcome(attempt)
    except Fault as error:
        raise Fault(f"seed {seed}: {array.dtype} {array.shape} axes {axes} {preset} {changes}\n{error}") from error
    if end == "refused" and has_begun:
        raise Fault(f"seed {seed}: refused after it had begun: {array.dtype} {array.shape} axes {axes} {preset}")
    if before is not None and array.tobytes() != before:
        raise Fault(f"seed {seed}: the input was changed")
    return end


def check_result(array, result):
    """The image has the array's shape, is finite where it was fitted, and says so where it is not."""
    image = result.image
    if image.shape != array.shape:
        raise Fault(f"shape {image.shape} for {array.shape}")
    if image.dtype.kind == "f" and np.isnan(image).any() and not any("missing" in note for note in result.notes):
        raise Fault("NaN in the result, and no note")
    if image.dtype.kind == "f" and np.isinf(image).any():
        raise Fault("infinite values in the result")
    result.report()


# --- files ----------------------------------------------------------------------------------------------------------------------------


def write_odd_file(rng, folder):
    """Write an image file, whole, truncated, or with some bytes changed; return its path."""
    suffix = str(rng.choice(["tif", "tif", "tif", "png", "jpg", "bmp", "nii", "nii.gz", "zarr", "mrc", "h5"]))
    path = folder / f"odd.{suffix}"
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()  # a lazy image may still have it open
    side = tuple(int(n) for n in rng.integers(1, 40, 2))
    shape = (*(int(n) for n in rng.integers(1, 4, rng.integers(3))), *side)
    data = (200 * rng.random(shape)).astype(str(rng.choice(["u1", "u2", "f4"])))
    if suffix == "tif":
        options = [{}, {"imagej": True}, {"ome": True}, {"bigtiff": True}, {"byteorder": ">"}, {"compression": "zlib"}]
        tifffile.imwrite(path, data, photometric="minisblack", **options[rng.integers(len(options))])
    elif suffix in ("png", "jpg", "bmp"):
        mode = str(rng.choice(["L", "RGB"] if suffix == "jpg" else ["1", "L", "P", "RGB"]))
        PillowImage.fromarray((255 * rng.random(side)).astype("u1")).convert(mode).save(path)
    elif suffix == "mrc":
        mrcfile.write(
            path, data[(0,) * max(0, data.ndim - 3)].astype("f4" if data.dtype == "u1" else data.dtype), overwrite=True
        )
    elif suffix == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=data, compression=[None, "gzip"][rng.integers(2)])
    else:
        axes = {"axes": "TZYX"[-data.ndim :]}
        tifffile.imwrite(folder / "like.tif", data, photometric="minisblack", ome=True, metadata=axes)
        like = read_image(folder / "like.tif")
        write_image(path, np.asarray(like.data), like)
    damaged = path if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())[rng.integers(2)]
    damaged.write_bytes(_damaged(rng, damaged.read_bytes()))
    return path


def _damaged(rng, content):
    """Return the bytes of a file as they are, cut off, or with some of them changed."""
    content, damage = bytearray(content), rng.integers(4)
    if damage == 1:
        content = content[: rng.integers(len(content))]
    elif damage == 2:
        for _ in range(rng.integers(1, 12)):
            content[rng.integers(len(content))] = rng.integers(256)
    elif damage == 3 and len(content) > 60:
        start = int(rng.integers(50))
        content[start : start + 4] = struct.pack("<I", zlib.crc32(bytes(content)))
    return content


def read_odd_file(seed, folder):
    """Read an odd file; what could be read can be written back, or is refused."""
    path = write_odd_file(np.random.default_rng(seed), folder)

    def attempt():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = read_image(path)
            output = folder / "again.tif"
            check_image(output, file)
            write_image(output, np.asarray(file.data), file)
            before, after = (np.asarray(each.data) for each in (file, read_image(output)))
            if path.suffix != output.suffix:  # formats differ in whether they keep axes of one plane
                before, after = before.squeeze(), after.squeeze()
            if not np.array_equal(after, before, equal_nan=before.dtype.kind == "f"):
                raise Fault("the image read back is another one")

    try:
        end = outcome(attempt)
    except Fault as error:
        raise Fault(f"seed {seed}: {path.suffix}\n{error}") from error
    if leftover := [each.name for each in folder.iterdir() if each.suffix == ".tmp"]:
        raise Fault(f"seed {seed}: leftover {leftover}")
    return end


# --- configurations -------------------------------------------------------------------------------------------------------------------


def odd_toml(rng):
    """Return the text of a configuration with some of it changed, cut off or doubled."""
    text = PRESETS[str(rng.choice(list(PRESETS)))].to_toml()
    for _ in range(rng.integers(1, 4)):
        lines = text.splitlines()
        place = int(rng.integers(len(lines)))
        change = rng.integers(6)
        values = [
            "-1",
            "0",
            "1e308",
            "nan",
            "inf",
            '"auto"',
            '"x"',
            "true",
            "[]",
            "{}",
            "1.5",
            "2026-01-01",
            "99999999999999999999",
        ]
        if change == 0:
            text = text[: rng.integers(len(text))]
        elif change == 1:
            lines[place] = re.sub("=.*", f"= {rng.choice(values)}", lines[place])
        elif change == 2:
            del lines[place]
        elif change == 3:
            lines.insert(place, lines[int(rng.integers(len(lines)))])
        elif change == 4:
            lines[place] = lines[place].replace("n", "m")
        else:
            where = int(rng.integers(len(text)))
            text = text[:where] + chr(int(rng.integers(1, 0x2FF))) + text[where:]
        text = "\n".join(lines) if 0 < change < 5 else text
        if not text:
            break
    return text


def read_odd_toml(seed, folder):
    """Read an odd configuration; one that is taken is written and read back as it is."""
    path = folder / "odd.toml"
    path.write_text(odd_toml(np.random.default_rng(seed)), encoding="utf-8")

    def attempt():
        config = Config.from_file(path)
        if Config.from_toml(config.to_toml()) != config:
            raise Fault("the configuration read back is another one")

    try:
        return outcome(attempt)
    except Fault as error:
        raise Fault(f"seed {seed}:\n{path.read_text(encoding='utf-8')}\n{error}") from error
