import pytest

from napari_convgen.viewer.parts.presets import PresetBox


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "default"),
        ({"n_steps": 500}, "default, 500 steps"),
        ({"noise.kind": "rician"}, "default, Noise changed"),
        ({"z_axis": "volume", "n_seeds": 3}, "default, 2 settings changed"),
    ],
)
def test_a_preset_that_was_changed_keeps_its_name_and_says_what(qtbot, changes, shown):
    box = PresetBox()
    box.show_preset("default", changes)
    assert box.value == shown
