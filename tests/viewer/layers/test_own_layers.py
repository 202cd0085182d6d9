import numpy as np
import pytest
from napari.layers import Image

from napari_convgen.viewer.layers.own_layers import OwnLayers


@pytest.fixture
def own(viewer):
    return OwnLayers(viewer)


def add(own, name="result"):
    return own.add(Image(np.zeros((6, 7), np.float32), name=name))


def test_a_layer_may_be_written_to_until_its_data_are_replaced(own):
    layer = add(own)
    own.put(layer, np.ones((6, 7), np.float32))
    assert own.has(layer)
    layer.data += 1
    assert not own.has(layer)
    own.remove(layer)
    assert layer in own.viewer.layers
    assert not own.has(None)


def test_names_looks_and_places_are_the_users_and_change_nothing(own):
    one, other = add(own), add(own)
    one.name, one.contrast_limits, one.scale = "mine", (0, 5), (2, 2)
    own.viewer.layers.move(0, 3)
    own.viewer.dims.transpose()
    assert own.has(one)
    assert own.has(other)


def test_a_removed_layer_is_not_written_to_until_it_is_back(own):
    layer = add(own)
    own.viewer.layers.remove(layer)
    assert own.owns(layer)
    assert not own.has(layer)
    own.remove(layer)
    own.viewer.add_layer(layer)
    assert own.has(layer)


def test_what_a_new_layer_would_show_goes_into_the_old_one_or_into_a_new_one(own):
    layer = own.show(None, Image(np.zeros((6, 7))))
    assert own.show(layer, Image(np.ones((6, 7)), contrast_limits=(0, 3))) is layer
    assert layer.data.min() == 1
    assert tuple(layer.contrast_limits) == (0, 3)
    layer.data = np.zeros((3, 4, 5))
    new = own.show(layer, Image(np.ones((6, 7))))
    assert new is not layer
    assert layer.data.shape == (3, 4, 5)
    assert list(own.viewer.layers)[-2:] == [layer, new]


def test_the_view_stays_where_the_user_has_moved_it_when_a_layer_has_one_more_axis(own):
    camera = own.viewer.scene.camera
    camera.zoom, camera.center = 40, (0, 3, 2)
    layer = own.add(Image(np.zeros((4, 6, 7)), name="snapshots"))
    assert own.viewer.dims.ndim == 3
    assert (camera.zoom, camera.center) == (40, (0, 3, 2))
    own.remove(layer)
    assert own.viewer.dims.ndim == 2
    assert (camera.zoom, camera.center) == (40, (0, 3, 2))


def test_the_first_layer_of_a_viewer_is_shown_whole(own):
    own.viewer.layers.clear()
    own.viewer.scene.camera.center = 0, 300, 300
    add(own)
    assert own.viewer.scene.camera.center == (0, 2.5, 3)
