from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Shapes

from napari_convgen.core.image import removed
from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.door import (
    expected_error_layer,
    find_layer,
    guess_axes,
    image_layer,
    read_layer,
    residual_layer,
    visible,
)


def placed_layer(data, **options):
    return Image(
        data,
        name="cells",
        scale=(0.5, 0.25),
        translate=(3, -4),
        rotate=30,
        shear=[0.2],
        affine=np.array([[1, 0.1, 5], [0, 2, 6], [0, 0, 1]]),
        units=("um", "um"),
        axis_labels=("y", "x"),
        colormap="magma",
        contrast_limits=(10, 200),
        gamma=0.8,
        **options,
    )


def assert_lies_alike(a, b):
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), err_msg=name)
    np.testing.assert_allclose(a.affine.affine_matrix, b.affine.affine_matrix)
    assert a.units == b.units
    assert a.axis_labels == b.axis_labels


def test_an_input_is_found_by_its_data_and_of_several_by_its_name():
    viewer, data = ViewerModel(), np.array([[1, np.nan], [3, 4]])
    lazy = da.from_array(data)
    layer = viewer.add_image(data.copy(), name="cells")
    levels = viewer.add_image([lazy, lazy[::2, ::2]], name="levels", multiscale=True, contrast_limits=(0, 4))
    source, large = read_layer(layer), read_layer(levels)
    layer.name = levels.name = "other"
    viewer.add_image(1 - data, name="cells")
    viewer.add_labels(np.ones((2, 2), int), name="labels")
    assert find_layer(viewer, source) is layer
    assert find_layer(viewer, large) is levels
    twin = viewer.add_image(data.copy(), name="twin")
    assert find_layer(viewer, source) is layer
    assert find_layer(viewer, replace(source, name="twin")) is twin
    assert find_layer(viewer, replace(large, data=da.from_array(data))) is None


@pytest.mark.parametrize("change", [{}, {"scale": (2, 1)}, {"affine": 2 * np.eye(3)}, {"units": ("um", "um")}])
def test_inputs_are_the_same_if_their_data_and_their_place_are(change):
    data = np.arange(4.0).reshape(2, 2)
    one, other = read_layer(Image(data, name="one")), read_layer(Image(data.copy(), name="other", **change))
    assert one.is_same(other) is not bool(change)
    assert not one.is_same(replace(other, data=data + 1))


def test_result_lies_and_looks_as_the_input():
    layer = placed_layer(np.arange(48, dtype=np.uint8).reshape(6, 8))
    result = image_layer(read_layer(layer), layer.data, "result")
    assert_lies_alike(result, layer)
    assert result.colormap.name == "magma"
    assert tuple(result.contrast_limits) == (10, 200)
    assert result.gamma == 0.8


@pytest.mark.parametrize("shape", [(6, 8, 3), (6, 8, 4)])
def test_color_layers_stay_color(shape):
    layer = Image(np.zeros(shape, np.uint8), rgb=True)
    source = read_layer(layer)
    assert source.axes == "YXS"
    assert image_layer(source, layer.data, "result").rgb


def test_later_changes_to_the_layer_do_not_reach_the_input():
    layer = Image(np.zeros((6, 8)))
    source = read_layer(layer)
    layer.data[:] = 1
    layer.name = "other"
    assert not source.data.any()
    assert source.name != "other"


def test_of_a_multiscale_layer_the_finest_level_is_read():
    fine = np.random.default_rng(0).random((16, 16))
    layer = Image([fine, fine[::2, ::2]], multiscale=True)
    np.testing.assert_array_equal(read_layer(layer).data, fine)


@pytest.mark.parametrize("layer", [None, Labels(np.zeros((6, 8), int)), Shapes()])
def test_what_has_no_intensities_is_refused_with_advice(layer):
    with pytest.raises(InputError, match=r"[Ss]elect an image layer|Open an image"):
        read_layer(layer)


@pytest.mark.parametrize(
    ("shape", "labels", "axes"),
    [
        ((6, 8), None, "YX"),
        ((5, 6, 8), None, "ZYX"),
        ((5, 6, 8), ("t", "y", "x"), "TYX"),
        ((5, 6, 8), ("channel", "y", "x"), "CYX"),
        ((2, 5, 6, 8), ("Time", "z", "y", "x"), "TZYX"),
        ((5, 6, 8), ("plane", "y", "x"), "ZYX"),
    ],
)
def test_axes_are_read_from_labels_or_guessed_from_the_shape(shape, labels, axes):
    assert guess_axes(Image(np.zeros(shape), axis_labels=labels, rgb=False)) == axes


def test_residual_is_signed_and_symmetric_about_zero():
    data = np.array([[10, 20, 30, 40]] * 4, np.uint8)
    residual = residual_layer(read_layer(Image(data)), removed(data, data[:, ::-1]), "residual")
    assert residual.data.min() == -30
    assert residual.data.dtype == np.float32
    low, high = residual.contrast_limits
    assert low == -high


def test_expected_error_of_color_is_the_root_mean_square_over_its_channels():
    layer = Image(np.zeros((6, 8, 4), np.uint8), rgb=True)
    error = np.zeros((6, 8, 4), np.float32)
    error[..., :3] = 1, 2, 2
    shown = expected_error_layer(read_layer(layer), error, "expected error")
    assert not shown.rgb
    np.testing.assert_allclose(shown.data, np.sqrt(3), rtol=1e-6)


def test_a_layer_brings_the_distance_between_its_pixels(noisy):
    volume = Image(np.stack([noisy] * 5), scale=(0.5, 0.1, 0.1), units=("um",) * 3, axis_labels=("z", "y", "x"))
    image = read_layer(volume).image
    assert (image.axes, image.scale, image.name) == ("ZYX", (0.5, 0.1, 0.1), volume.name)
    assert all("micro" in unit or unit == "um" for unit in image.units)
    color = read_layer(Image(np.stack([noisy] * 3, -1), scale=(0.2, 0.2))).image
    assert (color.axes, color.scale) == ("YXS", (0.2, 0.2, 1.0))
    assert len(color.units) == 3


def test_limits_that_a_hot_pixel_made_wide_are_not_taken_over():
    data = np.random.default_rng(0).random((8, 9))
    narrow, wide = (read_layer(Image(data, contrast_limits=limits)) for limits in ((0, 2), (0, 65535)))
    assert visible(narrow, data) is narrow
    assert visible(wide, data).look["contrast_limits"] == (data.min(), data.max())
    assert visible(wide, np.zeros((8, 9))) is wide
    assert visible(read_layer(Image(np.zeros((8, 9, 3), np.uint8), rgb=True)), data).look["rgb"]


def test_a_layer_whose_name_says_that_it_is_a_projection_gets_a_note():
    [note] = read_layer(Image(np.eye(8), name="MAX_cells")).image.notes
    assert "denoise the stack" in note
    assert read_layer(Image(np.eye(8), name="cells")).image.notes == ()
