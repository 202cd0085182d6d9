"""What is no configuration is refused, with the setting, its range and a hint."""

import pytest
from pydantic import ValidationError

from napari_convgen.config import PRESETS, Config, preset
from napari_convgen.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"seed = ", r"a\.toml is not valid TOML"),
        ("a.toml", b"\xff\xfe\x00", r"a\.toml is no text"),
        ("a.json", b"{", r"a\.json is not valid JSON"),
        ("a.json", b"[1]", r"a\.json is no report of a run: it must hold a JSON object"),
        ("a.json", b'{"config": 3}', r"a\.json is no report of a run: it must hold a JSON object"),
        ("a.toml", b"sed = 1", "no setting 'sed'"),
        ("a.toml", b"generator = 5", "no setting 'generator'"),
        ("a.toml", b"seed = 1979-05-27", "seed cannot be"),
        ("a.json", b'{"seed": NaN}', "seed cannot be"),
        ("a.json", b'{"preset": ["paper"]}', "no preset"),
    ],
)
def test_a_file_that_holds_no_configuration_is_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        Config.from_file(path)


def test_a_missing_file_is_refused_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read"):
        Config.from_file(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_steps", 0),
        ("n_steps", 2.5),
        ("n_steps", "many"),
        ("n_steps", None),
        ("seed", -1),
        ("seed", 2**63),
        ("device", "tpu"),
        ("device", "cuda:"),
        ("device", "cpu\n"),
        ("output", "last"),
        ("z_axis", "depth"),
        ("n_restarts", -1),
        ("snapshot_memory", 0),
        ("snapshot_memory", float("inf")),
        ("generator.n_channels", 0),
        ("generator.n_scales", "some"),
        ("generator.n_scales", 1.5),
        ("generator.n_scales", 0),
        ("n_threads", 0),
        ("generator.order", "relu"),
        ("generator.extra_layer", "middle"),
        ("optimizer.learning_rate", 0),
        ("optimizer.learning_rate", float("nan")),
        ("optimizer.kind", "sgd"),
        ("generator.kind", "transformer"),
        ("generator.kind", None),
        ("operator.kind", "smear"),
        ("stopping.kind", "wmv"),
        ("stopping.held_out_fraction", 0),
        ("stopping.held_out_fraction", 0.95),
        ("stopping.patience", -0.1),
        ("stopping.min_patience", -1),
        ("noise.kind", "poisson"),
        ("noise.sigma", -1),
        ("noise.sigma", "loud"),
        ("noise.sigma", float("inf")),
        ("noise.correlation_length", 0),
        ("noise.correlation_length", 1.5),
        ("noise.is_shared", "perhaps"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_setting_and_the_range(name, value):
    check_refusal(Config(), name, value)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("generator.kind=skip-network", "generator.padding", "wrap"),
        ("generator.kind=two-layer", "generator.n_channels", 7),
        ("generator.kind=guided-network", "generator.recorruption", 0),
        ("optimizer.kind=momentum", "optimizer.momentum", 1),
        ("noise.kind=poisson-gaussian", "noise.gain", 0),
        ("noise.kind=poisson-gaussian", "noise.offset", float("nan")),
        ("stopping.kind=discrepancy", "stopping.tau", 0),
        ("operator.kind=widefield", "operator.wavelength", 0.52),
        ("operator.kind=widefield", "operator.wavelength", 520e-9),
        ("operator.kind=confocal", "operator.pinhole", 0),
    ],
)
def test_a_value_that_another_kind_cannot_have_is_refused(kind, name, value):
    check_refusal(Config().replace(dict([kind.split("=")])), name, value)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        (
            "quick",
            {"generator.recorruption": 0.7},
            "generator.recorruption = 0.7 has no effect with guide = 'non-local', only with 'average'. Leave it at 0.5, or choose another "
            "guide.",
        ),
        ("quick", {"generator.guide": "plug-and-play", "generator.guide_step": "3"}, "guide_step = 3 has no effect"),
        (
            "guided-network",
            {"generator.network_share": 0.3},
            "only with 'non-local' or 'plug-and-play'. Leave it at 'auto'",
        ),
    ],
)
def test_a_value_without_an_effect_is_refused(name, changes, sentence):
    with pytest.raises(ConfigError) as caught:
        preset(name).replace(changes)
    assert sentence in str(caught.value)


def test_a_volume_as_a_way_to_fit_frames_is_refused_with_the_setting_that_has_it():
    with pytest.raises(ConfigError) as caught:
        Config().replace({"frames.fit": "volume"})
    expected = "frames.fit cannot be 'volume': slices along Z are fitted as one volume with z_axis = 'volume'."
    assert str(caught.value) == expected
    assert Config().replace({"z_axis": "volume"}).z_axis == "volume"


def check_refusal(config, name, value):
    with pytest.raises(ConfigError) as caught:
        config.replace({name: value})
    sentence = str(caught.value)
    assert sentence.startswith(f"{name} cannot be {value!r}: ")
    assert "should" in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("n_threads", "many", "'auto' or a whole number from 1"),
        ("noise.sigma", -1, "'auto' or a number from 0"),
        ("noise.gain", 0, "'auto' or a number above 0"),
        ("noise.offset", "dark", "'auto' or a number"),
    ],
)
def test_the_refusal_says_which_numbers_could_stand_for_auto(name, value, words):
    photons = Config().replace({"noise.kind": "poisson-gaussian"})
    with pytest.raises(ConfigError) as caught:
        photons.replace({name: value})
    assert str(caught.value).startswith(f"{name} cannot be {value!r}: input should be {words}. ")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("n_step", "Did you mean 'n_steps'?"),
        ("n_channels", "Did you mean 'generator.n_channels'?"),
        ("learning_rate", "Did you mean 'optimizer.learning_rate'?"),
        ("generator.channels", "Did you mean 'generator.n_channels'?"),
        ("generator", "Did you mean"),
        ("seed.value", "The settings are "),
        ("stopping.rule", "The settings are stopping.kind, "),
        ("generator.kind.name", "Did you mean 'generator.kind'?"),
        ("xyzzy", "The settings are n_steps, seed, n_seeds, device, "),
    ],
)
def test_an_unknown_setting_is_refused_with_a_hint(name, hint):
    with pytest.raises(ConfigError) as caught:
        Config().replace({name: 1})
    assert str(caught.value).startswith(f"There is no setting '{name}'. {hint}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"generator.n_skip_channels": 8},
            "generator.n_skip_channels is no setting of the kind 'deep-decoder': 'skip-network' and 'guided-network' have it. "
            "Choose one of them as generator.kind.",
        ),
        (
            {"optimizer.momentum": 0.5},
            "optimizer.momentum is no setting of the kind 'adam': 'momentum' has it. Choose it as optimizer.kind.",
        ),
        (
            {"noise.kind": "none", "noise.gain": 2},
            "noise.gain is no setting of the kind 'none': 'poisson-gaussian' has it. Choose it as noise.kind.",
        ),
    ],
)
def test_a_setting_of_another_kind_is_refused_with_the_kinds_that_have_it(changes, message):
    with pytest.raises(ConfigError) as caught:
        Config().replace(changes)
    assert str(caught.value) == message


def test_an_unknown_setting_is_refused_by_the_models_too():
    with pytest.raises(ValidationError, match="sed"):
        Config(sed=1)
    with pytest.raises(ValidationError, match="channels"):
        Config(generator={"kind": "deep-decoder", "channels": 4})


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=rf"no preset 'good'\. The presets are {', '.join(PRESETS)}\."):
        preset("good")
