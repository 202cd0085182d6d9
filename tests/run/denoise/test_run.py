import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import torch

import napari_convgen
from napari_convgen.config import Config, preset
from napari_convgen.core.generators import DeepDecoder
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import ConfigError, DeviceError, FitError, InputError
from napari_convgen.run import task as module
from napari_convgen.run.denoise.run import DenoiseTask, denoise
from napari_convgen.run.setup import build

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})
WATCHED = QUICK.replace({"stopping.kind": "held-out", "n_steps": 60})


def blob(shape=(20, 23)):
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.exp(-4 * sum(x**2 for x in axes))


def noisy(shape=(20, 23), dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    frame = blob(shape[-2:]) if len(shape) > 1 else blob(shape)
    values = 20 + 150 * frame + 10 * rng.standard_normal(shape)
    return values > 90 if dtype == "bool" else values.astype(dtype)


def loaded_frame_by_frame(stack):
    """The stack as a dask array, and the numbers of the frames computed so far."""
    computed = []

    def load(i):
        computed.append(i)
        return stack[i]

    frames = [da.from_delayed(dask.delayed(load)(i), stack.shape[1:], stack.dtype) for i in range(len(stack))]
    return da.stack(frames), computed


def same(one, other):
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def advance(run):
    return list(run)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float16", "float32", "float64", "bool", ">u2"])
def test_the_result_has_the_shape_dtype_and_range_of_the_input(dtype):
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
    run = DenoiseTask(image, QUICK.replace({"n_steps": 3, "z_axis": z_axis}), axes=axes)
    assert run.n_frames == n_frames
    advance(run)
    result = run.result()
    assert (result.image.shape, result.image.dtype) == (shape, image.dtype)
    assert len(result.frames) == n_frames
    assert not np.array_equal(result.image, image)
    for snapshot in result.snapshots:
        assert (snapshot.image.shape, snapshot.image.dtype) == (shape, image.dtype)


def test_a_list_of_rows_is_an_image():
    rows = noisy((8, 9)).tolist()
    assert denoise(rows, QUICK).image.shape == (8, 9)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_automatic_stop_takes_most_of_the_noise_away(seed):
    clean = (20 + 150 * blob((32, 32))).astype(np.float32)
    image = clean + np.random.default_rng(seed).normal(0, 12, clean.shape).astype(np.float32)
    config = Config().replace({"generator.n_channels": 32, "n_steps": 800, "device": "cpu", "seed": seed})
    result = denoise(image, config)
    assert result.reason.outcome is Outcome.RULE
    assert result.step <= len(result.curves["loss"]) < 800
    assert psnr(result.image, clean, 150) > psnr(image, clean, 150) + 4


@pytest.mark.parametrize("config", [QUICK, WATCHED], ids=["fixed", "held-out"])
def test_the_same_configuration_gives_the_same_bits_and_another_seed_others(config):
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


def test_settings_of_torch_are_as_the_caller_left_them_at_each_pause_and_in_the_end():
    def settings():
        return torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()

    before = settings()
    run = DenoiseTask(noisy(), QUICK.replace({"n_threads": before[0] + 1}))
    for n_taken, _ in enumerate(run):
        assert settings() == before
        if n_taken == 3:
            break
    assert settings() == before
    advance(run)
    assert settings() == before


def test_the_default_dtype_of_the_session_has_no_influence():
    expected = denoise(noisy(), WATCHED).image
    torch.set_default_dtype(torch.float64)
    try:
        assert same(denoise(noisy(), WATCHED).image, expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_frame_of_a_stack_equals_the_same_frame_alone():
    stack = np.stack([noisy(seed=seed) for seed in range(3)])
    together = denoise(stack, WATCHED)
    for number, frame in enumerate(stack):
        alone = denoise(frame, WATCHED)
        assert same(together.image[number], alone.image)
        assert together.frames[number].step == alone.step
        assert together.frames[number].loss == alone.frames[0].loss


def test_a_stack_with_its_frames_elsewhere_gives_the_same_frames():
    stack = noisy((2, 3, 12, 13))
    expected = denoise(stack, QUICK, axes="TZYX").image
    moved = np.moveaxis(stack, (0, 1), (3, 1))
    assert same(np.moveaxis(denoise(moved, QUICK, axes="YZXT").image, (3, 1), (0, 1)), expected)


def test_a_lazy_stack_is_computed_slice_by_slice_and_gives_the_same_result():
    stack = np.stack([noisy(seed=seed) for seed in range(3)])
    lazy, computed = loaded_frame_by_frame(stack)
    run = DenoiseTask(lazy, QUICK)
    assert computed == [0]
    seen = [(progress.frame, len(computed)) for progress in run]
    assert set(seen) == {(0, 1), (1, 2), (2, 3)}
    result = run.result()
    assert computed == [0, 1, 2]
    assert same(result.image, denoise(stack, QUICK).image)


def test_an_array_that_can_only_be_sliced_is_enough():
    stack, taken = noisy((2, 12, 13), "uint16"), []

    def take(self, index):
        taken.append(index)
        return stack[index]

    lazy = type("Lazy", (), {"shape": stack.shape, "dtype": stack.dtype, "__getitem__": take})()
    assert same(denoise(lazy, QUICK).image, denoise(stack, QUICK).image)
    assert all(isinstance(index[0], int) for index in taken)


def test_a_constant_frame_within_a_stack_is_left_as_it_is_with_a_note():
    stack = np.stack([noisy(seed=seed) for seed in range(4)])
    stack[1], stack[2] = 7, np.nan
    result = denoise(stack, QUICK)
    assert same(result.image[1:3], stack[1:3])
    assert [frame.number for frame in result.frames] == [0, 3]
    assert same(result.image[3], denoise(stack[3], QUICK).image)
    for number in (1, 2):
        assert f"Frame {number} is constant or missing throughout; it was left as it is." in result.notes


def test_missing_pixels_are_left_out_of_the_fit_filled_in_and_counted():
    image = noisy()
    image[4:7, 5] = np.nan
    result = denoise(image, WATCHED)
    assert np.isfinite(result.image).all()
    assert np.nanmin(image) <= result.image.min() <= result.image.max() <= np.nanmax(image)
    assert "3 missing (NaN) pixels were left out of the fit and filled in." in result.notes


def test_only_missing_pixels_that_were_filled_in_are_counted():
    stack = np.stack([noisy(seed=seed) for seed in range(3)])
    stack[0, 2, :4] = np.nan
    stack[1] = np.nan
    stack[2, 3, 3] = np.nan
    result = denoise(stack, QUICK)
    assert "5 missing (NaN) pixels were left out of the fit and filled in." in result.notes
    assert np.isnan(result.image).sum() == stack[1].size


def test_alpha_is_left_alone():
    image = np.random.default_rng(0).integers(0, 200, (12, 13, 4)).astype(np.uint8)
    result = denoise(image, QUICK)
    assert same(result.image[..., 3], image[..., 3])
    assert same(result.image[..., :3], denoise(image[..., :3], QUICK).image)


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_an_image_of_just_two_values_in_blocks_is_fitted_as_any_other(dtype):
    image = np.zeros((32, 32), dtype)
    image[:, 16:] = 1
    result = denoise(image, QUICK.replace({"n_steps": 700, "optimizer.learning_rate": 0.03}))
    assert result.reason.outcome is Outcome.BUDGET
    assert result.notes == ()
    assert same(result.image, image)


def test_a_reference_has_no_influence_on_the_result():
    image = noisy()
    assert same(denoise(image, WATCHED, reference=blob()).image, denoise(image, WATCHED).image)


@pytest.mark.parametrize(
    ("reference", "data_range", "message"),
    [
        (np.zeros((20, 24)), None, r"must have the shape of the image: expected \(20, 23\), got \(20, 24\)\. Crop or"),
        (np.zeros((20, 23), complex), None, "must have real numbers as values, got complex128"),
        (np.ones((20, 23)), None, r"range of the scores must be positive, got 0\.0: give data_range, or a reference"),
        (np.full((20, 23), np.inf), None, "must be positive"),
        (blob(), 0, "must be positive, got 0"),
        (blob(), np.nan, "must be positive, got nan"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in scalar subtract:RuntimeWarning")
def test_a_reference_that_does_not_fit_is_refused_with_the_way_out(reference, data_range, message):
    with pytest.raises(InputError, match=message):
        denoise(noisy(), QUICK, reference=reference, data_range=data_range)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (noisy().astype(complex), "complex"),
        (np.full((8, 8), "a"), "numbers"),
        (np.zeros((0, 8)), "no pixels"),
        (np.ones((1, 1)), "too small"),
        (np.ones((8, 8)), "constant"),
        (np.full((8, 8), np.nan), "constant"),
        (np.where(blob() > 0.9, np.inf, blob()), "infinite"),
        (3.0, "pixels"),
        ("image.tif", "pixels"),
    ],
)
def test_an_image_that_cannot_be_denoised_is_refused_before_anything_starts(image, message):
    with pytest.raises(InputError, match=message):
        denoise(image, QUICK)


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="expected 2 letters"):
        denoise(noisy(), QUICK, axes="ZYX")
    with pytest.raises(InputError, match="z_axis = 'volume' needs"):
        denoise(noisy(), QUICK.replace({"z_axis": "volume"}))


@pytest.mark.parametrize(
    ("shape", "n_scales", "most"), [((20, 23), 5, 4), ((64, 64), 6, 5), ((4, 4), 2, 1), ((1, 40), 6, 5), ((61,), 9, 5)]
)
def test_more_scales_than_the_image_can_be_halved_are_refused_with_the_most_there_are(shape, n_scales, most):
    with pytest.raises(ConfigError, match=rf"n_scales .* expected 1 to {most} for .*, got {n_scales}\. Use 'auto' or"):
        DenoiseTask(noisy(shape), QUICK.replace({"generator.n_scales": n_scales}))
    DenoiseTask(noisy(shape), QUICK.replace({"generator.n_scales": most}))


@pytest.mark.parametrize(
    ("shape", "grid"), [((512, 512), (16, 16)), ((300, 256), (19, 16)), ((128, 100), (16, 13)), ((2, 256), (1, 16))]
)
def test_auto_scales_leave_about_sixteen_pixels_along_the_shorter_side(shape, grid, monkeypatch):
    made = []

    def make(*args, **options):
        made.append(DeepDecoder(*args, **options))
        return made[-1]

    monkeypatch.setattr(build, "DeepDecoder", make)
    next(iter(DenoiseTask(noisy(shape), QUICK.replace({"generator.n_channels": 2}))))
    assert made[0].sizes[0] == grid


@pytest.mark.parametrize("shape", [(4,), (5,), (4, 1), (4, 4), (5, 7), (9, 4)])
def test_auto_scales_suit_the_smallest_images(shape):
    image = noisy(shape)
    assert denoise(image, QUICK).image.shape == shape


def test_a_device_that_is_not_there_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    with pytest.raises(DeviceError, match=r"'mps' is not available: this PyTorch .* is built without MPS"):
        denoise(noisy(), QUICK, device="mps")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": "good"}, "no preset 'good'"),
        ({"n_steps": 0}, "n_steps cannot be 0"),
        ({"seed": -1}, "seed cannot be -1"),
        ({"stopping": "wmv"}, "stopping.kind cannot be 'wmv'"),
        ({"device": "tpu"}, "device cannot be 'tpu'"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        denoise(noisy(), **changes)


def test_arguments_override_the_preset():
    result = denoise(noisy(), QUICK, seed=3, n_steps=5, stopping="held-out", device="cpu")
    assert result.config == QUICK.replace({"seed": 3, "n_steps": 5, "stopping.kind": "held-out"})
    assert len(result.curves["loss"]) == 5


def test_a_preset_is_taken_by_name():
    result = denoise(noisy((48, 48)), "paper-narrow", n_steps=1, device="cpu", seed=2, stopping="auto")
    assert result.config == preset("paper-narrow").replace(
        {"n_steps": 1, "device": "cpu", "seed": 2, "stopping.kind": "auto"}
    )


def test_the_public_names_are_those_of_the_package():
    assert napari_convgen.denoise is denoise
    assert napari_convgen.DenoiseTask is DenoiseTask
    assert set(napari_convgen.__all__) == set(dir(napari_convgen))
    for name in napari_convgen.__all__:
        assert getattr(napari_convgen, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'denoize'"):
        _ = napari_convgen.denoize


def test_progress_tells_every_step_once_and_every_snapshot():
    told = []
    stack = np.stack([noisy(seed=seed) for seed in range(2)])
    result = denoise(stack, WATCHED, callback=told.append)
    for number, frame in enumerate(result.frames):
        mine = [progress for progress in told if progress.frame == number]
        assert tuple(loss for progress in mine for loss in progress.losses) == frame.loss
        assert tuple(value for progress in mine for value in progress.criteria) == frame.criterion
        assert mine[-1].step == len(frame.loss)
        assert mine[-1].kept_step == frame.step
        assert [p.step for p in mine if p.snapshot] == [snapshot.step for snapshot in frame.snapshots]
        assert all(p.snapshot is None or p.snapshot.step == p.step for p in mine)
    assert {(p.n_frames, p.n_steps, p.seed) for p in told} == {(2, 60, 0)}
    seconds = [p.seconds for p in told]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= result.seconds


def test_pauses_do_not_count_as_seconds(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    run = DenoiseTask(noisy(), QUICK)
    for _ in run:
        clock[0] += 100
    assert run.result().seconds == 0


def test_an_error_of_the_callback_reaches_the_caller():
    def complain(progress):
        raise KeyError(progress.step)

    with pytest.raises(KeyError):
        denoise(noisy(), QUICK, callback=complain)


def test_the_preview_is_the_image_as_it_is_now():
    image = noisy(dtype="uint16")
    run = DenoiseTask(image, QUICK)
    assert run.preview() is None
    for progress in run:
        preview = run.preview()
        assert preview.dtype == image.dtype
        assert same(preview, progress.snapshot.image)


@pytest.mark.parametrize("n_taken", [1, 4, 7, 8])
def test_a_run_that_was_left_goes_on_where_it_was(n_taken):
    expected = denoise(noisy(), QUICK)
    run = DenoiseTask(noisy(), QUICK)
    for progress in run:
        if progress.step == n_taken:
            break
    advance(run)
    assert same(run.result().image, expected.image)
    assert run.result().frames[0].loss == expected.frames[0].loss
    assert run.result().reason == expected.reason


def test_a_run_that_has_ended_yields_nothing_more():
    run = DenoiseTask(noisy(), QUICK)
    advance(run)
    assert advance(run) == []


def test_stop_keeps_the_best_so_far():
    run = DenoiseTask(noisy(), QUICK.replace({"n_steps": 500}))
    for progress in run:
        if progress.step == 5:
            run.stop()
    result = run.result()
    assert len(result.curves["loss"]) in (6, 7)
    assert result.reason.outcome is Outcome.USER
    assert result.step == len(result.curves["loss"])
    assert same(result.image, denoise(noisy(), QUICK, n_steps=result.step).image)


def test_a_run_that_was_left_can_still_be_stopped_for_its_best_image():
    run = DenoiseTask(noisy(), QUICK.replace({"n_steps": 500}))
    for progress in run:
        if progress.step == 5:
            break
    run.stop()
    advance(run)
    assert run.result().reason.outcome is Outcome.USER
    assert run.result().step in (6, 7)


def test_a_stack_that_is_stopped_keeps_frames_not_reached_as_they_were():
    stack = np.stack([noisy(seed=seed) for seed in range(4)])
    run = DenoiseTask(stack, QUICK)
    for progress in run:
        if (progress.frame, progress.step) == (1, 3):
            run.stop()
    result = run.result()
    assert [frame.reason.outcome for frame in result.frames] == [Outcome.BUDGET, Outcome.USER]
    assert same(result.image[0], denoise(stack[0], QUICK).image)
    assert not same(result.image[1], stack[1])
    assert same(result.image[2:], stack[2:])
    assert result.notes == (
        "2 of 4 frames were not reached: they are left as they are, or zero if they cannot be read.",
    )


def test_a_run_that_never_started_has_no_result():
    run = DenoiseTask(noisy(), QUICK)
    run.stop()
    assert advance(run) == []
    with pytest.raises(FitError, match="Nothing has been fitted yet"):
        run.result()


def test_an_extended_run_equals_one_with_more_steps():
    run = DenoiseTask(noisy(), QUICK)
    assert not run.can_extend
    advance(run)
    assert run.can_extend
    run.extend(5)
    assert not run.can_extend
    assert [progress.n_steps for progress in run] == [13] * 5
    expected = denoise(noisy(), QUICK, n_steps=13)
    assert same(run.result().image, expected.image)
    assert run.result().config.n_steps == 13
    assert run.result().frames[0].loss == expected.frames[0].loss


def test_a_run_names_the_step_that_it_will_go_on_from():
    run = DenoiseTask(noisy(), QUICK)
    advance(run)
    assert [run.step_before_extension(step) for step in (None, 100, 8)] == [8, 8, 8]
    step = run.step_before_extension(5)
    assert step <= 5
    run.extend(3, from_step=5)
    advance(run)
    assert len(run.result().curves["loss"]) == step + 3


def test_a_run_that_was_stopped_or_ended_by_its_rule_can_be_extended():
    noise = np.random.default_rng(0).random((20, 23))
    eager = {"stopping.patience": 0, "stopping.min_patience": 0, "n_steps": 500, "generator.n_channels": 32}
    run = DenoiseTask(noise, WATCHED.replace(eager))
    advance(run)
    n_first = len(run.result().curves["loss"])
    assert run.result().reason.outcome is Outcome.RULE
    run.extend(100)
    for _ in run:
        run.stop()
    n_second = len(run.result().curves["loss"])
    assert n_first < n_second < n_first + 100
    assert run.result().reason.outcome is Outcome.USER
    run.extend(20)
    advance(run)
    assert run.result().reason.outcome is Outcome.BUDGET
    assert len(run.result().curves["loss"]) == n_second + 20


def test_a_run_that_goes_back_takes_the_same_steps_again():
    config = WATCHED.replace({"n_steps": 40})
    run, whole = DenoiseTask(noisy(), config), DenoiseTask(noisy(), config)
    for each in (run, whole):
        for _ in each:
            pass
    run.extend(30, from_step=10)
    assert min(progress.step for progress in run) <= 11
    again, before = run.result(), whole.result()
    assert 30 < again.snapshots[-1].step <= 40
    for step in (20, again.snapshots[-1].step):
        assert np.array_equal(again.frames[0].at(step).image, before.frames[0].at(step).image)


def test_colors_with_the_same_noise_are_fitted_as_one_image():
    rng = np.random.default_rng(0)
    color = blob((40, 42))[..., None] * [1.0, 0.5, 0.2]
    image = (color + 0.1 * rng.standard_normal((40, 42, 1))).astype(np.float32)
    result = denoise(image, WATCHED.replace({"noise.is_shared": "yes"}))
    assert result.frames[0].noise.is_shared
    differences = image - image.mean(-1, keepdims=True)
    np.testing.assert_allclose(result.image - result.image.mean(-1, keepdims=True), differences, atol=1e-5)
    assert result.expected_error.shape == image.shape


def test_notes_are_not_repeated_when_a_run_is_extended():
    image = noisy()
    image[3, 3] = np.nan
    run = DenoiseTask(image, QUICK.replace({"snapshot_memory": 6 * 2 * image.nbytes / 2**20, "n_steps": 20}))
    advance(run)
    run.extend(20)
    advance(run)
    notes = run.result().notes
    assert len([note for note in notes if "snapshots were let go" in note]) == 1
    assert len([note for note in notes if "missing" in note]) == 1


def test_a_run_that_cannot_be_extended_says_why():
    run = DenoiseTask(noisy(), QUICK)
    with pytest.raises(ConfigError, match="Only a finished fit of a single image can be continued"):
        run.extend(5)
    advance(run)
    with pytest.raises(ConfigError, match="at least 1 to continue, got 0"):
        run.extend(0)
    stack = DenoiseTask(noisy((2, 12, 13)), QUICK)
    advance(stack)
    assert not stack.can_extend
    with pytest.raises(ConfigError, match="Run a stack anew with more steps"):
        stack.extend(5)


@pytest.fixture
def dead_starts(monkeypatch):
    """Make every start with one of these seeds a generator whose channels are all dead."""
    seeds = set()

    def make(*args, rngs, **options):
        generator = DeepDecoder(*args, rngs=rngs, **options)
        if rngs[0].initial_seed() in {build.random_source(seed, 1).initial_seed() for seed in seeds}:
            with torch.no_grad():
                for weights in [*generator.norm_scales, *generator.norm_offsets]:
                    weights.zero_()
                for weights in generator.norm_offsets:
                    weights.fill_(-100)
        return generator

    monkeypatch.setattr(build, "DeepDecoder", make)
    return seeds


def test_a_collapsed_fit_is_started_afresh_with_another_seed_and_the_notes_say_so(dead_starts):
    config = QUICK.replace({"n_steps": 230, "seed": 4})
    sound = denoise(noisy(), config, seed=5)
    dead_starts.add(4)
    result = denoise(noisy(), config)
    assert result.frames[0].seed == 5
    assert same(result.image, sound.image)
    assert result.curves["loss"].tolist() == sound.curves["loss"].tolist()
    [note] = result.notes
    assert "collapsed at step" in note or "The fit collapsed" in note
    assert "started afresh with seed 5" in note
    assert result.config == config
    assert result.report()["seed"] == 5


@pytest.mark.parametrize(("patience", "min_patience"), [(0.4, 100), (0, 0)])
def test_a_dead_start_is_recognized_though_its_rule_ends_it_early(dead_starts, patience, min_patience):
    dead_starts.add(0)
    config = WATCHED.replace({"n_steps": 400, "stopping.patience": patience, "stopping.min_patience": min_patience})
    result = denoise(noisy(), config)
    assert result.frames[0].seed == 1
    assert np.ptp(result.image) > 0


def test_progress_names_the_seed_of_the_start_and_begins_again(dead_starts):
    dead_starts.add(0)
    told = []
    denoise(noisy(), QUICK.replace({"n_steps": 230}), callback=told.append)
    first_of_second_start = next(i for i, progress in enumerate(told) if progress.seed == 1)
    assert told[first_of_second_start].step < 50
    assert all(progress.seed == 1 for progress in told[first_of_second_start:])


def test_a_restart_within_a_stack_is_of_its_frame_alone(dead_starts):
    stack = np.stack([noisy(seed=seed) for seed in range(2)])
    config = QUICK.replace({"n_steps": 230})
    dead_starts.add(0)
    result = denoise(stack, config)
    assert [frame.seed for frame in result.frames] == [1, 1]
    assert len(result.notes) == 2


def test_a_fit_without_a_start_left_keeps_what_there_is_and_says_so(dead_starts):
    dead_starts.update({0, 1})
    result = denoise(noisy(), QUICK.replace({"n_steps": 230, "n_restarts": 1}))
    assert result.reason.outcome is Outcome.COLLAPSED
    assert len(result.notes) == 2
    assert "started afresh with seed 1" in result.notes[0]
    assert "No start was left" in result.notes[1]
    assert result.image.shape == noisy().shape


def test_a_fit_that_diverges_whatever_its_start_is_an_outcome_not_a_crash():
    config = QUICK.replace(
        {"optimizer.kind": "momentum", "optimizer.learning_rate": 1e37, "n_steps": 50, "n_restarts": 1}
    )
    result = denoise(noisy(), config)
    assert result.reason.outcome is Outcome.DIVERGED
    assert np.isfinite(result.image).all()
    assert ["diverged" in note for note in result.notes] == [True, True]
    assert "Lower optimizer.learning_rate" in result.notes[-1]


@pytest.mark.parametrize(("method", "learning_rate"), [("adam", 0.01), ("gradient-descent", 0.3), ("momentum", 0.1)])
def test_every_method_lowers_the_loss_in_its_own_way(method, learning_rate):
    config = QUICK.replace({"optimizer.kind": method, "optimizer.learning_rate": learning_rate, "n_steps": 40})
    loss = denoise(noisy(), config).curves["loss"]
    assert loss[-1] < 0.8 * loss[0]
    others = {"adam", "gradient-descent", "momentum"} - {method}
    for other in others:
        assert denoise(noisy(), config.replace({"optimizer.kind": other})).curves["loss"][-1] != loss[-1]


def test_momentum_of_zero_is_plain_gradient_descent():
    config = QUICK.replace({"optimizer.kind": "gradient-descent", "optimizer.learning_rate": 0.1})
    plain = denoise(noisy(), config)
    heavy = denoise(noisy(), config.replace({"optimizer.kind": "momentum", "optimizer.momentum": 0}))
    assert same(plain.image, heavy.image)


@pytest.mark.parametrize("output", ["average", "iterate"])
def test_the_output_that_is_asked_for_is_kept(output):
    result = denoise(noisy(), QUICK.replace({"output": output}))
    last = result.snapshots[-1]
    assert last.step == result.step == 8
    assert same(result.image, getattr(last, output))
    assert not same(last.average, last.iterate)
