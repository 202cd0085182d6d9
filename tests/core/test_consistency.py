import math

import pytest
import torch

from napari_convgen.core.consistency import choose_rho, conjugate_gradients, make_consistent
from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.operators.blurring import blurring
from napari_convgen.core.operators.forward_model import ForwardModel
from napari_convgen.core.operators.fourier import fourier
from napari_convgen.core.operators.resizing import box_downsampling
from napari_convgen.core.operators.sensing import cosine_sensing, gaussian_sensing
from napari_convgen.core.optics.point_spread import gaussian_psf
from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping.entries import draw_groups

DOUBLE = torch.zeros((), dtype=torch.float64)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=source(seed), dtype=torch.float64).to(dtype)


def problem_of(operator, clean, noise=0.0, weights=None, level=None):
    y = operator.apply(clean)
    disturbance = draw(*y.shape, seed=9).to(clean.dtype)
    if y.is_complex():
        disturbance = torch.complex(disturbance, draw(*y.shape, seed=10).to(clean.dtype))
    weights = torch.ones(y.shape, dtype=clean.dtype) if weights is None else weights
    level = None if level is None else torch.full((len(y),), level, dtype=clean.dtype)
    return Problem(weights * (y + noise * disturbance), weights, level, operator=operator)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-3), (torch.float64, 1e-4), (torch.complex128, 1e-4)]
)
def test_conjugate_gradients_solve_what_a_dense_solver_solves(dtype, tolerance):
    a = draw(12, 8)
    if dtype.is_complex:
        a = torch.complex(a, draw(12, 8, seed=1))
    matrix = (a.mH @ a + 0.1 * torch.eye(8)).to(dtype)
    target = torch.ones(8, dtype=dtype) * (1j if dtype.is_complex else 1)
    expected = torch.linalg.solve(matrix, target)
    for start in (None, expected + 0.1):
        found = conjugate_gradients(matrix.matmul, target, start)
        assert found.excess <= 1
        assert float((found.x - expected).norm() / expected.norm()) < tolerance
    assert conjugate_gradients(matrix.matmul, target, n_steps=2).excess > 1
    assert torch.equal(conjugate_gradients(matrix.matmul, 0 * target).x, 0 * target)


def coils():
    maps = torch.complex(draw(3, 5, 6), draw(3, 5, 6, seed=1))
    return fourier(maps, torch.rand((5, 6), generator=source(2)) < 0.5)


@pytest.mark.parametrize(
    "operator", [blurring((2, 6, 5), gaussian_psf((0.5, 0.4))), gaussian_sensing((1, 4, 5), 9, source()), coils()]
)
def test_the_consistent_image_is_that_of_the_normal_equations(operator):
    image, clean = draw(*operator.in_shape), draw(*operator.in_shape, seed=1)
    weights = torch.rand(operator.out_shape, generator=source(3), dtype=torch.float64)
    problem = problem_of(operator, clean, 0.1, weights)
    a = operator.matrix(DOUBLE)
    w, y = weights.flatten().to(a), problem.measurement.flatten()
    n = a.shape[1]
    for rho in (0.05, 3.0):
        normal = (a.mH @ (w[:, None] * a)).real + rho * torch.eye(n)
        target = (a.mH @ (w * y)).real + rho * image.flatten()
        expected = torch.linalg.solve(normal, target).view(operator.in_shape)
        torch.testing.assert_close(make_consistent(problem, image, rho), expected, rtol=1e-3, atol=1e-3)
        single = problem_of(operator, clean.float(), 0.1, weights.float())
        torch.testing.assert_close(make_consistent(single, image.float(), rho).double(), expected, rtol=1e-3, atol=1e-3)
    assert torch.equal(make_consistent(problem, image, math.inf), image)


def held_out_rows(problem, n_members=2, share=0.2):
    kept = torch.rand((n_members, *problem.measurement.shape[1:]), generator=source(4)) >= share
    return problem.weights * kept[:, None]


@pytest.mark.parametrize(("noise", "prior_error"), [(0.0, 0.3), (0.1, 0.1), (0.5, 0.05)])
def test_rho_is_chosen_about_where_the_image_is_best(noise, prior_error):
    operator = gaussian_sensing((1, 24, 24), 400, source())
    clean = draw(1, 24, 24)
    problem = problem_of(operator, clean, noise)
    images = torch.stack([clean + prior_error * draw(1, 24, 24, seed=seed) for seed in (5, 6)])
    norm = operator.norm(DOUBLE, source())
    seen = held_out_rows(problem)
    rho = choose_rho(problem, images, seen, norm)

    def error(rho):
        return float((make_consistent(problem, images[0], rho) - clean).square().mean())

    best = min(error(norm**2 * 10**exponent) for exponent in range(-4, 5))
    assert error(rho) <= 1.2 * best
    assert error(rho) <= 1.02 * error(math.inf)
    if noise == 0:
        assert rho < 1e-2 * norm**2


def test_a_generator_that_is_right_is_left_as_it_is():
    operator = gaussian_sensing((1, 8, 8), 60, source())
    clean = draw(1, 8, 8)
    problem = problem_of(operator, clean, 0.5)
    assert math.isinf(choose_rho(problem, clean[None], held_out_rows(problem, 1), 2.0))


def test_held_out_lines_of_k_space_count_as_one_each():
    size = (8, 24)
    mask = (torch.rand(size[1], generator=source(7)) < 0.7).expand(size)
    maps = torch.complex(draw(2, *size), draw(2, *size, seed=1))
    operator = fourier(maps, mask, readout_axis=0, n_calibration=2)
    clean = draw(2, *size)
    problem = problem_of(operator, clean, 0.02, mask.double().expand(operator.out_shape))
    images = (clean + 0.5 * draw(2, *size, seed=5))[None]
    out = draw_groups(mask.flatten(), operator.entry_groups.flatten(), 0.2, 1, source())[0].view(size)
    rho = choose_rho(problem, images, problem.weights[None] * ~out, norm := operator.norm(DOUBLE, source()))
    assert rho < 0.1 * norm**2
    before, after = (float((x - clean).square().mean()) for x in (images[0], make_consistent(problem, images[0], rho)))
    assert after < 0.5 * before


def test_each_generator_must_have_something_it_has_not_seen():
    operator = gaussian_sensing((1, 4, 4), 6, source())
    problem = problem_of(operator, draw(1, 4, 4))
    with pytest.raises(ValueError, match="not seen"):
        choose_rho(problem, draw(2, 1, 4, 4), problem.weights.expand(2, 1, 6), 1.0)
    with pytest.raises(ValueError, match="above 0"):
        make_consistent(problem, draw(1, 4, 4), 0.0)


def test_only_linear_operators_have_one():
    square = ForwardModel(torch.square, (1, 3), (1, 3))
    problem = Problem(torch.ones(1, 3), torch.ones(1, 3), operator=square)
    with pytest.raises(ValueError, match="linear operator"):
        make_consistent(problem, torch.ones(1, 3), 1.0)


@pytest.mark.parametrize(
    ("noise", "influence"), [(0.0, 0.0), (0.0, 0.5), (0.2, 0.0), (0.2, 0.3), (1.0, 0.05), (0.05, 0.4)]
)
@pytest.mark.parametrize("n_members", [1, 3])
def test_pixels_take_as_much_of_the_measurement_as_their_noise_allows(noise, influence, n_members):
    """Each pixel is predicted with a common error of 0.1 and an own one of 0.3, and is in the image where it was seen."""
    shape = (1, 100, 100)
    clean, common = draw(*shape), 0.1 * draw(*shape, seed=1)
    problem = problem_of(LinearMap.stack([identity_map(shape)]), clean, noise, level=noise or None)
    problem = Problem(problem.measurement, problem.weights, problem.noise_level)
    seen = held_out_rows(problem, n_members, 0.1)
    predicted = torch.stack([clean + common + 0.3 * draw(*shape, seed=2 + i) for i in range(n_members)])
    images = predicted + influence * (seen > 0) * (problem.measurement - predicted)
    rho = choose_rho(problem, images, seen, 1.0)

    def error(rho):
        return float((make_consistent(problem, images.mean(0), rho) - clean).square().mean())

    best = min(error(rho) for rho in (math.inf, *(10 ** (e / 4) for e in range(-16, 17))))
    assert error(rho) <= 1.05 * best + 1e-6


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("name", ["box", "cosines", "one coil"])
def test_entries_that_have_nothing_in_common_need_the_noise_level(name, noise):
    size = (60, 60)
    mask = torch.rand(size, generator=source(8)) < 0.5
    operator = {
        "box": box_downsampling((1, 40, 40), (2, 2)),
        "cosines": cosine_sensing((1, *size), 2000, source()),
        "one coil": fourier(torch.ones((1, *size), dtype=torch.complex128), mask),
    }[name]
    clean = draw(*operator.in_shape)
    weights = mask.double()[None] if name == "one coil" else None
    norm = operator.norm(DOUBLE, source())
    problem = problem_of(
        operator, clean, noise * norm, weights, level=norm * noise * (2**0.5 if weights is not None else 1)
    )
    images = torch.stack([clean + 0.3 * draw(*operator.in_shape, seed=2 + i) for i in range(2)])
    rho = choose_rho(problem, images, held_out_rows(problem), norm)

    def error(rho):
        x = make_consistent(problem, images.mean(0), rho)
        return float(operator.apply(x - clean).abs().square().mean())

    best = min(error(rho) for rho in (math.inf, *(norm**2 * 10 ** (e / 4) for e in range(-16, 17))))
    assert error(rho) <= 1.1 * best + 1e-9


def identity_map(shape):
    return LinearMap(lambda x: x, shape, shape, lambda y: y)
