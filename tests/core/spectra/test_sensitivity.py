import pytest
import torch

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.pace import finish
from napari_convgen.core.spectra.eigenpairs import paced_eigenpairs
from napari_convgen.core.spectra.jacobian import gram
from napari_convgen.core.spectra.sensitivity import paced_sensitivity, paced_tail


def model(n=60, n_parameters=90, decay=0.9, seed=0):
    """A map with a falling spectrum, and the first pairs of its K after a single pass, so none of them exact."""
    rng = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn((size, n), generator=rng, dtype=torch.float64))[0] for size in (n, n_parameters)
    )
    a = left * decay ** torch.arange(n, dtype=torch.float64) @ right.T
    linear_map = LinearMap(lambda v: a @ v, (n_parameters,), (n,), lambda y: a.T @ y)
    pairs = finish(paced_eigenpairs(gram(linear_map), a[:, 0], 8, 1, rng))
    return a, linear_map, pairs


def test_the_diagonal_and_the_trace_are_met_within_their_errors():
    a, linear_map, pairs = model()
    assert float(pairs.errors.max()) > 1e-3
    estimate = finish(paced_sensitivity(linear_map, pairs, 400, torch.Generator().manual_seed(1)))
    exact = (a**2).sum(1)
    z = (estimate.values - exact) / estimate.errors
    assert float(z.square().mean()) < 1.5
    assert float(z.abs().max()) < 4.5
    assert float((estimate.errors / exact).max()) < 0.1
    assert abs(estimate.trace - float(exact.sum())) < 4 * estimate.trace_error
    assert abs(estimate.trace - float(estimate.values.sum())) < 1e-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_that_no_parameter_changes_have_no_negative_sensitivity(dtype):
    a = model(n=40)[0].to(dtype)
    a[::3] = 0
    linear_map = LinearMap(lambda v: a @ v, a.shape[1:], a.shape[:1], lambda y: a.T @ y)
    for seed in range(5):
        rng = torch.Generator().manual_seed(seed)
        pairs = finish(paced_eigenpairs(gram(linear_map), a[:, 0], 12, 1, rng))
        estimate = finish(paced_sensitivity(linear_map, pairs, 3, rng))
        assert (estimate.values >= 0).all()
        assert estimate.values[::3].max() < 1e-6 * estimate.values.max()
        assert estimate.values.sqrt().isfinite().all()


def test_the_errors_are_those_of_repeated_estimates():
    a, linear_map, pairs = model()
    estimates = [
        finish(paced_sensitivity(linear_map, pairs, 12, torch.Generator().manual_seed(seed))) for seed in range(150)
    ]
    off = torch.stack([each.values for each in estimates]) - (a**2).sum(1)
    stated = torch.stack([each.errors for each in estimates]).square().mean()
    assert 0.8 < float(off.square().mean() / stated) < 1.25
    traces = torch.tensor([each.trace - float((a**2).sum()) for each in estimates])
    stated_trace = sum(each.trace_error**2 for each in estimates) / len(estimates)
    assert 0.7 < float(traces.square().mean()) / stated_trace < 1.4


def test_known_pairs_leave_less_to_chance():
    a, linear_map, pairs = model(decay=0.8)
    few = finish(paced_eigenpairs(gram(linear_map), a[:, 0], 1, 3, torch.Generator().manual_seed(2)))
    errors = [
        float(finish(paced_sensitivity(linear_map, each, 20, torch.Generator().manual_seed(3))).errors.mean())
        for each in (few, pairs)
    ]
    assert errors[1] < 0.2 * errors[0]


def test_the_tail_counts_the_eigenvalues_beyond_the_pairs():
    a, linear_map, pairs = model(n=200, n_parameters=200, decay=0.97)
    tail = finish(paced_tail(gram(linear_map), pairs, 15, 8, torch.Generator().manual_seed(1)))
    exact = torch.linalg.svdvals(a) ** 2
    assert (tail.ranks.diff() >= 0).all()
    assert (tail.values.diff() <= 0).all()
    assert abs(float(tail.ranks[-1]) - 200) < 20
    for rank in (20, 50, 100):
        assert abs(float((tail.values - exact[rank]).abs().argmin()) - float((tail.ranks - rank).abs().argmin())) < 3


def test_where_the_pairs_are_all_there_is_no_tail():
    k = torch.diag(torch.arange(1.0, 5))
    pairs = finish(paced_eigenpairs(lambda v: k @ v, k[0], 4, 2, torch.Generator().manual_seed(0)))
    tail = finish(paced_tail(lambda v: k @ v, pairs, 3, 2, torch.Generator().manual_seed(0)))
    assert len(tail.ranks) == len(tail.values) == 0
