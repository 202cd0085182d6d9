"""Layers of a run get the pixel size that their input gets later."""

import numpy as np
import pytest

from napari_convgen.viewer.layers.door import image_layer, read_layer
from napari_convgen.viewer.layers.following import LayersOnInput
from napari_convgen.viewer.layers.frame import take_part
from napari_convgen.viewer.reconstruct.layers import on_image_grid


@pytest.fixture
def turned(viewer):
    """A layer that is turned, sheared and moved."""
    cells = viewer.layers["cells"]
    cells.translate, cells.rotate, cells.shear = (3, -4), 30, (0.2,)
    return cells


def on(source, data):
    return image_layer(source, data, "on it")


def test_an_image_on_the_input_stays_on_it(viewer, turned):
    own = LayersOnInput(viewer, read_layer(turned))
    layer = own.add(on(own.source, np.zeros((32, 32))))
    turned.scale, turned.units = (0.3, 0.1), ("mm", "mm")
    np.testing.assert_allclose(layer.extent.world, turned.extent.world)
    assert layer.units == own.source.units == turned.units
    np.testing.assert_allclose(own.add(on(own.source, np.zeros((32, 32)))).extent.world, turned.extent.world)


def test_a_part_and_a_finer_image_stay_where_they_show_the_input(viewer, turned):
    source = read_layer(turned)
    part = take_part(source, (slice(8, 20), slice(4, 10)))
    of_part, of_all = LayersOnInput(viewer, part), LayersOnInput(viewer, source)
    small = of_part.add(on(of_part.source, np.zeros((12, 6))))
    fine = of_all.add(on(on_image_grid(source, np.zeros((64, 64))), np.zeros((64, 64))))
    turned.scale = 0.3, 0.1
    for pixel in ((0, 0), (5, 3), (11, 5)):
        np.testing.assert_allclose(small.data_to_world(pixel), turned.data_to_world(np.add(pixel, (8, 4))))
    np.testing.assert_allclose(fine.data_to_world((21, 11)), turned.data_to_world(((21 - 0.5) / 2, (11 - 0.5) / 2)))


def test_a_layer_that_the_user_has_scaled_or_given_other_data_is_left_alone(viewer):
    cells = viewer.layers["cells"]
    own = LayersOnInput(viewer, read_layer(cells))
    scaled, replaced = (own.add(on(own.source, np.zeros((32, 32)))) for _ in range(2))
    scaled.scale, replaced.data = (7, 7), np.ones((32, 32))
    cells.scale, cells.units = (1, 1), ("mm", "mm")
    assert (tuple(scaled.scale), tuple(replaced.scale)) == ((7, 7), (0.5, 0.5))
    assert [str(layer.units[0]) for layer in (scaled, replaced)] == ["micrometer"] * 2


def test_nothing_follows_where_the_input_is_moved(viewer):
    cells = viewer.layers["cells"]
    own = LayersOnInput(viewer, read_layer(cells))
    layer = own.add(on(own.source, np.zeros((32, 32))))
    cells.translate = 100, 100
    assert tuple(layer.translate) == (0, 0)
    cells.scale = 2, 2
    assert (tuple(layer.scale), tuple(layer.translate)) == ((2, 2), (0, 0))
