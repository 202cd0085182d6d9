"""Settings of a run are loaded into the form of the widget that made it, and into those of others."""

import json

import pytest
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QPushButton

from napari_convgen.config import PRESETS, Config
from napari_convgen.run.spectrum import run as spectrum_run
from napari_convgen.viewer.compare.widget import CompareWidget
from napari_convgen.viewer.image_vs_noise.widget import ImageAgainstNoiseWidget
from napari_convgen.viewer.layers.door import METADATA_KEY
from napari_convgen.viewer.parts.loading import config_of
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget
from napari_convgen.viewer.spectrum.widget import WhyItWorksWidget

CASES = {
    "reconstruct": (ReconstructWidget, {"Problem": "Deblur", "Width of the blur": "1.5", "Seed": 3}, {}),
    "compare": (CompareWidget, {"Seed": 3, "Noise": "gaussian"}, {"NLM": False, "Wavelets": False, "TV": True}),
    "image against noise": (
        ImageAgainstNoiseWidget,
        {"Seed": 3, "Steps at most": 9, "Pure noise": "gaussian", "Its mean": "kept", "Added noise": "2.5"},
        {},
    ),
    "why it works": (WhyItWorksWidget, {"Seed": 3, "Vectors": 4, "At steps": "0, 2"}, {"Norms": False}),
}
"""Widgets, what a user chooses in them, and the boxes that the user checks or not."""


@pytest.fixture(params=CASES)
def case(request, make_widget, hands, monkeypatch, small):
    for constant in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(spectrum_run, constant, 4)
    monkeypatch.setitem(PRESETS, "other", small.replace({"optimizer.learning_rate": 0.011}))
    kind, choices, boxes = CASES[request.param]
    return hands(make_widget(kind)), choices, boxes


def load(user, text):
    [menu] = [each.menu() for each in user.widget.findChildren(QPushButton) if each.text() == "Load settings"]
    [action] = [action for action in menu.actions() if action.text() == text]
    action.trigger()


def shown(user, choices, boxes):
    return {label: user.value(label) for label in choices}, {text: user.box(text).isChecked() for text in boxes}


def test_the_form_is_filled_from_a_layer_and_from_a_file(case, tmp_path, monkeypatch):
    user, choices, boxes = case
    user.fill("Preset", "other")
    before = shown(user, choices, boxes)
    for label, value in choices.items():
        user.fill(label, value)
    for text, is_checked in boxes.items():
        user.check(text, is_checked)
    wanted = shown(user, choices, boxes)
    preset = user.value("Preset")
    user.run()
    layers = user.widget.viewer.layers
    made = next(layer for layer in reversed(layers) if METADATA_KEY in layer.metadata)
    for label, value in before[0].items():
        user.fill(label, value)
    for text, is_checked in before[1].items():
        user.check(text, is_checked)
    user.fill("Preset", "tiny")
    layers.selection.active = made
    load(user, "Load settings from this layer")
    assert shown(user, choices, boxes) == wanted
    assert user.value("Preset") == preset

    user.fill("Seed", 0)
    (tmp_path / "report.json").write_text(json.dumps(made.metadata[METADATA_KEY]))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(tmp_path / "report.json"), ""))
    load(user, "Load settings from a file …")
    assert shown(user, choices, boxes) == wanted

    layers.selection.active = layers["truth"]
    load(user, "Load settings from this layer")
    assert "is not of a run" in user.text


def test_what_a_form_does_not_have_is_said(make_widget, hands, noisy):
    user = hands(make_widget(CompareWidget))
    config = PRESETS["paper"].replace({"optimizer.learning_rate": 0.007}).model_dump()
    user.widget.viewer.add_layer(Image(noisy, name="run", metadata={METADATA_KEY: {"config": config}}))
    load(user, "Load settings from this layer")
    assert user.value("Preset") == "paper"
    assert "are left as in the preset: optimizer.learning_rate = 0.007." in user.text


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            Config().replace({"operator.kind": "weighted-sums"}).model_dump(),
            "are of the problem 'sensing', which this widget",
        ),
        ({"n_dreams": 3}, "n_dreams"),
    ],
)
def test_settings_that_a_form_cannot_show_are_refused_and_leave_it_as_it_is(config, said, make_widget, hands, noisy):
    user = hands(make_widget(ReconstructWidget))
    before = user.widget.config()
    user.widget.viewer.add_layer(Image(noisy, name="run", metadata={METADATA_KEY: {"config": config}}))
    load(user, "Load settings from this layer")
    assert said in user.text
    assert (user.value("Problem"), user.widget.config()) == ("Fill in missing pixels", before)


@pytest.mark.parametrize(
    ("name", "expected"), [("default", "auto"), ("guided-network", "bfloat16"), ("deep-decoder", "float32")]
)
def test_settings_of_the_machine_are_those_of_the_form(name, expected):
    of_another = {"device": "cuda", "n_threads": 16, "backend": "torch", "n_steps": 7}
    of_another["precision"] = "bfloat16" if name == "default" else PRESETS[name].precision
    report = {"config": PRESETS[name].replace(of_another).model_dump()}
    config = config_of(report, {"n_threads": 1})
    assert (config.device, config.n_threads, config.backend) == ("auto", 1, "auto")
    assert (config.precision, config.n_steps) == (expected, 7)
