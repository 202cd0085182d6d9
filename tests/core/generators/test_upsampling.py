import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_convgen.core.generators.upsampling import KERNELS, half_size, upsample

# torch warns of itself the first time that it differentiates in forward mode.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")

MASKS = {"linear": np.array([1, 3, 3, 1]) / 4, "smooth": np.array([1, 5, 10, 10, 5, 1]) / 16}
INTERPOLATIONS = {1: "linear", 2: "bilinear", 3: "trilinear"}
SIZES = [(2,), (3,), (16,), (31,), (17, 31), (8, 6), (1, 9), (2, 3), (5, 11, 7), (4, 1, 6)]


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 0.5


def dense_matrix(function, n):
    return torch.stack([function(column) for column in torch.eye(n, dtype=torch.float64)], 1)


def stuff_with_zeros_and_convolve(x, n, mask):
    margin = 3
    stuffed = np.zeros(2 * (len(x) + 2 * margin))
    stuffed[::2] = np.pad(x, margin, mode="edge")
    first = 2 * margin + len(mask) // 2 - 1
    return np.convolve(stuffed, mask)[first : first + n]


@pytest.mark.parametrize("size", SIZES)
def test_linear_kernel_equals_torch_interpolation_cropped_to_the_size(size):
    x = random(*half_size(size), 3)
    doubled = [1 if n == 1 else 2 * m for n, m in zip(size, x.shape, strict=False)]
    expected = F.interpolate(x.movedim(-1, 0)[None], doubled, mode=INTERPOLATIONS[len(size)], align_corners=False)
    expected = expected[0].movedim(0, -1)[tuple(slice(n) for n in size)]
    torch.testing.assert_close(upsample(x, size), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_every_kernel_equals_zero_stuffing_and_convolution_along_each_axis(size, kernel):
    x = random(*half_size(size), 2)
    expected = x.numpy()
    for axis, n in enumerate(size):
        if n > 1:
            expected = np.apply_along_axis(stuff_with_zeros_and_convolve, axis, expected, n, MASKS[kernel])
    np.testing.assert_allclose(upsample(x, size, kernel).numpy(), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_a_constant_stays_constant_up_to_the_border(size, kernel):
    result = upsample(torch.full((*half_size(size), 2), 0.7, dtype=torch.float64), size, kernel)
    torch.testing.assert_close(result, torch.full_like(result, 0.7), rtol=1e-15, atol=0)


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("kernel", KERNELS)
def test_each_set_of_weights_sums_to_one(kernel, phase):
    assert sum(weight for _, weight in KERNELS[kernel][phase]) == 1


@pytest.mark.parametrize(
    ("size", "half"), [((16,), (8,)), ((17, 31), (9, 16)), ((1, 2, 3), (1, 1, 2)), ((101,), (51,))]
)
def test_half_size_rounds_up(size, half):
    assert half_size(size) == half


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_dot_products_agree_on_both_sides_of_the_adjoint(size, kernel):
    x, y = random(*half_size(size), 3).requires_grad_(), random(*size, 3, seed=1)
    image = upsample(x, size, kernel)
    (adjoint,) = torch.autograd.grad(image, x, y)
    with torch.no_grad():
        difference = (image * y).sum() - (x * adjoint).sum()
        assert abs(difference) < 1e-14 * image.norm() * y.norm()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(2,), (3,), (7,), (8,), (5, 4)])
def test_the_gradient_is_the_transposed_dense_matrix(size, kernel):
    coarse, zero = (*half_size(size), 1), torch.zeros(*half_size(size), 1, dtype=torch.float64)
    forward = dense_matrix(lambda x: upsample(x.reshape(coarse), size, kernel).flatten(), zero.numel())
    pull_back = torch.func.vjp(lambda x: upsample(x, size, kernel), zero)[1]
    backward = dense_matrix(lambda y: pull_back(y.reshape(*size, 1))[0].flatten(), len(forward))
    torch.testing.assert_close(backward, forward.T, rtol=0, atol=1e-15)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(7,), (4, 5), (3, 2, 5)])
def test_first_and_second_derivatives_pass_a_finite_difference_check(size, kernel):
    x = random(*half_size(size), 2).requires_grad_()

    def bent(x):
        return upsample(x.sin(), size, kernel).square()

    assert torch.autograd.gradcheck(bent, x)
    assert torch.autograd.gradgradcheck(bent, x)


def test_derivatives_that_mix_forward_and_reverse_mode_pass_a_finite_difference_check():
    x = random(2, 3, 2).requires_grad_()

    def bent(x):
        return upsample(x.sin(), (4, 5)).square()

    assert torch.autograd.gradcheck(bent, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(bent, x, check_fwd_over_rev=True)


def test_a_forward_mode_derivative_can_be_differentiated_in_turn():
    x, tangent = random(2, 3, 2), random(2, 3, 2, seed=1)

    def derivative(x):
        return torch.func.jvp(lambda x: upsample(x, (4, 5)).square().sum(), (x,), (tangent,))[1]

    # The derivative of |Ux|² along t is 2 <Ux, Ut>, whose gradient over x is 2 U'Ut.
    expected = 2 * torch.func.vjp(lambda x: upsample(x, (4, 5)), x)[1](upsample(tangent, (4, 5)))[0]
    torch.testing.assert_close(torch.func.grad(derivative)(x), expected)


def test_an_adjoint_of_the_adjoint_is_the_map():
    x, y = random(2, 3, 2), random(4, 5, 2)

    def adjoint(y):
        return torch.func.vjp(lambda x: upsample(x, (4, 5)), torch.zeros_like(x))[1](y)[0]

    torch.testing.assert_close(torch.func.vjp(adjoint, y)[1](x)[0], upsample(x, (4, 5)))
    y.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda y: adjoint(y.sin()).square(), y)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_the_forward_mode_derivative_is_the_map_itself(size, kernel):
    x, tangent = random(*half_size(size), 3), random(*half_size(size), 3, seed=1)
    image, derivative = torch.func.jvp(lambda x: upsample(x, size, kernel), (x,), (tangent,))
    assert torch.equal(image, upsample(x, size, kernel))
    assert torch.equal(derivative, upsample(tangent, size, kernel))


def test_the_adjoint_is_differentiable_in_forward_mode_too():
    size = (5, 7)
    y, tangent = random(*size, 3), random(*size, 3, seed=1)
    adjoint = torch.func.vjp(lambda x: upsample(x, size), random(*half_size(size), 3))[1]
    _, derivative = torch.func.jvp(lambda y: adjoint(y)[0], (y,), (tangent,))
    torch.testing.assert_close(derivative, adjoint(tangent)[0], rtol=0, atol=1e-15)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(17,), (9, 14), (3, 5, 4)])
def test_upsampling_commutes_with_a_1x1_convolution(size, kernel):
    x, convolution = random(*half_size(size), 4), random(4, 6, seed=1)
    torch.testing.assert_close(
        upsample(x @ convolution, size, kernel), upsample(x, size, kernel) @ convolution, rtol=0, atol=1e-14
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept_and_the_input_is_not_changed(dtype):
    x = random(4, 5, 2).to(dtype)
    before = x.clone()
    assert upsample(x, (8, 9)).dtype == dtype
    assert torch.equal(x, before)
