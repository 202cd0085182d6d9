import numpy as np

from napari_convgen.reproduction.least_squares import gradient_descent


def test_descent_ends_at_the_solution():
    rng = np.random.default_rng(0)
    matrix, y = rng.standard_normal((3, 5)), rng.standard_normal(3)
    rate = 1 / np.linalg.norm(matrix, 2) ** 2
    outputs = list(gradient_descent(matrix, y, rate, 2000))
    np.testing.assert_allclose(outputs[0], rate * matrix @ matrix.T @ y)
    np.testing.assert_allclose(outputs[-1], y, atol=1e-9)
