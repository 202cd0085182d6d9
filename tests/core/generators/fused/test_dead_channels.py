"""Dead channels and divergence show in a fused decoder as in the plain one."""

import math

import pytest
import torch

from napari_convgen.core.generators.fused import fuse

ORDERS, KERNELS = ("relu-norm", "norm-relu"), ("linear", "smooth")


@pytest.mark.parametrize("order", ORDERS)
def test_dead_fraction_is_that_of_the_plain_decoder(decoder, order):
    plain = decoder((48, 40), n_channels=8, order=order)
    with torch.no_grad():
        for weights, offset in zip(plain.convolutions, plain.norm_offsets, strict=True):
            weights.abs_()
            offset.fill_(0.3)
    fused = fuse(plain, "numba")
    assert fused.dead_fraction() == plain.dead_fraction() == 0
    with torch.no_grad():
        if order == "relu-norm":
            plain.convolutions[0][0, :, :2] *= -1  # The latent is positive: z is negative throughout.
        else:
            plain.norm_offsets[0][0, :2] = -100
    assert fused.dead_fraction() == plain.dead_fraction() == 2 / 8
    with torch.no_grad():
        plain.convolutions[1][1, :, 3:6] = 0
    assert fused.dead_fraction() == plain.dead_fraction() == 3 / 8
    with torch.no_grad():
        plain.convolutions[0][0] = 0
    assert fused.dead_fraction() == plain.dead_fraction() == 1


@pytest.mark.parametrize("order", ORDERS)
def test_no_channel_counts_as_dead_that_lives(decoder, order):
    shares = []
    for seed in range(20):
        plain = decoder(seeds=[seed], order=order)
        with torch.no_grad():
            for offset in plain.norm_offsets:
                offset -= 1.5
        shares.append((fuse(plain, "numba").dead_fraction(), plain.dead_fraction()))
    assert all(fused <= plain for fused, plain in shares)


def test_dead_fraction_leaves_no_gradient_behind(decoder):
    fused = fuse(decoder(), "numba")
    assert 0 <= fused.dead_fraction() <= 1
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in fused.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
def test_a_decoder_that_diverges_shows_it(decoder, order, layer, value):
    plain = decoder(order=order)
    with torch.no_grad():
        plain.convolutions[layer].fill_(value)
    fused = fuse(plain, "numba")
    loss = (fused() - 0.5).square().mean()
    assert loss.isnan()
    loss.backward()
    assert plain.output_convolution.grad.isnan().all()  # It shows from the next step on, too.
