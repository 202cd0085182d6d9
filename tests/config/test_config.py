import functools
import itertools
import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from napari_convgen.config import GROUPS, PRESETS, TABLES, Config, Kind, preset, setting_fields
from napari_convgen.config.fields import Numbers, choices_of, describe, words_beside
from napari_convgen.errors import ConfigError

GENERATORS, STOPS, NOISES = (GROUPS[name] for name in ("generator", "stopping", "noise"))


def values_of(field):
    """Values that a setting can have."""
    if choices := choices_of(field):
        return st.sampled_from(choices)
    numbers = Numbers.of(field)
    if numbers is None:
        return st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:12"])
    low = numbers.low if numbers.low > -1e12 else -1e12
    if numbers.is_whole:
        step = int(numbers.factor)
        drawn = st.integers(int(low) // step, int(min(numbers.last, 2**62)) // step).map(lambda n: n * step)
    else:
        bounds = {"exclude_min": numbers.excludes_low, "exclude_max": numbers.excludes_high}
        drawn = st.floats(low, min(numbers.high, 1e12), **bounds)
    return st.one_of(st.sampled_from(words), drawn) if (words := words_beside(field)) else drawn


def models(model):
    """Settings of a kind."""
    fields = {name: field for name, field in model.model_fields.items() if name != "kind"}
    drawn = st.fixed_dictionaries({name: values_of(field) for name, field in fields.items()})
    return drawn.map(functools.partial(build, model))


def build(model, values):
    """Settings of a kind, those that have no effect at their defaults."""
    unused = model.unused(values) if issubclass(model, Kind) else ()
    return model(**{name: value for name, value in values.items() if name not in unused})


own = {name: values_of(field) for name, field in Config.model_fields.items() if name not in GROUPS | TABLES}


groups = {name: st.one_of(*map(models, kinds.values())) for name, kinds in GROUPS.items()}


tables = {name: models(model) for name, model in TABLES.items()}


configs = st.builds(Config, **own, **groups, **tables)


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


@pytest.mark.parametrize(("group", "kind"), [(group, kind) for group, kinds in GROUPS.items() for kind in kinds])
def test_every_kind_survives_its_file_forms(group, kind):
    config = Config().replace({f"{group}.kind": kind})
    assert getattr(config, group) == GROUPS[group][kind]()
    assert Config.from_toml(config.to_toml()) == config
    assert Config.from_dict({"preset": "deep-decoder", group: {"kind": kind}}) == config


@settings(deadline=None, max_examples=20)
@given(configs)
def test_settings_are_read_from_text(config):
    as_text = {name: str(value) for name, value in settings_of(config).items()}
    assert Config().replace(as_text) == config


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_its_file_forms(name):
    assert Config.from_toml(PRESETS[name].to_toml()) == PRESETS[name]
    assert Config.from_dict({"preset": name}) == PRESETS[name]
    assert Config.from_dict(json.loads(json.dumps(PRESETS[name].model_dump()))) == PRESETS[name]


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
    config = Config().replace({"seed": 7, "generator.n_channels": 5, "stopping.kind": "fixed"})
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


def test_switching_the_kind_keeps_the_settings_that_the_new_kind_has_too():
    changes = {"generator.n_channels": 30, "generator.kernel": "linear", "generator.order": "relu-norm"}
    config = Config().replace(changes).replace({"generator.kind": "skip-network"})
    assert config.generator == GENERATORS["skip-network"](n_channels=30, kernel="linear")
    assert config.replace({"generator.kind": "deep-decoder"}).generator.order == "norm-relu"


def test_values_given_with_the_kind_go_before_those_that_are_kept():
    config = Config().replace({"generator.n_channels": 8, "stopping.min_patience": 5, "noise.sigma": 3})
    both = {"stopping.min_patience": 7, "stopping.kind": "sure", "noise.kind": "rician", "generator.kind": "two-layer"}
    changed = config.replace(both)
    assert changed.stopping == STOPS["sure"](min_patience=7)
    assert changed.noise == NOISES["rician"](sigma=3)
    assert changed.generator == GENERATORS["two-layer"](n_channels=8)


def test_a_value_that_the_new_kind_does_not_allow_takes_its_default():
    config = Config().replace({"generator.n_channels": 85}).replace({"generator.kind": "two-layer"})
    assert config.generator.n_channels == 64
    with pytest.raises(ConfigError, match=r"n_channels cannot be 85: input should be a multiple of 2\."):
        Config().replace({"generator.kind": "two-layer", "generator.n_channels": 85})


@settings(deadline=None, max_examples=30)
@given(configs, st.sampled_from([(group, kind) for group, kinds in GROUPS.items() for kind in kinds]))
def test_switching_a_kind_changes_nothing_else(config, switch):
    group, kind = switch
    changed = config.replace({f"{group}.kind": kind})
    for name in setting_fields():
        if not name.startswith(f"{group}."):
            assert changed.has(name) == config.has(name)
    assert changed.model_dump(exclude={group}) == config.model_dump(exclude={group})
    if getattr(config, group).kind == kind:
        assert changed == config


def test_settings_that_have_no_effect_any_longer_take_their_defaults():
    average = preset("guided-network").replace({"generator.recorruption": 0.7, "generator.guide_noise": 0.9})
    mixed = average.replace({"generator.guide": "non-local"}).generator
    assert (mixed.recorruption, mixed.guide_noise) == (0.5, 0.9)
    assert preset("quick").replace({"generator.guide": "average"}).generator.network_share == "auto"
    taught = preset("best").replace({"generator.network_share": 0.3})
    assert taught.replace({"generator.kind": "guided-network"}).generator.network_share == "auto"


def test_a_share_that_another_kind_has_too_is_kept_with_a_guide_that_it_has_an_effect_with():
    taught = preset("best").replace({"generator.network_share": 0.3})
    mixed = taught.replace({"generator.kind": "guided-network", "generator.guide": "non-local"})
    assert mixed.generator.network_share == 0.3


def test_it_tells_which_settings_it_has():
    config = Config()
    names = set(setting_fields())
    assert {name for name in names if config.has(name)} == set(settings_of(config))
    assert not config.has("generator")
    assert not config.has("generator.n_skip_channels")
    assert not config.has("seed.kind")
    assert not config.has("stopping.rule")


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
    assert list(PRESETS) == [
        "default",
        "quick",
        "best",
        "guided-network",
        "deep-decoder",
        "paper",
        "paper-narrow",
        "deep-image-prior",
    ]
    assert preset("deep-decoder") == Config()
    assert Config.from_dict({}) == preset("default")
    assert (preset("quick").generator.kind, preset("quick").generator.guide) == ("guided-network", "non-local")
    assert {preset(name).generator.kind for name in ("default", "best")} == {"taught-network"}
    wide, narrow = preset("paper"), preset("paper-narrow")
    assert (wide.generator.n_channels, wide.generator.n_scales, wide.n_steps) == (512, 5, 1500)
    assert (narrow.generator.n_channels, narrow.generator.n_scales, narrow.n_steps) == (128, 5, 3000)
    assert (wide.generator.extra_layer, narrow.generator.extra_layer) == ("last", "first")
    for config in (wide, narrow):
        assert (config.generator.kind, config.n_seeds) == ("deep-decoder", 1)
        assert (config.generator.order, config.generator.kernel) == ("relu-norm", "linear")
        assert (config.generator.output_map, config.generator.norm_init) == ("sigmoid", "ones")
        assert (config.optimizer.kind, config.optimizer.learning_rate) == ("adam", 0.01)
        assert (config.stopping.kind, config.output) == ("fixed", "iterate")
        assert config.noise.kind == "none"


def test_the_deep_image_prior_is_the_published_network_for_denoising():
    config = preset("deep-image-prior")
    net = config.generator
    assert (net.kind, net.n_channels, net.n_fine_channels, net.n_scales) == ("skip-network", 128, 128, 5)
    assert (net.n_skip_channels, net.n_latent_channels, net.kernel, net.padding) == (4, 32, "linear", "reflection")
    assert net.input_noise == pytest.approx(0.7 / 30)
    assert (config.optimizer.kind, config.optimizer.learning_rate, config.n_steps) == ("adam", 0.01, 1900)
    assert (config.stopping.kind, config.output, config.n_seeds) == ("fixed", "iterate", 1)
    assert (config.noise.kind, config.precision) == ("none", "float32")


NO_NOUN_PHRASE = ("Of ", "That ", "Whether ", "Where ", "If ", "How ", "When ", "What ", "In ", "On ")


@pytest.mark.parametrize("name", setting_fields())
def test_every_setting_has_a_title_and_a_description_with_its_default(name):
    for kind, field in setting_fields()[name].items():
        words = describe(field)
        assert field.title
        assert "\n" not in words
        assert "used by" not in words.lower()
        assert not words.startswith(NO_NOUN_PHRASE)
        assert field.description.endswith(".")
        assert "Default: " in words
        assert not kind or GROUPS[name.partition(".")[0]][kind].model_fields[name.partition(".")[2]] is field


def test_a_description_tells_the_range():
    fields = setting_fields()
    assert "A whole number from 1 to 4096. Default: 64." in describe(fields["generator.n_channels"]["deep-decoder"])
    assert "Auto, or a number above 0. Default: auto." in describe(fields["noise.gain"]["poisson-gaussian"])
    assert "A number from 0 and below 1. Default: 0.9." in describe(fields["optimizer.momentum"]["momentum"])


@pytest.mark.parametrize(("group", "kind"), [(group, kind) for group, kinds in GROUPS.items() for kind in kinds])
def test_every_kind_says_what_it_is(group, kind):
    [field] = setting_fields()[f"{group}.kind"].values()
    model = GROUPS[group][kind]
    assert f"{kind}: {model.__doc__.splitlines()[0]}" in field.description
    assert kind in choices_of(field)
    assert next(iter(model.model_fields)) == "kind"


def test_every_stopping_rule_but_the_fixed_one_has_a_name_for_what_it_watches():
    assert [kind for kind, model in STOPS.items() if not model.criterion] == ["fixed"]


def test_guided_and_taught_networks_alone_draw_from_the_image():
    assert [kind for kind, model in GENERATORS.items() if model.draws_from_image] == [
        "guided-network",
        "taught-network",
    ]


def test_noise_is_modeled_unless_there_is_none():
    assert [kind for kind, model in NOISES.items() if not model.is_modeled] == ["none"]
