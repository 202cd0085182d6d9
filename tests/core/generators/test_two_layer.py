import numpy as np
import pytest
import torch

from napari_convgen.core.generators.two_layer import TwoLayer
from napari_convgen.core.spectra.jacobian import module_jacobian
from napari_convgen.core.theory.dual_kernel import expected_gram
from napari_convgen.core.theory.kernels import gaussian, normalized, spectral_norm, triangular
from napari_convgen.errors import ConfigError


def two_layer(kernel, k=6, scale=0.1, seeds=(0,)):
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return TwoLayer(torch.from_numpy(kernel), n_channels=k, weight_scale=scale, rngs=rngs)


def dense(kernel):
    return torch.stack(
        [
            torch.from_numpy(np.roll(kernel, shift, range(kernel.ndim)).ravel().copy())
            for shift in np.ndindex(kernel.shape)
        ],
        1,
    )


@pytest.mark.parametrize("size", [(12,), (13,), (4, 5), (3, 4, 5)])
def test_the_image_is_that_of_the_formula(size):
    kernel = np.random.default_rng(0).standard_normal(size)
    generator = two_layer(kernel, seeds=(0, 1))
    image = generator()
    assert image.shape == (2, 1, *size)
    v = torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=torch.float64) / 6**0.5
    for member, weights in zip(image, generator.weights, strict=True):
        expected = (dense(kernel) @ weights.reshape(-1, 6)).relu() @ v
        torch.testing.assert_close(member.flatten(), expected, atol=1e-13, rtol=1e-10)


def test_the_gram_matrix_of_a_wide_net_is_the_expected_one_and_its_norm_below_the_operators():
    kernel = normalized(triangular((16,), 4))
    generator = two_layer(kernel, k=4000)
    j = module_jacobian(generator)
    gram = torch.stack([j.apply(j.adjoint(e.view(j.out_shape))).flatten() for e in torch.eye(16, dtype=torch.float64)])
    expected = np.stack([np.roll(expected_gram(kernel), i) for i in range(16)])
    assert np.linalg.norm(gram.numpy() - expected, 2) < 0.05 * np.linalg.norm(expected, 2)
    assert float(torch.linalg.matrix_norm(gram, 2)) <= spectral_norm(kernel) ** 2
    assert np.linalg.norm(gram.numpy() - expected, 2) > 1e-6


def test_the_first_image_has_the_mean_square_that_the_scale_gives():
    kernel = gaussian((10, 10), 0.1)
    images = two_layer(kernel, k=8, scale=0.3, seeds=range(200))().detach()
    expected = 0.3**2 * float((kernel**2).sum()) * (1 - 1 / np.pi) / 2
    assert float((images**2).mean()) == pytest.approx(expected, rel=0.05)


def test_a_member_has_the_same_bits_as_its_generator_alone():
    kernel = gaussian((6, 7), 0.2)
    together, alone = two_layer(kernel, seeds=(3, 5)), two_layer(kernel, seeds=(5,))
    assert torch.equal(together()[1], alone()[0])
    assert torch.equal(together.weights[1], alone.weights[0])


def test_a_channel_without_a_positive_value_is_dead():
    kernel = triangular((9,), 1)
    generator = two_layer(kernel, k=4)
    assert generator.dead_fraction() == 0
    with torch.no_grad():
        generator.weights[..., :3] = -generator.weights[..., :3].abs()
    assert generator.dead_fraction() == 0.75


@pytest.mark.parametrize("k", [0, 3])
def test_an_odd_number_of_channels_is_refused(k):
    with pytest.raises(ConfigError, match=f"must be even, got {k}"):
        two_layer(triangular((9,), 1), k=k)
