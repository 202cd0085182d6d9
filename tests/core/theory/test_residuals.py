import numpy as np
import pytest

from napari_convgen.core.theory.residuals import distance_gap_bounds, distances, residual_gap_bounds, residual_norms

STEPS = np.arange(31)


def test_residuals_and_distances_are_those_of_a_linear_descent():
    rng = np.random.default_rng(0)
    j, y, start = rng.standard_normal((5, 12)), rng.standard_normal(5), rng.standard_normal(12)
    left, s, _ = np.linalg.svd(j)
    rate, theta, norms, ways = 0.9 / s[0] ** 2, start, [], []
    for _ in STEPS:
        r = j @ theta - y
        norms.append(np.linalg.norm(r))
        ways.append(np.linalg.norm(theta - start))
        theta = theta - rate * j.T @ r
    coefficients = left.T @ (j @ start - y)
    np.testing.assert_allclose(residual_norms(s**2, rate, coefficients, STEPS), norms)
    np.testing.assert_allclose(distances(s**2, rate, coefficients, STEPS), ways, atol=1e-14)


def test_a_component_without_weight_is_not_moved():
    weights, residual = np.array([1.0, 0]), np.ones(2)
    np.testing.assert_allclose(residual_norms(weights, 1.0, residual, STEPS[:2]), [2**0.5, 1])
    np.testing.assert_allclose(distances(weights, 1.0, residual, STEPS[:2]), [0, 1])


def test_the_gap_to_a_nonlinear_descent_is_within_its_bounds():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((6, 30)) / 6
    y = rng.standard_normal(6)

    def f(theta):
        return a @ np.tanh(theta)

    def jacobian(theta):
        return a / np.cosh(theta) ** 2

    start = 0.3 * rng.standard_normal(30)
    j = jacobian(start)
    rate = 1 / np.linalg.norm(a, 2) ** 2
    theta, linear, path, linear_path, changes = start, start, [], [], []
    for _ in STEPS:
        path.append((f(theta) - y, theta))
        linear_path.append((f(start) + j @ (linear - start) - y, linear))
        theta = theta - rate * jacobian(theta).T @ path[-1][0]
        linear = linear - rate * j.T @ linear_path[-1][0]
        # The derivative falls with |θ|: its change along a segment is largest at an end.
        changes.append(np.linalg.norm(jacobian(theta) - j, 2))
    norms = np.array([np.linalg.norm(r) for r, _ in path])
    gaps = [np.linalg.norm(r - q) for (r, _), (q, _) in zip(path, linear_path, strict=True)]
    ways = [np.linalg.norm(t - q) for (_, t), (_, q) in zip(path, linear_path, strict=True)]
    beta, epsilon = np.linalg.norm(a, 2), max(changes)
    bounds = residual_gap_bounds(norms, rate, beta, epsilon)
    way_bounds = distance_gap_bounds(norms, rate, beta, epsilon)
    assert gaps[0] == bounds[0] == ways[0] == way_bounds[0] == 0
    assert (np.array(gaps[1:]) < bounds[1:]).all()
    assert (np.array(ways[1:]) < way_bounds[1:]).all()
    assert gaps[1] > bounds[1] / 30
    assert bounds[1:3] == pytest.approx(
        [2 * rate * beta * epsilon * norms[0], 2 * rate * beta * epsilon * norms[:2].sum()]
    )
    first, second = rate * epsilon * norms[0], rate * (epsilon * norms[1] + beta * bounds[1])
    assert way_bounds[1:3] == pytest.approx([first, first + second])
