import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import napari_convgen
from napari_convgen.config import Config, preset
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.core.snapshot import Outcome
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.setup import build

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})


WATCHED = QUICK.replace({"stopping.kind": "held-out", "n_steps": 60})


def blob(shape=(20, 23)):
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.exp(-4 * sum(x**2 for x in axes))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64", "bool", ">u2"])
def test_the_result_has_the_shape_dtype_and_range_of_the_input(noisy, same, dtype):
    image = noisy(dtype=dtype)
    before = image.copy()
    result = denoise(image, QUICK)
    assert (result.image.shape, result.image.dtype) == (image.shape, image.dtype)
    assert image.min() <= result.image.min() <= result.image.max() <= image.max()
    assert not same(result.image, image)
    assert same(image, before)


@pytest.mark.parametrize(
    ("shape", "axes", "z_axis", "n_frames"),
    [
        ((61,), None, "frames", 1),
        ((2, 61), "CX", "frames", 1),
        ((17, 19), None, "frames", 1),
        ((1, 40), None, "frames", 1),
        ((17, 19, 3), None, "frames", 1),
        ((17, 19, 4), None, "frames", 1),
        ((2, 17, 19), "CYX", "frames", 1),
        ((17, 19, 2), "YXC", "frames", 1),
        ((3, 17, 19), None, "frames", 3),
        ((7, 9, 11), None, "volume", 1),
        ((2, 3, 17, 19), None, "frames", 6),
        ((2, 5, 8, 9), "TZYX", "volume", 2),
        ((2, 2, 17, 19), "CTYX", "frames", 2),
        ((2, 9, 10, 3), "TYXS", "frames", 2),
    ],
)
def test_every_kind_of_image_is_denoised_frame_by_frame(shape, axes, z_axis, n_frames):
    image = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8)
    run = DenoiseTask(image, QUICK.replace({"n_steps": 3, "z_axis": z_axis, "channels": "joint"}), axes=axes)
    assert run.n_pieces == n_frames
    list(run)
    result = run.result()
    assert (result.image.shape, result.image.dtype) == (shape, image.dtype)
    assert len(result.frames) == n_frames
    assert not np.array_equal(result.image, image)
    for snapshot in result.snapshots:
        assert (snapshot.image.shape, snapshot.image.dtype) == (shape, image.dtype)


def test_a_list_of_rows_is_an_image(noisy):
    rows = noisy((8, 9)).tolist()
    assert denoise(rows, QUICK).image.shape == (8, 9)


def test_the_automatic_stop_takes_most_of_the_noise_away():
    clean = (20 + 150 * blob((32, 32))).astype(np.float32)
    image = clean + np.random.default_rng(0).normal(0, 12, clean.shape).astype(np.float32)
    config = Config().replace({"generator.n_channels": 32, "n_steps": 800, "device": "cpu"})
    result = denoise(image, config)
    assert result.reason.outcome is Outcome.RULE
    assert result.step <= len(result.curves["loss"]) < 800
    assert psnr(result.image, clean, 150) > psnr(image, clean, 150) + 4


@pytest.mark.parametrize("config", [QUICK, WATCHED], ids=["fixed", "held-out"])
def test_the_same_configuration_gives_the_same_bits_and_another_seed_others(noisy, same, config):
    image = noisy()
    one, same_again = (denoise(image, config) for _ in range(2))
    assert same(one.image, same_again.image)
    assert one.step == same_again.step
    for name in one.curves:
        np.testing.assert_array_equal(one.curves[name], same_again.curves[name])
    for snapshot, again in zip(one.snapshots, same_again.snapshots, strict=True):
        assert same(snapshot.iterate, again.iterate)
        assert same(snapshot.average, again.average)
    assert not same(one.image, denoise(image, config, seed=1).image)


def test_the_global_random_states_are_neither_read_nor_moved():
    # In an interpreter of its own: the type checks that run with the tests draw random numbers themselves.
    script = """
import random
import numpy as np
import torch
from napari_convgen import Config, denoise

def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

image = np.random.default_rng(0).random((12, 13))
config = Config().replace({"generator.n_channels": 4, "n_steps": 20, "device": "cpu"})
images = []
for seed in (1, 2):
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)
    before = states()
    images.append(denoise(image, config).image)
    assert states() == before
assert np.array_equal(*images)
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_settings_of_torch_are_as_the_caller_left_them_at_each_pause_and_in_the_end(noisy):
    def settings():
        return torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()

    before = settings()
    run = DenoiseTask(noisy(), QUICK.replace({"n_threads": before[0] + 1}))
    for n_taken, _ in enumerate(run):
        assert settings() == before
        if n_taken == 3:
            break
    assert settings() == before
    list(run)
    assert settings() == before


def test_the_default_dtype_of_the_session_has_no_influence(noisy, same):
    expected = denoise(noisy(), WATCHED).image
    torch.set_default_dtype(torch.float64)
    try:
        assert same(denoise(noisy(), WATCHED).image, expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_missing_pixels_are_left_out_of_the_fit_filled_in_and_counted(noisy):
    image = noisy()
    image[4:7, 5] = np.nan
    result = denoise(image, WATCHED)
    assert np.isfinite(result.image).all()
    assert np.nanmin(image) <= result.image.min() <= result.image.max() <= np.nanmax(image)
    assert "3 missing (NaN) pixels were left out of the fit and filled in." in result.notes


def test_alpha_is_left_alone(same):
    image = np.random.default_rng(0).integers(0, 200, (12, 13, 4)).astype(np.uint8)
    result = denoise(image, QUICK)
    assert same(result.image[..., 3], image[..., 3])
    assert same(result.image[..., :3], denoise(image[..., :3], QUICK).image)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_an_image_of_just_two_values_in_blocks_is_fitted_as_any_other(same, dtype):
    image = np.zeros((32, 32), dtype)
    image[:, 16:] = 1
    result = denoise(image, QUICK.replace({"n_steps": 250, "optimizer.learning_rate": 0.03}))
    assert result.reason.outcome is Outcome.BUDGET
    note, *others = sorted(result.notes)
    assert note.startswith("Attention: no noise was found, so noise cannot be told from structure")
    assert ["labels" in other for other in others] == [True] * (dtype is not bool)
    assert same(result.image, image)


def test_a_reference_has_no_influence_on_the_result(noisy, same):
    image = noisy()
    assert same(denoise(image, WATCHED, reference=blob()).image, denoise(image, WATCHED).image)


@pytest.mark.parametrize(
    ("shape", "grid"), [((512, 512), (16, 16)), ((300, 256), (19, 16)), ((128, 100), (16, 13)), ((2, 256), (2, 16))]
)
def test_auto_scales_leave_about_sixteen_pixels_along_the_shorter_side(noisy, shape, grid, monkeypatch):
    made = []

    def make(*args, **options):
        made.append(DeepDecoder(*args, **options))
        return made[-1]

    monkeypatch.setattr(build, "DeepDecoder", make)
    next(iter(DenoiseTask(noisy(shape), QUICK.replace({"generator.n_channels": 2, "noise.kind": "none"}))))
    assert made[0].sizes[0] == grid


@pytest.mark.parametrize("shape", [(4,), (5,), (4, 1), (4, 4), (5, 7), (9, 4)])
def test_auto_scales_suit_the_smallest_images(noisy, shape):
    image = noisy(shape)
    assert denoise(image, QUICK).image.shape == shape


def test_arguments_override_the_preset(noisy, used):
    result = denoise(noisy(), QUICK, seed=3, n_steps=5, stopping="held-out", device="cpu")
    assert result.config == QUICK.replace({"seed": 3, "n_steps": 5, "stopping.kind": "held-out"} | used(result))
    assert len(result.curves["loss"]) == 5


def test_the_settings_of_a_result_take_the_same_bits_again_whatever_the_threads(noisy, same, monkeypatch):
    config = QUICK.replace({"generator.n_channels": 32, "n_steps": 60, "stopping.kind": "held-out"})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    task = DenoiseTask(noisy((48, 48)), config, n_spared_threads=1)
    first = task.finish()
    again = denoise(noisy((48, 48)), Config.from_dict(json.loads(json.dumps(first.report()))["config"]))
    assert (first.config.n_threads, again.n_threads) == (1, 1)
    assert again.config == first.config
    assert again.report()["curves"] == first.report()["curves"]
    assert same(again.image, first.image)


def test_a_preset_is_taken_by_name(noisy, used):
    result = denoise(noisy((48, 48)), "paper-narrow", n_steps=1, device="cpu", seed=2, stopping="auto")
    assert result.config == preset("paper-narrow").replace(
        {"n_steps": 1, "seed": 2, "stopping.kind": "auto"} | used(result)
    )


def test_the_public_names_are_those_of_the_package():
    assert napari_convgen.denoise is denoise
    assert napari_convgen.DenoiseTask is DenoiseTask
    assert set(napari_convgen.__all__) == set(dir(napari_convgen))
    for name in napari_convgen.__all__:
        assert getattr(napari_convgen, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'denoize'"):
        _ = napari_convgen.denoize


def test_colors_with_the_same_noise_are_fitted_as_one_image():
    rng = np.random.default_rng(0)
    color = blob((40, 42))[..., None] * [1.0, 0.5, 0.2]
    image = (color + 0.1 * rng.standard_normal((40, 42, 1))).astype(np.float32)
    result = denoise(image, WATCHED.replace({"noise.is_shared": "yes"}))
    assert result.frames[0].noise.is_shared
    differences = image - image.mean(-1, keepdims=True)
    np.testing.assert_allclose(result.image - result.image.mean(-1, keepdims=True), differences, atol=1e-5)
    assert result.expected_error.shape == image.shape


@pytest.mark.parametrize(("method", "learning_rate"), [("adam", 0.01), ("gradient-descent", 0.3), ("momentum", 0.1)])
def test_every_method_lowers_the_loss_in_its_own_way(noisy, method, learning_rate):
    config = QUICK.replace({"optimizer.kind": method, "optimizer.learning_rate": learning_rate, "n_steps": 40})
    loss = denoise(noisy(), config).curves["loss"]
    assert loss[-1] < 0.8 * loss[0]
    others = {"adam", "gradient-descent", "momentum"} - {method}
    for other in others:
        assert denoise(noisy(), config.replace({"optimizer.kind": other})).curves["loss"][-1] != loss[-1]


def test_momentum_of_zero_is_plain_gradient_descent(noisy, same):
    config = QUICK.replace({"optimizer.kind": "gradient-descent", "optimizer.learning_rate": 0.1})
    plain = denoise(noisy(), config)
    heavy = denoise(noisy(), config.replace({"optimizer.kind": "momentum", "optimizer.momentum": 0}))
    assert same(plain.image, heavy.image)


@pytest.mark.parametrize("output", ["average", "iterate"])
def test_the_output_that_is_asked_for_is_kept(noisy, same, output):
    result = denoise(noisy(), QUICK.replace({"output": output}))
    last = result.snapshots[-1]
    assert last.step == result.step == 8
    assert same(result.image, getattr(last, output))
    assert not same(last.average, last.iterate)
