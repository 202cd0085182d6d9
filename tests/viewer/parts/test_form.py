import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QFormLayout, QLabel

from napari_convgen.config import GROUPS, PRESETS, Config, preset, setting_fields
from napari_convgen.errors import ConfigError
from napari_convgen.viewer.parts import devices
from napari_convgen.viewer.parts.form import ConfigForm, labeled_rows

pytestmark = pytest.mark.usefixtures("qapp")


def replaced(changes):
    """A configuration with the kinds of some changes, and those of their settings that these kinds have."""
    config = Config().replace({name: value for name, value in changes.items() if name.endswith("kind")})
    return config.replace({name: value for name, value in changes.items() if config.has(name)})


configs = st.fixed_dictionaries(
    {
        "n_steps": st.integers(1, 10_000_000),
        "seed": st.integers(0, 2**31 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda", "mps"]),
        "output": st.sampled_from(["average", "iterate"]),
        "z_axis": st.sampled_from(["frames", "volume"]),
        "snapshot_memory": st.floats(1e-3, 1e6),
        "n_threads": st.one_of(st.just("auto"), st.integers(1, 64)),
        "generator.kind": st.sampled_from(list(GROUPS["generator"])),
        "generator.begins_with": st.just("chance"),
        "generator.n_channels": st.integers(1, 2048).map(lambda n: 2 * n),
        "generator.n_scales": st.one_of(st.just("auto"), st.integers(1, 12)),
        "generator.order": st.sampled_from(["relu-norm", "norm-relu"]),
        "generator.dropout": st.floats(0, 0.99),
        "optimizer.kind": st.sampled_from(list(GROUPS["optimizer"])),
        "optimizer.learning_rate": st.floats(1e-12, 1e3),
        "optimizer.momentum": st.floats(0, 0.99),
        "stopping.kind": st.sampled_from(list(GROUPS["stopping"])),
        "stopping.held_out_fraction": st.floats(1e-6, 0.89),
        "stopping.patience": st.floats(0, 100),
        "noise.kind": st.sampled_from(list(GROUPS["noise"])),
        "noise.gain": st.one_of(st.just("auto"), st.floats(1e-6, 1e6)),
    }
).map(replaced)


def rows_shown(widget):
    """The labels of the rows that are shown, and the titles."""
    layout, shown = widget.layout(), []
    for i in range(layout.rowCount()):
        spanning = layout.itemAt(i, QFormLayout.ItemRole.SpanningRole)
        label = (spanning or layout.itemAt(i, QFormLayout.ItemRole.LabelRole)).widget()
        field = layout.itemAt(i, QFormLayout.ItemRole.FieldRole)
        assert isinstance(label, QLabel)
        assert field is None or label.isHidden() == field.widget().isHidden()
        if not label.isHidden():
            shown.append(label.text())
    return shown


@settings(deadline=None, max_examples=15)
@given(configs)
def test_form_returns_the_configuration_that_it_shows(config):
    form = ConfigForm(setting_fields())
    form.show_config(config)
    assert Config().replace(form.values()) == config


@pytest.mark.parametrize("name", PRESETS)
def test_form_shows_each_preset_exactly(name):
    form = ConfigForm(setting_fields())
    form.show_config(PRESETS[name])
    assert Config().replace(form.values()) == PRESETS[name]


def test_every_row_has_a_tooltip():
    form = ConfigForm(setting_fields())
    assert [name for name, editor in form.editors.items() if not editor.tooltip] == []


def test_showing_a_configuration_is_no_edit_but_a_change_is():
    form = ConfigForm(["seed", "optimizer.learning_rate", "optimizer.kind"])
    edits = []
    form.edited.connect(lambda: edits.append(True))
    form.show_config(Config())
    assert not edits
    form.editors["seed"].value = 5
    form.editors["optimizer.kind"].value = "momentum"
    assert edits == [True, True]


def test_a_number_that_is_none_is_refused_when_it_is_read():
    form = ConfigForm(["optimizer.learning_rate"])
    form.editors["optimizer.learning_rate"].value = "fast"
    with pytest.raises(ConfigError, match="learning_rate"):
        Config().replace(form.values())


NOISE = [name for name in setting_fields() if name.startswith("noise.")]


def test_rows_are_those_of_the_kind_that_is_chosen():
    form = ConfigForm(["noise.kind", *NOISE[1:]])
    widget = labeled_rows(["Seed", *ConfigForm(["seed"]).editors.values(), "Noise", *form.editors.values()])
    auto = ["Standard deviation", "Correlation length", "Impulses", "Stripes", "Interference"]
    auto += ["Same everywhere", "Same in channels"]
    assert rows_shown(widget) == ["<b>Seed</b>", "Seed", "<b>Noise</b>", "Noise", *auto]
    form.editors["noise.kind"].value = "poisson-gaussian"
    photons = [
        "Read noise",
        "Correlation length",
        "Impulses",
        "Stripes",
        "Interference",
        "Same everywhere",
        "Gain (per photon)",
        "Offset",
    ]
    assert rows_shown(widget)[4:] == photons
    assert "read noise" in form.editors["noise.sigma"].tooltip
    form.editors["noise.kind"].value = "none"
    assert rows_shown(widget)[2:] == ["<b>Noise</b>", "Noise"]
    assert form.values() == {"noise.kind": "none"}
    form.editors["noise.kind"].value = "auto"
    assert rows_shown(widget)[4:] == auto


def test_values_that_several_kinds_have_stay_when_the_kind_changes():
    form = ConfigForm(setting_fields())
    form.editors["noise.sigma"].value = "12.5"
    form.editors["generator.n_channels"].value = 36
    for name, kind in (("noise.kind", "rician"), ("generator.kind", "skip-network"), ("stopping.kind", "fixed")):
        form.editors[name].value = kind
    config = Config().replace(form.values())
    assert (config.noise.kind, config.noise.sigma) == ("rician", 12.5)
    assert (config.generator.kind, config.generator.n_channels) == ("skip-network", 36)
    assert config.generator.n_skip_channels == 4
    assert config.stopping.kind == "fixed"


def test_rows_without_an_effect_are_hidden_and_their_values_left_out():
    form = ConfigForm(name for name in setting_fields() if name.startswith("generator."))
    form.show_config(preset("guided-network"))
    widget = labeled_rows(form.editors.values())
    assert {"Recorruption", "Guide from step"} <= set(rows_shown(widget))
    form.editors["generator.recorruption"].value = "0.7"
    form.editors["generator.guide"].value = "non-local"
    assert not {"Recorruption", "Guide from step"} & set(rows_shown(widget))
    assert "Network share" in rows_shown(widget)
    assert Config().replace(form.values()).generator.recorruption == 0.5
    form.editors["generator.guide"].value = "average"
    assert Config().replace(form.values()).generator.recorruption == 0.7


def test_a_title_is_hidden_while_the_kind_chosen_elsewhere_has_no_settings():
    chooser = ConfigForm(["noise.kind", "seed"])
    form = ConfigForm(NOISE[1:], chooser)
    widget = labeled_rows(["Noise", *form.editors.values()])
    edits = []
    chooser.edited.connect(lambda: edits.append(chooser.values() | form.values()))
    chooser.editors["noise.kind"].value = "none"
    assert rows_shown(widget) == []
    chooser.editors["noise.kind"].value = "poisson-gaussian"
    assert rows_shown(widget)[0] == "<b>Noise</b>"
    assert [Config().replace(values).noise.kind for values in edits] == ["none", "poisson-gaussian"]
    both = PRESETS["paper"]
    chooser.show_config(both)
    form.show_config(both)
    assert Config().replace(chooser.values() | form.values()).noise == both.noise


def test_without_a_row_for_the_kind_the_rows_are_those_of_the_configuration_shown():
    form = ConfigForm(["generator.n_skip_channels", "generator.n_channels"])
    assert form.values() == {"generator.n_channels": 64}
    form.show_config(PRESETS["deep-image-prior"])
    assert form.values() == {"generator.n_skip_channels": 4, "generator.n_channels": 128}
    form.show_config(Config())
    assert form.values() == {"generator.n_channels": 64}


@pytest.mark.parametrize("has_gpu", [False, True])
def test_only_devices_that_the_machine_can_have_are_offered_with_the_reason(qtbot, monkeypatch, has_gpu):
    monkeypatch.setattr(devices, "has_nvidia_driver", lambda: has_gpu)
    monkeypatch.setattr(devices, "has_apple_gpu", lambda: False)
    form = ConfigForm(["device"])
    editor = form.editors["device"]
    assert editor.choices == (("auto", "cpu", "cuda") if has_gpu else ("auto", "cpu"))
    assert ("Only the CPU is offered" in editor.tooltip) is not has_gpu
    form.show_config(Config(device="cuda:1"))  # of a run on another machine
    assert form.values() == {"device": "cuda:1"}
