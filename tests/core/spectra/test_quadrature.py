import math

import pytest
import torch

from napari_convgen.core.pace import finish
from napari_convgen.core.spectra.quadrature import paced_quadrature


def operator(n=60, seed=0):
    rng = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(torch.randn((n, n), generator=rng, dtype=torch.float64))[0]
    values = torch.logspace(0, -6, n, dtype=torch.float64)
    return values, vectors, (vectors * values) @ vectors.T, torch.randn(n, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("degree", [0, 1, 2, 5, 9])
def test_it_is_exact_for_polynomials(degree):
    _, _, k, v = operator()
    nodes, weights = finish(paced_quadrature(lambda x: k @ x, v, 5))
    assert float((weights * nodes**degree).sum()) == pytest.approx(
        float(v @ torch.linalg.matrix_power(k, degree) @ v), rel=1e-9
    )


def test_it_comes_near_for_smooth_functions():
    values, vectors, k, v = operator()
    nodes, weights = finish(paced_quadrature(lambda x: k @ x, v, 20))
    exact = float(((vectors.T @ v) ** 2 * torch.exp(-100 * values)).sum())
    assert float((weights * torch.exp(-100 * nodes)).sum()) == pytest.approx(exact, rel=1e-4)


def test_it_ends_where_nothing_new_comes():
    k = torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0], dtype=torch.float64))
    v = torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    nodes, weights = finish(paced_quadrature(lambda x: k @ x, v, 10))
    assert nodes.tolist() == pytest.approx([2, 3])
    assert weights.tolist() == pytest.approx([2, 1])


def test_random_signs_give_the_trace_of_a_function():
    values, _, k, _ = operator()
    exact = float(torch.exp(-10 * values).sum())
    total = 0.0
    for seed in range(200):
        signs = 2.0 * torch.randint(2, (60,), generator=torch.Generator().manual_seed(seed)).double() - 1
        nodes, weights = finish(paced_quadrature(lambda x: k @ x, signs, 20))
        total += float((weights * torch.exp(-10 * nodes)).sum()) / 200
    assert total == pytest.approx(exact, rel=0.02)


def test_single_precision_brings_no_copies_of_the_largest_eigenvalue():
    values, vectors, k, v = operator()
    k, v = k.float(), v.float()
    nodes, weights = finish(paced_quadrature(lambda x: k @ x, v, 60))
    assert int((nodes > 0.9).sum()) == 1
    exact = math.fsum(((vectors.T @ v.double()) ** 2 * torch.exp(-1e3 * values)).tolist())
    assert float((weights * torch.exp(-1e3 * nodes.clamp_min(0))).sum()) == pytest.approx(exact, rel=1e-2)
