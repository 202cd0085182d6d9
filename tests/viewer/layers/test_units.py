"""Lengths as they are written for the user."""

import napari.layers
import numpy as np
import pytest

from napari_convgen.viewer.layers.units import format_lengths


@pytest.mark.parametrize("unit", ["micron", "micrometer", "um"])
def test_a_micrometer_has_its_usual_symbol(unit):
    units = napari.layers.Image(np.zeros((4, 4)), units=(unit, unit)).units
    assert format_lengths((0.11, 0.11), units) == "0.11 µm"
    assert format_lengths((0.3, 0.11), units) == "0.3 × 0.11 µm"


def test_axes_of_other_units_name_each():
    units = napari.layers.Image(np.zeros((4, 4)), units=("mm", "micron")).units
    assert format_lengths((0.3, 0.11), units) == "0.3 mm × 0.11 µm"
