import copy
import itertools
import math
import tracemalloc
from dataclasses import dataclass

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_convgen.core.cpu import threads
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused import FusedDecoder, cpu, fuse, products


def decoder(size=(12, 9), n_outputs=1, *, seeds=(0, 1), n_channels=6, n_scales=2, dtype=torch.float64, **options):
    """A decoder whose norms are as random as after some steps."""
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    plain = DeepDecoder(size, n_outputs, n_channels=n_channels, n_scales=n_scales, rngs=rngs, dtype=dtype, **options)
    with torch.no_grad():
        for scales, offsets in zip(plain.norm_scales, plain.norm_offsets, strict=True):
            for scale, offset, rng in zip(scales, offsets, rngs, strict=True):
                scale.mul_(0.5 + torch.rand(n_channels, generator=rng, dtype=torch.float64))
                offset.copy_(torch.randn(n_channels, generator=rng, dtype=torch.float64) / 2)
    return plain


def output_and_gradients(generator):
    """With the same gradient of every member's image."""
    output = generator()
    g = torch.randn(output.shape[1:], generator=torch.Generator().manual_seed(9), dtype=torch.float64).to(output.dtype)
    return [output.detach(), *torch.autograd.grad((output * g).sum(), list(generator.parameters()))]


def assert_near(actual, expected, tolerance):
    """Compare with the largest value of each; a gradient may be nothing but rounding around 0."""
    for one, other in zip(actual, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * max(1e-3, float(other.abs().max())))


@dataclass
class Case:
    size: tuple
    n_scales: int
    options: dict

    def decoder(self, **more):
        return decoder(self.size, n_scales=self.n_scales, **self.options, **more)

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
        options = dict(zip(OPTIONS, values, strict=True))
        if size == (2,) and options["extra_layer"] == "first":  # a norm over a single pixel, which PyTorch refuses
            options["extra_layer"] = "last"
        yield Case(size, n_scales, options)


CASES = [*covering()]


@pytest.fixture(params=["wide tiles", "narrow tiles"])
def tiles(request, monkeypatch):
    if request.param == "narrow tiles":
        monkeypatch.setattr(cpu, "LINE_BYTES", 1)


@pytest.fixture
def set_threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_the_cases_cover_every_pair_of_options():
    for one, other in itertools.combinations(OPTIONS, 2):
        covered = {(case.options[one], case.options[other]) for case in CASES}
        assert covered == set(itertools.product(OPTIONS[one], OPTIONS[other]))


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.usefixtures("tiles")
def test_image_and_gradients_are_those_of_the_plain_decoder(case):
    plain = case.decoder()
    fused = fuse(plain, "numba")
    assert isinstance(fused, FusedDecoder)
    assert_near(output_and_gradients(fused), output_and_gradients(plain), 1e-9)


@pytest.mark.parametrize("case", [case for case in CASES if math.prod(case.size) > 50], ids=str)
def test_in_single_precision_they_are_near_those_of_double_precision(case):
    fused = fuse(case.decoder(dtype=torch.float32), "numba")
    single = output_and_gradients(fused)
    assert {x.dtype for x in single} == {torch.float32}
    double = case.decoder()
    double.load_state_dict(fused.decoder.state_dict())  # The same weights: they were rounded.
    assert_near([x.double() for x in single], output_and_gradients(double), 1e-4)


MEMBER_CASES = [
    ((101,), 1, 6, {"order": "norm-relu"}),
    ((83, 71), 1, 33, {"order": "norm-relu", "kernel": "smooth"}),
    ((23, 31), 3, 1, {"order": "relu-norm", "output_map": "linear"}),
    ((150, 131), 1, 16, {"order": "relu-norm", "kernel": "smooth", "extra_layer": "last"}),
    ((5, 11, 7), 2, 6, {"order": "norm-relu", "norm_init": "uniform"}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(("size", "n_outputs", "n_channels", "options"), MEMBER_CASES)
def test_a_member_has_the_bits_of_the_net_of_its_seed_alone(size, n_outputs, n_channels, options, precision, dtype):
    def result(seeds):
        plain = decoder(size, n_outputs, seeds=seeds, n_channels=n_channels, dtype=dtype, **options)
        return output_and_gradients(fuse(plain, "numba", precision))

    seeds = (3, 0, 7, 0)
    together = result(seeds)
    for i, seed in enumerate(seeds):
        assert all(torch.equal(x[i], y[0]) for x, y in zip(together, result([seed]), strict=True))


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_fits_of_several_members_go_as_each_alone_with_adam(backend):
    def fitted(seeds):
        generator = fuse(decoder((23, 31), seeds=seeds, n_channels=16, dtype=torch.float32), backend)
        optimizer = torch.optim.Adam(generator.parameters(), lr=0.01, fused=True)
        for _ in range(5):
            optimizer.zero_grad()
            (generator() - 0.5).square().sum().backward()
            optimizer.step()
        return generator.state_dict().values()

    for i, alone in enumerate(map(fitted, [[4], [2]])):
        assert all(torch.equal(x[i], y[0]) for x, y in zip(fitted([4, 2]), alone, strict=True))


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_a_fit_that_is_saved_and_restored_goes_on_with_the_same_bits(backend):
    def start(seeds):
        generator = fuse(decoder(seeds=seeds, dtype=torch.float32), backend)
        return generator, torch.optim.Adam(generator.parameters(), lr=0.01, fused=True)

    def advance(generator, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            (generator() - 0.5).square().sum().backward()
            optimizer.step()

    one, other = start([0, 1]), start([2, 3])
    advance(*one)
    for target, source in zip(other, one, strict=True):
        target.load_state_dict(copy.deepcopy(source.state_dict()))
    advance(*one)
    advance(*other)
    assert torch.equal(one[0](), other[0]())


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


@pytest.mark.parametrize(("order", "kernel"), [*itertools.product(ORDERS, KERNELS)])
@pytest.mark.parametrize(("size", "extra_layer"), [((11,), "last"), ((6, 5), "first"), ((3, 4, 5), "none")])
def test_gradients_pass_a_finite_difference_check(size, extra_layer, order, kernel):
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


def test_the_fused_decoder_has_the_parameters_of_the_plain_one():
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


def test_plain_pytorch_is_the_decoder_itself():
    plain = decoder()
    assert fuse(plain, "torch") is plain


@pytest.mark.parametrize("option", ["order", "kernel"])
def test_a_step_goes_where_the_plain_decoders_step_goes(option):
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
def test_an_evaluation_is_differentiated_once_and_before_the_next(spoil):
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


def test_second_derivatives_are_refused():
    fused = fuse(decoder(), "numba")
    (gradient,) = torch.autograd.grad(fused().sum(), fused.decoder.output_convolution, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_without_gradients_the_image_is_the_same():
    fused = fuse(decoder(), "numba")
    with torch.no_grad():
        image = fused()
    assert not image.requires_grad
    assert torch.equal(image, fused().detach())


@pytest.mark.parametrize("output_map", OPTIONS["output_map"])
def test_a_gradient_may_lie_in_memory_in_any_order(output_map):
    plain = decoder(n_outputs=3, output_map=output_map)
    channels_last = torch.randn(2, 12, 9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for g in [channels_last.movedim(-1, 1), channels_last[0, 0, 0, 0].expand(2, 3, 12, 9)]:
        gradients = [
            torch.autograd.grad(generator(), list(plain.parameters()), g) for generator in (fuse(plain, "numba"), plain)
        ]
        assert_near(*gradients, 1e-9)


def test_a_parameter_that_is_held_gets_no_gradient_and_changes_no_other():
    one, other = decoder(), decoder()
    other.convolutions[0].requires_grad_(False)
    for plain in (one, other):
        fuse(plain, "numba")().square().sum().backward()
    assert other.convolutions[0].grad is None
    assert torch.equal(one.convolutions[1].grad, other.convolutions[1].grad)


@pytest.mark.parametrize("order", ORDERS)
def test_dead_fraction_is_that_of_the_plain_decoder(order):
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
def test_no_channel_counts_as_dead_that_lives(order):
    shares = []
    for seed in range(20):
        plain = decoder(seeds=[seed], order=order)
        with torch.no_grad():
            for offset in plain.norm_offsets:
                offset -= 1.5
        shares.append((fuse(plain, "numba").dead_fraction(), plain.dead_fraction()))
    assert all(fused <= plain for fused, plain in shares)


def test_dead_fraction_leaves_no_gradient_behind():
    fused = fuse(decoder(), "numba")
    assert 0 <= fused.dead_fraction() <= 1
    assert torch.is_grad_enabled()
    assert all(parameter.grad is None for parameter in fused.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("order", ORDERS)
def test_a_decoder_that_diverges_shows_it(order, layer, value):
    plain = decoder(order=order)
    with torch.no_grad():
        plain.convolutions[layer].fill_(value)
    fused = fuse(plain, "numba")
    loss = (fused() - 0.5).square().mean()
    assert loss.isnan()
    loss.backward()
    assert plain.output_convolution.grad.isnan().all()  # It shows from the next step on, too.


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_start_gives_the_same_bits(monkeypatch, set_threads, precision, n_threads):
    monkeypatch.setattr(threads, "SMALL_PASS", 0)
    set_threads(n_threads)

    def step():
        plain = decoder((150, 131), dtype=torch.float32, order="norm-relu", kernel="smooth")
        return output_and_gradients(fuse(plain, "numba", precision))

    assert all(torch.equal(*pair) for pair in zip(step(), step(), strict=True))


@pytest.mark.parametrize("order", ORDERS)
def test_bfloat16_stays_near(order):
    options = {"dtype": torch.float32, "n_channels": 32, "order": order}
    output, *gradients = output_and_gradients(fuse(decoder((40, 37), **options), "numba", "bfloat16"))
    expected, *expected_gradients = output_and_gradients(fuse(decoder((40, 37), **options), "numba"))
    assert not torch.equal(output, expected)
    assert (output - expected).abs().max() < 0.02
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert (gradient - expected_gradient).norm() < 0.2 * expected_gradient.norm()


class Largest(TorchDispatchMode):
    """Notes the largest memory that an operation's result lies in, other than the given ones."""

    def __init__(self, known):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.n_bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() not in self.known:
                self.n_bytes = max(self.n_bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("extra_layer", ["none", "first", "last"])
def test_a_step_takes_no_memory_of_all_channels_beyond_the_decoders_own(monkeypatch, extra_layer, dtype):
    monkeypatch.setattr(products, "PART_VALUES", 2**10)
    plain = decoder((96, 120), n_channels=16, dtype=dtype, order="norm-relu", extra_layer=extra_layer)
    fused = fuse(plain, "numba")
    sizes = [z.shape for z in fused._z]
    coarse = [24 * 30] * (extra_layer == "first") + [24 * 30, 48 * 60] + [96 * 120] * (extra_layer == "last")
    assert sizes == [(2, n, 16) for n in coarse]
    assert len(fused._scratch) == max(math.prod(size) for size in sizes)

    owned = [*fused._z, fused._scratch]
    places = [x.data_ptr() for x in owned]

    def work():
        with Largest([*owned, plain.latent]) as largest:
            output_and_gradients(fused)
            fused.dead_fraction()
        return largest

    work()  # what is made once, such as caches
    tracemalloc.start()
    largest = work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [x.data_ptr() for x in [*fused._z, fused._scratch]] == places
    images = 2 * 96 * 120 * 8  # what draws the test's own gradient is in double precision
    assert 0 < largest.n_bytes <= images
    assert peak < 1.5 * images  # less than any tensor of all channels but the coarsest
