import numpy as np
import pytest
import torch

from napari_convgen import PRESETS, Config, DenoiseTask, denoise
from napari_convgen.config import StoppingConfig
from napari_convgen.config.base import kinds_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

DEVICE = "cuda"

GENERATORS = {
    "deep-decoder": {"backend": "torch"},
    "skip-network": {"generator.input_noise": 0.03, "generator.dropout": 0.1},
    "guided-network": {"generator.guide_step": 4},
    "convolutional": {},
    "two-layer": {},
}


@pytest.fixture
def noisy():
    y, x = np.mgrid[:64, :64]
    clean = np.sin(x / 9) * np.cos(y / 7)
    return (clean + 0.1 * np.random.default_rng(0).standard_normal(clean.shape)).astype(np.float32)


def run(noisy, device):
    return denoise(noisy, Config().replace({"n_steps": 60, "generator.n_channels": 16, "device": device}))


def test_the_same_seed_gives_the_same_bits_on_the_gpu(noisy):
    np.testing.assert_array_equal(run(noisy, DEVICE).image, run(noisy, DEVICE).image)


def test_the_gpu_starts_where_the_cpu_starts_and_ends_near_it(noisy):
    on_cpu, on_gpu = run(noisy, "cpu"), run(noisy, DEVICE)
    assert on_gpu.device.startswith(DEVICE)
    assert on_gpu.frames[0].loss[0] == pytest.approx(on_cpu.frames[0].loss[0], rel=1e-4)
    assert np.abs(on_gpu.image - on_cpu.image).mean() < 0.05


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_with_the_same_bits(noisy, name):
    config = PRESETS[name].replace({"n_steps": 7, "device": DEVICE, "generator.n_channels": 16})
    first, second = denoise(noisy, config), denoise(noisy, config)
    assert np.isfinite(first.image).all()
    np.testing.assert_array_equal(first.image, second.image)


@pytest.mark.parametrize("kind", GENERATORS)
def test_every_kind_of_generator_runs_with_the_same_bits(noisy, kind):
    changes = {"generator.kind": kind, **GENERATORS[kind], "n_steps": 7, "device": DEVICE, "generator.n_channels": 8}
    first, second = (denoise(noisy, Config().replace(changes)) for _ in range(2))
    assert np.isfinite(first.image).all()
    np.testing.assert_array_equal(first.image, second.image)


@pytest.mark.parametrize("kind", kinds_of(StoppingConfig))
def test_every_stopping_rule_runs(noisy, kind):
    changes = {"stopping.kind": kind, "n_steps": 30, "device": DEVICE, "generator.n_channels": 8}
    photons = np.random.default_rng(1).poisson(20 + 10 * np.cos(np.mgrid[:64, :64] / 9).sum(0)).astype(np.float32)
    result = denoise(photons if kind == "coupled" else noisy, Config().replace(changes))
    assert np.isfinite(result.image).all()
    assert result.step >= 1


@pytest.mark.parametrize(("axes", "z_axis"), [("ZYX", "frames"), ("ZYX", "volume"), ("YXC", "frames")])
def test_stacks_volumes_and_colors_run_with_missing_pixels(noisy, axes, z_axis):
    image = np.stack([noisy[:32, :32], noisy[16:48, 16:48], noisy[32:, 32:]], axes.index("Z" if "Z" in axes else "C"))
    image[..., 3:5, 1] = np.nan
    config = Config().replace({"z_axis": z_axis, "n_steps": 7, "device": DEVICE, "generator.n_channels": 8})
    assert np.isfinite(denoise(image, config, axes=axes).image).all()


def test_a_fit_goes_on_from_an_earlier_step_with_the_bits_it_had(noisy):
    config = Config().replace({"stopping.kind": "fixed", "n_steps": 20, "device": DEVICE, "generator.n_channels": 8})
    task = DenoiseTask(noisy, config)
    before = task.finish().frames[0].loss
    back_at = task.step_before_extension(8)
    task.extend(20 - back_at, from_step=8)
    assert task.finish().frames[0].loss == before
