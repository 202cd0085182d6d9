import numpy as np
import pytest
import pywt
import torch
from scipy.optimize import minimize

from napari_convgen.core.regularized.gradient import gradient, gradient_adjoint
from napari_convgen.core.regularized.total_variation import TotalVariation
from napari_convgen.core.regularized.wavelets import WAVELET, Wavelets


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 9), (2, 7, 8), (1, 4, 5, 6)])
def test_the_adjoint_of_the_gradient_is_one(shape):
    x, p = draw(*shape), draw(len(shape) - 1, *shape, seed=1)
    torch.testing.assert_close((gradient(x) * p).sum(), (x * gradient_adjoint(p)).sum())


def test_total_variation_finds_the_least_sum():
    image, weight = draw(2, 6, 5), 0.3

    def objective(x):
        x = torch.tensor(x.reshape(2, 6, 5), requires_grad=True)
        length = (_gradient_of(x).square().sum((0, 1)) + 1e-10).sqrt().sum()
        value = 0.5 * (x - image).square().sum() + weight * length
        value.backward()
        return value.item(), x.grad.numpy().ravel()

    best = minimize(objective, image.numpy().ravel(), jac=True, options={"maxiter": 5000}, tol=1e-12)
    penalty = TotalVariation()
    for _ in range(200):  # each begins where the last ended
        found = penalty(image, weight)
    np.testing.assert_allclose(found.numpy().ravel(), best.x, atol=2e-3)


def _gradient_of(x):
    rows = torch.cat((x[:, 1:] - x[:, :-1], torch.zeros_like(x[:, :1])), 1)
    columns = torch.cat((x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])), 2)
    return torch.stack((rows, columns))


def test_wavelets_are_shrunk_over_all_shifts():
    image, weight = draw(2, 32, 32), 0.4
    total = np.zeros((2, 32, 32))
    n_levels = pywt.dwtn_max_level((32, 32), WAVELET)
    assert n_levels == 2
    period = 2**n_levels
    for row in range(period):
        for column in range(period):
            there = np.roll(image.numpy(), (row, column), (1, 2))
            coefficients = pywt.wavedecn(there, WAVELET, "periodization", n_levels, (1, 2))
            for level in coefficients[1:]:
                for key, detail in level.items():
                    size = np.sqrt((detail**2).sum(0))
                    level[key] = detail * np.maximum(size - weight, 0) / size
            back = pywt.waverecn(coefficients, WAVELET, "periodization", (1, 2))
            total += np.roll(back, (-row, -column), (1, 2))
    np.testing.assert_allclose(Wavelets()(image, weight).numpy(), total / period**2, atol=1e-12)
    torch.testing.assert_close(Wavelets()(image, 0.0), image)
