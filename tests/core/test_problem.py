import dataclasses
import itertools

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from scipy import ndimage

from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.noise import estimate_noise
from napari_convgen.core.noise.models import PoissonGaussianNoise, RicianNoise
from napari_convgen.core.problem import Problem


def naive_block_error(y, weights, grid):
    """Go block by block: pixel i of n lies in block floor(i g / n) of g."""
    size, squares = y.shape[1:], 0.0
    for channel, *block in itertools.product(range(len(y)), *map(range, grid)):
        inside = [[i for i in range(n) if i * g // n == b] for n, g, b in zip(size, grid, block, strict=True)]
        places = np.ix_([channel], *inside)
        observed = y[places][weights[places] > 0]
        if observed.size:
            squares += ((observed - observed.mean()) ** 2).sum()
    return squares / weights.sum()


@pytest.mark.parametrize("has_missing", [False, True])
@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((1, 16, 16), (4, 4)),
        ((2, 13, 17), (4, 5)),
        ((3, 101), (7,)),
        ((1, 5, 11, 7), (2, 3, 2)),
        ((1, 8, 6), (1, 1)),
        ((1, 5, 5), (5, 5)),
    ],
)
def test_low_pass_error_equals_a_naive_block_mean(shape, grid, has_missing):
    rng = np.random.default_rng(0)
    y = rng.random(shape)
    weights = (rng.random(shape) > 0.4 * has_missing).astype(float)
    error = Problem(torch.from_numpy(y), torch.from_numpy(weights)).low_pass_error(grid)
    assert error == pytest.approx(naive_block_error(y, weights, grid), rel=1e-12, abs=1e-15)


def test_an_image_made_of_the_blocks_has_no_low_pass_error():
    y = torch.rand(1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = y.repeat_interleave(4, 1).repeat_interleave(2, 2)
    assert Problem(y, torch.ones_like(y)).low_pass_error((3, 4)) == pytest.approx(0, abs=1e-30)


def test_missing_values_get_no_weight():
    frame = np.arange(20.0).reshape(4, 5)
    frame[1, 2] = np.nan
    problem = Problem.of(ImageTensor.of(frame, Layout.of(frame.shape)), torch.device("cpu"))
    assert problem.measurement.dtype == problem.weights.dtype == torch.float32
    assert problem.measurement.isfinite().all()
    assert problem.weights.tolist() == [np.isfinite(frame).astype(float).tolist()]


@pytest.mark.parametrize(("blur", "length", "has_spectrum"), [(0, "auto", False), (1, "auto", True), (1, 1, False)])
def test_correlated_noise_has_a_spectrum(blur, length, has_spectrum):
    frame = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((96, 96)), blur)
    noise = estimate_noise(frame[None], np.isfinite(frame)[None], correlation_length=length)
    problem = Problem.of(ImageTensor.of(frame, Layout.of(frame.shape), noise), torch.device("cpu"))
    assert (problem.noise_spectrum is not None) == has_spectrum
    if has_spectrum:
        assert problem.noise_spectrum[0, 0] > 3 * problem.noise_spectrum[-1, -1]


def test_tensor_shapes_are_checked_while_tests_run():
    with pytest.raises(TypeCheckError):
        Problem(torch.zeros(1, 4), torch.zeros(1, 5))


@pytest.mark.parametrize("factor", [1e-18, 1e-3, 1e15])
def test_relative_error_weights_do_not_depend_on_the_users_unit(factor):
    counts = np.random.default_rng(0).poisson(np.linspace(3, 60, 40), (30, 40)).astype(float)
    counts[3, 4] = np.nan

    def error_weights(unit):
        noise = PoissonGaussianNoise((0.0,), (unit,), (0.0,))
        image = ImageTensor.of(unit * counts, Layout.of(counts.shape), noise)
        problem = Problem.of(image, torch.device("cpu"))
        return image, problem.error_weights_at(problem.measurement)

    (image, plain), (_, scaled) = error_weights(1.0), error_weights(factor)
    torch.testing.assert_close(scaled.weights, plain.weights)
    torch.testing.assert_close(scaled.noise_variance, plain.noise_variance)
    assert scaled.unit == pytest.approx(factor**2 * plain.unit)
    assert float(plain.weights.sum()) == pytest.approx(1, rel=1e-5)
    assert plain.weights[0, 3, 4] == 0
    assert plain.weights[0, :, -5:].mean() > 5 * plain.weights[0, :, :5].mean()  # bright pixels count for more
    squares = np.where(image.is_observed, 1e-4, 0.0) * image.slope(image.values) ** 2
    expected = squares.sum() / image.is_observed.sum()
    assert plain.unit * plain.mean(torch.full_like(plain.weights, 1e-4)) == pytest.approx(expected, rel=1e-5)


def test_pixels_of_background_alone_have_equal_error_weights():
    rng = np.random.default_rng(0)
    frame = np.hypot(*rng.normal(size=(2, 40, 40)))
    image = ImageTensor.of(frame, Layout.of(frame.shape), RicianNoise((1.0,)))
    dark = torch.full((1, 40, 40), float(image.scale(np.full((1, 40, 40), 0.5))[0, 0, 0]))  # far below the floor
    problem = Problem.of(image, torch.device("cpu"))
    weights = dataclasses.replace(problem, error_weights=None).error_weights_at(dark)
    assert (weights.unit, float(weights.weights.std())) == (1.0, 0.0)
    weights = problem.error_weights_at(dark)
    assert weights.unit >= 0
    assert float(weights.weights.sum()) == pytest.approx(1, rel=1e-5)


def test_events_are_counted_without_the_stripes_that_were_taken_away():
    rng = np.random.default_rng(0)
    frame = rng.poisson(100, (32, 40)) + 20.0 * rng.standard_normal((32, 1)).round()
    noise = PoissonGaussianNoise((0.0,), (1.0,), (0.0,), stripes=(20.0, 0.0))
    counts = ImageTensor.of(frame, Layout.of(frame.shape), noise).counts[0]
    assert np.diff(frame.mean(1)).std() > 10
    assert np.diff(counts.mean(1)).std() < 5


def test_the_mean_of_a_block_is_that_of_its_pixels_also_where_they_weigh_less_than_one():
    y = torch.full((1, 6, 6), 0.5)
    assert Problem(y, torch.full_like(y, 0.25)).low_pass_error((6, 6)) == 0
