"""What is given in place of an array, how it is told, and what to give instead. Kinds of other libraries are told without loading these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class NotArray:
    """A kind of object that holds, names or makes an image, and is none.

    Attributes
    ----------
    is_one
        Function that recognizes an object of this kind.
    describe
        Function that says what an object is: ``"the path 'image.tif'"``.
    advice
        Sentence that says what to give instead.
    """

    is_one: Callable[[Any], bool]
    describe: Callable[[Any], str]
    advice: str


def describe_type(value: Any) -> str:
    """Return the type of an object in words: ``"an object of type nibabel.nifti1.Nifti1Image"``."""
    kind = type(value)
    return (
        f"an object of type {kind.__name__ if kind.__module__ == 'builtins' else f'{kind.__module__}.{kind.__name__}'}"
    )


def _comes_from(value: Any, *packages: str) -> bool:
    """Return True if the class of an object, or one above it, is defined in one of these packages."""
    return any(each.__module__.partition(".")[0] in packages for each in type(value).__mro__)


def _has(value: Any, *names: str) -> bool:
    """Return True if the class of an object has all these attributes; nothing is computed."""
    return all(hasattr(type(value), name) for name in names)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray)


def _shapes(value: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the arrays in a sequence, as far as its members are arrays."""
    return [tuple(each.shape) for each in value if isinstance(getattr(each, "shape", None), tuple)]


def _is_pyramid(value: Any) -> bool:
    return _is_sequence(value) and len(set(_shapes(value))) > 1


def _is_ragged(value: Any) -> bool:
    return _is_sequence(value) and len({len(each) for each in value if _is_sequence(each)}) > 1


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or (_has(value, "keys", "__getitem__") and not _has(value, "__array__"))


def _is_layer_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) in (2, 3) and isinstance(value[1], Mapping)


def _keys(value: Any) -> str:
    """Return the first keys of a mapping, in words."""
    keys = [str(key) for key in value.keys()]  # noqa: SIM118  (not all of them are iterated by their keys)
    shown = ", ".join(keys[:5]) + (", …" if len(keys) > 5 else "")
    return f"with the keys {shown}" if keys else "without entries"


def _is_device_tensor(value: Any) -> bool:
    return _comes_from(value, "torch") and _has(value, "layout", "requires_grad") and not _is_plain_tensor(value)


def _is_plain_tensor(tensor: Any) -> bool:
    """Return True for a tensor that NumPy reads as it is."""
    is_strided = str(tensor.layout) == "torch.strided" and str(tensor.dtype) not in ("torch.bfloat16",)
    return is_strided and tensor.device.type == "cpu" and not tensor.requires_grad and not tensor.is_quantized


def _describe_tensor(tensor: Any) -> str:
    kind = f"{str(tensor.layout).removeprefix('torch.')} " if str(tensor.layout) != "torch.strided" else ""
    gradient = " with gradients" if tensor.requires_grad else ""
    return f"a {kind}{str(tensor.dtype).removeprefix('torch.')} tensor on {tensor.device}{gradient}"


def _is_indexed_picture(value: Any) -> bool:
    return _comes_from(value, "PIL") and getattr(value, "mode", "") in ("P", "PA")


NOT_ARRAYS: tuple[NotArray, ...] = (
    NotArray(
        lambda value: value is None,
        lambda _: "None",
        "Give the values of the image; a function may have returned nothing.",
    ),
    NotArray(
        lambda value: isinstance(value, bytes | bytearray | memoryview),
        lambda value: f"{len(value)} bytes",
        "Decode them to an array first.",
    ),
    NotArray(
        lambda value: isinstance(value, bool | int | float | complex | np.generic),
        lambda value: f"the single number {value}",
        "Give an array with an axis at least.",
    ),
    NotArray(
        lambda value: isinstance(value, np.ndarray) and not value.shape,
        lambda value: f"an array without axes that holds {describe_type(value.item())}",
        "Give an array with an axis at least; what this one holds is array.item().",
    ),
    NotArray(
        lambda value: isinstance(value, np.ma.MaskedArray),
        lambda _: "a masked array, whose mask would be lost",
        "Fill it: image.astype(float).filled(numpy.nan).",
    ),
    NotArray(_is_device_tensor, _describe_tensor, "Give tensor.detach().cpu().to_dense().float().numpy()."),
    NotArray(
        lambda value: _comes_from(value, "cupy") and _has(value, "get"),
        lambda value: f"a CuPy array on {value.device}",
        "Give array.get().",
    ),
    NotArray(
        lambda value: _has(value, "toarray", "nnz", "shape"), lambda _: "a sparse matrix", "Give matrix.toarray()."
    ),
    NotArray(_is_indexed_picture, lambda _: "a picture with indexed colors", 'Give picture.convert("RGB").'),
    NotArray(
        lambda value: _comes_from(value, "napari") and hasattr(value, "data") and hasattr(value, "metadata"),
        lambda value: f"the napari layer '{getattr(value, 'name', '')}'",
        "Give layer.data; of a multiscale layer, layer.data[0].",
    ),
    NotArray(
        lambda value: _comes_from(value, "napari_convgen") and hasattr(value, "image"),
        describe_type,
        "Give its image: .image.",
    ),
    NotArray(
        lambda value: _has(value, "get_fdata"),
        describe_type,
        "Give image.get_fdata() and its axes, 'XYZ' or with time 'XYZT'; or read the file: napari_convgen.read_image(path).image.",
    ),
    NotArray(
        lambda value: _has(value, "pixel_array"),
        describe_type,
        "Give dataset.pixel_array; or read the file, or the folder of its series: napari_convgen.read_image(path).image.",
    ),
    NotArray(
        lambda value: _comes_from(value, "SimpleITK"),
        describe_type,
        "Give SimpleITK.GetArrayFromImage(image).",
    ),
    NotArray(
        lambda value: _has(value, "asarray") and not _has(value, "__array__"),
        describe_type,
        "Give the array that its method asarray() returns.",
    ),
    NotArray(_is_layer_tuple, lambda _: "a layer as a tuple of data and settings", "Give its data: layer[0]."),
    NotArray(
        _is_pyramid,
        lambda value: f"a list of arrays of different shapes: {', '.join(map(str, _shapes(value)[:4]))}",
        "Of the levels of a pyramid, give one: image[0].",
    ),
    NotArray(
        _is_ragged, lambda _: "lists of different lengths", "Give lists of the same length, or each image by itself."
    ),
    NotArray(
        _is_mapping,
        lambda value: f"{describe_type(value)} {_keys(value)}",
        "Give one of its arrays: image[key].",
    ),
    NotArray(
        lambda value: isinstance(value, Iterator | Set),
        describe_type,
        "Give the images in it as one array: numpy.stack(list(images)).",
    ),
    NotArray(
        lambda value: callable(value) and not hasattr(value, "shape"),
        lambda value: f"the function or class {getattr(value, '__name__', type(value).__name__)}",
        "Call it, and give what it returns.",
    ),
)
"""All kinds that are recognized; the first that fits is told."""


def is_fastest_first(value: Any) -> bool:
    """Return True for the lazy values of an image of nibabel, whose axes are X, Y, Z, and not the other way around."""
    return _comes_from(value, "nibabel") and _has(value, "get_unscaled")


def describe_member(values: Any) -> str | None:
    """Return what the first member of a sequence is that is no array, and what to give instead; ``None`` if there is none.

    Parameters
    ----------
    values
        What NumPy has made no array of numbers of.
    """
    members = values if _is_sequence(values) else ()
    for each in members:
        for kind in NOT_ARRAYS:
            if not isinstance(each, bool | int | float | complex | np.generic) and kind.is_one(each):
                return f"got a list with {kind.describe(each)}. Make a list with an array of each. {kind.advice}"
    return None
