import numpy as np
import pytest

from napari_convgen.core.image import Layout, check_array
from napari_convgen.errors import InputError

DTYPES = ["uint8", "uint16", "int8", "int16", "int32", "uint32", "float16", "float32", "float64", "bool", ">u2", ">f4"]


def values_of(shape, dtype="float64", seed=0):
    values = np.random.default_rng(seed).random(shape)
    return values > 0.5 if dtype == "bool" else (100 * values).astype(dtype)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_complex_values_are_refused_with_the_way_out(dtype):
    image = np.ones((6, 7), dtype)
    with pytest.raises(
        InputError, match=rf"complex values \({dtype}\). Denoise its magnitude, or real and imaginary part"
    ):
        check_array(image, Layout.of(image.shape))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((6, 7), "a"), "must have numbers as values, got <U1. Convert it to an integer or float type"),
        (np.full((6, 7), None), "must have numbers as values, got object. Convert it"),
        (np.full((6, 7), np.datetime64("2020")), "must have numbers as values"),
        (np.zeros((0, 7)), r"has no pixels: its shape is \(0, 7\). Choose another one"),
        (np.zeros((0, 6, 7)), r"has no pixels: its shape is \(0, 6, 7\)"),
        (np.arange(1.0).reshape(1, 1), "too small to denoise: .* got 1 × 1 in YX. Choose another one"),
        (np.arange(9.0).reshape(3, 3), "too small to denoise: one side at least must have 4 pixels, got 3 × 3"),
        (np.full((6, 7), 3), "constant: all its values are the same. Choose another one"),
        (np.zeros((6, 7), bool), "constant: all its values are the same"),
        (np.full((6, 7), np.nan), r"constant: all its values are missing \(NaN\). Choose another one"),
        (np.array([[1, np.inf] * 4] * 6), "has 24 infinite values. Replace them by NaN, which marks missing pixels"),
        (np.array([[1, -np.inf] * 4] * 6), "has 24 infinite values"),
    ],
)
def test_what_cannot_be_fitted_is_refused_with_the_way_out(image, message):
    with pytest.raises(InputError, match=message) as caught:
        check_array(image, Layout.of(image.shape))
    assert str(caught.value).startswith("The image ")


def test_the_refusal_names_the_frame():
    image = values_of((2, 3, 6, 7))
    image[1, 2, 0, 0] = np.inf
    with pytest.raises(InputError, match=r"^The image has 1 infinite values at T = 1, Z = 2\. "):
        check_array(image, Layout.of(image.shape))


def test_a_constant_image_with_a_missing_pixel_is_not_said_to_be_missing_throughout():
    image = np.full((6, 7), 5.0)
    image[2, 3] = np.nan
    with pytest.raises(InputError, match="all its values are the same"):
        check_array(image, Layout.of(image.shape))


def test_a_color_image_is_constant_when_its_colors_are_whatever_its_alpha():
    image = np.full((6, 7, 4), 9, np.uint8)
    image[..., 3] = np.arange(42).reshape(6, 7)
    with pytest.raises(InputError, match="constant"):
        check_array(image, Layout.of(image.shape))


def test_missing_values_of_alpha_do_not_count():
    image = values_of((6, 7, 4))
    image[0, 0, 3] = image[0, 0, 1] = np.nan
    [check] = check_array(image, Layout.of(image.shape))
    assert check.left_out.n_missing == 1


def test_each_frame_is_looked_at_by_itself():
    stack = values_of((4, 6, 7))
    stack[1] = 3
    stack[2, 0, :2] = np.nan
    stack[3] = np.nan
    checks = check_array(stack, Layout.of(stack.shape))
    assert [(check.left_out.n_missing, check.is_constant) for check in checks] == [
        (0, False),
        (0, True),
        (2, False),
        (42, True),
    ]


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_real_dtype_passes_the_check(dtype):
    image = values_of((6, 7), dtype)
    [check] = check_array(image, Layout.of(image.shape))
    assert (check.left_out.n_missing, check.is_constant) == (0, False)


@pytest.mark.parametrize("shape", [(1, 4), (4, 1), (4,), (5, 5)])
def test_one_long_side_is_enough(shape):
    image = values_of(shape)
    assert check_array(image, Layout.of(shape))
