import dataclasses
import functools
import importlib
import math
import os
import subprocess
import sys

import pytest
import torch

from napari_convgen.core.fit.cuda_graph import N_WARM_UP, CapturedStep
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.generators.fused import FusedDecoder
from napari_convgen.core.generators.fused.cpu import CpuPasses
from napari_convgen.core.generators.fused.grid import Grid
from napari_convgen.core.generators.fused.passes import Block, Slope
from napari_convgen.core.generators.fused.products import Products
from napari_convgen.core.generators.upsampling import half_size

HAS_GPU = torch.cuda.is_available()
DEVICE = "cuda" if HAS_GPU else "cpu"
if not HAS_GPU:
    os.environ["TRITON_INTERPRET"] = "1"  # read when the kernels are imported, which then run on the CPU
pytest.importorskip("triton")
gpu = importlib.import_module("napari_convgen.core.generators.fused.gpu")

LOWS = {"relu-norm": (0.0, -math.inf), "norm-relu": (-math.inf, 0.0)}

needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")


@pytest.fixture(scope="module", autouse=True)
def quick_interpreter():
    """Leave out what takes the interpreter most of its time: patching the language for every call, and checks of overflow."""
    if HAS_GPU:
        yield
        return
    from triton.runtime import interpreter

    patch, restores = interpreter._patch_lang, []

    @functools.cache
    def patch_once(function):
        scope = patch(function)
        restores.append(scope.restore)
        scope.restore = lambda: None
        return scope

    builder = interpreter.interpreter_builder
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(interpreter, "_patch_lang", patch_once)
        monkeypatch.setattr(builder, "options", dataclasses.replace(builder.options, sanitize_overflow=False))
        yield
    for restore in reversed(restores):
        restore()


def upsampled(*size, kernel="smooth"):
    return Grid(half_size(size), size, kernel)


def unchanged(*size):
    return Grid(size, size, "smooth")


def results(passes, grid, order, n_outputs, k=3, n_members=1, device="cpu", dtype=torch.float64, spoil=()):
    """Everything that the passes make of random numbers; around what they write to, memory must stay as it is."""
    rng, m = torch.Generator().manual_seed(0), n_members

    def some(*shape):
        return torch.randn(m, *shape, generator=rng, dtype=torch.float64).to(device, dtype)

    def written(call, *shape):
        n, margin = m * math.prod(shape), 5
        memory = torch.full((n + 2 * margin,), math.nan, device=device, dtype=dtype)
        memory[:margin] = memory[-margin:] = 7
        out = memory[margin:-margin].view(m, *shape)
        call(out)
        assert (memory[:margin] == 7).all()
        assert (memory[-margin:] == 7).all()
        return out

    z, coarse, fine = some(grid.n_coarse, k), (grid.n_coarse, k), (grid.n_fine, k)
    z.view(-1)[list(spoil)] = math.nan
    g, features_g, weights = some(n_outputs, grid.n_fine), some(*fine), some(n_outputs, k)
    block = Block(*LOWS[order], *(0.3 * some(k) for _ in range(5)))
    slope = Slope(some(k), some(k))
    mean, variance = passes.moments(z, grid, block.low1)
    sums = {}

    def by_output(out):
        sums["output sums"] = passes.output_sums(z, grid, block, g, weights, out)
        passes.output_adjoint(z, grid, block, slope, g, weights, out)

    def by_features(out):
        sums["feature sums"] = passes.feature_sums(z, grid, block, features_g, out)
        passes.feature_adjoint(z, grid, block, slope, features_g, out)

    return {
        "mean": mean,
        "variance": variance,
        "features": written(lambda out: passes.features(z, grid, block, out), *fine),
        "output": written(lambda out: passes.output(z, grid, block, weights, out), n_outputs, grid.n_fine),
        "output adjoint": written(by_output, *coarse),
        "feature adjoint": written(by_features, *coarse),
        **sums,
    }


def assert_close(found, expected, tolerance):
    found = {name: value.cpu() for name, value in found.items()}
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def compare(*case, **options):
    found = results(gpu.GpuPasses(), *case, device=DEVICE, **options)
    assert_close(found, results(CpuPasses(), *case, **options), 1e-11)
    return found


@pytest.mark.parametrize(
    "case",
    [
        (upsampled(2), "relu-norm", 1),
        (upsampled(61), "norm-relu", 3),
        (upsampled(60, kernel="linear"), "relu-norm", 2),
        (unchanged(23), "norm-relu", 2),
        (upsampled(5, 18), "relu-norm", 2),
        (upsampled(4, 7, kernel="linear"), "norm-relu", 1),
        (upsampled(1, 37), "norm-relu", 1),
        (upsampled(4, 1), "relu-norm", 1),
        (unchanged(4, 9), "relu-norm", 1),
        (upsampled(2, 3, 5), "norm-relu", 1),
        (upsampled(5, 1, 4, kernel="linear"), "relu-norm", 1),
        (unchanged(2, 3, 5), "norm-relu", 1),
        (Grid((2, 2, 3), (2, 3, 5), "smooth"), "relu-norm", 1),
        (Grid((4, 3), (7, 3), "linear"), "norm-relu", 2),
    ],
    ids=str,
)
def test_every_pass_computes_what_the_one_on_the_cpu_does(case):
    compare(*case)


@pytest.mark.parametrize(
    "case",
    [(upsampled(29), "relu-norm", 3), (upsampled(5, 9), "norm-relu", 1), (unchanged(3, 9), "relu-norm", 2)],
    ids=str,
)
def test_every_pass_is_the_same_in_many_programs_of_several_strips(case, monkeypatch):
    monkeypatch.setattr(gpu, "BLOCK_VALUES", 16)
    monkeypatch.setattr(gpu, "N_PROGRAMS", 5)
    compare(*case)


@pytest.mark.parametrize(
    "case",
    [(upsampled(11), "relu-norm", 3), (upsampled(3, 4), "norm-relu", 1), (unchanged(3, 2), "relu-norm", 2)],
    ids=str,
)
def test_there_may_be_several_members(case):
    compare(*case, n_members=2)


@pytest.mark.parametrize("k", [1, 130])
def test_there_may_be_any_number_of_channels(k):
    compare(upsampled(11), "relu-norm", 2, k=k)


@pytest.mark.parametrize(("size", "order"), [((4, 5), "relu-norm"), ((11,), "norm-relu")])
def test_what_is_not_a_number_spreads(size, order):
    case = upsampled(*size), order, 1
    found, expected = (
        results(gpu.GpuPasses(), *case, device=DEVICE, spoil=[17]),
        results(CpuPasses(), *case, spoil=[17]),
    )
    for name in ("mean", "variance", "features", "output"):  # how far it spreads backward is each one's own
        assert_close({name: found[name]}, {name: expected[name]}, 1e-11)
    assert found["mean"].isnan().tolist() == [[False, False, True]]
    assert found["features"].isnan().any(1).tolist() == [[False, False, True]]
    assert found["output"].isnan().any()


def test_single_precision_stays_single_and_is_added_up_in_double():
    case = (upsampled(2, 10), "relu-norm", 1)
    found = results(gpu.GpuPasses(), *case, device=DEVICE, dtype=torch.float32)
    for name in ("mean", "variance", "output sums", "feature sums"):
        assert found[name].dtype == torch.float64
    expected = results(CpuPasses(), *case)
    assert_close({name: value.double() for name, value in found.items()}, expected, 1e-4)


def decoder(size, n_outputs=1, *, n_channels=5, n_scales=2, dtype=torch.float64, **options):
    rngs = [torch.Generator().manual_seed(seed) for seed in range(2)]
    plain = DeepDecoder(size, n_outputs, n_channels=n_channels, n_scales=n_scales, rngs=rngs, dtype=dtype, **options)
    with torch.no_grad():
        for parameter in [*plain.norm_scales, *plain.norm_offsets]:
            parameter.copy_(torch.rand(parameter.shape, generator=rngs[0], dtype=torch.float64) + 0.1)
    return plain


def image_and_gradients(model, parameters):
    image = model()
    ramp = torch.linspace(-1, 1, image.numel(), dtype=image.dtype, device=image.device)
    return image.detach(), *torch.autograd.grad((image.flatten() * ramp).sum(), parameters)


def largest_error(found, expected):
    """Relative to the largest value of each tensor."""
    return max(float((a.cpu() - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


# Each option with each of the others.
OPTIONS = [
    ("relu-norm", "linear", "none"),
    ("norm-relu", "smooth", "none"),
    ("relu-norm", "smooth", "first"),
    ("norm-relu", "linear", "first"),
    ("relu-norm", "linear", "last"),
    ("norm-relu", "smooth", "last"),
]


@pytest.mark.parametrize(
    ("size", "n_outputs", "options"),
    [
        *(((29,), 3, options) for options in OPTIONS),
        ((3, 5), 1, ("norm-relu", "smooth", "first")),
        ((2, 2, 3), 1, ("relu-norm", "smooth", "last")),
    ],
)
def test_the_decoder_has_the_image_and_the_gradients_of_the_plain_one(size, n_outputs, options):
    order, kernel, extra_layer = options
    plain = decoder(size, n_outputs, order=order, kernel=kernel, extra_layer=extra_layer)
    expected = image_and_gradients(plain, list(plain.parameters()))
    fused = FusedDecoder(plain.to(DEVICE), gpu.GpuPasses(), Products())
    assert largest_error(image_and_gradients(fused, list(plain.parameters())), expected) < 1e-9


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.runtime import driver, jit


class H100:
    get_current_device = get_current_stream = staticmethod(lambda *_: 0)
    get_current_target = staticmethod(lambda: GPUTarget("cuda", 90, 32))


def compile_only(kernel, grid):
    return lambda *args, **options: names.add(kernel.run(*args, grid=grid, warmup=True, **options).metadata.name)


names = set()
driver.set_active(H100())
jit.KernelInterface.__getitem__ = compile_only

import torch
from napari_convgen.core.generators.fused import FusedDecoder
from napari_convgen.core.generators.fused.gpu import GpuPasses
from napari_convgen.core.generators.fused.products import Products
from napari_convgen.core.generators import DeepDecoder

decoder = DeepDecoder((70, 70), 2, n_channels=6, n_scales=2, rngs=[torch.Generator(), torch.Generator()])
FusedDecoder(decoder, GpuPasses(), Products())().sum().backward()
print(*sorted(names))
"""


@pytest.mark.skipif(HAS_GPU, reason="the other tests compile the kernels")
def test_every_kernel_compiles_for_a_gpu_that_is_not_there(tmp_path):
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["adjoint", "features", "gradient_sums", "moments", "output"]


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("size", "n_channels"), [((1003,), 40), ((96, 131), 160), ((17, 20, 33), 24)])
def test_a_gpu_computes_the_same_in_single_precision_with_the_same_bits_when_replayed(size, n_channels):
    plain = decoder(size, 3, n_channels=n_channels, kernel="smooth")
    expected = image_and_gradients(plain, list(plain.parameters()))
    parameters = list(plain.float().cuda().parameters())
    fused = FusedDecoder(plain, gpu.GpuPasses(), Products())
    step = CapturedStep(lambda: image_and_gradients(fused, parameters))
    first = [tensor.clone() for tensor in step()]
    assert largest_error(first, expected) < 1e-3
    for _ in range(N_WARM_UP + 2):
        assert all(torch.equal(a, b) for a, b in zip(step(), first, strict=True))
