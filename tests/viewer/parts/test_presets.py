import pytest
from qtpy.QtCore import Qt

from napari_convgen.config.presets import PRESET_USES
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


def test_each_preset_says_when_to_use_it(qtbot):
    box = PresetBox()
    box.value = "best"
    assert box.tooltip == PRESET_USES["best"]
    items = {
        box.native.itemText(i): box.native.itemData(i, Qt.ItemDataRole.ToolTipRole) for i in range(box.native.count())
    }
    assert {name: items[name] for name in PRESET_USES if name in items} == {
        n: u for n, u in PRESET_USES.items() if n in items
    }
    assert set(PRESET_USES) <= set(items)
