import pytest
import torch

from napari_convgen.core.spectra.descent import Descent, predict_descent


def model(n=30, n_parameters=20, seed=0):
    """A linear model with a few strong directions."""
    rng = torch.Generator().manual_seed(seed)
    a = torch.randn((n, n_parameters), generator=rng, dtype=torch.float64)
    a = a * 0.7 ** torch.arange(n_parameters, dtype=torch.float64)
    return a, torch.randn(n, generator=rng, dtype=torch.float64)


def test_the_loss_is_that_of_gradient_descent_on_a_linear_model():
    a, y = model()
    eta = 0.9 / float(torch.linalg.matrix_norm(a, 2)) ** 2
    start = torch.full((20,), 0.3, dtype=torch.float64)
    level = torch.full((30,), 0.2, dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    descent = predict_descent(lambda v: a @ (a.T @ v), a @ start - y, level, rng, 30, rate=eta)
    w, losses = start, {}
    for step in range(1, 1001):
        w = w - eta * a.T @ (a @ w - y)
        losses[step] = float(((a @ w - y) ** 2).mean())
    assert descent.steps.tolist()[:5] == [1, 2, 3, 4, 5]
    assert descent.loss.tolist() == pytest.approx([losses[int(step)] for step in descent.steps], rel=1e-7)


def test_freedom_and_risk_are_those_of_the_exact_divergence():
    a, y = model()
    k = a @ a.T
    level = torch.linspace(0.1, 0.5, 30, dtype=torch.float64)
    eta = 1 / float(torch.linalg.matrix_norm(k, 2))
    rng = torch.Generator().manual_seed(0)
    descent = predict_descent(lambda v: k @ v, -y, level, rng, 30, 600)
    for i in (0, 10, -1):
        t = int(descent.steps[i])
        influence = torch.eye(30, dtype=torch.float64) - torch.linalg.matrix_power(
            torch.eye(30, dtype=torch.float64) - eta * k, t
        )
        divergence = float((level**2 * influence.diagonal()).sum())
        assert float(descent.freedom[i]) == pytest.approx(divergence / float((level**2).mean()), rel=0.1)
        risk = float(descent.loss[i]) - float((level**2).mean()) + 2 * divergence / 30
        assert float(descent.risk[i]) == pytest.approx(risk, rel=0.05)


def test_few_products_and_probes_do_for_a_long_spectrum():
    n = 2000
    values = torch.logspace(0, -6, n, dtype=torch.float64)
    residual = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    descent = predict_descent(
        lambda v: values * v,
        residual,
        torch.ones(n, dtype=torch.float64),
        torch.Generator().manual_seed(1),
        60,
    )
    t = descent.steps[:, None]
    loss = (residual**2 * (1 - values) ** (2 * t)).mean(1)
    freedom = (1 - (1 - values) ** t).sum(1)
    assert torch.allclose(descent.loss, loss, rtol=0.07)
    assert torch.allclose(descent.freedom, freedom, rtol=0.1, atol=5)


def test_the_interval_lies_around_the_least_risk():
    steps = torch.arange(1.0, 8)
    risk = torch.tensor([9.0, 3, 1, 0.8, 1.1, 0.95, 2])
    descent = Descent(steps, steps, steps, risk, 1.0, 0.5)
    assert descent.best == 3
    assert descent.near_best(0.0) == (3, 3)
    assert descent.near_best(0.25) == (2, 3)  # what comes after a rise does not count
    assert descent.near_best(0.35) == (2, 5)
    assert descent.near_best(10) == (0, 6)
