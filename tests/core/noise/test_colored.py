import numpy as np
import pytest
import torch

from napari_convgen.core.noise import shaping_filter
from napari_convgen.core.noise.colored import noise_gain, shape_noise

RED = np.array([[3.0, 1.0], [1.0, 0.2]])


@pytest.mark.parametrize("shape", [(1, 2, 31, 28), (2, 1, 6, 20, 25), (2, 3, 50)])
def test_shaped_noise_has_the_power_of_the_filter_at_each_frequency(shape):
    white = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    size = shape[-2:] if len(shape) > 3 else (1, shape[-1])
    noise = shape_noise(white, noise_gain(RED, white))
    assert noise.shape == white.shape
    before, after = (torch.fft.rfft2(x.view(-1, *size)) for x in (white, noise))
    gain = torch.as_tensor(shaping_filter(RED, size), dtype=torch.float32)
    torch.testing.assert_close(after, gain * before, atol=1e-4, rtol=1e-4)
