import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_convgen.core.stopping.ensemble import local_variance, variance_between


@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12), (1, 6, 7, 5), (1, 3, 40)])
def test_the_variance_between_members_is_averaged_over_a_window_that_ends_at_the_border(shape):
    images = torch.rand((3, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images += torch.arange(3).view(3, *(1 for _ in shape))
    variance = np.var(images.numpy(), axis=0, ddof=1)
    expected = np.empty_like(variance)
    half = [min(5, n - (n + 1) % 2) // 2 for n in shape[1:]]
    for place in np.ndindex(*variance.shape):
        window = tuple(slice(max(0, i - h), i + h + 1) for i, h in zip(place[1:], half, strict=True))
        expected[place] = variance[(place[0], *window)].mean()
    np.testing.assert_allclose(local_variance(images).numpy(), expected, rtol=1e-12)


def test_members_that_agree_have_no_variance():
    image = torch.rand(1, 8, 8)
    assert float(local_variance(image.expand(4, 1, 8, 8)).max()) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("n_members", [2, 3, 5])
def test_the_variance_between_members_is_the_unbiased_one(n_members):
    images = torch.rand((n_members, 2, 5, 6), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(variance_between(images), images.var(0))


def members(*shape, n=2):
    return torch.randn((n, 1, *shape), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(40, 40), (12, 14, 13)])
def test_single_pixels_draw_no_squares(shape):
    images = members(*shape, n=8)
    before = local_variance(images).sqrt()
    middle = tuple(n // 2 for n in shape)
    beside = (*middle[:-1], middle[-1] + 2)
    images[0, 0][middle], images[1, 0][beside] = 1e3, 1e2
    ratio = local_variance(images).sqrt() / before
    assert ratio.max() < 1.5


@pytest.mark.parametrize(("n_members", "width"), [(2, 0.0), (2, 1.0), (4, 0.0)])
def test_limited_pixels_leave_the_mean_of_the_variance(n_members, width):
    images = members(200, 200, n=n_members).numpy()
    images = torch.from_numpy(gaussian_filter(images, (0, 0, width, width)) if width else images)
    variance = variance_between(images)
    assert float(local_variance(images).mean() / variance.mean()) == pytest.approx(1, abs=0.04)


@pytest.mark.parametrize("shape", [(30, 30), (12, 12, 12)])
def test_lines_are_not_taken_for_single_pixels(shape):
    images = 1e-3 * members(*shape)
    on_line = (slice(None), 0, *([shape[0] // 2] * (len(shape) - 1)))
    images[on_line] += torch.tensor([[1.0], [-1.0]])
    assert float(local_variance(images).sum() / variance_between(images).sum()) > 0.9
