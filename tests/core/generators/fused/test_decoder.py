import itertools
import math
from dataclasses import dataclass

import pytest
import torch

from napari_convgen.core.generators.fused import FusedDecoder, cpu, fuse


def assert_near(actual, expected, tolerance, case=None):
    """Compare with the largest value of each; a gradient may be nothing but rounding around 0."""
    for one, other in zip(actual, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), case
        atol = tolerance * max(1e-3, float(other.abs().max()))
        torch.testing.assert_close(one, other, rtol=0, atol=atol, msg=lambda text: f"{case}: {text}")


@dataclass
class Case:
    size: tuple
    n_scales: int
    options: dict

    @property
    def settings(self):
        return {"size": self.size, "n_scales": self.n_scales, **self.options}

    def __str__(self):
        return "-".join(["x".join(map(str, self.size)), *map(str, self.options.values())])


ORDERS, KERNELS = ("relu-norm", "norm-relu"), ("linear", "smooth")


SIZES = [
    ((64,), 3),
    ((101,), 2),
    ((2,), 1),
    ((16, 24), 3),
    ((17, 31), 3),
    ((9, 14), 1),
    ((1, 13), 2),
    ((13, 1), 2),
    ((2, 3), 1),
    ((83, 71), 2),
    ((8, 12, 4), 2),
    ((5, 11, 7), 2),
    ((1, 7, 9), 1),
    ((7, 1, 6), 2),
    ((5, 11, 30), 3),
    ((3, 40), 4),
]


OPTIONS = {
    "order": ORDERS,
    "kernel": KERNELS,
    "extra_layer": ("none", "first", "last"),
    "norm_init": ("ones", "uniform"),
    "output_map": ("sigmoid", "linear"),
    "n_outputs": (1, 2, 3, 4),
}


def covering():
    """Every size with both orders and both kernels; the other options take turns."""
    others = [*itertools.product(*list(OPTIONS.values())[2:])]
    starts = itertools.product(SIZES, ORDERS, KERNELS)
    for i, ((size, n_scales), *first) in enumerate(starts):
        values = *first, *others[(5 * i + i // 4) % len(others)]
        yield Case(size, n_scales, dict(zip(OPTIONS, values, strict=True)))


CASES = [*covering()]
CASES += [Case((6, 12, 10), 2, {**CASES[0].options, "spacing": (3.0, 1.0, 1.0)})]


SIZES_OF_CASES = [*dict.fromkeys(case.size for case in CASES)]


def of_size(size):
    return [case for case in CASES if case.size == size]


def test_the_cases_cover_every_pair_of_options():
    for one, other in itertools.combinations(OPTIONS, 2):
        covered = {(case.options[one], case.options[other]) for case in CASES}
        assert covered == set(itertools.product(OPTIONS[one], OPTIONS[other]))


@pytest.mark.parametrize("size", SIZES_OF_CASES, ids=str)
def test_image_and_gradients_are_those_of_the_plain_decoder(decoder, output_and_gradients, monkeypatch, size):
    for case in of_size(size):
        plain = decoder(**case.settings)
        fused = fuse(plain, "numba")
        assert isinstance(fused, FusedDecoder)
        expected = output_and_gradients(plain)
        for line_bytes in (cpu.LINE_BYTES, 1):  # one tile across, and several
            with monkeypatch.context() as patch:
                patch.setattr(cpu, "LINE_BYTES", line_bytes)
                assert_near(output_and_gradients(fused), expected, 1e-9, case)


@pytest.mark.parametrize("size", [size for size in SIZES_OF_CASES if math.prod(size) > 50], ids=str)
def test_in_single_precision_they_are_near_those_of_double_precision(decoder, output_and_gradients, size):
    for case in of_size(size):
        fused = fuse(decoder(**case.settings, dtype=torch.float32), "numba")
        single = output_and_gradients(fused)
        assert {x.dtype for x in single} == {torch.float32}
        double = decoder(**case.settings)
        double.load_state_dict(fused.decoder.state_dict())  # The same weights: they were rounded.
        assert_near([x.double() for x in single], output_and_gradients(double), 1e-4, case)


class Repeatable(torch.autograd.Function):
    """A fused decoder that can be differentiated more often, as a finite difference check does."""

    @staticmethod
    def forward(ctx, fused, *parameters):
        ctx.fused = fused
        return fused().detach()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        with torch.enable_grad():
            return None, *torch.autograd.grad(ctx.fused(), list(ctx.fused.parameters()), g)


@pytest.mark.parametrize(
    ("size", "extra_layer", "order", "kernel"),
    [
        ((11,), "last", "relu-norm", "linear"),
        ((11,), "last", "norm-relu", "smooth"),
        ((6, 5), "first", "relu-norm", "smooth"),
        ((6, 5), "first", "norm-relu", "linear"),
        ((3, 4, 5), "none", "relu-norm", "linear"),
        ((3, 4, 5), "none", "norm-relu", "smooth"),
    ],
)
def test_gradients_pass_a_finite_difference_check(decoder, size, extra_layer, order, kernel):
    plain = decoder(
        size,
        2,
        n_channels=3,
        order=order,
        kernel=kernel,
        extra_layer=extra_layer,
        seeds=(1, 2),
    )
    fused = fuse(plain, "numba")
    # The check moves the parameters in place, and with them the decoder's.
    assert torch.autograd.gradcheck(lambda *parameters: Repeatable.apply(fused, *parameters), list(fused.parameters()))


def test_the_fused_decoder_has_the_parameters_of_the_plain_one(decoder):
    plain = decoder()
    fused = fuse(plain, "numba")
    assert all(one is other for one, other in zip(fused.parameters(), plain.parameters(), strict=True))
    optimizer = torch.optim.Adam(fused.parameters(), lr=0.1)
    before = plain().detach()
    fused().square().sum().backward()
    assert all(parameter.grad is not None for parameter in plain.parameters())
    optimizer.step()
    assert (plain().detach() - before).abs().max() > 1e-3
    torch.testing.assert_close(fused(), plain())


def test_the_memory_of_a_step_goes_where_the_parameters_go(decoder):
    fused = fuse(decoder(), "numba").to("meta")
    assert {tensor.device.type for tensor in [*fused.parameters(), *fused._z, fused._scratch]} == {"meta"}


def test_moved_to_single_precision_it_computes_in_it(decoder):
    plain = decoder()
    expected = plain()
    image = fuse(plain, "numba").float()()
    assert image.dtype == torch.float32
    torch.testing.assert_close(image.double(), expected, rtol=0, atol=1e-4)


def test_plain_pytorch_is_the_decoder_itself(decoder):
    plain = decoder()
    assert fuse(plain, "torch") is plain


@pytest.mark.parametrize("option", ["order", "kernel"])
def test_a_step_goes_where_the_plain_decoders_step_goes(decoder, option):
    options = {"order": "relu-norm", "kernel": "smooth"} | {option: {"order": "norm-relu", "kernel": "linear"}[option]}
    images = []
    for backend in ("torch", "numba"):
        generator = fuse(decoder((24, 21), **options), backend)
        optimizer = torch.optim.Adam(generator.parameters(), lr=0.01)
        target = torch.rand(1, 24, 21, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        for _ in range(20):
            optimizer.zero_grad()
            (generator() - target).square().mean().backward()
            optimizer.step()
        images.append(generator().detach())
    torch.testing.assert_close(*images, rtol=0, atol=1e-8)


@pytest.mark.parametrize("spoil", ["backward", "forward", "dead_fraction"])
def test_an_evaluation_is_differentiated_once_and_before_the_next(decoder, output_and_gradients, spoil):
    fused = fuse(decoder(), "numba")
    loss = fused().sum()
    if spoil == "backward":
        loss.backward(retain_graph=True)
    elif spoil == "forward":
        fused()
    else:
        fused.dead_fraction()
    with pytest.raises(RuntimeError, match=r"can be differentiated once, before it is evaluated again\."):
        loss.backward()
    plain = decoder()
    assert_near(output_and_gradients(fused), output_and_gradients(plain), 1e-9)  # Nothing is broken for good.


def test_second_derivatives_are_refused(decoder):
    fused = fuse(decoder(), "numba")
    (gradient,) = torch.autograd.grad(fused().sum(), fused.decoder.output_convolution, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_without_gradients_the_image_is_the_same(decoder):
    fused = fuse(decoder(), "numba")
    with torch.no_grad():
        image = fused()
    assert not image.requires_grad
    assert torch.equal(image, fused().detach())


@pytest.mark.parametrize("output_map", OPTIONS["output_map"])
def test_a_gradient_may_lie_in_memory_in_any_order(decoder, output_map):
    plain = decoder(n_outputs=3, output_map=output_map)
    channels_last = torch.randn(2, 12, 9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for g in [channels_last.movedim(-1, 1), channels_last[0, 0, 0, 0].expand(2, 3, 12, 9)]:
        gradients = [
            torch.autograd.grad(generator(), list(plain.parameters()), g) for generator in (fuse(plain, "numba"), plain)
        ]
        assert_near(*gradients, 1e-9)


def test_a_parameter_that_is_held_gets_no_gradient_and_changes_no_other(decoder):
    one, other = decoder(), decoder()
    other.convolutions[0].requires_grad_(False)
    for plain in (one, other):
        fuse(plain, "numba")().square().sum().backward()
    assert other.convolutions[0].grad is None
    assert torch.equal(one.convolutions[1].grad, other.convolutions[1].grad)


@pytest.mark.parametrize("order", ORDERS)
def test_bfloat16_stays_near(decoder, output_and_gradients, order):
    options = {"dtype": torch.float32, "n_channels": 32, "order": order}
    output, *gradients = output_and_gradients(fuse(decoder((40, 37), **options), "numba", "bfloat16"))
    expected, *expected_gradients = output_and_gradients(fuse(decoder((40, 37), **options), "numba"))
    assert not torch.equal(output, expected)
    assert (output - expected).abs().max() < 0.02
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert (gradient - expected_gradient).norm() < 0.2 * expected_gradient.norm()
