"""Members of a fused decoder have the bits that each has alone, and the same ones each time."""

import copy

import pytest
import torch

from napari_convgen.core.cpu import threads
from napari_convgen.core.generators.fused import fuse

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
def test_a_member_has_the_bits_of_the_net_of_its_seed_alone(
    decoder, output_and_gradients, size, n_outputs, n_channels, options, precision, dtype
):
    def result(seeds):
        plain = decoder(size, n_outputs, seeds=seeds, n_channels=n_channels, dtype=dtype, **options)
        return output_and_gradients(fuse(plain, "numba", precision))

    seeds = (3, 0, 7, 0)
    together = result(seeds)
    for i, seed in enumerate(seeds):
        assert all(torch.equal(x[i], y[0]) for x, y in zip(together, result([seed]), strict=True))


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_fits_of_several_members_go_as_each_alone_with_adam(decoder, backend):
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
def test_a_fit_that_is_saved_and_restored_goes_on_with_the_same_bits(decoder, backend):
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


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_start_gives_the_same_bits(
    decoder, output_and_gradients, monkeypatch, set_threads, precision, n_threads
):
    monkeypatch.setattr(threads, "SMALL_PASS", 0)
    set_threads(n_threads)

    def step():
        plain = decoder((150, 131), dtype=torch.float32, order="norm-relu", kernel="smooth")
        return output_and_gradients(fuse(plain, "numba", precision))

    assert all(torch.equal(*pair) for pair in zip(step(), step(), strict=True))
