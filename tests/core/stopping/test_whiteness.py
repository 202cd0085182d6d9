import numpy as np
import pytest
import torch
from scipy import ndimage, stats

from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping.rule import Iterate
from napari_convgen.core.stopping.whiteness import ResidualWhiteness, residual_whiteness


def noise(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def p_value(residual, weights=None):
    """Probability that white noise has a statistic at least as large."""
    statistic, n = residual_whiteness(residual, torch.ones_like(residual) if weights is None else weights)
    return stats.chi2.sf(float(statistic) * n, n)


@pytest.mark.parametrize("shape", [(1, 48, 40), (3, 200), (1, 7, 16, 16)])
def test_p_values_are_uniform_on_white_noise_of_varying_strength(shape):
    strength = 1 + torch.linspace(0, 3, shape[-1], dtype=torch.float64)
    p = [p_value(strength * noise(shape, seed) + 5) for seed in range(150)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_p_values_are_uniform_with_missing_pixels():
    weights = (torch.rand((1, 40, 40), generator=torch.Generator().manual_seed(0)) > 0.4).double()
    p = [p_value(torch.where(weights > 0, noise((1, 40, 40), seed), 1e4), weights) for seed in range(150)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_correlated_noise_and_structure_have_tiny_p_values():
    correlated = ndimage.gaussian_filter(noise((48, 48), 0).numpy(), 0.6)
    assert p_value(torch.as_tensor(correlated)[None]) < 1e-10
    structure = torch.as_tensor(np.sin(np.indices((48, 48)).sum(0) / 5))[None]
    assert p_value(noise((1, 48, 48), 0) + structure) < 1e-10


def test_the_statistic_is_the_sum_over_distances_written_out():
    r = noise((1, 5, 6), 1)
    v = (r - r.mean())[0].numpy()
    q, n = 0.0, 0
    for dy, dx in [(0, 1), (0, 2), *((dy, dx) for dy in (1, 2) for dx in range(-2, 3))]:
        products = [v[y, x] * v[y + dy, x + dx] for y in range(5) for x in range(6) if y + dy < 5 and 0 <= x + dx < 6]
        q += sum(products) ** 2 / sum(p * p for p in products)
        n += 1
    statistic, n_distances = residual_whiteness(r, torch.ones_like(r))
    assert n_distances == n == 12
    assert float(statistic) == pytest.approx(q / n)


def test_it_keeps_a_step_of_small_error_if_rather_early(two_band_fit):
    fit = two_band_fit()
    members, criteria, judgment = fit.run(ResidualWhiteness("iterate"))
    assert fit.error(judgment.step, members) < 0.3 * float(fit.sigma[0]) ** 2
    assert f"white noise at step {judgment.step} " in judgment.reason.sentence
    assert np.isfinite(criteria[0])


def test_there_is_no_criterion_between_snapshots(two_band_fit):
    fit = two_band_fit()
    rule = ResidualWhiteness()
    members = rule.members(fit.problem, 1, torch.Generator())
    rule.begin(fit.problem, members)
    assert torch.isnan(rule.observe(fit.iterate(1, members, is_snapshot=False)))


def test_correlated_noise_gets_a_warning(two_band_fit):
    problem = two_band_fit().problem
    problem = Problem(problem.measurement, problem.weights, correlation_length=3)
    rule = ResidualWhiteness()
    rule.begin(problem, rule.members(problem, 1, torch.Generator()))
    image = problem.measurement[None] * 0
    rule.observe(Iterate(1, torch.tensor(0.0), image, image, True))
    assert "correlated" in rule.judge([1]).warnings[0]
