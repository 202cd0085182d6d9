import math

import pytest
import torch
import torch.nn.functional as F

from napari_convgen.core.generators.fused import cpu
from napari_convgen.core.generators.fused.grid import Grid
from napari_convgen.core.generators.fused.passes import Block, Slope, norm_gradient
from napari_convgen.core.generators.upsampling import half_size, upsample

LOWS = {"relu-norm": (0.0, -math.inf), "norm-relu": (-math.inf, 0.0)}
# The larger ones are several tiles high, and several wide where the tiles are narrow.
SIZES = {
    "linear": [(1,), (61,), (7, 10), (1, 37), (71, 45), (3, 1, 34), (6, 37, 21)],
    "smooth": [(2,), (60,), (35, 1), (71, 45), (64, 34), (5, 3, 7), (7, 36, 20)],
}
GRIDS = [
    *(Grid(half_size(size), size, kernel) for kernel, sizes in SIZES.items() for size in sizes),
    *(Grid(size, size, "smooth") for size in [(23,), (19, 18), (2, 17, 9)]),  # not upsampled
    Grid((5, 18, 11), (5, 35, 21), "smooth"),
    Grid((36, 6), (71, 6), "linear"),
    Grid((7, 5, 17), (13, 5, 17), "smooth"),
]
M, K = 2, 3


NARROWEST = 8
"""Coarse columns of the narrowest tiles."""


@pytest.fixture
def passes():
    return cpu.CpuPasses()


@pytest.fixture(params=["wide", "narrow"])
def tiles(request, monkeypatch):
    narrow_tiles(monkeypatch, request.param == "narrow")


@pytest.fixture
def grid(request, monkeypatch):
    grid, is_narrow = request.param
    narrow_tiles(monkeypatch, is_narrow)
    return grid


def narrow_tiles(monkeypatch, is_narrow):
    if is_narrow:
        monkeypatch.setattr(cpu, "LINE_BYTES", 1)


def tiled_grids():
    """Every grid, with several tiles across if it is wide enough for them; the largest in one tile across, too."""
    for grid in GRIDS:
        if grid.coarse[-1] > NARROWEST:
            yield grid, True
        if grid.coarse[-1] <= NARROWEST or grid.fine == (71, 45):
            yield grid, False


def described(tiled):
    grid, is_narrow = tiled
    kernel = grid.kernel if grid.coarse != grid.fine else "same"
    return f"{'x'.join(map(str, grid.fine))}-{kernel}-{'narrow' if is_narrow else 'wide'}"


every_order = pytest.mark.parametrize("order", LOWS)
every_grid = pytest.mark.parametrize("grid", [*tiled_grids()], ids=described, indirect=True)
both_tiles = pytest.mark.usefixtures("tiles")


def random(*shape, seed=0, dtype=torch.float64):
    """Return random values for M members."""
    return torch.randn(M, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def some_block(order, k=K):
    """A norm at moments of its own, some channels of it falling."""
    low1, low2 = LOWS[order]
    a, b = random(k, seed=1), 0.3 * random(k, seed=2)
    return Block(low1, low2, a, b, *random(3, k, seed=8).unbind(1))


class Guarded:
    """Memory to write to, of undefined content; what lies around it must stay as it is."""

    def __init__(self, *shape):
        shape, margin = (M, *shape), 5
        self._all = torch.full((math.prod(shape) + 2 * margin,), math.nan, dtype=torch.float64)
        self._all[:margin] = self._all[-margin:] = 7
        self.inside = self._all[margin:-margin].view(shape)
        self._margins = self._all[:margin], self._all[-margin:]

    def written(self):
        assert all((margin == 7).all() for margin in self._margins)
        return self.inside


def fine(z, grid):
    """U z, members by pixels by channels."""
    if grid.coarse == grid.fine:
        return z
    members = [upsample(x.reshape(*grid.coarse, -1), grid.fine, grid.kernel) for x in z]
    return torch.stack(members).reshape(len(z), grid.n_fine, -1)


def parts(z, grid, block):
    """u, r and the features, as the passes define them."""
    u = fine(z, grid)
    r = u.clamp_min(block.low1)
    return u, r, (block.a[:, None] * r + block.b[:, None]).clamp_min(block.low2)


def back(x, grid):
    """U' x."""
    zero = x.new_zeros(len(x), grid.n_coarse, x.shape[2], requires_grad=True)
    return torch.autograd.grad(fine(zero, grid), zero, x)[0]


def alive(r, block):
    return (block.a[:, None] * r + block.b[:, None] > block.low2).double()


def adjoint_by_formula(z, grid, block, slope, g):
    u, r, _ = parts(z, grid, block)
    inner = alive(r, block) * block.a[:, None] * g
    inner += slope.constant[:, None] + slope.linear[:, None] * (r - block.mean[:, None])
    return back((u > block.low1) * inner, grid)


def block_by_formula(z, grid, order, scale, offset):
    """Features of the whole block; its norm is taken at its own moments."""
    u = fine(z, grid)
    r = u.relu() if order == "relu-norm" else u
    centered = r - r.mean(1, keepdim=True)
    v = scale[:, None] * centered / ((centered**2).mean(1, keepdim=True) + 1e-5).sqrt() + offset[:, None]
    return v if order == "relu-norm" else v.relu()


def assert_near(actual, expected, tolerance=1e-12):
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance * max(1, float(expected.abs().max())))


@every_order
@every_grid
def test_moments_are_those_of_the_fine_grid(passes, grid, order):
    z, (low, _) = 2 + random(grid.n_coarse, K), LOWS[order]
    r = fine(z, grid).clamp_min(low)
    mean, variance = passes.moments(z, grid, low)
    assert_near(mean, r.mean(1))
    assert_near(variance, r.var(1, correction=0))


@every_order
@every_grid
def test_features_are_the_formula(passes, grid, order):
    z, block, out = random(grid.n_coarse, K), some_block(order), Guarded(grid.n_fine, K)
    passes.features(z, grid, block, out.inside)
    assert_near(out.written(), parts(z, grid, block)[2])


@every_order
@every_grid
def test_feature_sums_are_the_formula(passes, grid, order):
    z, block, g = random(grid.n_coarse, K), some_block(order), random(grid.n_fine, K, seed=3)
    _, r, _ = parts(z, grid, block)
    masked = g * alive(r, block)
    assert_near(
        passes.feature_sums(z, grid, block, g, torch.empty_like(z)),
        torch.stack((masked.sum(1), (masked * r).sum(1)), 1),
    )


@every_order
@every_grid
def test_outputs_are_the_formula(passes, grid, order):
    z, block = random(grid.n_coarse, K), some_block(order)
    for n_outputs in (1, 4):
        weights, out = random(n_outputs, K, seed=4), Guarded(n_outputs, grid.n_fine)
        passes.output(z, grid, block, weights, out.inside)
        assert_near(out.written(), weights @ parts(z, grid, block)[2].mT)


@every_order
@every_grid
def test_output_sums_are_the_formula(passes, grid, order):
    z, block = random(grid.n_coarse, K), some_block(order)
    _, r, _ = parts(z, grid, block)
    mask = alive(r, block)
    for n_outputs in (1, 4):
        g, weights = random(n_outputs, grid.n_fine, seed=3), random(n_outputs, K, seed=4)
        assert_near(
            passes.output_sums(z, grid, block, g, weights, torch.empty_like(z)),
            torch.stack((g @ mask, g @ (mask * r)), 1),
        )


@every_order
@every_grid
def test_adjoints_are_the_formula(passes, grid, order):
    z, block = random(grid.n_coarse, K), some_block(order)
    slope = Slope(random(K, seed=5), random(K, seed=6))
    g, out = random(grid.n_fine, K, seed=3), Guarded(grid.n_coarse, K)
    passes.feature_sums(z, grid, block, g, out.inside)
    passes.feature_adjoint(z, grid, block, slope, g, out.inside)
    assert_near(out.written(), adjoint_by_formula(z, grid, block, slope, g))
    for n_outputs in (1, 2, 3):
        g, weights = random(n_outputs, grid.n_fine, seed=3), random(n_outputs, K, seed=4)
        out = Guarded(grid.n_coarse, K)
        passes.output_sums(z, grid, block, g, weights, out.inside)
        passes.output_adjoint(z, grid, block, slope, g, weights, out.inside)
        assert_near(out.written(), adjoint_by_formula(z, grid, block, slope, g.mT @ weights))


@every_order
@every_grid
def test_the_passes_together_differentiate_the_whole_block(passes, grid, order):
    z, scale, offset = (random(*shape, seed=seed) for seed, shape in enumerate([(grid.n_coarse, K), (K,), (K,)]))
    z, scale = 2 + 0.5 * z, 0.5 + scale.abs()
    weights, g = random(2, K, seed=3), random(2, grid.n_fine, seed=4)
    leaves = [x.clone().requires_grad_() for x in (z, scale, offset, weights)]
    features = block_by_formula(leaves[0], grid, order, *leaves[1:3])
    by_features = torch.autograd.grad((features * (g.mT @ weights)).sum(), leaves[:3], retain_graph=True)
    by_output = torch.autograd.grad((leaves[3] @ features.mT * g).sum(), leaves)

    block = Block.of(LOWS[order][0], *passes.moments(z, grid, LOWS[order][0]), scale, offset)
    written = Guarded(grid.n_fine, K)
    passes.features(z, grid, block, written.inside)
    assert_near(written.written(), features.detach(), 1e-9)

    gz = Guarded(grid.n_coarse, K)
    sums = passes.feature_sums(z, grid, block, g.mT @ weights, gz.inside)
    slope, by_scale, by_offset = norm_gradient(block, sums, grid.n_fine)
    passes.feature_adjoint(z, grid, block, slope, g.mT @ weights, gz.inside)
    for actual, expected in zip((gz.written(), by_scale, by_offset), by_features, strict=True):
        assert_near(actual, expected, 1e-9)

    gz = Guarded(grid.n_coarse, K)
    sums = passes.output_sums(z, grid, block, g, weights, gz.inside)
    slope, by_scale, by_offset = norm_gradient(block, (sums * weights[:, None]).sum(2), grid.n_fine)
    passes.output_adjoint(z, grid, block, slope, g, weights, gz.inside)
    by_weights = block.a[:, None] * sums[:, 1] + block.b[:, None] * sums[:, 0]
    for actual, expected in zip((gz.written(), by_scale, by_offset, by_weights), by_output, strict=True):
        assert_near(actual, expected, 1e-9)


@pytest.mark.parametrize("size", [(15,), (7, 10), (3, 5, 4)])
@every_order
def test_at_a_kink_the_gradient_is_that_of_torch(passes, order, size):
    grid = Grid(half_size(size), size, "linear")
    # Whole numbers stay exact under the kernel's quarters, and with many zeros u is often exactly 0.
    z = torch.randint(-1, 2, (M, grid.n_coarse, K), generator=torch.Generator().manual_seed(0)).double()
    z[:, : grid.n_coarse // 2, 0] = 0
    z.requires_grad_()
    a, b, zero = torch.tensor([[2.0, 1, -1], [1, -2, 1]]).double(), *torch.zeros(2, M, K).double()
    u, g = fine(z, grid), random(grid.n_fine, K, seed=3)
    assert (u == 0).sum() > 3
    f = a[:, None] * F.relu(u) if order == "relu-norm" else F.relu(a[:, None] * u)
    (expected,) = torch.autograd.grad((f * g).sum(), z)

    z, block, slope = z.detach(), Block(*LOWS[order], a, b, zero, zero, zero), Slope(zero, zero)
    out = Guarded(grid.n_coarse, K)
    feature_sums = passes.feature_sums(z, grid, block, g, out.inside)
    passes.feature_adjoint(z, grid, block, slope, g, out.inside)
    assert_near(out.written(), expected)
    out, n_outputs = Guarded(grid.n_coarse, K), K
    weights = torch.eye(n_outputs).double().repeat(M, 1, 1)
    output_sums = passes.output_sums(z, grid, block, g.mT.contiguous(), weights, out.inside)
    passes.output_adjoint(z, grid, block, slope, g.mT.contiguous(), weights, out.inside)
    assert_near(out.written(), expected)
    mask = torch.ones_like(u) if order == "relu-norm" else (a[:, None] * u > 0).double()
    assert_near(feature_sums[:, 0], (mask * g).sum(1).detach())
    assert_near(output_sums[:, 0], (g.mT @ mask).detach())


@both_tiles
@pytest.mark.parametrize("border", [False, True], ids=["", "border"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_variance_far_below_the_mean_survives_single_precision(passes, sign, border):
    grid = Grid((90, 75), (180, 150), "smooth")
    z = sign * 1000 + random(grid.n_coarse, K, dtype=torch.float32)
    if border:
        z.view(M, 90, 75, K)[:, 0] = 0
    mean, variance = passes.moments(z, grid, -math.inf)
    expected = fine(z.double(), grid)
    torch.testing.assert_close(mean, expected.mean(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(variance, expected.var(1, correction=0), rtol=1e-3, atol=0)


@both_tiles
def test_a_constant_channel_has_no_variance_and_no_negative_one(passes):
    grid = Grid((24, 30), (47, 60), "smooth")
    values = torch.cat((torch.zeros(M, 1), random(39).float() * 10 ** torch.linspace(-3, 9, 39)), 1)
    mean, variance = passes.moments(values[:, None].expand(-1, grid.n_coarse, -1).contiguous(), grid, -math.inf)
    torch.testing.assert_close(mean, values.double(), rtol=1e-6, atol=0)
    assert (variance >= 0).all()
    assert (variance <= (1e-6 * mean) ** 2).all()


@both_tiles
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("kernel", ["linear", "smooth"])
@every_order
def test_what_is_not_finite_shows_where_it_reaches_and_not_far_from_there(passes, order, kernel, value):
    grid = Grid((12, 20), (24, 39), kernel)
    z, block = random(grid.n_coarse, K), some_block(order)
    block.a.abs_()
    reached = torch.zeros_like(z)
    place = 5 * 20 + 8
    reached[1, place, 1] = 1
    reached = fine(reached, grid) != 0
    near = torch.zeros_like(reached).view(M, *grid.fine, K)
    near[1, 8:14, 14:20, 1] = True  # made of the value, be it with weight 0
    z[1, place, 1] = value
    features, output = Guarded(grid.n_fine, K), Guarded(2, grid.n_fine)
    passes.features(z, grid, block, features.inside)
    is_spoiled = ~features.written().isfinite()
    assert is_spoiled[reached].all()
    assert near.view_as(reached)[is_spoiled].all()
    passes.output(z, grid, block, random(2, K, seed=4), output.inside)
    assert torch.equal(~output.written().isfinite(), is_spoiled.any(2)[:, None].expand(-1, 2, -1))
    for moment in passes.moments(z, grid, block.low1):
        assert moment.isfinite().tolist() == [[True, True, True], [True, False, True]]


@both_tiles
def test_what_is_read_is_left_as_it_is(passes):
    grid, block = Grid((9, 10), (18, 19), "smooth"), some_block("relu-norm")
    z, g, gs = random(grid.n_coarse, K), random(grid.n_fine, K, seed=1), random(2, grid.n_fine, seed=2)
    weights, slope = random(2, K, seed=3), Slope(random(K, seed=4), random(K, seed=5))
    given = [z, g, gs, weights, slope.constant, slope.linear, block.a, block.b]
    before = [x.clone() for x in given]
    passes.moments(z, grid, 0.0)
    passes.features(z, grid, block, torch.empty(M, grid.n_fine, K).double())
    passes.output(z, grid, block, weights, torch.empty(M, 2, grid.n_fine).double())
    passes.feature_sums(z, grid, block, g, torch.empty(M, grid.n_coarse, K).double())
    passes.output_sums(z, grid, block, gs, weights, torch.empty(M, grid.n_coarse, K).double())
    passes.feature_adjoint(z, grid, block, slope, g, torch.empty(M, grid.n_coarse, K).double())
    passes.output_adjoint(z, grid, block, slope, gs, weights, torch.empty(M, grid.n_coarse, K).double())
    assert all(torch.equal(x, kept) for x, kept in zip(given, before, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_order
def test_a_block_normalizes_and_has_its_relu_on_the_side_of_the_order(order, dtype):
    r, scale, offset = 3 + 2 * random(50, K), random(K, seed=1).to(dtype), random(K, seed=2).to(dtype)
    block = Block.of(LOWS[order][0], r.mean(1), r.var(1, correction=0), scale, offset)
    assert (block.low1, block.low2) == LOWS[order]
    assert block.a.dtype == block.b.dtype == dtype
    expected = normed(r, scale.double(), offset.double())
    torch.testing.assert_close(block.a[:, None].double() * r + block.b[:, None], expected, rtol=1e-5, atol=1e-6)


def normed(r, scale, offset):
    pairs = zip(r, scale, offset, strict=True)
    return torch.stack([F.batch_norm(x, None, None, *weights, training=True, eps=1e-5) for x, *weights in pairs])


@pytest.mark.parametrize("n_pixels", [2, 40])
def test_the_gradient_of_the_norm_is_autograds(n_pixels):
    r, scale, offset = 3 + random(n_pixels, K), random(K, seed=1), random(K, seed=2)
    g = random(n_pixels, K, seed=3)
    leaves = [x.clone().requires_grad_() for x in (r, scale, offset)]
    expected = torch.autograd.grad((normed(*leaves) * g).sum(), leaves)

    block = Block.of(-math.inf, r.mean(1), r.var(1, correction=0), scale, offset)
    slope, by_scale, by_offset = norm_gradient(block, torch.stack((g.sum(1), (g * r).sum(1)), 1), n_pixels)
    by_r = block.a[:, None] * g + slope.constant[:, None] + slope.linear[:, None] * (r - block.mean[:, None])
    for actual, wanted in zip((by_r, by_scale, by_offset), expected, strict=True):
        assert_near(actual, wanted)


def test_the_gradient_of_the_norm_has_the_dtype_of_the_parameters():
    scale, offset = torch.ones(M, K), torch.zeros(M, K)
    block = Block.of(0.0, random(K), random(K).abs(), scale, offset)
    _, by_scale, by_offset = norm_gradient(block, random(2, K), 7)
    assert {x.dtype for x in (by_scale, by_offset)} == {torch.float32}
