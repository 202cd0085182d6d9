import numpy as np
import pytest
from napari.components import ViewerModel

from napari_convgen.config import Config
from napari_convgen.viewer.reconstruct.layers import ReconstructionLayers
from napari_convgen.viewer.reconstruct.request import ReconstructRequest
from napari_convgen.viewer.reconstruct.stack import read_stack


def test_the_preview_of_a_phase_shows_all_its_values_until_the_user_sets_limits():
    viewer = ViewerModel()
    stack, place = read_stack(viewer.add_image(np.ones((3, 6, 8)), name="stack"))
    layers = ReconstructionLayers(viewer, ReconstructRequest(place, "phase", Config(), stack=stack))
    phase = np.linspace(-0.1, 0.2, 48, dtype=np.float32).reshape(6, 8)
    for image in (phase, 5 * phase):
        layers.show_preview(image)
        assert layers.result.contrast_limits == pytest.approx([image.min(), image.max()])
    layers.result.contrast_limits = (0, 0.5)
    layers.show_preview(2 * phase)
    assert layers.result.contrast_limits == [0, 0.5]
