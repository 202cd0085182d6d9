import numpy as np
import pytest
from napari.components import ViewerModel

from napari_convgen.config import Config
from napari_convgen.core.snapshot import Snapshot
from napari_convgen.viewer.reconstruct.layers import ReconstructionLayers
from napari_convgen.viewer.reconstruct.measured import Measured
from napari_convgen.viewer.reconstruct.request import Details, Outputs, ReconstructRequest
from napari_convgen.viewer.reconstruct.stack import read_stack


def test_the_preview_of_a_phase_shows_all_its_values_until_the_user_sets_limits():
    viewer = ViewerModel()
    stack, place = read_stack(viewer.add_image(np.ones((3, 6, 8)), name="stack"))
    layers = ReconstructionLayers(viewer, ReconstructRequest(place, Config(), Measured("phase", measurement=stack)))
    phase = np.linspace(-0.1, 0.2, 48, dtype=np.float32).reshape(6, 8)
    for image in (phase, 5 * phase):
        layers.show_preview(image)
        assert layers.result.contrast_limits == pytest.approx([image.min(), image.max()])
    layers.result.contrast_limits = (0, 0.5)
    layers.show_preview(2 * phase)
    assert layers.result.contrast_limits == [0, 0.5]


def test_the_layers_of_a_phase_lie_where_the_stack_lies():
    viewer = ViewerModel()
    turned = {
        "scale": (2, 0.5, 0.25),
        "translate": (1, 2, 3),
        "rotate": (0, 0, 20),
        "shear": (0, 0, 0.2),
        "affine": [[1, 0, 0, 0], [0, 0, -1, 40], [0, 1, 0, 0], [0, 0, 0, 1]],
    }
    layer = viewer.add_image(np.ones((3, 6, 8)), name="stack", **turned)
    stack, place = read_stack(layer)
    outputs = Outputs(has_generator_image=True, has_residual=True)
    measured = Measured("phase", measurement=stack)
    layers = ReconstructionLayers(viewer, ReconstructRequest(place, Config(), measured, outputs))
    image = np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    snapshots = [Snapshot(step, 1.0, 1.0, image, image) for step in (1, 2)]
    layers.show(Details(image, snapshots, image, None, np.ones((3, 6, 8))), {}, 2)
    shown = viewer.layers[1:]
    assert len(shown) == 4
    for each in shown:
        place = each.data_to_world((1, 7, 8)[-each.ndim :])
        np.testing.assert_allclose(place[-2:], layer.data_to_world((1, 7, 8))[1:])
