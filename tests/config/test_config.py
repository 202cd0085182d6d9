import itertools
import json
import tomllib
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_convgen.config import PRESETS, Config, GeneratorConfig, NoiseConfig, OptimizerConfig, StoppingConfig, preset
from napari_convgen.errors import ConfigError

positive = st.floats(1e-12, 1e12)

configs = st.builds(
    Config,
    n_steps=st.integers(1, 10_000_000),
    seed=st.integers(0, 2**63 - 1),
    device=st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:12"]),
    output=st.sampled_from(["average", "iterate"]),
    n_threads=st.one_of(st.just("auto"), st.integers(1, 64)),
    z_axis=st.sampled_from(["frames", "volume"]),
    n_restarts=st.integers(0, 100),
    snapshot_memory=positive,
    generator=st.builds(
        GeneratorConfig,
        n_channels=st.integers(1, 4096),
        n_scales=st.one_of(st.just("auto"), st.integers(1, 9)),
        order=st.sampled_from(["relu-norm", "norm-relu"]),
        output_map=st.sampled_from(["sigmoid", "linear"]),
        extra_layer=st.sampled_from(["none", "first", "last"]),
        padding=st.sampled_from(["zeros", "reflection"]),
        norm_init=st.sampled_from(["ones", "uniform"]),
        kernel=st.sampled_from(["linear", "smooth"]),
    ),
    optimizer=st.builds(
        OptimizerConfig,
        method=st.sampled_from(["adam", "gradient-descent", "momentum"]),
        learning_rate=positive,
        momentum=st.floats(0, 0.999),
    ),
    stopping=st.builds(
        StoppingConfig,
        rule=st.sampled_from(["auto", "fixed", "held-out"]),
        held_out_fraction=st.floats(1e-6, 0.89),
        patience=st.floats(0, 1e6),
        min_patience=st.integers(0, 10**9),
    ),
    noise=st.builds(
        NoiseConfig,
        kind=st.sampled_from(["auto", "gaussian", "poisson-gaussian", "rician", "none"]),
        sigma=st.one_of(st.just("auto"), st.floats(0, 1e9)),
        gain=st.one_of(st.just("auto"), positive),
        offset=st.one_of(st.just("auto"), st.floats(-1e9, 1e9)),
        correlation_length=st.one_of(st.just("auto"), st.integers(1, 99)),
        is_shared=st.sampled_from(["auto", "yes", "no"]),
        has_impulses=st.sampled_from(["auto", "yes", "no"]),
    ),
)


def settings_of(config):
    """Every setting by its dotted name."""
    names = {}
    for name, value in config.model_dump().items():
        names |= {f"{name}.{part}": v for part, v in value.items()} if isinstance(value, dict) else {name: value}
    return names


@settings(deadline=None, max_examples=40)
@given(configs)
def test_a_configuration_survives_its_file_forms(config):
    assert Config.from_toml(config.to_toml()) == config
    assert Config.from_dict(config.model_dump()) == config
    assert Config.from_dict(json.loads(json.dumps(config.model_dump(), allow_nan=False))) == config


@settings(deadline=None, max_examples=20)
@given(configs, configs)
def test_replacing_every_setting_gives_the_other_configuration(config, other):
    assert config.replace(settings_of(other)) == other


@settings(deadline=None, max_examples=20)
@given(configs)
def test_settings_are_read_from_text(config):
    as_text = {name: str(value) for name, value in settings_of(config).items()}
    assert Config().replace(as_text) == config


def test_toml_has_every_setting_under_a_comment():
    text = PRESETS["paper"].to_toml()
    assert tomllib.loads(text) == PRESETS["paper"].model_dump()
    lines = text.splitlines()
    for before, line in itertools.pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("# ")
            assert len(before) > 12
        if line.startswith("["):
            assert before.startswith("# ")


@pytest.mark.parametrize("form", ["config.toml", "config.json", "report.json", "CONFIG.JSON"])
def test_a_configuration_is_read_from_a_file(tmp_path, form):
    config = Config().replace({"seed": 7, "generator.n_channels": 5, "stopping.rule": "fixed"})
    values = config.model_dump()
    text = {
        "config.toml": config.to_toml(),
        "config.json": json.dumps(values),
        "report.json": json.dumps({"config": values, "step": 3}),
        "CONFIG.JSON": json.dumps(values),
    }[form]
    (tmp_path / form).write_text(text, encoding="utf-8")
    assert Config.from_file(tmp_path / form) == config
    assert Config.from_file(str(tmp_path / form)) == config


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.toml", b"seed = ", r"a\.toml is not valid TOML"),
        ("a.toml", b"\xff\xfe\x00", r"a\.toml cannot be read"),
        ("a.json", b"{", r"a\.json is not valid JSON"),
        ("a.json", b"[1]", r"a\.json must hold a JSON object"),
        ("a.json", b'{"config": 3}', r"a\.json must hold a JSON object"),
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
        ("generator.padding", "wrap"),
        ("optimizer.learning_rate", 0),
        ("optimizer.learning_rate", float("nan")),
        ("optimizer.momentum", 1),
        ("stopping.rule", "wmv"),
        ("stopping.held_out_fraction", 0),
        ("stopping.held_out_fraction", 0.95),
        ("stopping.patience", -0.1),
        ("stopping.min_patience", -1),
        ("noise.kind", "poisson"),
        ("noise.sigma", -1),
        ("noise.sigma", "loud"),
        ("noise.sigma", float("inf")),
        ("noise.gain", 0),
        ("noise.offset", float("nan")),
        ("noise.correlation_length", 0),
        ("noise.correlation_length", 1.5),
        ("noise.is_shared", "perhaps"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_setting_and_the_range(name, value):
    with pytest.raises(ConfigError) as caught:
        Config().replace({name: value})
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
    with pytest.raises(ConfigError) as caught:
        Config().replace({name: value})
    assert str(caught.value) == f"{name} cannot be {value!r}: input should be {words}."


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("n_step", "Did you mean 'n_steps'?"),
        ("n_channels", "Did you mean 'generator.n_channels'?"),
        ("learning_rate", "Did you mean 'optimizer.learning_rate'?"),
        ("generator.channels", "Did you mean 'generator.n_channels'?"),
        ("generator", "Did you mean"),
        ("seed.value", "The settings are "),
        ("xyzzy", "The settings are n_steps, seed, n_seeds, device, "),
    ],
)
def test_an_unknown_setting_is_refused_with_a_hint(name, hint):
    with pytest.raises(ConfigError) as caught:
        Config().replace({name: 1})
    assert str(caught.value).startswith(f"There is no setting '{name}'. {hint}")


def test_an_unknown_setting_is_refused_by_the_models_too():
    with pytest.raises(ValidationError, match="sed"):
        Config(sed=1)
    with pytest.raises(ValidationError, match="channels"):
        Config(generator={"channels": 4})


def test_what_is_missing_is_taken_from_the_preset_that_is_named():
    config = Config.from_dict({"preset": "paper", "seed": 4, "generator": {"n_channels": 32}})
    assert config == preset("paper").replace({"seed": 4, "generator.n_channels": 32})
    assert Config.from_dict({}) == preset("default")


def test_replacing_leaves_the_original_alone():
    config = Config()
    changed = config.replace({"generator.n_channels": 3})
    assert changed.generator.n_channels == 3
    assert config == Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 1
    with pytest.raises(ValidationError, match="frozen"):
        config.generator.n_channels = 1


def test_the_presets_are_those_of_the_paper_and_the_default():
    assert set(PRESETS) == {"default", "best", "paper", "paper-narrow", "deep-image-prior"}
    assert preset("default") == Config()
    wide, narrow = preset("paper"), preset("paper-narrow")
    assert (wide.generator.n_channels, wide.generator.n_scales, wide.n_steps) == (512, 5, 1500)
    assert (narrow.generator.n_channels, narrow.generator.n_scales, narrow.n_steps) == (128, 5, 3000)
    assert (wide.generator.extra_layer, narrow.generator.extra_layer) == ("last", "first")
    for config in (wide, narrow):
        assert (config.generator.kind, config.n_seeds) == ("deep-decoder", 1)
        assert (config.generator.order, config.generator.kernel) == ("relu-norm", "linear")
        assert (config.generator.output_map, config.generator.norm_init) == ("sigmoid", "ones")
        assert (config.optimizer.method, config.optimizer.learning_rate) == ("adam", 0.01)
        assert (config.stopping.rule, config.output) == ("fixed", "iterate")
        assert config.noise.kind == "none"


def test_the_deep_image_prior_is_the_published_network_for_denoising():
    config = preset("deep-image-prior")
    net = config.generator
    assert (net.kind, net.n_channels, net.n_fine_channels, net.n_scales) == ("skip-network", 128, 128, 5)
    assert (net.n_skip_channels, net.n_latent_channels, net.kernel, net.padding) == (4, 32, "linear", "reflection")
    assert net.input_noise == pytest.approx(0.7 / 30)
    assert (config.optimizer.method, config.optimizer.learning_rate, config.n_steps) == ("adam", 0.01, 1900)
    assert (config.stopping.rule, config.output, config.n_seeds) == ("fixed", "iterate", 1)
    assert (config.noise.kind, config.precision) == ("none", "float32")


def test_an_unknown_preset_is_refused_with_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"no preset 'good'\. The presets are default, best, paper, paper-narrow, deep-image-prior\."
    ):
        preset("good")


def test_every_setting_has_a_description():
    for model in (Config, GeneratorConfig, OptimizerConfig, StoppingConfig, NoiseConfig):
        for name, field in model.model_fields.items():
            assert field.description or name in {"generator", "optimizer", "stopping", "noise"}
            assert "\n" not in (field.description or "")


def test_every_stopping_rule_has_a_name_for_what_it_watches():
    from napari_convgen.config import StoppingConfig
    from napari_convgen.run.labels import CRITERIA

    assert set(CRITERIA) == set(get_args(StoppingConfig.model_fields["rule"].annotation))
