import math

import pytest
import torch

from napari_convgen.core.linear_map import LinearMap
from napari_convgen.core.pace import finish
from napari_convgen.core.spectra.centering import ChannelMeans
from napari_convgen.core.spectra.jacobian import observed
from napari_convgen.core.spectra.subspaces import energy_shares, paced_alignment, principal_angles


def basis(n, p, seed):
    rng = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn((n, p), generator=rng, dtype=torch.float64))[0]


def test_energy_is_that_of_the_projection():
    vectors, image = basis(30, 6, 0), torch.arange(30.0, dtype=torch.float64)
    shares = energy_shares(vectors, image)
    for p in (1, 3, 6):
        projected = vectors[:, :p] @ vectors[:, :p].T @ image
        assert float(shares[p - 1]) == pytest.approx(float(projected.norm() / image.norm()) ** 2)


def test_of_noise_the_first_vectors_hold_their_number_s_share():
    vectors = basis(100, 10, 0)
    noise = torch.randn((4000, 100), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shares = torch.stack([energy_shares(vectors, each) for each in noise]).mean(0)
    assert torch.allclose(shares, torch.arange(1, 11, dtype=torch.float64) / 100, rtol=0.05)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_angles_are_those_that_a_plane_was_turned_by(dtype):
    turned_by = torch.tensor([1e-5, 0.3, 1.2, math.pi / 2], dtype=torch.float64)
    frame = basis(20, 8, 0)
    a = frame[:, :4]
    b = a * turned_by.cos() + frame[:, 4:] * turned_by.sin()
    mixed = b @ basis(4, 4, 1)
    angles = principal_angles(a.to(dtype), mixed.to(dtype))
    assert torch.allclose(angles.double(), turned_by, rtol=1e-9 if dtype == torch.float64 else 0.05, atol=1e-6)
    assert torch.allclose(principal_angles(mixed, a[:, :2]), principal_angles(a[:, :2], mixed))
    assert principal_angles(a, a[:, :2]).max() < 1e-12


def test_alignment_is_the_length_of_the_pulled_back_image():
    a = torch.randn((12, 7), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = torch.ones((1, 12), dtype=torch.float64)
    weights[0, 3] = 0
    centered = ChannelMeans(weights)
    linear_map = observed(
        LinearMap(lambda v: (a @ v).view(1, 1, 12), (7,), (1, 1, 12), lambda y: a.T @ y.flatten()), centered
    )
    image = torch.arange(12.0, dtype=torch.float64)[None] ** 2
    length, noise = finish(paced_alignment(linear_map, image, centered, 3000, torch.Generator().manual_seed(1)))
    keep = weights[0] > 0
    centered = torch.zeros(12, dtype=torch.float64)
    centered[keep] = image[0][keep] - image[0][keep].mean()
    assert length == pytest.approx(float((a.T @ centered).norm()))
    j = linear_map.matrix(a)
    expected = float((j**2).sum() / 10 * centered.norm() ** 2)  # 12 values, one missing, one mean
    assert float(noise.square().mean()) == pytest.approx(expected, rel=0.03)
