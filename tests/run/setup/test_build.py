import ast
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import napari_convgen
from napari_convgen.config import GROUPS, Config, preset
from napari_convgen.core.generators import DeepDecoder, SkipNetwork
from napari_convgen.core.generators.fused import FusedDecoder
from napari_convgen.core.generators.layers import Norm, channel_norm
from napari_convgen.core.image import Layout, Measured
from napari_convgen.errors import ConfigError, DeviceError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.setup.backends import resolve_generator_backend
from napari_convgen.run.setup.build import (
    build_generator,
    build_noise,
    build_operator,
    build_optimizer,
    count_members,
    generator_bytes,
    random_source,
    resolve_scales,
)

TINY = Config().replace(
    {
        "generator.n_channels": 4,
        "n_steps": 4,
        "stopping.kind": "fixed",
        "device": "cpu",
    }
)
SKIP = TINY.replace(
    {
        "generator.kind": "skip-network",
        "generator.kernel": "linear",
        "generator.n_fine_channels": 3,
        "generator.n_latent_channels": 2,
    }
)


def noisy(shape=(24, 26), seed=0):
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return (0.2 + np.exp(-4 * sum(x**2 for x in axes)) + 0.05 * rng.standard_normal(shape)).astype(np.float32)


def test_each_number_is_a_source_of_chance_of_its_own_and_a_seed_means_the_same_ones():
    draws = [torch.rand(3, generator=random_source(seed, n)).tolist() for seed in (0, 1) for n in (0, 1, 2)]
    assert len({tuple(draw) for draw in draws}) == 6
    assert torch.rand(3, generator=random_source(1, 2)).tolist() == draws[-1]


@pytest.mark.parametrize(
    ("config", "backend", "kind"),
    [(TINY, "torch", DeepDecoder), (TINY, "numba", FusedDecoder), (SKIP, "torch", SkipNetwork)],
)
def test_the_generator_is_of_the_kind_that_is_named(config, backend, kind):
    generator = build_generator(config, (16, 18), 2, 2, [0, 1, 0], 5, backend)
    assert type(generator) is kind
    with torch.no_grad():
        images = generator()
    assert images.shape == (3, 2, 16, 18)
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])


def test_members_are_counted_with_the_twins_of_a_rule():
    assert [count_members(TINY.replace({"n_seeds": 3, "stopping.kind": rule})) for rule in ("auto", "sure")] == [3, 4]


@pytest.mark.parametrize(("config", "least"), [(TINY, 1.5), (SKIP, 1.0)])
def test_more_generators_take_more_memory_but_of_networks_in_turn_one_has_hidden_tensors(config, least):
    one, two = (generator_bytes(config.replace({"n_seeds": n}), (64, 64), 1, 3, "torch") for n in (1, 2))
    assert least * one < two < (least + 0.6) * one


@pytest.mark.parametrize(
    ("name", "device", "n_axes", "expected"),
    [
        ("auto", "cpu", 2, "numba"),
        ("auto", "cpu", 1, "numba"),
        ("auto", "cpu", 3, "torch"),
        ("numba", "cpu", 2, "numba"),
        ("torch", "cpu", 2, "torch"),
        ("auto", "cuda", 2, "torch"),
        ("torch", "cuda", 3, "torch"),
        ("auto", "mps", 2, "torch"),
    ],
)
def test_a_skip_network_has_fused_norms_on_the_cpu_except_in_volumes(name, device, n_axes, expected):
    assert resolve_generator_backend(SKIP.replace({"backend": name}), torch.device(device), n_axes) == expected


def test_backends_that_cannot_compute_a_skip_network_are_refused():
    for shape, z_axis in (((24, 26), "frames"), ((6, 8, 9), "volume")):
        with pytest.raises(ConfigError, match=r"'triton' does not compute a skip-network\. Choose 'auto'"):
            DenoiseTask(noisy(shape), SKIP.replace({"backend": "triton", "z_axis": z_axis}))
    with pytest.raises(ConfigError, match="'numba' does not compute a skip-network of a volume"):
        DenoiseTask(noisy((6, 8, 9)), SKIP.replace({"backend": "numba", "z_axis": "volume"}))
    with pytest.raises(DeviceError, match="'numba' runs on cpu, not on the device 'mps'"):
        resolve_generator_backend(SKIP.replace({"backend": "numba"}), torch.device("mps"), 2)


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_the_norms_of_a_skip_network_are_fused_where_numba_computes_it(backend):
    generator = build_generator(SKIP, (16, 18), 1, 2, [0], 5, backend)
    norms = [module for module in generator.modules() if isinstance(module, Norm)]
    assert norms
    assert {each.compute is channel_norm for each in norms} == {backend == "torch"}


def test_a_skip_network_takes_four_scales_or_as_many_as_fit():
    assert [resolve_scales(SKIP, size) for size in ((256, 256), (8, 8))] == [4, 2]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(24, 27), (40,), (6, 12, 10)])
def test_a_skip_network_denoises_any_number_of_axes_and_the_same_each_time(shape, precision):
    config = SKIP.replace({"precision": precision, "z_axis": "volume" if len(shape) == 3 else "frames", "n_threads": 1})
    one, other = (denoise(noisy(shape), config) for _ in range(2))
    assert np.array_equal(one.image, other.image)
    assert one.image.shape == shape
    assert one.backend == ("torch" if len(shape) == 3 else "numba")
    assert one.notes == ()


@pytest.mark.parametrize("rule", GROUPS["stopping"])
def test_every_rule_fits_by_its_name(rule):
    config = TINY.replace({"stopping.kind": rule, "n_steps": 12, "n_restarts": 0})
    config = config.replace({"stopping.min_patience": 2} if config.has("stopping.min_patience") else {})
    result = denoise(noisy(), config)
    assert result.frames[0].at(result.step).step == result.step
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("rule", ["sure", "discrepancy", "coupled", "linearized"])
def test_a_rule_that_needs_the_noise_is_refused_without_a_model_of_it(rule):
    with pytest.raises(ConfigError, match="noise"):
        denoise(noisy(), TINY.replace({"stopping.kind": rule, "noise.kind": "none"}))


def test_no_model_of_the_noise_is_made_where_none_is_wanted():
    layout = Layout.of((24, 26))
    assert build_noise(Measured.of(noisy(), layout), layout, TINY.replace({"noise.kind": "none"}).noise) is None
    assert build_noise(Measured.of(noisy(), layout), layout, TINY.replace({"noise.sigma": 0.3}).noise).sigma == (0.3,)


def test_a_device_that_is_not_there_is_still_refused():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(DeviceError):
        DenoiseTask(noisy(), SKIP.replace({"device": "cuda"}))


@pytest.mark.parametrize(("begins_with", "pace", "n_crops"), [("auto", 0.25, 1), ("chance", 1, 2)])
def test_a_network_that_has_learned_from_drawings_takes_smaller_steps_on_fewer_crops(begins_with, pace, n_crops):
    config = preset("default").replace({"generator.begins_with": begins_with, "precision": "float32"})
    generator = build_generator(config, (32, 34), 1, 2, [0], 0, "torch")
    optimizer = build_optimizer(config, generator)
    [weights, *_] = generator.parameters()
    before = weights.detach().clone()
    for parameter in generator.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert float((before - weights.detach()).mean()) == pytest.approx(pace * config.optimizer.learning_rate, rel=1e-3)
    assert generator.n_crops == n_crops


@pytest.mark.parametrize(("begins_with", "usual"), [("auto", 0.6), ("chance", 0.2)])
def test_where_no_pixels_are_left_out_the_share_of_a_network_is_its_usual_one(begins_with, usual):
    own = {"generator.begins_with": begins_with, "generator.n_lessons": 1, "n_steps": 2, "stopping.kind": "fixed"}
    config = preset("default").replace({**own, "noise.sigma": 0.1, "n_threads": 1, "device": "cpu", "n_seeds": 1})
    image = np.random.default_rng(0).random((32, 34), np.float32)
    images = [denoise(image, config.replace({"generator.network_share": share})).image for share in ("auto", usual)]
    np.testing.assert_allclose(*images, atol=1e-6)
    assert np.abs(images[0] - denoise(image, config.replace({"generator.network_share": 0.4})).image).max() > 1e-4


@pytest.mark.parametrize("kind", GROUPS["generator"])
def test_every_generator_fits_two_steps_by_its_name(kind):
    config = TINY.replace({"generator.kind": kind, "n_steps": 2})
    result = denoise(noisy(), config)
    assert len(result.frames[0].loss) == 2
    assert np.isfinite(result.image).all()
    assert np.ptp(result.image) > 0
    assert result.notes == ()


@pytest.mark.parametrize("kind", GROUPS["optimizer"])
def test_every_optimizer_moves_every_weight(kind):
    config = TINY.replace({"optimizer.kind": kind})
    generator = build_generator(config, (16, 16), 1, 2, [0], 0, "torch")
    before = [p.detach().clone() for p in generator.parameters()]
    optimizer = build_optimizer(config, generator)
    generator().square().sum().backward()
    optimizer.step()
    assert all((now != p).any() for now, p in zip(generator.parameters(), before, strict=True))


@pytest.mark.parametrize("kind", GROUPS["noise"])
def test_every_noise_is_modeled_by_its_name(kind):
    layout = Layout.of((24, 26))
    model = build_noise(Measured.of(noisy(), layout), layout, TINY.replace({"noise.kind": kind}).noise)
    if kind == "none":
        assert model is None
    else:
        assert model.kind == ("gaussian" if kind == "auto" else kind)


NO_IMAGES = {"fourier", "weighted-sums", "through-focus", "led-array"}
"""Operators that map an image to something else, which only reconstructions have."""


@pytest.mark.parametrize("kind", sorted(set(GROUPS["operator"]) - NO_IMAGES))
def test_every_operator_maps_an_image_to_a_measurement(kind):
    config = TINY.replace({"operator.kind": kind})
    config = config.replace({"operator.pixel_size": 0.1} if config.has("operator.pixel_size") else {})
    operator = build_operator(config, (1, 14, 15))
    assert operator.out_shape == (1, 14, 15)
    assert operator.apply(torch.ones(operator.in_shape)).shape == operator.out_shape


@pytest.mark.parametrize("kind", GROUPS["generator"])
def test_a_generator_and_its_memory_take_the_same_settings(kind):
    config = TINY.replace({"generator.kind": kind, "n_seeds": 1})
    n_scales = resolve_scales(config, (24, 26))
    generator = build_generator(config, (24, 26), 1, n_scales, [0], 0, "torch")
    n_weights = sum(p.numel() for p in generator.parameters())
    n_bytes = generator_bytes(config, (24, 26), 1, n_scales, "torch")
    assert n_bytes > 4 * 4 * n_weights
    assert next(iter(generator.layer_weights())) == "layer 1"
    assert {generator.parameter_group(name) for name, _ in generator.named_parameters()} >= {"convolutions"}


@pytest.mark.parametrize("convolution", ["fixed", "learned", "transposed"])
@pytest.mark.parametrize("size", [(40, 47), (12, 10, 9)])
def test_memory_of_a_convolutional_generator_is_a_little_more_than_what_autograd_keeps(convolution, size):
    config = Config().replace(
        {
            "generator.kind": "convolutional",
            "generator.convolution": convolution,
            "generator.n_channels": 24,
            "generator.n_layers": 2,
            "n_seeds": 2,
        }
    )
    kept, n_weights = kept_bytes(config, size)
    estimate = generator_bytes(config, size, 1, resolve_scales(config, size), "torch")
    assert kept + 3 * 4 * n_weights < estimate < 2 * kept + 4 * 4 * n_weights + 2 * 16 * 4 * math.prod(size)


@pytest.mark.parametrize("size", [(40, 47), (12, 10, 9)])
def test_memory_of_a_conv_decoder_is_a_little_more_than_what_autograd_keeps(size):
    config = Config().replace({"generator.kind": "conv-decoder", "generator.n_channels": 24, "n_seeds": 2})
    kept, n_weights = kept_bytes(config, size)
    estimate = generator_bytes(config, size, 1, 0, "torch")
    assert kept + 3 * 4 * n_weights < estimate < 2 * kept + 4 * 4 * n_weights + 2 * 16 * 4 * math.prod(size)


def test_memory_of_a_two_layer_generator_is_a_little_more_than_what_autograd_keeps():
    config = Config().replace({"generator.kind": "two-layer", "n_seeds": 2})
    kept, n_weights = kept_bytes(config, (40, 47))
    estimate = generator_bytes(config, (40, 47), 1, 0, "torch")
    assert kept + 3 * 4 * n_weights < estimate < 2 * kept + 4 * 4 * n_weights


def kept_bytes(config, size):
    """Bytes of all tensors that a backward pass needs, and the number of weights."""
    kept = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    generator = build_generator(config, size, 1, resolve_scales(config, size), [0, 1], 0, "torch")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        image = next(generator.draw())
    assert image.requires_grad
    return sum(kept.values()), sum(p.numel() for p in generator.parameters())


def test_a_two_layer_generator_refuses_what_it_cannot_make():
    config = TINY.replace({"generator.kind": "two-layer"})
    with pytest.raises(ConfigError, match=r"images of one channel, and this one has 3\. Choose"):
        denoise(noisy((24, 26, 3)), config.replace({"channels": "joint"}), axes="YXC")
    with pytest.raises(
        ConfigError, match=r"blur_width must be at most half .*expected 1 to 2 for 4 × 26 pixels, got 5\.0"
    ):
        denoise(noisy((4, 26)), config)
    assert denoise(noisy((4, 26)), config.replace({"generator.blur": "gaussian"})).image.shape == (4, 26)


def test_layers_that_halve_the_grid_too_often_are_refused():
    config = TINY.replace({"generator.kind": "convolutional", "generator.convolution": "transposed"})
    with pytest.raises(ConfigError, match=r"n_layers must leave more .*expected 1 to 4 for 24 × 26 pixels, got 9"):
        denoise(noisy(), config.replace({"generator.n_layers": 9}))


@pytest.mark.parametrize("kind", ["convolutional", "conv-decoder", "two-layer"])
def test_a_generator_without_other_means_is_computed_by_pytorch_in_float32(kind):
    config = TINY.replace({"generator.kind": kind})
    assert resolve_generator_backend(config, torch.device("cpu"), 2) == "torch"
    with pytest.raises(ConfigError, match=f"'numba' does not compute a {kind}"):
        denoise(noisy(), config.replace({"backend": "numba"}))
    with pytest.raises(ConfigError, match=f"A {kind} computed by 'torch' cannot have precision = 'bfloat16'"):
        denoise(noisy(), config.replace({"precision": "bfloat16"}))


PLACES = {
    "generator": {"config/generators.py", "config/presets.py", "run/setup/build.py"},
    "optimizer": {"config/optimizer.py", "run/setup/build.py"},
    "stopping": {"config/stopping.py", "run/setup/build.py", "core/stopping/auto.py"},
    "operator": {
        *("config/operators.py", "run/setup/build.py", "run/setup/point_spreads.py", "samples.py"),
        *("viewer/reconstruct/problems.py", "viewer/reconstruct/inputs.py"),
    },
}
"""Modules that may name a kind: its settings, the table of what builds it, ready configurations, the rule that lets others vote, what
computes a point spread function, and what shows one; a sample has a microscope's name. A study of a paper names what it studies."""


@pytest.fixture(scope="module")
def texts():
    """The text constants of each module, and the module's name."""
    root = Path(napari_convgen.__file__).parent
    trees = {path.relative_to(root).as_posix(): ast.parse(path.read_text("utf-8")) for path in root.rglob("*.py")}
    return {
        name: {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)} for name, tree in trees.items()
    }


@pytest.mark.parametrize("part", PLACES)
def test_a_kind_is_named_by_its_settings_and_its_entry_in_a_table_alone(part, texts):
    for kind in set(GROUPS[part]) - {"auto", "fixed", "none"}:  # words of other settings, too
        own = f"core/{'generators' if part == 'generator' else part}/{kind.replace('-', '_')}.py"
        naming = {name for name, constants in texts.items() if kind in constants and "/studies/" not in name}
        naming -= {"batch/cluster.py", "core/image/__init__.py"}  # a word of Dask's, and a module of images
        assert naming <= {*PLACES[part], own}
