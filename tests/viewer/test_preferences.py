"""What is chosen in a widget is there again after napari was started anew."""

from pathlib import Path

import pytest
from napari.settings import get_plugin_settings, get_settings

from napari_convgen.config import PRESETS, fixed_input_presets
from napari_convgen.viewer.compare.widget import CompareWidget
from napari_convgen.viewer.image_vs_noise.widget import ImageAgainstNoiseWidget
from napari_convgen.viewer.reconstruct.problems import PROBLEMS
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget

ROOT = Path(__file__).parents[2]

CASES = {
    "compare": (CompareWidget, "paper", {"Seed": 4, "Noise": "gaussian"}, PRESETS),
    "reconstruct": (
        ReconstructWidget,
        "deep-decoder",
        {"Problem": "Deblur", "Point spread": "Widefield", "Numerical aperture": "1.2", "Seed": 4, "Steps at most": 7},
        PRESETS,
    ),
    "image_against_noise": (
        ImageAgainstNoiseWidget,
        "paper",
        {"Seed": 4, "Steps at most": 7, "Pure noise": "gaussian", "Added noise": "2.5"},
        fixed_input_presets(),
    ),
    "why_it_works": (WhyItWorksWidget, "paper-narrow", {"Seed": 4, "Vectors": 7, "Channels": 4}, PRESETS),
}

SCRIPTS = [
    path
    for folder in ("benchmarks", "docs", "examples", "tools")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "import napari\n" in path.read_text()
]


def test_tests_write_into_no_preferences_of_the_user():
    assert get_plugin_settings("napari-convgen").config_path is None
    assert get_settings().config_path is None


def test_scripts_that_open_napari_write_into_no_preferences_of_the_user():
    assert len(SCRIPTS) > 3
    for path in SCRIPTS:
        before, _, _ = path.read_text().partition("import napari\n")
        assert 'os.environ["NAPARI_CONFIG"] = ""' in before, path


@pytest.mark.parametrize("group", CASES)
def test_choices_of_a_widget_survive_a_restart(make_widget, hands, preferences, group):
    kind, preset, choices, offered = CASES[group]
    schema = type(getattr(preferences(), group)).model_json_schema()["properties"]
    assert set(schema["preset"]["enum"]) == set(offered) - {"tiny"}
    if "problem" in schema:
        assert schema["problem"]["enum"] == list(PROBLEMS)
    user = hands(make_widget(kind))
    user.fill("Preset", preset)
    for label, value in choices.items():
        user.fill(label, value)
    user.press("Run")
    user.press("Cancel")
    assert getattr(preferences(), group).preset == preset
    again = hands(make_widget(kind))
    shown = {label: again.value(label) for label in ("Preset", *choices)}
    assert shown == {label: user.value(label) for label in ("Preset", *choices)}
