import numpy as np
import pytest
import torch

from napari_convgen.core.stopping.ensemble import local_variance, variance_between


@pytest.mark.parametrize("shape", [(2, 17), (1, 9, 12), (1, 6, 7, 5), (1, 3, 40)])
def test_the_variance_between_members_is_averaged_over_a_window_that_ends_at_the_border(shape):
    images = torch.rand((3, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
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
