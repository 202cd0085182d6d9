"""The problem and its inputs in the widgets that look at a generator."""

import pytest
from napari.components import ViewerModel

from napari_convgen.viewer.image_vs_noise.widget import ImageAgainstNoiseWidget
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget


@pytest.mark.parametrize("kind", [ImageAgainstNoiseWidget, WhyItWorksWidget])
def test_a_z_axis_is_no_volume_where_no_image_was_measured(kind, workers_end, hands, qtbot, phase_stack):
    viewer = ViewerModel()
    widget = kind(viewer)
    qtbot.addWidget(widget)
    user = hands(widget)
    phase_stack(viewer)
    user.fill("Axes", "ZYX")
    editor = user.editor("Z axis is")
    assert editor.isVisibleTo(widget)
    user.fill("Problem", "Phase microscopy")
    assert not editor.isVisibleTo(widget)
    user.fill("Problem", "none")
    assert editor.isVisibleTo(widget)
