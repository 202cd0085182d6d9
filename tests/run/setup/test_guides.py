"""The non-local estimates that guide a fit."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.config import preset
from napari_convgen.core.baselines import BASELINES
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.image import ImageTensor, Layout, Measured
from napari_convgen.core.problem import Problem
from napari_convgen.core.stopping import HeldOut
from napari_convgen.core.stopping.discrepancy import Discrepancy
from napari_convgen.errors import ConfigError
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.setup.build import build_noise
from napari_convgen.run.setup.guides import make_guides

CONFIG = preset("default").replace(
    {
        "generator.begins_with": "chance",
        "generator.n_channels": 6,
        "generator.n_fine_channels": 4,
        "n_steps": 12,
        "n_threads": 1,
        "device": "cpu",
        "generator.n_lessons": 4,
    }
)


def pair(shape=(32, 36), sigma=0.1, seed=0):
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:2]), indexing="ij")
    clean = 0.2 + np.exp(-4 * (x**2 + y**2)) + 0.3 * (x > 0.3)
    clean = clean.reshape(*clean.shape, *(1,) * (len(shape) - 2)) * np.ones(shape)
    return clean, (clean + sigma * rng.standard_normal(shape)).astype(np.float32)


def error(image, clean):
    return float(np.mean((image - clean) ** 2))


def guides_of(noisy, seed=0):
    layout = Layout.of(noisy.shape)
    image = ImageTensor.of(noisy, layout, build_noise(Measured.of(noisy, layout), layout, CONFIG.noise))
    problem = Problem.of(image, torch.device("cpu"))
    members = HeldOut(0.1, "auto", 0.4, 100, "average").members(problem, 2, torch.Generator().manual_seed(seed))
    return image, members, made(image, layout, members)


def made(image, layout, members):
    stages = make_guides([image], {0: members}, layout, torch.device("cpu"))
    while True:
        try:
            next(stages)
        except StopIteration as end:
            return end.value[0]


def test_the_whole_guide_is_the_method_of_compare():
    image, _, guides = guides_of(pair()[1])
    expected = BASELINES["lichi"](NoisyFrame(image.values, image.noise_level))
    np.testing.assert_allclose(guides.whole.numpy(), expected, atol=1e-6)


def test_a_member_s_guide_knows_nothing_of_the_pixels_that_it_leaves_out():
    _, noisy = pair()
    image, members, guides = guides_of(noisy)
    left_out = (members.weights == 0).numpy()
    changed = np.where(left_out[0], image.values[::-1] * 0.5 + 0.2, image.values)
    other = dataclasses.replace(image, values=changed)
    again = made(other, Layout.of(noisy.shape), members)
    assert torch.equal(again.members[0], guides.members[0])
    assert not torch.equal(again.members[1], guides.members[1])
    assert not torch.equal(again.whole, guides.whole)


@pytest.mark.parametrize("name", ["default", "quick"])
def test_presets_with_guides_take_most_of_the_noise_away(name):
    clean, noisy = pair()
    config = preset(name).replace({"n_threads": 1, "device": "cpu"} | ({"n_steps": 12} if name != "quick" else {}))
    result = denoise(noisy, config)
    assert error(result.image, clean) < 0.15 * error(noisy, clean)
    assert (result.expected_error is None) == (name == "quick")


@pytest.mark.parametrize("shape", [(30, 32, 3), (37,)])
def test_color_and_lines_are_guided_too(shape):
    clean, noisy = pair(shape) if len(shape) > 1 else [x[20] for x in pair((40, 44))]
    result = denoise(noisy, CONFIG)
    assert result.image.shape == noisy.shape
    assert error(result.image, clean) < 0.5 * error(noisy, clean)


def test_missing_pixels_are_left_out_of_the_guides_and_filled_in():
    clean, noisy = pair()
    holes = np.random.default_rng(1).random(noisy.shape) < 0.1
    result = denoise(np.where(holes, np.nan, noisy).astype(np.float32), CONFIG)
    assert error(result.image[holes], clean[holes]) < 0.5 * 0.1**2


def test_the_first_image_comes_before_the_first_step_and_is_the_estimate_so_far():
    clean, noisy = pair()
    task = DenoiseTask(noisy, CONFIG)
    previews, steps = [], []
    for progress in task:
        steps.append(progress.step)
        previews.append(task.preview())
    assert steps[0] == 0
    assert steps[-1] == 12
    assert error(previews[0], clean) < 0.5 * error(noisy, clean)
    shares = [p for p, step in zip(previews, steps, strict=True) if step == 0]
    assert len(shares) > 20


def test_a_stop_while_guides_are_made_keeps_the_estimate_so_far():
    clean, noisy = pair()
    task = DenoiseTask(noisy, CONFIG)
    for i, _ in enumerate(task):
        if i == 5:
            task.stop()
    result = task.result()
    assert result.step == 1
    assert error(result.image, clean) < 0.3 * error(noisy, clean)
    assert "Stopped before the first estimate was finished." in result.notes


def test_the_time_of_the_guides_is_no_part_of_a_step():
    task = DenoiseTask(pair()[1], CONFIG)
    latest = list(task)[-1]
    report = task.result().report()
    assert 0 < report["guide_seconds"] < report["seconds"]
    assert report["seconds_per_step"] == pytest.approx((report["seconds"] - report["guide_seconds"]) / 12)
    assert latest.seconds_per_step == pytest.approx((latest.seconds - latest.guide_seconds) / 12)
    alone = denoise(pair()[1], preset("deep-decoder").replace({"n_steps": 3, "n_threads": 1, "device": "cpu"}))
    assert alone.guide_seconds == 0


def test_progress_goes_on_from_the_guides_to_the_last_step():
    shares = [(progress.share, progress.seconds_left) for progress in DenoiseTask(pair()[1], CONFIG)]
    assert shares == sorted(shares, key=lambda each: each[0])
    assert 0 < shares[0][0] < 0.1
    assert shares[-1][0] == 1
    assert all(np.isfinite(left) == (share >= 0.05) for share, left in shares)


def test_a_run_is_the_same_each_time_and_goes_back_and_on():
    _, noisy = pair()
    config = CONFIG.replace({"stopping.kind": "fixed"})
    whole = denoise(noisy, config)
    task = DenoiseTask(noisy, config)
    task.finish()
    np.testing.assert_array_equal(task.result().image, whole.image)
    came_to = task.step_before_extension(6)
    task.extend(12 - came_to, from_step=6)
    task.finish()
    np.testing.assert_allclose(task.result().image, whole.image, atol=1e-6)


@pytest.mark.parametrize("kind", ["sure", "coupled"])
def test_rules_that_add_noise_to_the_image_are_refused(kind):
    with pytest.raises(ConfigError, match="which the non-local estimate would not have"):
        DenoiseTask(pair()[1], CONFIG.replace({"stopping.kind": kind}))


def test_a_forecast_counts_the_guides():
    forecast = DenoiseTask(pair()[1], CONFIG).forecast()
    assert forecast.before.wall > 0
    assert forecast.seconds == forecast.before.wall + 12 * forecast.step.wall


def test_the_time_left_counts_the_steps_of_this_frame_and_all_of_the_frames_to_come():
    stack = np.stack([pair(seed=seed)[1] for seed in range(3)])
    task = DenoiseTask(stack, CONFIG.replace({"frames.fit": "separate"}), axes="TYX")
    latest = [each for each in task if each.frame == 1 and each.step][-1]
    guides = latest.guide_seconds / 2
    expected = (12 - latest.step + 12) * latest.seconds_per_step + guides
    assert latest.seconds_left == pytest.approx(expected)


def test_the_influence_is_that_of_each_pixel_s_own_noise():
    image, _, guides = guides_of(pair((64, 60))[1])
    assert not guides.is_joint
    level, rng = float(image.noise_level[0]), np.random.default_rng(5)
    probes = []
    for _ in range(3):
        b = rng.standard_normal(image.values.shape)
        near = BASELINES["lichi"](NoisyFrame(image.values + 0.1 * level * b, image.noise_level))
        probes.append(float(np.mean(b * (near - guides.whole.numpy())) / (0.1 * level)))
    assert float(guides.influence.mean()) == pytest.approx(np.mean(probes), abs=0.05)
    assert 0.01 < float(guides.influence.mean()) < 0.5


def test_the_estimated_psnr_is_near_the_true_one(monkeypatch):
    monkeypatch.setattr(Discrepancy, "LEAST_SHARE", 0.0)  # it is told although little of the noise is in the residual
    rng = np.random.default_rng(11)
    clean = pair((96, 90))[0] + 0.5 * ndimage.gaussian_filter(rng.standard_normal((96, 90)), 1.2)
    noisy = (clean + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)
    result = denoise(noisy, CONFIG.replace({"generator.n_lessons": 10}), reference=clean.astype(np.float32))
    told, deviation = result.estimated_psnr
    true = result.scores(result.image).psnr
    assert abs(told - true) < min(1.2, 2 * deviation)
