import numba
import numpy as np
import pytest
import torch

from napari_convgen.core.cpu import threads
from napari_convgen.core.generators import SkipNetwork
from napari_convgen.core.generators.fused import fuse_norms, norm, norm_kernels
from napari_convgen.core.generators.fused.norm import fused_norm
from napari_convgen.core.generators.layers import channel_norm

SIZES = [(29,), (12, 17), (5, 8, 7), (1, 1, 3), (70, 61)]


def batch(k, size, dtype=torch.float64, seed=0, mean=3.0):
    """A batch of one whose channels come last in memory."""
    draw = torch.randn(1, *size, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (2 * draw + mean).to(dtype).movedim(-1, 1)


def numbers(k, seed, dtype=torch.float64):
    return torch.randn(k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def with_gradients(function, x, scale, offset, leak):
    """Output and gradients with respect to input, scale and offset."""
    x, scale, offset = (each.detach().requires_grad_() for each in (x, scale, offset))
    y = function(x, scale, offset, leak)
    return y.detach(), *torch.autograd.grad(y, (x, scale, offset), batch(x.shape[1], x.shape[2:], y.dtype, 7, 0))


@pytest.mark.parametrize("leak", [0.2, 1.0])
@pytest.mark.parametrize("k", [1, 3, 300])
@pytest.mark.parametrize("size", SIZES)
def test_values_and_gradients_are_those_of_the_plain_norm(size, k, leak):
    arguments = batch(k, size), numbers(k, 1), numbers(k, 2), leak
    for one, other in zip(
        with_gradients(fused_norm, *arguments), with_gradients(channel_norm, *arguments), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_the_gradient_equals_finite_differences():
    arguments = (each.requires_grad_() for each in (batch(3, (4, 5)), numbers(3, 1), numbers(3, 2)))
    assert torch.autograd.gradcheck(lambda x, scale, offset: fused_norm(x, scale, offset, 0.2), tuple(arguments))


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float32, 1e-5), (torch.bfloat16, 2**-7)])
def test_lower_precision_costs_no_more_than_its_rounding(dtype, rtol):
    """Without a leak: near zero a rounded value can be on the other side of the ReLU."""
    x, scale, offset = batch(20, (40, 31), dtype), numbers(20, 1, torch.float32), numbers(20, 2, torch.float32)
    rounded = with_gradients(fused_norm, x, scale, offset, 1.0)
    exact = with_gradients(channel_norm, x.double(), scale.double(), offset.double(), 1.0)
    assert [each.dtype for each in rounded] == [dtype, dtype, torch.float32, torch.float32]
    for one, other in zip(rounded, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=rtol, atol=rtol * float(other.abs().max()))


def test_half_precision_is_rounded_to_the_nearest():
    x = batch(4, (50, 50), torch.bfloat16)
    scale, offset = numbers(4, 1, torch.float32), numbers(4, 2, torch.float32)
    exact = fused_norm(x.float(), scale, offset, 0.2)
    assert torch.equal(fused_norm(x, scale, offset, 0.2), exact.to(torch.bfloat16))


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1 + 2**-8, 1), (1 + 3 * 2**-8, 1 + 2**-6), (-1 - 2**-8, -1), (1 + 2**-8 + 2**-20, 1 + 2**-7), (3e38, 3e38)],
)
def test_halfway_between_two_the_even_one_is_taken(number, expected):
    @numba.njit
    def put(values, number):
        norm_kernels._store(values, 0, number)

    values = np.zeros(1, np.uint16)
    put(values, np.float32(number))
    stored = float(torch.from_numpy(values).view(torch.bfloat16))
    assert stored == pytest.approx(expected, rel=2**-9 if number > 2 else 0)


def test_a_mean_far_above_the_deviation_costs_no_digits():
    x = batch(5, (60, 60), torch.float32, mean=3e4)
    scale, offset = torch.ones(5), torch.zeros(5)
    exact = channel_norm(x.double(), scale.double(), offset.double(), 0.2)
    torch.testing.assert_close(fused_norm(x, scale, offset, 0.2).double(), exact, rtol=0, atol=5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_number_of_threads_gives_the_same_bits(monkeypatch, set_threads, dtype):
    monkeypatch.setattr(threads, "SMALL_PASS", 0)
    monkeypatch.setattr(norm, "N_TILE", 300)
    norm._Tiles.of.cache_clear()
    arguments = batch(6, (31, 23), dtype), numbers(6, 1, torch.float32), numbers(6, 2, torch.float32), 0.2
    results = []
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        results.append(with_gradients(fused_norm, *arguments))
    norm._Tiles.of.cache_clear()
    for one, *others in zip(*results, strict=True):
        assert one.isfinite().all()
        assert all(torch.equal(one, other) for other in others)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_finite_shows(dtype, bad):
    x = batch(3, (9, 8), dtype)
    x[0, 1, 4, 4] = bad
    y = fused_norm(x, torch.ones(3), torch.zeros(3), 0.2)
    assert y[0, 1].isnan().any()
    assert y[0, [0, 2]].isfinite().all()


def test_a_channel_without_variance_is_the_offset():
    y = fused_norm(torch.full((1, 2, 6, 5), 4.0), torch.ones(2), torch.tensor([0.5, -1.0]), 0.2)
    assert torch.equal(y, torch.tensor([0.5, -0.2]).view(1, 2, 1, 1).expand(1, 2, 6, 5))


def test_a_network_with_fused_norms_has_the_same_image_and_gradients():
    def network():
        rngs = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
        words = {"n_channels": 6, "n_fine_channels": 5, "n_skip_channels": 3, "n_latent_channels": 2, "n_scales": 2}
        return SkipNetwork((13, 18), 2, rngs=rngs, dtype=torch.float64, **words)

    plain, fused = network(), network()
    fuse_norms(fused)
    for generator in (plain, fused):
        (generator() - 0.3).square().sum().backward()
    assert torch.allclose(plain(), fused(), rtol=1e-9, atol=1e-12)
    assert plain.state_dict().keys() == fused.state_dict().keys()
    for one, other in zip(plain.parameters(), fused.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-9)
