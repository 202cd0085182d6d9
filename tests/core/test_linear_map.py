import pytest
import torch

from napari_convgen.core.linear_map import LinearMap


def dense_map(is_adjoint_right=True):
    a = torch.randn((6, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    back = a.T if is_adjoint_right else a.T * 1.01
    return a, LinearMap(
        lambda x: (a @ x.flatten()).view(2, 3), (4, 1), (2, 3), lambda y: (back @ y.flatten()).view(4, 1)
    )


def test_the_matrix_is_that_of_the_map():
    a, linear_map = dense_map()
    assert torch.equal(linear_map.matrix(a), a)


def test_the_dot_test_tells_an_adjoint_from_what_is_none():
    rng = torch.Generator().manual_seed(1)
    a, right = dense_map()
    assert right.dot_error(a, rng) < 1e-14
    wrong = dense_map(is_adjoint_right=False)[1]
    larger = LinearMap(lambda x: 1e6 * wrong.apply(x), (4, 1), (2, 3), lambda y: 1e6 * wrong.adjoint(y))
    errors = [each.dot_error(a, torch.Generator().manual_seed(2)) for each in (wrong, larger)]
    assert errors[0] > 1e-5
    assert abs(errors[1] / errors[0] - 1) < 1e-9


def fourier(n=5, seed=3):
    """A Fourier transform of a real image, each frequency multiplied by a complex number: real in, complex out."""
    rng = torch.Generator().manual_seed(seed)
    weights = torch.complex(*(torch.randn((n, n), generator=rng, dtype=torch.float64) for _ in range(2)))
    return LinearMap(
        lambda x: weights * torch.fft.fft2(x, norm="ortho"),
        (1, n, n),
        (1, n, n),
        lambda y: torch.fft.ifft2(weights.conj() * y, norm="ortho").real,
    )


def test_the_dot_test_holds_between_real_images_and_complex_measurements():
    like, rng = torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(4)
    right = fourier()
    assert right.dot_error(like, rng) < 1e-14
    wrong = LinearMap(right.apply, right.in_shape, right.out_shape, lambda y: right.adjoint(y.conj()))
    assert wrong.dot_error(like, rng) > 1e-3


def test_the_dot_test_holds_between_complex_tensors():
    like, rng = torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(4)
    a = torch.complex(*torch.randn((2, 4, 3), generator=rng, dtype=torch.float64))
    right = LinearMap(lambda x: a @ x, (3,), (4,), lambda y: a.mH @ y, has_complex_input=True)
    assert right.dot_error(like, rng) < 1e-14
    transposed = LinearMap(lambda x: a @ x, (3,), (4,), lambda y: a.T @ y, has_complex_input=True)
    assert transposed.dot_error(like, rng) > 1e-3


def test_composition_and_stack_are_products_and_stacks_of_matrices():
    like, rng = torch.zeros((), dtype=torch.float64), torch.Generator().manual_seed(5)
    a, b, c = (torch.randn(shape, generator=rng, dtype=torch.float64) for shape in ((4, 3), (3, 5), (2, 3)))
    map_a, map_b, map_c = (LinearMap(m.matmul, (m.shape[1],), (m.shape[0],), m.T.matmul) for m in (a, b, c))
    composed, stacked = map_a @ map_b, LinearMap.stack([map_a, map_c])
    assert torch.allclose(composed.matrix(like), a @ b)
    assert torch.allclose(stacked.matrix(like), torch.cat((a, c)))
    assert max(composed.dot_error(like, rng), stacked.dot_error(like, rng)) < 1e-14
    with pytest.raises(ValueError, match="cannot be composed"):
        map_b @ map_c
    with pytest.raises(ValueError, match="cannot be stacked"):
        LinearMap.stack([map_a, map_b])
