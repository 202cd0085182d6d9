import torch

from napari_convgen.core.linear_map import LinearMap


def dense_map(is_adjoint_right=True):
    a = torch.randn((6, 4), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    back = a.T if is_adjoint_right else a.T * 1.01
    return a, LinearMap(
        lambda x: (a @ x.flatten()).view(2, 3), lambda y: (back @ y.flatten()).view(4, 1), (4, 1), (2, 3)
    )


def test_the_matrix_is_that_of_the_map():
    a, linear_map = dense_map()
    assert torch.equal(linear_map.matrix(a), a)


def test_the_dot_test_tells_an_adjoint_from_what_is_none():
    rng = torch.Generator().manual_seed(1)
    a, right = dense_map()
    assert right.dot_error(a, rng) < 1e-14
    wrong = dense_map(is_adjoint_right=False)[1]
    larger = LinearMap(lambda x: 1e6 * wrong.apply(x), lambda y: 1e6 * wrong.adjoint(y), (4, 1), (2, 3))
    errors = [each.dot_error(a, torch.Generator().manual_seed(2)) for each in (wrong, larger)]
    assert errors[0] > 1e-5
    assert abs(errors[1] / errors[0] - 1) < 1e-9
