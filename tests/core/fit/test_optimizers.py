"""Optimizers against those of PyTorch."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from napari_convgen.core.fit.optimizers import Adam, GradientDescent

TWINS = {
    "adam": (lambda p: Adam(p, 0.02), lambda p: torch.optim.Adam(p, lr=0.02, fused=True)),
    "gradient descent": (lambda p: GradientDescent(p, 0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (lambda p: GradientDescent(p, 0.1, 0.9), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)),
}


def weights(dtype):
    source = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=source, dtype=dtype)) for shape in ((3, 4), (5,), (2,))]


def descend(optimizer, parameters, n_steps):
    """Take steps; the last parameter has no gradient."""
    matrix, vector, _ = parameters
    for _ in range(n_steps):
        optimizer.zero_grad()
        (matrix.square().sum() * 0.3 + (vector - 1).abs().pow(3).sum()).backward()
        optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", TWINS)
def test_steps_are_those_of_pytorch_bit_for_bit(name, dtype):
    ours, theirs = weights(dtype), weights(dtype)
    for parameters, make in zip((ours, theirs), TWINS[name], strict=True):
        descend(make(parameters), parameters, 20)
    for own, other, start in zip(ours, theirs, weights(dtype), strict=True):
        assert torch.equal(own, other)
        assert torch.equal(own, start) == (len(own) == 2)


@pytest.mark.parametrize("name", TWINS)
def test_with_the_memory_of_another_one_it_goes_on_from_there(name):
    make, _ = TWINS[name]
    whole, parts = weights(torch.float32), weights(torch.float32)
    descend(make(whole), whole, 12)
    first, second = make(parts), make(parts)
    descend(first, parts, 5)
    second.restore(first.memory)
    descend(second, parts, 7)
    assert all(torch.equal(*pair) for pair in zip(whole, parts, strict=True))


def test_without_any_gradient_nothing_changes():
    for make, _ in TWINS.values():
        parameters = weights(torch.float32)
        make(parameters).step()
        assert all(torch.equal(*pair) for pair in zip(parameters, weights(torch.float32), strict=True))


def test_a_fit_does_not_load_the_compiler_of_pytorch():
    """It takes longer to load than a short fit."""
    program = (
        "import numpy, sys; from napari_convgen import denoise; from napari_convgen.config import preset\n"
        "for name in ('default', 'deep-decoder', 'best'):\n"
        "    denoise(numpy.random.default_rng(0).random((24, 24)), preset(name).replace({'n_steps': 2}))\n"
        "assert 'napari_convgen.core.fit.optimizers' in sys.modules\n"
        "print('torch._dynamo' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"], run.stderr
