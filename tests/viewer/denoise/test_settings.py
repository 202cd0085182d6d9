"""The settings of *Denoise*: presets, what is changed of them, and what outlives the window."""

import pytest

from napari_convgen.config import PRESETS
from napari_convgen.config.presets import PRESET_USES
from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.parts.labels import RowLabel


@pytest.fixture
def widget(make_widget):
    return make_widget(DenoiseWidget)


def test_choosing_a_preset_fills_the_form_and_editing_makes_it_custom(widget, user):
    user.fill("Threads", "auto")
    for name in ("default", "paper", "paper-narrow"):
        user.fill("Preset", name)
        assert widget.config() == PRESETS[name]
    user.fill("Seed", 7)
    assert user.value("Preset") == name
    user.fill("Steps at most", 77)
    assert user.value("Preset") == f"{name}, 77 steps"
    user.fill("Stop", "sure")
    assert user.value("Preset") == f"{name}, 2 settings changed"
    assert "stopping.kind = sure" in user.editor("Preset").toolTip()
    user.fill("Preset", "default")
    assert widget.config() == PRESETS["default"].replace({"seed": 7})


def test_settings_of_networks_are_in_sight_where_one_is_fitted(user):
    for preset, names in (
        ("default", {"Stop", "Steps at most"}),
        ("quick", set()),
        ("paper", {"Stop", "Steps at most"}),
    ):
        user.fill("Preset", preset)
        in_sight = {label.text() for label in user.children(RowLabel)}
        assert in_sight & {"Stop", "Steps at most"} == names
        assert {"Noise", "Preset", "Reference"} <= in_sight


def test_default_configuration_is_the_default_preset(widget):
    assert isinstance(widget, DenoiseWidget)
    assert widget.config() == PRESETS["default"]


def test_settings_survive_a_restart_and_stand_on_the_preferences_page(make_widget, hands, preferences):
    user = hands(make_widget(DenoiseWidget))
    user.fill("Preset", "deep-decoder")
    user.fill("Channels", 4)
    user.fill("Steps at most", 3)
    user.fill("Stop", "fixed")
    user.fill("Seeds", 1)
    user.fill("Threads", "1")
    user.check("Residual")
    user.press("Run")
    user.press("Cancel")
    kept = preferences().denoise
    assert (kept.preset, kept.residual) == ("deep-decoder", True)
    assert "n_steps=3" in kept.changes
    again = make_widget(DenoiseWidget)
    assert again.config() == user.widget.config()
    assert hands(again).value("Preset") == "deep-decoder, 4 settings changed"
    assert hands(again).box("Residual").isChecked()


def test_preferences_that_cannot_be_read_are_those_of_the_preset(make_widget, preferences):
    preferences().denoise.changes = "n_steps=many"
    assert make_widget(DenoiseWidget).config() == PRESETS["default"]


def test_the_preferences_page_offers_the_presets(preferences):
    offered = type(preferences().denoise).model_json_schema()["properties"]["preset"]["enum"]
    assert set(offered) == set(PRESETS) == set(PRESET_USES)
