import inspect

import pytest
import torch
import torch.nn.functional as F

from napari_convgen.config import preset
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.deep_decoder import channel_norm

CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
OPTIONS = set(inspect.signature(DeepDecoder).parameters) - {"size", "n_outputs", "rngs", "spacing", "dtype"}
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}


def decoder(size=(12, 9), n_outputs=1, *, seeds=(0,), n_channels=6, n_scales=2, dtype=torch.float64, **options):
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return DeepDecoder(size, n_outputs, n_channels=n_channels, n_scales=n_scales, rngs=rngs, dtype=dtype, **options)


def with_random_norms(generator, seeds=(0,)):
    with torch.no_grad():
        for i, seed in enumerate(seeds):
            rng = torch.Generator().manual_seed(seed + 1)
            for parameter in [*generator.norm_scales, *generator.norm_offsets]:
                parameter[i] = torch.rand(parameter[i].shape, generator=rng, dtype=torch.float64) + 0.1
    return generator


def written_from_the_formula(generator, member, size, n_scales, order, extra_layer, output_map):
    """Channels first, each convolution after its upsampling, mean and variance spelled out; volumes with margins."""
    margin = 2**n_scales // 2 if len(size) == 3 else 0
    sizes = [tuple(n + 2 * margin for n in size)]
    for _ in range(n_scales):
        sizes.insert(0, tuple(-(-n // 2) for n in sizes[0]))
    convolve, mode = CONVOLUTIONS[len(size)], INTERPOLATIONS[len(size)]

    def convolved(x, weights):
        return convolve(x, weights.T.reshape(*weights.T.shape, *(1,) * len(size)))

    def normalized(x, scale, offset):
        pixels = tuple(range(2, x.ndim))
        mean = x.mean(pixels, keepdim=True)
        variance = ((x - mean) ** 2).mean(pixels, keepdim=True)
        column = (1, -1, *(1,) * len(size))
        return (x - mean) / (variance + 1e-5).sqrt() * scale.reshape(column) + offset.reshape(column)

    x = generator.latent[member].movedim(-1, 0)[None]
    layers = zip(generator.convolutions, generator.norm_scales, generator.norm_offsets, strict=True)
    for i, layer in enumerate(layers):
        weights, scale, offset = (parameter[member] for parameter in layer)
        doubling = i if extra_layer == "first" else i + 1
        if 1 <= doubling <= n_scales:
            doubled = [1 if n == 1 else 2 * m for n, m in zip(sizes[doubling], x.shape[2:], strict=True)]
            x = F.interpolate(x, doubled, mode=mode, align_corners=False)
            x = x[(..., *(slice(n) for n in sizes[doubling]))]
        x = convolved(x, weights)
        x = normalized(x.relu(), scale, offset) if order == "relu-norm" else normalized(x, scale, offset).relu()
    x = convolved(x, generator.output_convolution[member])[(0, slice(None), *(slice(margin, margin + n) for n in size))]
    return 1 / (1 + (-x).exp()) if output_map == "sigmoid" else 0.5 + 0.25 * x


@pytest.mark.parametrize("output_map", ["sigmoid", "linear"])
@pytest.mark.parametrize("extra_layer", ["none", "first", "last"])
@pytest.mark.parametrize("order", ["relu-norm", "norm-relu"])
@pytest.mark.parametrize(("size", "n_outputs", "n_scales"), [((29,), 2, 3), ((12, 17), 3, 2), ((5, 8, 7), 1, 2)])
def test_image_and_gradients_equal_the_formula(size, n_outputs, n_scales, order, extra_layer, output_map):
    generator = with_random_norms(
        decoder(
            size,
            n_outputs,
            seeds=(0, 1),
            n_scales=n_scales,
            order=order,
            extra_layer=extra_layer,
            output_map=output_map,
        ),
        seeds=(0, 1),
    )
    assert len(generator.convolutions) == n_scales + (extra_layer != "none")
    image = generator()
    expected = torch.stack(
        [
            written_from_the_formula(generator, member, size, n_scales, order, extra_layer, output_map)
            for member in range(2)
        ]
    )
    torch.testing.assert_close(image, expected, rtol=1e-10, atol=1e-12)

    weights = torch.rand(image.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parameters = list(generator.parameters())
    gradients, expected_gradients = (torch.autograd.grad((x * weights).sum(), parameters) for x in (image, expected))
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("preset_name", "changes", "size", "n_outputs", "n_parameters"),
    [
        ("paper", {}, (512, 512), 3, 1_580_544),
        ("paper-narrow", {}, (512, 512), 3, 100_224),
        ("paper", {"generator.n_channels": 256, "generator.n_scales": 4}, (256, 256), 1, 330_496),
    ],
)
def test_parameter_counts_are_those_of_the_paper(preset_name, changes, size, n_outputs, n_parameters):
    words = preset(preset_name).replace(changes).generator.model_dump()
    generator = DeepDecoder(size, n_outputs, rngs=[torch.Generator()], **{name: words[name] for name in OPTIONS})
    assert sum(p.numel() for p in generator.parameters()) == n_parameters


@pytest.mark.parametrize("extra_layer", ["first", "last"])
def test_the_extra_layer_adds_one_convolution_and_one_norm(extra_layer):
    n = [sum(p.numel() for p in decoder(extra_layer=extra).parameters()) for extra in ("none", extra_layer)]
    assert n[1] - n[0] == 6 * 6 + 2 * 6


def test_options_of_the_configuration_are_those_of_the_generator():
    assert set(preset("deep-decoder").generator.model_dump()) >= OPTIONS


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_start():
    one, same, other = (decoder(seeds=[seed]).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    drawn = [name for name in one if "norm" not in name]
    assert drawn
    assert all(not torch.equal(one[name], other[name]) for name in drawn)


def test_the_start_does_not_depend_on_the_dtype():
    single, double = (decoder(dtype=dtype).state_dict() for dtype in (torch.float32, torch.float64))
    assert all(torch.equal(single[name], double[name].float()) for name in single)


def test_the_start_neither_reads_nor_moves_the_global_random_state():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = decoder().latent
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(decoder().latent, one)


def test_the_start_has_the_ranges_of_the_authors_code():
    generator = decoder(n_channels=16, norm_init="uniform")
    assert generator.latent.min() >= 0
    assert 0.09 < generator.latent.max() <= 0.1
    for weights in [*generator.convolutions, generator.output_convolution]:
        assert 0.2 < weights.abs().max() <= 16**-0.5
    for scale in generator.norm_scales:
        assert 0 <= scale.min() < 0.5 < scale.max() <= 1
    assert all((scale == 1).all() for scale in decoder(norm_init="ones").norm_scales)
    assert all((offset == 0).all() for offset in generator.norm_offsets)


def test_the_latent_is_no_parameter_but_moves_with_the_module():
    generator = decoder()
    assert "latent" not in dict(generator.named_parameters())
    assert "latent" in generator.state_dict()
    assert not generator.latent.requires_grad


@pytest.mark.parametrize("kernel", ["linear", "smooth"])
@pytest.mark.parametrize(
    ("size", "n_scales", "grid"),
    [
        ((17, 31), 3, (3, 4)),
        ((101,), 2, (26,)),
        ((5, 11, 7), 2, (3, 4, 3)),
        ((1, 9), 1, (1, 5)),
        ((4, 4), 1, (2, 2)),
        ((3, 64), 4, (2, 4)),
    ],
)
def test_any_size_is_drawn_from_its_half_rounded_up(size, n_scales, grid, kernel):
    generator = decoder(size, 2, n_scales=n_scales, kernel=kernel)
    assert generator.latent.shape == (1, *grid, 6)
    image = generator()
    assert image.shape == (1, 2, *size)
    assert ((image > 0) & (image < 1)).all()


def test_the_linear_output_map_is_the_tangent_of_the_sigmoid():
    bounded, linear = (decoder(output_map=output_map)() for output_map in ("sigmoid", "linear"))
    torch.testing.assert_close(linear, 0.5 + torch.logit(bounded) / 4)


def test_channel_norm_gives_each_channel_its_scale_and_offset():
    rng = torch.Generator().manual_seed(0)
    x = 3 + 5 * torch.randn(20, 30, 4, generator=rng, dtype=torch.float64)
    scale, offset = torch.tensor([[1, 2, 0, -3], [0, 1, 5, -2]], dtype=torch.float64)
    normed = channel_norm(x, scale, offset).flatten(0, 1)
    torch.testing.assert_close(normed.mean(0), offset)
    torch.testing.assert_close(normed.std(0, correction=0), scale.abs(), rtol=1e-5, atol=1e-12)


def test_channel_norm_of_a_constant_channel_is_its_offset():
    normed = channel_norm(torch.full((8, 8, 1), 0.3), torch.ones(1), torch.full((1,), 0.25))
    torch.testing.assert_close(normed, torch.full((8, 8, 1), 0.25), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("offset", [0, 0.1, -1 / 3])
def test_dead_fraction_is_the_share_of_constant_channels_in_the_worst_layer(offset, dtype):
    generator = decoder((48, 48), n_channels=8, dtype=dtype)
    with torch.no_grad():
        for weights in generator.convolutions:
            weights.abs_()
    assert generator.dead_fraction() == 0
    with torch.no_grad():
        generator.convolutions[0][..., 0] = 0
        generator.convolutions[1][..., :3] = 0
        generator.norm_offsets[1].fill_(offset)
    assert generator.dead_fraction() == 3 / 8


def test_dead_fraction_leaves_no_gradient_behind():
    generator = decoder()
    assert 0 <= generator.dead_fraction() <= 1
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in generator.parameters())


def image_gradients_and_state(generator):
    """With the same gradient of every member's image."""
    image = generator()
    g = torch.rand(image.shape[1:], generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(image.dtype)
    gradients = torch.autograd.grad((image * g).sum(), list(generator.parameters()))
    return [image.detach(), *gradients, *generator.state_dict().values()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n_channels", "options"),
    [
        (6, {"norm_init": "uniform"}),
        (33, {"order": "norm-relu", "kernel": "smooth"}),
        (16, {"output_map": "linear", "extra_layer": "last"}),
    ],
)
@pytest.mark.parametrize("size", [(101,), (23, 31), (5, 11, 7)])
def test_a_member_has_the_bits_of_the_net_of_its_seed_alone(size, n_channels, options, dtype):
    seeds = (3, 0, 7, 0)
    options = {"n_channels": n_channels, "dtype": dtype} | options
    together = image_gradients_and_state(with_random_norms(decoder(size, 2, seeds=seeds, **options), seeds))
    for i, seed in enumerate(seeds):
        alone = image_gradients_and_state(with_random_norms(decoder(size, 2, seeds=[seed], **options), [seed]))
        assert all(torch.equal(x[i], y[0]) for x, y in zip(together, alone, strict=True))


def test_the_dead_fraction_of_several_members_is_that_of_the_worst():
    generator = decoder((48, 48), seeds=(0, 1, 2), n_channels=8)
    with torch.no_grad():
        for weights in generator.convolutions:
            weights.abs_()
        generator.convolutions[0][0, :, 0] = 0
        generator.convolutions[1][1, :, :3] = 0
    assert generator.dead_fraction() == 3 / 8


# torch warns of itself the first time that it differentiates in forward mode.
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")
def test_forward_and_reverse_mode_derivatives_of_the_image_agree():
    generator = decoder(n_outputs=2, seeds=(0, 1), order="norm-relu", kernel="smooth")
    parameters = {name: p.detach() for name, p in generator.named_parameters()}
    rng = torch.Generator().manual_seed(1)
    tangents = {name: torch.randn(p.shape, generator=rng, dtype=p.dtype) for name, p in parameters.items()}

    def image(parameters):
        return torch.func.functional_call(generator, parameters, ())

    value, forward = torch.func.jvp(image, (parameters,), (tangents,))
    same, pull_back = torch.func.vjp(image, parameters)
    assert torch.equal(value, same)
    g = torch.randn(value.shape, generator=rng, dtype=value.dtype)
    (reverse,) = pull_back(g)
    by_parameter = sum((reverse[name] * tangents[name]).sum() for name in parameters)
    torch.testing.assert_close((forward * g).sum(), by_parameter)
