import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, signal
from skimage.transform import resize

from napari_convgen.core.image import Layout, check_array
from napari_convgen.core.image.looks.enlarged import enlarged_note, find_enlargement


def noisy(n=64):
    rng = np.random.default_rng(0)
    return 100 + 300 * ndimage.gaussian_filter(rng.standard_normal((n, n)), 4) + 10 * rng.standard_normal((n, n))


def resized(image, factor, order):
    return resize(image, (factor * len(image),) * 2, order=order, preserve_range=True)


def zero_filled(image):
    return signal.resample(signal.resample(image, 2 * len(image)), 2 * len(image), axis=1)


ENLARGED = {
    "nearest": (2, lambda: np.kron(noisy(), np.ones((2, 2)))),
    "linear": (2, lambda: resized(noisy(), 2, 1)),
    "cubic": (2, lambda: resized(noisy(), 2, 3)),
    "linear, ends aligned": (2, lambda: ndimage.zoom(noisy(), 2, order=1)),
    "cubic, ends aligned": (2, lambda: ndimage.zoom(noisy(), 2, order=3)),
    "zeros at high frequencies": (2, lambda: zero_filled(noisy())),
    "rounded": (2, lambda: resized(noisy(), 2, 1).round().astype(np.uint8)),
    "three times": (3, lambda: resized(noisy(48), 3, 3)),
    "one and a half times": (3, lambda: ndimage.zoom(noisy(96), 1.5, order=1, grid_mode=True, mode="grid-mirror")),
    "a volume": (2, lambda: np.stack([resized(noisy(), 2, 1)] * 3)),
}


@pytest.mark.parametrize("name", ENLARGED)
def test_images_that_were_enlarged_are_named(name):
    factor, image = ENLARGED[name][0], ENLARGED[name][1]()
    [check] = check_array(
        image, Layout.of(image.shape, "ZYX"[-image.ndim :], "volume" if image.ndim == 3 else "frames")
    )
    times, reduce = {2: ("2", ", or first reduce the image to 1/2 of its size"), 3: ("3 or 1.5", "")}[factor]
    assert check.notes[0].startswith(f"The image looks enlarged {times} times")
    assert check.notes[0].endswith(f"Denoise the original{reduce}.")


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(
    ("factor", "names"),
    [(1.25, "1.25 or 4.9"), (4 / 3, "1.34 or 4.0"), (1.7, "1.70 or 2.4"), (0.8, "")],
    ids=["five fourths", "four thirds", "1.7", "reduced"],
)
def test_other_factors_are_named_too(factor, names, order):
    image = ndimage.zoom(noisy(160), factor, order=order, grid_mode=True, mode="grid-mirror")
    assert enlarged(image).startswith(f"The image looks enlarged about {names} times" if names else "")
    assert bool(enlarged(image)) == bool(names)


@pytest.mark.parametrize("quality", [50, 80])
def test_the_blocks_of_jpeg_are_no_enlargement(quality):
    file = io.BytesIO()
    Image.fromarray(noisy(192).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
    assert enlarged(np.asarray(Image.open(file))) == ""


def enlarged(image):
    return enlarged_note(image[None].astype(float), np.isfinite(image)[None], image.dtype)


AS_MEASURED = {
    "noise": lambda: noisy(128),
    "correlated noise": lambda: ndimage.gaussian_filter(noisy(128), 0.8),
    "smooth": lambda: ndimage.gaussian_filter(noisy(128), 3),
    "smooth and rounded": lambda: ndimage.gaussian_filter(noisy(128), 3).round(),
    "one axis only": lambda: np.repeat(noisy(128), 2, axis=0)[:128],
    "rows that alternate": lambda: noisy(128) + 20 * (np.arange(128) % 2)[:, None],
    "small": lambda: np.kron(noisy(8), np.ones((2, 2))),
    "missing": lambda: np.where(np.random.default_rng(1).random((128, 128)) < 0.3, np.nan, noisy(128)),
    "mostly empty": lambda: np.pad(noisy(64), 64),
    "a line": lambda: noisy(128)[0],
}


@pytest.mark.parametrize("name", AS_MEASURED)
def test_other_images_are_not(name):
    image = AS_MEASURED[name]()
    values = np.asarray(image, float)[None]
    assert find_enlargement(values, np.isfinite(values)) == 1
    assert enlarged_note(values, np.isfinite(values), image.dtype) == ""
