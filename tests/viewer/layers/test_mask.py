import numpy as np
import pytest
from napari.layers import Image, Labels, Shapes

from napari_convgen.errors import InputError
from napari_convgen.viewer.layers.mask import mask_of

PLANE = [0, 1]
TURNED = {"scale": (0.5, 0.25), "translate": (3, -4), "rotate": 20, "shear": [0.2]}


def image(shape=(20, 24), **place):
    return Image(np.zeros(shape), **place)


def by_pixel(layer, target):
    """The slow twin: each pixel asks for the value of the mask at its center."""
    marked = np.zeros(target.data.shape, bool)
    for place in np.ndindex(marked.shape):
        there = np.round(layer.world_to_data(target.data_to_world(place))).astype(int)
        if all(0 <= i < n for i, n in zip(there, layer.data.shape, strict=True)):
            marked[place] = layer.data[tuple(there)] != 0
    return marked


@pytest.mark.parametrize("kind", [Labels, Image])
@pytest.mark.parametrize("place", [{}, TURNED, {"scale": (0.3, 0.2), "translate": (2.5, -3.5)}])
def test_a_mask_marks_what_it_covers_wherever_it_lies(kind, place):
    target = image(**TURNED)
    layer = kind(np.random.default_rng(0).integers(0, 3, (11, 13)), **place)
    mask = mask_of(layer, target, PLANE, (0.0, 0.0))
    np.testing.assert_array_equal(mask, by_pixel(layer, target))
    assert mask.any()


def test_units_of_length_are_converted():
    target = image(scale=(0.2, 0.2), units=("um", "um"))
    values = np.zeros((10, 12), int)
    values[3, 4:6] = 1
    layer = Labels(values, scale=(400, 400), units=("nm", "nm"))
    expected = np.zeros((20, 24), bool)
    expected[6:8, 8:12] = (
        True  # a pixel's center may lie on the border of two: those of odd rows and columns belong to the next
    )
    mask = mask_of(layer, target, PLANE, (0.0, 0.0))
    assert mask.sum() == expected.sum()
    assert 5 <= np.argwhere(mask)[:, 0].min() <= 6


@pytest.mark.parametrize(("kind", "area"), [("rectangle", 80), ("ellipse", 20 * np.pi), ("polygon", 80)])
def test_shapes_mark_the_pixels_whose_centers_they_cover(kind, area):
    target = image((40, 48), **TURNED)
    corners = np.array([[9.5, 10.5], [9.5, 20.5], [17.5, 20.5], [17.5, 10.5]])
    drawn = np.array([target.data_to_world(corner) for corner in corners])
    layer = Shapes([drawn * (1000, 1)], shape_type=kind, scale=(1e-3, 1))
    mask = mask_of(layer, target, PLANE, (0.0, 0.0))
    assert mask.sum() == pytest.approx(area, abs=4)
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 17, 11, 20)


def test_of_a_stack_the_frame_on_screen_is_marked():
    target = image((3, 20, 24), scale=(2, 1, 1))
    spatial, square = [1, 2], np.array([[4, 4], [4, 8], [8, 8], [8, 4.0]])
    drawn = np.insert(square, 0, 1, axis=1)
    for layer in (
        Shapes([drawn], shape_type="polygon", scale=(2, 1, 1)),
        Labels(np.arange(3)[:, None, None] * np.ones((20, 24), int) == 1, scale=(2, 1, 1)),
    ):
        assert mask_of(layer, target, spatial, (2.0, 0, 0)).any()
        assert not mask_of(layer, target, spatial, (4.0, 0, 0)).any()
    assert mask_of(Shapes([square], shape_type="polygon"), target, spatial, (4.0, 0, 0)).any()


def test_of_a_mask_with_more_axes_the_frame_on_screen_marks():
    layer = Labels(np.eye(4, dtype=int)[:, :, None] * np.ones(5, int))
    np.testing.assert_array_equal(np.argwhere(mask_of(layer, image((4, 5)), PLANE, (2.0, 0, 0)))[:, 0], 2)


def test_a_volume_is_marked_plane_by_plane():
    target, square = image((5, 20, 24)), np.array([[4, 4], [4, 8], [8, 8], [8, 4.0]])
    mask = mask_of(Shapes([np.insert(square, 0, 3, axis=1)], shape_type="polygon"), target, [0, 1, 2], (0.0, 0, 0))
    assert set(np.nonzero(mask)[0]) == {3}
    mask = mask_of(Shapes([square], shape_type="polygon"), target, [0, 1, 2], (0.0, 0, 0))
    assert set(np.nonzero(mask)[0]) == set(range(5))


def test_a_mask_beside_the_image_marks_nothing():
    assert not mask_of(Labels(np.ones((4, 4), int), translate=(90, 0)), image(), PLANE, (0.0, 0.0)).any()


def test_shapes_without_an_area_are_refused():
    with pytest.raises(InputError, match="have no area"):
        mask_of(Shapes([np.array([[0, 0], [5, 5]])], shape_type="line"), image(), PLANE, (0.0, 0.0))
