import math

import pytest
import torch
import torch.nn.functional as F

from napari_convgen.core.generators import ConvDecoder
from napari_convgen.core.generators.conv_decoder import ladder


def generator(size=(24, 20), n_outputs=1, *, seeds=(0,), dtype=torch.float64, **options):
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    options = {"n_channels": 5, "n_layers": 4, "latent_size": 4} | options
    return ConvDecoder(size, n_outputs, rngs=rngs, dtype=dtype, **options)


@pytest.mark.parametrize(
    ("size", "n_layers", "latent_size", "expected"),
    [
        ((256, 256), 6, 16, [16, 28, 49, 85, 148, 256, 256]),
        ((640, 368), 8, 8, [8, 15, 28, 53, 98, 183, 343, 640, 640]),
        ((37, 41), 5, 16, [16, 20, 25, 31, 37, 37]),
        ((9, 300), 3, 16, [9, 9, 9, 9]),
    ],
)
def test_grids_grow_by_one_factor_and_end_on_the_image(size, n_layers, latent_size, expected):
    sizes = ladder(size, n_layers, latent_size)
    assert [grid[0] for grid in sizes] == expected
    assert sizes[-1] == sizes[-2] == size
    first = min(latent_size, size[1])
    ratio = (size[1] / first) ** (1 / (n_layers - 1))
    assert [grid[1] for grid in sizes[1:-2]] == [math.ceil(ratio**i * first) for i in range(1, n_layers - 1)]


@pytest.mark.parametrize(("k", "n_layers", "n_outputs"), [(64, 6, 3), (160, 8, 2)])
def test_parameters_are_counted_as_in_the_code_of_the_authors(k, n_layers, n_outputs):
    net = generator((16, 16), n_outputs, n_channels=k, n_layers=n_layers, dtype=torch.float32)
    upsampled = (n_layers - 1) * (9 * k * k + 2 * k)  # a convolution and a norm each
    last, output = 9 * k * k + 2 * k, n_outputs * k
    assert sum(p.numel() for p in net.parameters()) == upsampled + last + output


@pytest.mark.parametrize("output_map", ["sigmoid", "linear"])
@pytest.mark.parametrize(("size", "n_outputs"), [((23,), 2), ((13, 18), 3), ((5, 9, 7), 1)])
@torch.no_grad()
def test_the_image_is_that_of_layers_of_pytorch(size, n_outputs, output_map):
    net = generator(size, n_outputs, seeds=(0, 1), output_map=output_map)
    n_axes = len(size)
    convolve, normalize = getattr(torch.nn, f"Conv{n_axes}d"), getattr(torch.nn, f"BatchNorm{n_axes}d")
    for member, image in zip(net.members, net(), strict=True):
        x = member.latent
        for weights, grid in zip(member.convolutions, ladder(size, 4, 4)[1:], strict=True):
            places = [torch.arange(n) * x.shape[axis] // n for axis, n in enumerate(grid, 2)]
            for axis, place in enumerate(places, 2):
                x = x.index_select(axis, place)
            layer = convolve(5, 5, 3, padding=1, bias=False, dtype=torch.float64)
            layer.weight.copy_(weights)
            x = normalize(5, dtype=torch.float64)(F.relu(layer(x)))
        expected = torch.einsum("oi,i...->o...", member.output_convolution.flatten(1), x[0])
        torch.testing.assert_close(image, expected.sigmoid() if output_map == "sigmoid" else expected)
    assert net().shape == (2, n_outputs, *size)
    assert net.dead_fraction() < 1


def test_gradients_pass_a_finite_difference_check_also_forwards():
    net = generator((6, 5), n_channels=2, n_layers=3, latent_size=2)
    names, parameters = zip(*net.named_parameters(), strict=True)

    def image(*values):
        return torch.func.functional_call(net, dict(zip(names, values, strict=True)), ())

    assert torch.autograd.gradcheck(image, parameters, check_forward_ad=True)
