import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convgen.config import PRESETS, Config
from napari_convgen.errors import ConfigError
from napari_convgen.viewer.parts.form import ConfigForm, setting_fields

pytestmark = pytest.mark.usefixtures("qapp")

configs = st.builds(
    lambda **changes: Config().replace({name.replace("__", "."): value for name, value in changes.items()}),
    n_steps=st.integers(1, 10_000_000),
    seed=st.integers(0, 2**31 - 1),
    device=st.sampled_from(["auto", "cpu", "cuda", "mps"]),
    output=st.sampled_from(["average", "iterate"]),
    z_axis=st.sampled_from(["frames", "volume"]),
    snapshot_memory=st.floats(1e-3, 1e6),
    generator__n_channels=st.integers(1, 4096),
    n_threads=st.one_of(st.just("auto"), st.integers(1, 64)),
    generator__n_scales=st.one_of(st.just("auto"), st.integers(1, 12)),
    generator__order=st.sampled_from(["relu-norm", "norm-relu"]),
    generator__extra_layer=st.sampled_from(["none", "first", "last"]),
    optimizer__method=st.sampled_from(["adam", "gradient-descent", "momentum"]),
    optimizer__learning_rate=st.floats(1e-12, 1e3),
    stopping__rule=st.sampled_from(["auto", "fixed", "held-out"]),
    stopping__held_out_fraction=st.floats(1e-6, 0.89),
    stopping__patience=st.floats(0, 100),
)


@settings(deadline=None, max_examples=30)
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
    form = ConfigForm(["seed", "optimizer.learning_rate"])
    edits = []
    form.edited.connect(lambda: edits.append(True))
    form.show_config(Config())
    assert not edits
    form.editors["seed"].value = 5
    assert edits == [True]


def test_a_number_that_is_none_is_refused_when_it_is_read():
    form = ConfigForm(["optimizer.learning_rate"])
    form.editors["optimizer.learning_rate"].value = "fast"
    with pytest.raises(ConfigError, match="learning_rate"):
        Config().replace(form.values())
