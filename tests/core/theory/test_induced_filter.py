import numpy as np
import pytest

from napari_convgen.core.theory.dual_kernel import expected_gram, squared_weights
from napari_convgen.core.theory.induced_filter import induced_filter
from napari_convgen.core.theory.kernels import gaussian, step_size, triangular
from napari_convgen.errors import InputError

SIZES = [(12,), (13,), (4, 6), (5, 4, 3)]


def dense(kernel):
    gram = expected_gram(kernel)
    return np.stack([np.roll(gram, shift, range(gram.ndim)).ravel() for shift in np.ndindex(gram.shape)], 1)


@pytest.mark.parametrize("size", SIZES)
def test_the_filter_is_gradient_descent_under_the_gram_matrix(size):
    kernel = gaussian(size, 0.2)
    descent, gram = induced_filter(kernel), dense(kernel)
    measurement = np.random.default_rng(0).standard_normal(size)
    image = np.zeros(measurement.size)
    for _ in range(7):
        image = image - descent.rate * gram @ (image - measurement.ravel())
    np.testing.assert_allclose(descent.apply(measurement, 7).ravel(), image, atol=1e-12)
    powers = np.eye(measurement.size) - np.linalg.matrix_power(np.eye(measurement.size) - descent.rate * gram, 7)
    assert descent.freedom(7) == pytest.approx(np.trace(powers))


def test_error_and_risk_are_those_of_many_noisy_measurements():
    rng = np.random.default_rng(0)
    size, level, step = (12, 10), 0.5, 6
    image = np.add.outer(np.sin(np.arange(12)), np.cos(np.arange(10)))
    descent = induced_filter(triangular(size, 3))
    noisy = image + level * rng.standard_normal((4000, *size))
    errors = [np.mean((descent.apply(y, step) - image) ** 2) for y in noisy]
    assert descent.error(image, level, step) == pytest.approx(np.mean(errors), rel=0.01)
    assert descent.error(image, level, step) == pytest.approx(
        np.mean([descent.risk(y, level, step) for y in noisy]), rel=0.02
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_descent_is_predicted_as_step_by_step(size):
    measurement = np.random.default_rng(0).standard_normal(size)
    descent = induced_filter(gaussian(size, 0.2))
    course = descent.predict(measurement, 0.7, 1000)
    assert course.steps.tolist()[:10] == list(range(1, 11))
    assert course.steps[-1] == 1000
    for i in (0, 5, -1):
        step = float(course.steps[i])
        residual = measurement - descent.apply(measurement, step)
        assert float(course.loss[i]) == pytest.approx(np.mean(residual**2))
        assert float(course.freedom[i]) == pytest.approx(descent.freedom(step))
        assert float(course.risk[i]) == pytest.approx(descent.risk(measurement, 0.7, step))


def test_the_step_of_least_risk_is_about_that_of_least_error():
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 64))
    image = (x**2 + y**2 < 0.5).astype(float)
    measurement = image + 0.3 * rng.standard_normal(image.shape)
    descent = induced_filter(gaussian(image.shape, 0.03))
    course = descent.predict(measurement, 0.3)
    errors = [np.mean((descent.apply(measurement, step) - image) ** 2) for step in course.steps.tolist()]
    assert errors[course.best] < 1.03 * min(errors)
    assert min(errors) < 0.2 * 0.3**2
    assert 0 < course.best < len(errors) - 1


def test_a_component_at_the_largest_step_is_drawn_at_once():
    kernel = triangular((16,), 1)  # the identity: all weights are 1/2
    descent = induced_filter(kernel, 2.0)
    measurement = np.random.default_rng(0).standard_normal(16)
    np.testing.assert_allclose(descent.apply(measurement, 1), measurement, atol=1e-14)
    assert descent.predict(measurement, 1.0, 10).loss.tolist() == [0] * 10


@pytest.mark.parametrize("share", [0, -1, 1.01])
def test_a_step_that_overshoots_is_refused(share):
    kernel = gaussian((16,), 0.1)
    with pytest.raises(InputError, match=r"more than 0 and at most .* got"):
        induced_filter(kernel, share / squared_weights(kernel).max())


def test_the_default_rate_is_the_theorys():
    kernel = gaussian((16,), 0.1)
    assert induced_filter(kernel).rate == step_size(kernel)
