import math

import pytest
import torch

from napari_convgen.core.cpu import threads
from napari_convgen.core.generators.fused import cpu
from napari_convgen.core.generators.fused.cpu import CpuPasses
from napari_convgen.core.generators.fused.grid import Grid
from napari_convgen.core.generators.fused.passes import Block, Slope

GRID, K = Grid((40, 31), (79, 62), "smooth"), 6


@pytest.fixture
def pools(monkeypatch):
    """The sizes of the pools of threads that were asked for."""
    asked, pool = [], threads._pool
    monkeypatch.setattr(threads, "_pool", lambda n_threads: asked.append(n_threads) or pool(n_threads))
    return asked


def every_pass(grid=GRID, low1=-math.inf, low2=0.0, dtype=torch.float32):
    """What each pass gives on the same input."""

    def random(*shape, seed=0):
        return torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)

    passes, z, unused = CpuPasses(), random(grid.n_coarse, K), torch.zeros(2, K)
    block = Block(low1, low2, random(K, seed=1), random(K, seed=2), unused, unused, unused)
    slope, weights = Slope(random(K, seed=3), random(K, seed=4)), random(2, K, seed=5)
    g, gs = random(grid.n_fine, K, seed=6), random(2, grid.n_fine, seed=7)
    features, output = torch.full_like(g, math.nan), torch.full_like(gs, math.nan)
    adjoints = [torch.full_like(z, math.nan) for _ in range(2)]
    passes.features(z, grid, block, features)
    passes.output(z, grid, block, weights, output)
    sums = (
        passes.feature_sums(z, grid, block, g, adjoints[0]),
        passes.output_sums(z, grid, block, gs, weights, adjoints[1]),
    )
    passes.feature_adjoint(z, grid, block, slope, g, adjoints[0])
    passes.output_adjoint(z, grid, block, slope, gs, weights, adjoints[1])
    return [*passes.moments(z, grid, low1), *sums, features, output, *adjoints]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("low1", "low2"), [(0.0, -math.inf), (-math.inf, 0.0)])
def test_every_number_of_threads_gives_the_same_bits(monkeypatch, set_threads, pools, low1, low2, dtype):
    monkeypatch.setattr(threads, "SMALL_PASS", 0)
    monkeypatch.setattr(cpu, "LINE_BYTES", 10 * 2 * K * dtype.itemsize)  # ten columns
    results = []
    for n_threads in (1, 2, 3):
        set_threads(n_threads)
        results.append(every_pass(GRID, low1, low2, dtype))
    assert set(pools) == {2, 3}
    for one, *others in zip(*results, strict=True):
        assert one.isfinite().all()
        assert all(torch.equal(one, other) for other in others)


def test_no_more_threads_are_asked_for_than_there_are_tiles(monkeypatch, set_threads, pools):
    monkeypatch.setattr(threads, "SMALL_PASS", 0)
    set_threads(3)
    every_pass(Grid((16, 9), (32, 18), "linear"))
    assert set(pools) == {2}  # a tile of each of two members


def test_small_passes_stay_on_the_thread_that_asks(set_threads, pools):
    set_threads(2)
    every_pass()
    assert not pools
    n = math.isqrt(threads.SMALL_PASS // (2 * 4 * K)) + 1
    every_pass(Grid((n, n), (2 * n, 2 * n), "linear"))
    assert set(pools) == {2}


def test_narrow_tiles_change_no_more_than_rounding(monkeypatch):
    wide = every_pass()
    monkeypatch.setattr(cpu, "LINE_BYTES", 1)
    for one, other in zip(wide, every_pass(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-4)


def test_what_is_returned_is_in_double_precision_and_what_is_written_is_not():
    assert [x.dtype for x in every_pass()] == [torch.float64] * 4 + [torch.float32] * 4
