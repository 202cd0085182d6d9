"""A size of the pixels in the file of a layer, which napari does not read, is offered."""

import numpy as np
import pytest
import tifffile
from napari.layers._source import layer_source

from napari_convgen.viewer.denoise.widget import DenoiseWidget

MICRON = 1 / 0.11, 1 / 0.22
"""Pixels of a micrometer along X and Y."""


@pytest.fixture
def user(make_widget, hands):
    return hands(make_widget(DenoiseWidget))


@pytest.fixture
def opened(user, noisy, tmp_path):
    """Write a file and add its layer, as napari's own reader does."""

    def open_one(name="cells.tif", data=noisy, scale=None, **written):
        tifffile.imwrite(tmp_path / name, data, **written)
        with layer_source(path=str(tmp_path / name)):
            layer = user.widget.viewer.add_image(data, name=name, scale=scale)
        user.widget.viewer.layers.selection.active = layer
        return layer

    return open_one


@pytest.mark.parametrize("is_alone", [True, False])
def test_that_other_layers_have_no_pixel_size_is_said_if_there_are_some(user, opened, notes, is_alone):
    if is_alone:
        user.widget.viewer.layers.clear()
    opened(imagej=True, resolution=MICRON, metadata={"unit": "um"})
    user.label("Its file says").linkActivated.emit("take")
    said = "'cells.tif' and the layers of its runs have their pixel size now. Other layers still have none."
    assert [note.message for note in notes] == ([] if is_alone else [said])


def test_the_size_in_a_file_of_imagej_is_said_and_taken_over_on_request(user, opened):
    layer = opened(imagej=True, resolution=MICRON, metadata={"unit": "um"})
    assert "Its file says pixels of 0.22 × 0.11 µm; napari has not read that." in user.text
    assert tuple(layer.scale) == (1, 1)
    user.label("Its file says").linkActivated.emit("take")
    assert tuple(layer.scale) == pytest.approx((0.22, 0.11))
    assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert "Its file says" not in user.text


def test_results_get_the_size_that_is_taken_over_after_the_run(user, opened, notes):
    layers = user.widget.viewer.layers
    layers.clear()
    opened(imagej=True, resolution=MICRON, metadata={"unit": "um"})
    user.fill("Preset", "tiny")
    user.run()
    user.label("Its file says").linkActivated.emit("take")
    assert [note.message for note in notes] == []
    for layer in layers:
        assert tuple(layer.scale[-2:]) == pytest.approx((0.22, 0.11))
        assert [str(unit) for unit in layer.units[-2:]] == ["micrometer"] * 2
    assert layers["cells.tif snapshots"].scale[0] == 1


@pytest.mark.parametrize(
    ("said", "scale", "unit"), [({}, 1, "pixel"), ({"finterval": 3, "tunit": "ms"}, 3, "millisecond")]
)
def test_planes_have_a_distance_too_and_frames_if_the_file_says_it(user, opened, noisy, said, scale, unit):
    written = {"imagej": True, "resolution": MICRON, "metadata": {"unit": "um", "spacing": 0.5, "axes": "TZYX", **said}}
    layer = opened(data=np.stack([np.stack([noisy] * 3)] * 2), **written)
    user.fill("Axes", "TZYX")
    assert "pixels of 0.5 × 0.22 × 0.11 µm" in user.text
    user.label("Its file says").linkActivated.emit("take")
    assert tuple(layer.scale) == pytest.approx((scale, 0.5, 0.22, 0.11))
    assert str(layer.units[0]) == unit


def test_the_size_in_ome_is_said(user, opened):
    opened("cells.ome.tif", metadata={"axes": "YX", "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3})
    assert "pixels of 0.3 µm" in user.text


def test_a_scale_that_was_set_and_dots_per_inch_say_nothing(user, opened):
    opened(scale=(2, 2), imagej=True, resolution=MICRON, metadata={"unit": "um"})
    assert "Its file says" not in user.text
    opened("scan.tif", resolution=(300, 300))
    assert "Its file says" not in user.text
