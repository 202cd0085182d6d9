import numpy as np
import pytest
from napari.components import ViewerModel

from napari_convgen.errors import InputError
from napari_convgen.run.spectrum.run import spectrum
from napari_convgen.viewer.layers.door import METADATA_KEY, read_layer
from napari_convgen.viewer.layers.frame import find_frame, frame_number, take_frame
from napari_convgen.viewer.spectrum.layers import SpectrumLayers

RANK = 5
NAMES = ["vectors, cells", "projection, cells", "remainder, cells", "sensitivity, cells"]


pytestmark = pytest.mark.usefixtures("few_products")


def look(data, config, has_grid=False, at_steps=(0,), point=(), **options):
    """Return the layers of a look at a frame of a layer, and its result."""
    viewer = ViewerModel()
    axes = options.pop("axes", None)
    layer = viewer.add_image(data, name="cells", **options)
    source = read_layer(layer, axes)
    frame = take_frame(source, find_frame(source.data.shape, source.axes, "frames", point or (0,) * layer.ndim))
    result = spectrum(frame.data, config, axes=frame.axes, rank=RANK, n_passes=1, at_steps=at_steps)
    shown = SpectrumLayers(viewer, frame)
    shown.add(result, result.report(), has_grid)
    return shown, result


def test_stacks_hold_what_the_result_says_and_add_up_to_the_image(noisy, small):
    shown, result = look(noisy, small)
    vectors, projection, remainder, sensitivity = shown.layers.values()
    [found] = result.spectra
    assert [layer.name for layer in shown.viewer.layers] == ["cells", *NAMES]
    np.testing.assert_allclose(np.asarray(vectors.data)[1:], found.left_vectors[:, 0], rtol=1e-6)
    assert not np.asarray(vectors.data)[0].any()
    for n in range(RANK + 1):
        np.testing.assert_array_equal(projection.data[n], result.projection(n))
        np.testing.assert_array_equal(projection.data[n] + remainder.data[n], noisy)
    np.testing.assert_allclose(sensitivity.data**2, found.sensitivity[0], rtol=1e-5)
    for layer in shown.layers.values():
        assert layer.metadata[METADATA_KEY]["spectra"][0]["rank"] == RANK


def test_layers_lie_where_the_image_lies(noisy, small):
    placement = {
        "scale": (0.5, 0.25),
        "translate": (3, 4),
        "rotate": 30,
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
        "affine": np.array([[1, 0.1, 2], [0, 1, 0], [0, 0, 1]]),
    }
    shown, _ = look(noisy, small, **placement)
    cells = shown.viewer.layers["cells"]
    for name, layer in shown.layers.items():
        assert layer.axis_labels == (() if name == "sensitivity" else ("component",)) + cells.axis_labels
        assert layer.units[-2:] == cells.units
        np.testing.assert_allclose(
            layer.data_to_world((2,) * (layer.ndim - 2) + (7, 9))[-2:], cells.data_to_world((7, 9))
        )


def test_signs_have_colors_around_zero(noisy, small):
    shown, _ = look(noisy, small)
    for name in ("vectors", "remainder"):
        low, high = shown.layers[name].contrast_limits
        assert low == -high
        assert 0.5 < (np.abs(shown.layers[name].data[RANK]) < high).mean() <= 1
    assert shown.layers["sensitivity"].contrast_limits[0] == 0
    assert shown.layers["projection"].contrast_limits == shown.viewer.layers["cells"].contrast_limits


def test_one_slider_moves_all_and_says_where_it_is(noisy, small):
    shown, _ = look(noisy, small)
    assert shown.n_components == RANK
    shown.viewer.dims.set_point(shown.axis, 2)
    assert shown.n_components == 2
    shown.viewer.dims.ndisplay = 3
    assert shown.n_components is None
    shown.viewer.dims.ndisplay = 2
    for name in ("vectors", "projection", "remainder"):
        shown.viewer.layers.remove(shown.layers[name])
    assert shown.n_components is None


def test_another_step_takes_the_place_of_the_first_where_its_layers_are_left(noisy, small):
    shown, result = look(noisy, small, at_steps=(0, 10))
    before = shown.layers["remainder"].contrast_limits
    shown.viewer.layers.remove("vectors, cells")
    shown.show(result, 1)
    assert [layer.name for layer in shown.viewer.layers] == ["cells", *NAMES[1:]]
    np.testing.assert_array_equal(shown.layers["projection"].data[3], result.projection(3, 1))
    assert shown.layers["remainder"].contrast_limits != before


def test_side_by_side_is_the_grid_and_otherwise_one_is_on_top(noisy, small):
    shown, _ = look(noisy, small, has_grid=True)
    assert shown.viewer.canvas.grid.enabled
    assert all(layer.visible for layer in shown.layers.values())
    shown, _ = look(noisy, small)
    assert not shown.viewer.canvas.grid.enabled
    assert [name for name, layer in shown.layers.items() if layer.visible] == ["projection"]
    assert shown.viewer.layers.selection.active is shown.viewer.layers["cells"]


@pytest.mark.parametrize("n_samples", [3, 4])
def test_signed_images_of_a_color_image_have_no_color(noisy, small, n_samples):
    image = np.stack([noisy, noisy // 2, noisy[::-1], np.full_like(noisy, 255)][:n_samples], -1)
    shown, result = look(image, small, rgb=True)
    [found] = result.spectra
    np.testing.assert_allclose(shown.layers["vectors"].data[2], found.left_vectors[1].mean(0), atol=1e-6)
    assert shown.layers["projection"].rgb
    assert shown.layers["projection"].data.shape == (RANK + 1, *image.shape)
    rest = image[..., :3].astype(float) - shown.layers["projection"].data[RANK][..., :3]
    np.testing.assert_allclose(shown.layers["remainder"].data[RANK], rest.mean(-1), atol=1e-3)


def test_channels_stay_where_they_are(noisy, small):
    image = np.stack([noisy, noisy[::-1] // 2], 1)  # rows, channels, columns
    shown, result = look(image, small, axes="YCX")
    [found] = result.spectra
    for channel in range(2):
        np.testing.assert_allclose(shown.layers["vectors"].data[1][:, channel], found.left_vectors[0, channel])
    np.testing.assert_array_equal(shown.layers["projection"].data[3], result.projection(3))


def test_of_a_stack_the_frame_on_screen_is_taken_where_it_lies(noisy, small):
    stack = np.stack([noisy, noisy[::-1], noisy.T])
    placement = {"scale": (10, 0.5, 0.5), "translate": (100, 1, 2), "rotate": (0, 0, 20)}
    shown, result = look(stack, small, point=(1.2, 0, 0), **placement)
    cells, vectors = shown.viewer.layers["cells"], shown.layers["vectors"]
    np.testing.assert_array_equal(result.image.frame, stack[1])
    assert vectors.data.shape == (RANK + 1, 1, 32, 32)
    np.testing.assert_allclose(vectors.data_to_world((0, 0, 7, 9))[1:], cells.data_to_world((1, 7, 9)))
    np.testing.assert_array_equal(shown.layers["projection"].data[2, 0], result.projection(2))


@pytest.mark.parametrize(("point", "place"), [((-3, 0, 0), 0), ((1.4, 0, 0), 1), ((99, 0, 0), 2)])
def test_a_slider_beyond_the_layer_takes_its_first_or_last_frame(point, place):
    assert find_frame((3, 8, 8), "TYX", "frames", point) == {0: place}


def test_a_volume_is_one_frame():
    assert find_frame((3, 8, 8), "ZYX", "volume", (1, 1, 1)) == {}
    place = find_frame((4, 3, 8, 8), "TZYX", "frames", (3, 1, 0, 0))
    assert place == {0: 3, 1: 1}
    assert frame_number((4, 3, 8, 8), place) == 10
    assert frame_number((3, 8, 8), {}) == 0


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="axes"):
        find_frame((3, 8, 8), "YX", "frames", (0, 0, 0))


def test_a_single_frame_is_left_as_it_is(noisy):
    viewer = ViewerModel()
    source = read_layer(viewer.add_image(noisy))
    assert take_frame(source, {}) is source


def test_a_layer_whose_data_the_user_replaces_is_left_alone_and_made_anew_for_another_step(noisy, small):
    shown, result = look(noisy, small, at_steps=(0, 3))
    mine, gone = shown.layers["projection"], shown.layers["remainder"]
    mine.data = np.ones((3, 4, 5))
    shown.viewer.layers.remove(gone)
    shown.show(result, 1)
    assert mine.data.shape == (3, 4, 5)
    assert [mine in shown.viewer.layers, gone in shown.viewer.layers] == [True, False]
    np.testing.assert_array_equal(shown.layers["projection"].data[RANK], result.projection(RANK, 1))
