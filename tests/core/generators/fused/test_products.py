import pytest
import torch

from napari_convgen.core.generators.fused import products as module
from napari_convgen.core.generators.fused.products import Products

SHAPES = [(1, 1), (7, 1), (5000, 1), (1, 5), (37, 6), (301, 17), (2500, 8), (4097, 32)]
"""Pixels and channels."""

tall_and_small = pytest.mark.parametrize(("n", "k"), SHAPES)


@pytest.fixture(params=["matrix product", "convolution"])
def path(request, monkeypatch):
    monkeypatch.setattr(module, "_is_convolution_faster", lambda x: request.param == "convolution")


@pytest.fixture(params=["whole", "in parts"])
def memory(request, monkeypatch):
    if request.param == "in parts":
        monkeypatch.setattr(module, "PART_VALUES", 100)


M = 2


def random(*shape, seed=0, dtype=torch.float32):
    """Return random values for M members."""
    return torch.randn(M, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def within(memory, n, k):
    """A tensor that is part of a larger one, as the decoder's own are."""
    return torch.full((M * n * k + 8,), 7, dtype=memory)[4:-4].view(M, n, k)


def error(actual, expected):
    """The largest, relative to the root mean square of what is expected."""
    return float((actual - expected).abs().max() / expected.square().mean().sqrt())


@tall_and_small
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.usefixtures("path", "memory")
def test_both_products_are_those_of_double_precision(n, k, dtype, tolerance):
    x, y, matrix, out = within(dtype, n, k), within(dtype, n, k), random(k, k, seed=2, dtype=dtype), within(dtype, n, k)
    x.copy_(1 + random(n, k))  # What adds up to nearly nothing would say little.
    y.copy_(1 + random(n, k, seed=1))
    before = x.clone(), y.clone(), matrix.clone()
    Products().multiply(x, matrix, out)
    assert error(out, x.double() @ matrix.double()) < tolerance
    # A transposed matrix is what the way back multiplies by.
    Products().multiply(x, matrix.mT, out)
    assert error(out, x.double() @ matrix.double().mT) < tolerance
    assert (out._base[:4] == 7).all()
    assert (out._base[-4:] == 7).all()
    inner = Products().inner(x, y)
    assert (inner.shape, inner.dtype) == ((M, k, k), dtype)
    assert error(inner, x.double().mT @ y.double()) < tolerance
    assert all(torch.equal(*pair) for pair in zip((x, y, matrix), before, strict=True))


@tall_and_small
@pytest.mark.usefixtures("memory")
def test_bfloat16_rounds_to_eight_bits_and_not_to_fewer(n, k):
    x, y, matrix, out = random(n, k), random(n, k, seed=1), random(k, k, seed=2), torch.empty(M, n, k)
    products = Products("bfloat16")
    products.multiply(x, matrix, out)
    expected = x.double() @ matrix.double()
    assert out.dtype == torch.float32
    assert (out - expected).norm() < 1e-2 * expected.norm()
    inner, expected = products.inner(x, y), x.double().mT @ y.double()
    assert inner.dtype == torch.float32
    assert (inner - expected).norm() < 1e-2 * x.double().norm() * y.double().norm()
    if k > 1:
        assert (inner - expected).abs().max() > 0


def test_bfloat16_of_whole_numbers_is_exact():
    rng = torch.Generator().manual_seed(0)
    x, matrix = (torch.randint(-4, 5, shape, generator=rng).float() for shape in [(M, 50, 3), (M, 3, 3)])
    products, out = Products("bfloat16"), torch.empty(M, 50, 3)
    products.multiply(x, matrix, out)
    assert torch.equal(out, x @ matrix)


@pytest.mark.parametrize("n", [2047, 2048, 9001])
def test_the_path_that_this_machine_takes_is_right_on_either_side_of_the_switch(n):
    x, y, matrix, out = random(n, 12), random(n, 12, seed=1), random(12, 12, seed=2), torch.empty(M, n, 12)
    Products().multiply(x, matrix, out)
    assert error(out, x.double() @ matrix.double()) < 1e-5
    assert error(Products().inner(x, y), x.double().mT @ y.double()) < 1e-5


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.usefixtures("path")
def test_what_is_not_finite_shows(precision):
    x, matrix, out = random(50, 4), random(4, 4, seed=2), torch.empty(M, 50, 4)
    x[1, 20, 1] = torch.nan
    x[1, 30, 2] = torch.inf
    Products(precision).multiply(x, matrix, out)
    assert (~out.isfinite()).any(2).nonzero().tolist() == [[1, 20], [1, 30]]
    assert (~Products(precision).inner(x, x).isfinite()).any(2).any(1).tolist() == [False, True]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_product_has_the_same_bits(precision):
    x, matrix = random(9001, 12), random(12, 12, seed=2)
    outs = [torch.empty(M, 9001, 12) for _ in range(2)]
    for out in outs:
        Products(precision).multiply(x, matrix, out)
    assert torch.equal(*outs)
    assert torch.equal(Products(precision).inner(x, x), Products(precision).inner(x, x))
