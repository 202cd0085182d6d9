"""The images of the studies: the phantom, photographs, and their noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from skimage import data
from skimage.transform import resize

from napari_convgen.errors import FileError
from napari_convgen.reproduction.study import Setting

Values = Float[np.ndarray, "c h w"]
"""An image in [0, 1], channels first."""

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "retina", "immunohistochemistry", "hubble_deep_field")
"""Color photographs that are in scikit-image without a download, all free to use."""

ENDINGS = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".ppm"}
"""Endings of the files that are taken from a folder."""


def phantom(side: int) -> Values:
    """Return the Shepp-Logan phantom, ``(1, side, side)``, with a maximum of 1.

    What lies inside the skull is twice as bright as in scikit-image, as in the authors' file, whose norm at 256² pixels is 85.8.
    """
    image = np.clip(2 * data.shepp_logan_phantom(), 0, 1)
    return np.asarray(resize(image, (side, side), anti_aliasing=True), np.float64)[np.newaxis]


def photographs(setting: Setting, side: int, most: int) -> Sequence[tuple[str, Values]]:
    """Return color photographs with their names, each ``(3, side, side)``.

    They are cut out of the middle; in quick size they are made smaller before, so that a square of twice the side fits. Photographs that
    are too small are left out.

    Parameters
    ----------
    setting
        Setting of the study, with the folder of images if there is one.
    side
        Side of the photographs in pixels.
    most
        Largest number of photographs.

    Raises
    ------
    FileError
        The folder has no color image of that size, or one cannot be read.
    """
    found = []
    for name, image in _folder(setting.images) if setting.images is not None else _bundled():
        shown = image if setting.is_full else _made_smaller(image, 2 * side)
        if min(shown.shape[:2]) >= side:
            found.append((name, np.moveaxis(_middle(shown, side), -1, 0) / 255))
        if len(found) == most:
            break
    if not found:
        raise FileError(f"The folder {setting.images} has no color image of {side} × {side} pixels or more.")
    return found


def describe_photographs(setting: Setting, n: int, side: int) -> str:
    """Return a note on the source of ``n`` photographs with sides of ``side`` pixels."""
    what = "cut from the middle" if setting.is_full else "made smaller, then cut from the middle"
    source = f"from the folder {setting.images}" if setting.images is not None else "that scikit-image brings along"
    return f"The paper's photographs are of ImageNet, which cannot be passed on; here, {n} {source}, {what}: {side} × {side} pixels."


def with_noise(image: Values, level: float, rng: np.random.Generator, *, is_shared: bool) -> Values:
    """Add Gaussian noise, and clip to [0, 1].

    Clipping, which the text of the paper does not name, takes some of the noise away.

    Parameters
    ----------
    image
        Clean image.
    level
        Standard deviation of the noise on a scale to 255.
    rng
        Random source.
    is_shared
        True if all channels get the same noise.
    """
    shape = (1, *image.shape[1:]) if is_shared else image.shape
    return np.asarray(np.clip(image + rng.normal(0, level / 255, shape), 0, 1))


def uniform_noise(shape: Sequence[int], rng: np.random.Generator) -> Values:
    """Return independent values, uniform in [0, 1]: the noise that the authors' code fits, where the text says Gaussian."""
    return rng.random(shape)


def _bundled() -> Iterator[tuple[str, np.ndarray]]:
    for name in PHOTOGRAPHS:
        yield name, np.asarray(getattr(data, name)())


def _folder(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the folder's color images, in the order of their names."""
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS):
        try:
            with Image.open(path) as file:
                if file.mode == "RGB":
                    yield path.stem, np.asarray(file)
        except OSError as error:
            raise FileError(f"The image {path} cannot be read: {error}. Remove it from the folder.") from error


def _made_smaller(image: np.ndarray, side: int) -> np.ndarray:
    """Shrink the image until its shorter side is ``side``, if it is longer."""
    h, w = image.shape[:2]
    scale = min(1, side / min(h, w))
    size = round(w * scale), round(h * scale)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    top, left = ((n - side) // 2 for n in image.shape[:2])
    return image[top : top + side, left : left + side]
