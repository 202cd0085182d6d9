import numpy as np
import pytest
import torch

from napari_convgen import Config, denoise

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def noisy():
    y, x = np.mgrid[:64, :64]
    clean = np.sin(x / 9) * np.cos(y / 7)
    return (clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)


def run(noisy, device):
    return denoise(noisy, Config().replace({"n_steps": 60, "generator.n_channels": 16, "device": device}))


def test_the_same_seed_gives_the_same_bits_on_the_gpu(noisy):
    np.testing.assert_array_equal(run(noisy, "cuda").image, run(noisy, "cuda").image)


def test_the_gpu_starts_where_the_cpu_starts_and_ends_near_it(noisy):
    on_cpu, on_gpu = run(noisy, "cpu"), run(noisy, "cuda")
    assert on_gpu.device.startswith("cuda")
    assert on_gpu.frames[0].loss[0] == pytest.approx(on_cpu.frames[0].loss[0], rel=1e-4)
    assert np.abs(on_gpu.image - on_cpu.image).mean() < 0.05
