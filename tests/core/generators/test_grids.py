import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.convolutional import ConvolutionalGenerator
from napari_convgen.core.generators.deep_decoder import margins
from napari_convgen.core.generators.grids import grid_sizes, most_scales
from napari_convgen.core.generators.guided import GuidedNetwork
from napari_convgen.core.generators.skip import SkipNetwork
from napari_convgen.core.generators.taught import TaughtNetwork


def test_grids_that_are_wide_enough_are_halved_along_all_axes_rounded_up():
    assert grid_sizes((256, 256), 4) == [(16, 16), (32, 32), (64, 64), (128, 128), (256, 256)]
    assert grid_sizes((37, 61), 3, (0.1, 0.1)) == [(5, 8), (10, 16), (19, 31), (37, 61)]
    assert grid_sizes((5, 1), 0) == [(5, 1)]


def test_a_thin_axis_keeps_its_last_two_pixels_while_others_are_halved():
    assert grid_sizes((5, 96, 96), 3) == [(2, 12, 12), (2, 24, 24), (3, 48, 48), (5, 96, 96)]
    assert grid_sizes((8, 2000), 5)[0] == (2, 63)
    assert grid_sizes((1, 20), 2) == [(1, 5), (1, 10), (1, 20)]


def test_an_axis_whose_pixels_are_far_apart_is_halved_when_the_others_have_caught_up():
    assert grid_sizes((16, 64, 64), 3, (3, 1, 1)) == [(4, 8, 8), (8, 16, 16), (16, 32, 32), (16, 64, 64)]
    assert grid_sizes((16, 64, 64), 3, (1.9, 1, 1)) == grid_sizes((16, 64, 64), 3)
    assert grid_sizes((64, 4, 4), 3, (9, 1, 1)) == [(16, 2, 2), (32, 2, 2), (64, 2, 2), (64, 4, 4)]


@given(
    size=st.lists(st.integers(1, 3000), min_size=1, max_size=3),
    spacing=st.lists(st.floats(1e-3, 1e3), min_size=3, max_size=3),
    is_known=st.booleans(),
)
def test_no_axis_becomes_flat_and_each_grid_is_coarser_than_the_next(size, spacing, is_known):
    apart = spacing[: len(size)] if is_known else None
    n = most_scales(size, apart)
    sizes = grid_sizes(size, n, apart)
    assert all(coarse > 1 or fine == 1 for coarse, fine in zip(sizes[0], size, strict=True))
    assert n == 1 or len(set(sizes)) == n + 1
    assert grid_sizes(size, n + 1, apart)[0] == sizes[0]
    if apart is None:
        assert n == max(1, math.ceil(math.log2(max(size))) - 1)


@pytest.mark.parametrize("size", [(5, 24, 24), (3, 40)])
@pytest.mark.parametrize("spacing", [None, (3.0, 1.0, 1.0)])
@pytest.mark.parametrize("network", [DeepDecoder, SkipNetwork, GuidedNetwork, TaughtNetwork, ConvolutionalGenerator])
def test_images_vary_along_each_axis(network, size, spacing):
    own = {
        DeepDecoder: {"n_channels": 6, "n_scales": 3},
        ConvolutionalGenerator: {"n_channels": 6, "n_layers": 3, "convolution": "transposed"},
    }
    rngs = [torch.Generator().manual_seed(3)]
    spacing = spacing and spacing[-len(size) :]
    generator = network(size, 2, rngs=rngs, spacing=spacing, **own.get(network, {"n_channels": 6, "n_scales": 3}))
    if network in (GuidedNetwork, TaughtNetwork):
        measured = torch.rand((1, 2, *size), generator=rngs[0])
        generator.prepare(measured, torch.ones_like(measured), torch.full((2,), 0.1), None)
        generator.guide(measured)
    image = generator.eval()().detach()
    assert image.shape == (1, 2, *size)
    for axis in range(2, image.ndim):
        assert float(image.std(axis).mean()) > 1e-3


@pytest.mark.parametrize(
    ("size", "n_scales", "spacing", "expected"),
    [
        ((64, 64), 3, None, (0, 0)),
        ((8, 2000), 3, None, (0, 0)),
        ((16, 64, 64), 3, None, (4, 0, 0)),
        ((5, 96, 96), 3, None, (2, 0, 0)),
        ((16, 64, 64), 3, (8, 1, 1), (0, 0, 0)),
        ((1, 20, 33), 2, None, (0, 2, 0)),
    ],
)
def test_a_decoder_draws_beyond_the_ends_of_thin_axes_of_volumes_that_are_halved(size, n_scales, spacing, expected):
    assert margins(size, n_scales, spacing) == expected
    rngs = [torch.Generator().manual_seed(0)]
    generator = DeepDecoder(size, 1, n_channels=2, n_scales=n_scales, rngs=rngs, spacing=spacing)
    assert generator.sizes[-1] == tuple(n + 2 * m for n, m in zip(size, expected, strict=True))
    assert generator().shape == (1, 1, *size)
