import numpy as np
import pytest

from napari_convgen.core.theory.least_squares import least_squares
from napari_convgen.errors import InputError


@pytest.mark.parametrize("shape", [(6, 6), (5, 9), (9, 5)])
def test_output_and_coefficients_are_those_of_gradient_descent(shape):
    rng = np.random.default_rng(0)
    matrix, y = rng.standard_normal(shape), rng.standard_normal(shape[0])
    rate = 0.7 / np.linalg.norm(matrix, 2) ** 2
    descent, c = least_squares(matrix, rate), np.zeros(shape[1])
    for step in range(1, 21):
        c = c - rate * matrix.T @ (matrix @ c - y)
        np.testing.assert_allclose(descent.coefficients(y, step), c, atol=1e-13)
        np.testing.assert_allclose(descent.output(y, step), matrix @ c, atol=1e-13)


def test_a_direction_without_singular_value_is_not_moved():
    matrix = np.diag([1.0, 0.5, 0])
    np.testing.assert_allclose(least_squares(matrix, 1.0).coefficients(np.ones(3), 2), [1, 1.75 / 2, 0])


def test_the_error_has_two_parts_and_the_signals_is_bounded_by_its_last_weight():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((12, 12))
    left, singular_values, _ = np.linalg.svd(matrix)
    x, z = left[:, :3] @ rng.standard_normal(3), rng.standard_normal(12)
    rate = 1 / singular_values[0] ** 2
    descent = least_squares(matrix, rate)
    for step in (0, 1, 10, 100):
        error, unfitted, fitted_noise = descent.errors(x, z, step)
        assert error == pytest.approx(np.linalg.norm(descent.output(x + z, step) - x))
        assert error <= unfitted + fitted_noise + 1e-12
        assert unfitted <= (1 - rate * singular_values[2] ** 2) ** step * np.linalg.norm(x) + 1e-12
        weights = (1 - (1 - rate * singular_values**2) ** step) * (left.T @ z)
        assert fitted_noise == pytest.approx(np.linalg.norm(weights))


@pytest.mark.parametrize("rate", [0, 2.0])
def test_a_rate_that_diverges_is_refused(rate):
    with pytest.raises(InputError, match="less than 2, got"):
        least_squares(np.eye(3), rate)
