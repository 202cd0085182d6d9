import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_convgen.core.generators import ConvolutionalGenerator
from napari_convgen.core.generators.convolutional import Smoothing

KINDS = ("fixed", "learned", "transposed")
CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def generator(
    size=(12, 9), n_outputs=1, *, convolution="fixed", seeds=(0,), n_layers=2, dtype=torch.float64, **options
):
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    options = {"n_channels": 4} | options
    return ConvolutionalGenerator(
        size, n_outputs, convolution=convolution, n_layers=n_layers, rngs=rngs, dtype=dtype, **options
    )


def with_random_norms(net):
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "norm" in name:
                parameter.copy_(torch.rand(parameter.shape, generator=rng, dtype=torch.float64) + 0.1)
    return net


def padded(x, before, after):
    """Edges reflected by NumPy."""
    return torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), *[(before, after)] * (x.ndim - 2)], mode="reflect"))


def kernel_of_upsampling(n_axes):
    kernel = torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 4
    for _ in range(n_axes - 1):
        kernel = kernel[..., None] * torch.tensor([1.0, 3, 3, 1], dtype=torch.float64) / 4
    return kernel


def transposed(x, weights, size):
    """Each sample hands the kernel on to its surroundings: twice as many, the outermost of them cut."""
    n_axes = len(size)
    out = torch.zeros(1, weights.shape[1], *(2 * n + 2 for n in x.shape[2:]), dtype=x.dtype)
    for place in np.ndindex(*x.shape[2:]):
        window = (0, slice(None), *(slice(2 * i, 2 * i + 4) for i in place))
        out[window] += torch.einsum("i,io...->o...", x[(0, slice(None), *place)], weights)
    return out[(..., *(slice(1, 1 + n) for n in size[:n_axes]))]


def written_from_the_formula(member, convolution):
    n_axes = len(member.sizes[0])
    x = member.latent
    for weights, norm, size in zip(member.convolutions, member.norms, member.sizes[1:], strict=True):
        if convolution == "fixed":
            k = x.shape[1]
            each = kernel_of_upsampling(n_axes).expand(k, 1, *(4,) * n_axes)
            x = CONVOLUTIONS[n_axes](padded(x, 2, 1), each, groups=k)
            x = torch.einsum("oi,ni...->no...", weights.flatten(1), x)
        elif convolution == "learned":
            x = CONVOLUTIONS[n_axes](padded(x, 1, 1), weights)
        else:
            x = transposed(x, weights, size)
        x = x.clamp_min(0)
        pixels = tuple(range(2, x.ndim))
        mean, variance = x.mean(pixels, keepdim=True), x.var(pixels, correction=0, keepdim=True)
        column = (1, -1, *(1,) * n_axes)
        x = (x - mean) / (variance + 1e-5).sqrt() * norm.scale.reshape(column) + norm.offset.reshape(column)
    return 1 / (1 + (-torch.einsum("oi,ni...->no...", member.output_convolution.flatten(1), x)[0]).exp())


@pytest.mark.parametrize("convolution", KINDS)
@pytest.mark.parametrize(("size", "n_outputs"), [((21,), 2), ((12, 17), 3), ((5, 8, 7), 1)])
@torch.no_grad()
def test_the_image_equals_the_formula(size, n_outputs, convolution):
    net = with_random_norms(generator(size, n_outputs, convolution=convolution, seeds=(0, 1)))
    expected = torch.stack([written_from_the_formula(member, convolution) for member in net.members])
    image = net()
    assert image.shape == (2, n_outputs, *size)
    torch.testing.assert_close(image, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("convolution", KINDS)
def test_gradients_pass_a_finite_difference_check(convolution):
    net = with_random_norms(generator((6, 5), convolution=convolution, n_channels=2))
    names, parameters = zip(*net.named_parameters(), strict=True)

    def image(*values):
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), ())

    assert torch.autograd.gradcheck(image, parameters)


@pytest.mark.parametrize(
    ("convolution", "n_layers", "n_channels", "n_parameters", "per_pixel"),
    [
        ("fixed", 4, 128, 66_688, 1.02),
        ("fixed", 4, 256, 264_448, 4.04),
        ("fixed", 4, 512, 1_053_184, 16.1),
        ("learned", 5, 42, 79_842, 1.22),
        ("learned", 5, 85, 326_060, 4.98),
        ("learned", 5, 170, 1_302_370, 19.9),
        ("transposed", 3, 42, 84_966, 1.30),
        ("transposed", 3, 85, 347_395, 5.30),
        ("transposed", 3, 170, 1_388_390, 21.2),
    ],
)
def test_parameter_counts_are_those_of_the_paper(convolution, n_layers, n_channels, n_parameters, per_pixel):
    net = generator(
        (32, 32), convolution=convolution, n_layers=n_layers, n_channels=n_channels, dtype=torch.float32
    )  # no count depends on the size
    assert sum(p.numel() for p in net.parameters()) == n_parameters
    assert n_parameters / 256**2 == pytest.approx(per_pixel, rel=0.005)


def test_the_fixed_kernel_has_a_gain_of_four_in_the_plane():
    x = torch.full((1, 2, 5, 7), 0.5, dtype=torch.float64)
    smoothed = Smoothing(3, 7, x.dtype)(Smoothing(2, 5, x.dtype)(x))
    torch.testing.assert_close(smoothed, 4 * x)


def test_transposed_convolutions_start_on_a_grid_halved_once_a_layer():
    net = generator((64, 40), convolution="transposed", n_layers=3)
    assert net.members[0].latent.shape == (1, 4, 8, 5)
    assert all(generator((64, 40), convolution=c).members[0].latent.shape == (1, 4, 64, 40) for c in KINDS[:2])


@pytest.mark.parametrize("convolution", KINDS)
def test_a_member_is_the_net_of_its_seed_alone(convolution):
    options = {"convolution": convolution, "norm_init": "uniform"}
    several = generator(seeds=(3, 0, 3), **options)
    images = several()
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])
    assert torch.equal(images[0], generator(seeds=(3,), **options)()[0])


def test_the_start_has_the_ranges_of_the_authors_code():
    net = generator((32, 32), convolution="learned", n_channels=16, norm_init="uniform").members[0]
    assert 0 <= net.latent.min() < 0.01 < 0.09 < net.latent.max() <= 0.1
    for weights in net.convolutions:
        assert 0.9 < weights.abs().max() * (9 * 16) ** 0.5 <= 1
    for norm in net.norms:
        assert 0 <= norm.scale.min() < 0.5 < norm.scale.max() <= 1
        assert (norm.offset == 0).all()


@pytest.mark.parametrize("convolution", KINDS)
def test_dead_fraction_is_the_share_of_constant_channels_in_the_worst_layer(convolution):
    net = generator((16, 16), seeds=(0, 1), convolution=convolution, n_channels=8)
    with torch.no_grad():
        for member in net.members:
            for weights in member.convolutions:
                weights.abs_()
        assert net.dead_fraction() == 0
        outputs = 1 if convolution == "transposed" else 0
        net.members[1].convolutions[1].select(outputs, 0).zero_()
        net.members[1].convolutions[1].select(outputs, 5).zero_()
    assert net.dead_fraction() == 2 / 8
    assert all(p.grad is None for p in net.parameters())
