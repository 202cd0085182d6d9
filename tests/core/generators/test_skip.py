import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, jvp, vjp

from napari_convgen.core.generators.skip import SkipNetwork, _as_image, memory_bytes

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}
PUBLISHED = {
    "n_channels": 128,
    "n_fine_channels": 128,
    "n_scales": 5,
    "n_skip_channels": 4,
    "n_latent_channels": 32,
}


def network(size=(12, 9), n_outputs=1, *, seeds=(0,), n_scales=2, dtype=torch.float64, **options):
    options = {"n_channels": 6, "n_fine_channels": 5, "n_skip_channels": 3, "n_latent_channels": 2} | options
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return SkipNetwork(size, n_outputs, rngs=rngs, n_scales=n_scales, dtype=dtype, **options)


def with_random_norms(generator):
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "norm" in name:
                parameter.copy_(torch.rand(parameter.shape, generator=rng, dtype=torch.float64) + 0.1)
    return generator


def mirrored(x, n):
    """Continued by NumPy's indices of a reflected axis."""
    for axis in range(2, x.ndim):
        x = x.index_select(axis, torch.from_numpy(np.pad(np.arange(x.shape[axis]), n, mode="reflect")))
    return x


def written_from_the_formula(member, output_map, padding="zeros"):
    """Channels first, one scale inside the other, mean and variance spelled out."""
    n_axes = member.latent.ndim - 1
    column = (1, -1, *(1,) * n_axes)

    def normalized(x, scale, offset):
        pixels = tuple(range(2, x.ndim))
        mean = x.mean(pixels, keepdim=True)
        variance = ((x - mean) ** 2).mean(pixels, keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * scale.reshape(column) + offset.reshape(column)

    def layer(x, p, stride=1):
        n_beyond = p.weights.shape[-1] // 2
        if padding == "reflection":
            x, n_beyond = mirrored(x, n_beyond), 0
        x = CONVOLUTIONS[n_axes](x, p.weights, stride=stride, padding=n_beyond)
        x = normalized(x, p.norm.scale, p.norm.offset)
        return torch.where(x > 0, x, 0.2 * x)

    def doubled(x, size):
        fine = [1 if n == 1 else 2 * m for n, m in zip(size, x.shape[2:], strict=True)]
        x = F.interpolate(x, fine, mode=INTERPOLATIONS[n_axes], align_corners=False)
        return x[(..., *(slice(n) for n in size))]

    def drawn(x, scales):
        if not scales:
            return x
        down, up = scales[0]
        below = drawn(layer(layer(x, down[0], 2), down[1]), scales[1:])
        joined = torch.cat((layer(x, up.skip), doubled(below, x.shape[2:])), 1)
        return layer(layer(normalized(joined, up.norm.scale, up.norm.offset), up.layers[0]), up.layers[1])

    scales = list(zip(member.hourglass.ways_down, member.hourglass.ways_up, strict=True))
    x = drawn(member.latent.movedim(-1, 0)[None], scales)[0]
    x = torch.einsum("k...,kc->c...", x, member.hourglass.output_weights) + member.hourglass.output_offset.reshape(
        column[1:]
    )
    return 1 / (1 + (-x).exp()) if output_map == "sigmoid" else 0.5 + 0.25 * x


@pytest.mark.parametrize("padding", ["zeros", "reflection"])
@pytest.mark.parametrize("output_map", ["sigmoid", "linear"])
@pytest.mark.parametrize(("size", "n_outputs", "n_scales"), [((29,), 2, 3), ((12, 17), 3, 2), ((5, 8, 7), 1, 1)])
def test_image_and_gradients_equal_the_formula(size, n_outputs, n_scales, output_map, padding):
    options = {"n_scales": n_scales, "output_map": output_map, "padding": padding}
    generator = with_random_norms(network(size, n_outputs, seeds=(0, 1), **options))
    generator.eval()
    image = generator()
    expected = torch.stack([written_from_the_formula(member, output_map, padding) for member in generator.members])
    assert image.shape == (2, n_outputs, *size)
    torch.testing.assert_close(image, expected, rtol=1e-10, atol=1e-12)

    weights = torch.rand(image.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parameters = list(generator.parameters())
    gradients, expected_gradients = (torch.autograd.grad((x * weights).sum(), parameters) for x in (image, expected))
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-7, atol=1e-9)


def test_parameter_count_is_that_of_the_published_network():
    generator = network((64, 64), 3, **PUBLISHED)
    offsets = sum(len(layer.weights) for layer in generator.modules() if hasattr(layer, "stride"))
    n_parameters = sum(p.numel() for p in generator.parameters())
    assert n_parameters == 2_215_251
    assert n_parameters + offsets == 2_217_831


@pytest.mark.parametrize("kernel", ["linear", "smooth"])
@pytest.mark.parametrize(
    ("size", "n_scales"), [((17, 31), 3), ((101,), 2), ((5, 11, 7), 2), ((1, 9), 1), ((3, 64), 4), ((13, 13), 1)]
)
@pytest.mark.parametrize("padding", ["zeros", "reflection"])
def test_any_size_is_drawn(size, n_scales, kernel, padding):
    image = network(size, 2, n_scales=n_scales, kernel=kernel, padding=padding)()
    assert image.shape == (1, 2, *size)
    assert ((image > 0) & (image < 1)).all()


@pytest.mark.parametrize("features_dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(29,), (12, 17), (5, 8, 7)])
def test_a_member_is_the_single_net_of_its_seed_at_each_step(size, features_dtype):
    options = {"n_outputs": 2, "dtype": torch.float32, "features_dtype": features_dtype, "dropout": 0.3}
    several = network(size, seeds=(3, 0, 3), **options)
    single = network(size, seeds=(3,), **options)
    for _ in range(3):
        images = several()
        assert torch.equal(images[0], images[2])
        assert torch.equal(images[0], single()[0])
        assert not torch.equal(images[0], images[1])


@pytest.mark.parametrize("options", [{"input_noise": 0.03}, {"input_noise": 0, "dropout": 0.3}])
def test_every_step_has_fresh_noise_unless_it_is_turned_off(options):
    generator = network(**options)
    assert not torch.equal(generator(), generator())
    generator.eval()
    assert torch.equal(generator(), generator())
    quiet = network(input_noise=0)
    assert torch.equal(quiet(), quiet())
    assert torch.equal(quiet(), generator())


def test_a_restored_fit_goes_on_bit_for_bit():
    def steps(generator, n):
        optimizer = torch.optim.SGD(generator.parameters(), 0.1)
        for _ in range(n):
            optimizer.zero_grad()
            (generator() - 0.3).square().mean().backward()
            optimizer.step()
        return generator()

    one = network(seeds=(0, 1), dropout=0.3)
    steps(one, 3)
    other = network(seeds=(5, 6), dropout=0.3)
    other.load_state_dict({name: value.clone() for name, value in one.state_dict().items()})
    assert torch.equal(steps(one, 3), steps(other, 3))


class OnMps(torch.Tensor):
    """Of the CPU, but says that it is elsewhere."""

    device = torch.device("mps")


@pytest.mark.parametrize(
    ("x", "is_copied"),
    [
        (torch.rand(6, 5, 3), False),
        (torch.rand(4, 6, 5, 3), True),
        (torch.rand(6, 5, 3).as_subclass(OnMps), True),
    ],
)
def test_planes_are_seen_with_channels_last_and_volumes_and_mps_with_channels_first(x, is_copied):
    image = _as_image(x)
    assert torch.equal(image.as_subclass(torch.Tensor), x.as_subclass(torch.Tensor).movedim(-1, 0)[None])
    # PyTorch goes by the stride of the batch, though there is but one image in it.
    assert image.stride(0) == (x.shape[-1] if is_copied else x.numel())


def test_the_start_does_not_depend_on_the_dtype():
    single, double = (network(dtype=dtype).state_dict() for dtype in (torch.float32, torch.float64))
    assert all(torch.equal(single[name], double[name].to(single[name].dtype)) for name in single)


def test_neither_the_start_nor_a_step_reads_or_moves_the_global_random_state():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    image = network()()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(network()(), image)


def test_features_in_bfloat16_draw_nearly_the_same():
    exact, rounded = (network((48, 40), dtype=torch.float32, features_dtype=d) for d in (None, torch.bfloat16))
    images = exact(), rounded()
    assert images[1].dtype == torch.float32
    torch.testing.assert_close(*images, rtol=0, atol=0.03)
    images[1].mean().backward()
    assert all(p.grad.dtype == torch.float32 for p in rounded.parameters())


# PyTorch compiles its forward derivative of batch norm by means that it has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_derivatives_of_both_modes_agree():
    generator = with_random_norms(network(input_noise=0))
    parameters = {name: p.detach() for name, p in generator.named_parameters()}
    rng = torch.Generator().manual_seed(3)
    tangents = {name: torch.randn(p.shape, generator=rng, dtype=p.dtype) for name, p in parameters.items()}

    def image(parameters):
        return functional_call(generator, parameters)

    value, tangent = jvp(image, (parameters,), (tangents,))
    _, pull_back = vjp(image, parameters)
    cotangent = torch.randn(value.shape, generator=rng, dtype=value.dtype)
    gradient = pull_back(cotangent)[0]
    products = sum((gradient[name] * tangents[name]).sum() for name in parameters)
    torch.testing.assert_close((tangent * cotangent).sum(), products)
    nudged = image({name: p + 1e-6 * tangents[name] for name, p in parameters.items()})
    torch.testing.assert_close((nudged - value) / 1e-6, tangent, rtol=1e-3, atol=1e-4)


def test_dead_fraction_is_the_share_of_constant_channels_in_the_worst_layer():
    generator = network((24, 24), seeds=(0, 1), n_channels=8, n_fine_channels=8)
    assert generator.dead_fraction() == 0
    with torch.no_grad():
        generator.members[1].hourglass.ways_up[0].layers[1].weights[:3] = 0
        generator.members[0].hourglass.ways_down[1][1].weights[:2] = 0
    assert generator.dead_fraction() == 3 / 8


def test_dead_fraction_leaves_nothing_behind():
    generator, twin = network(), network()
    generator.dead_fraction()
    assert generator.training
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in generator.parameters())
    assert torch.equal(generator(), twin())


@pytest.mark.parametrize(
    ("features_dtype", "dropout", "padding"),
    [
        (torch.float32, 0.0, "zeros"),
        (torch.float32, 0.0, "reflection"),
        (torch.bfloat16, 0.0, "zeros"),
        (torch.bfloat16, 0.3, "zeros"),
        (torch.bfloat16, 0.3, "reflection"),
    ],
)
@pytest.mark.parametrize(("size", "n_scales"), [((67, 80), 3), ((20, 24, 16), 2)])
def test_memory_is_a_little_more_than_what_autograd_keeps(size, n_scales, features_dtype, dropout, padding):
    options = {"n_channels": 16, "n_fine_channels": 12, "n_skip_channels": 4}
    kept = {}

    def keep(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    generator = network(
        size,
        seeds=(0, 1),
        n_scales=n_scales,
        dtype=torch.float32,
        features_dtype=features_dtype,
        dropout=dropout,
        padding=padding,
        n_latent_channels=8,
        **options,
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        image = next(generator.draw())
    itemsize = torch.empty((), dtype=features_dtype).itemsize
    estimate = memory_bytes(
        size,
        1,
        n_members=2,
        n_scales=n_scales,
        n_latent_channels=8,
        itemsize=itemsize,
        dropout=dropout,
        padding=padding,
        **options,
    )
    own = sum(kept.values())  # of one member: the next is drawn when this one's are gone
    assert image.requires_grad
    # Besides: the latent, images, the optimizer's copies of the weights, and the gradients that are alive at once.
    n_weights = sum(p.numel() for p in generator.parameters())
    images = 2 * (8 + 16) * 4 * math.prod(size)
    gradients = itemsize * 3 * 20 * math.prod(size)
    assert estimate == pytest.approx(own + images + gradients + 3 * 4 * n_weights, rel=0.1)
