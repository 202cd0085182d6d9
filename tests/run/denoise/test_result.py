import json
import math
from dataclasses import replace

import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.core.quality.metrics import psnr, ssim
from napari_convgen.core.snapshot import Outcome, Snapshot, StopReason
from napari_convgen.core.stopping import ErrorEstimate
from napari_convgen.run.denoise import reported_error
from napari_convgen.run.denoise.frame_result import FrameResult
from napari_convgen.run.denoise.run import DenoiseTask, denoise

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 12, "stopping.kind": "fixed", "device": "cpu"})
WATCHED = QUICK.replace({"stopping.kind": "held-out", "n_steps": 30})


def clean(shape=(20, 23)):
    x = np.linspace(0, 3, math.prod(shape)).reshape(shape)
    return (100 + 50 * np.sin(5 * x)).astype(np.float32)


def noisy(shape=(20, 23), dtype=np.float32):
    return (clean(shape) + np.random.default_rng(0).normal(0, 8, shape)).astype(dtype)


def through_json(report):
    return json.loads(json.dumps(report, allow_nan=False))


def test_a_report_without_a_reference_has_the_settings_the_ending_and_the_curves(used):
    result = denoise(noisy(), WATCHED)
    report = through_json(result.report())
    assert set(report) >= {
        "config",
        "versions",
        "seed",
        "device",
        "backend",
        "step",
        "reason",
        "curves",
        "seconds",
        "seconds_per_step",
    }
    assert not {"psnr", "ssim", "data_range", "best_step", "best_psnr"} & set(report)
    assert report["config"] == WATCHED.replace(used(result)).model_dump()
    assert {"python", "napari-convgen", "torch", "numpy"} <= set(report["versions"])
    assert (report["seed"], report["device"], report["backend"]) == (0, "cpu", "numba")
    assert report["step"] == result.step
    assert report["reason"] == str(result.reason)
    assert report["curves"]["step"] == list(range(1, 31))
    assert report["curves"]["loss"] == result.curves["loss"].tolist()
    assert report["curves"]["criterion"] == result.curves["criterion"].tolist()
    assert report["seconds"] == result.seconds > 0
    assert report["seconds_per_step"] == pytest.approx(result.seconds / 30)


def test_a_report_with_a_reference_has_the_scores_of_result_and_input_and_the_best_step():
    image, truth = noisy(), clean()
    result = denoise(image, WATCHED, reference=truth)
    report = through_json(result.report())
    data_range = float(truth.max()) - float(truth.min())
    assert report["data_range"] == data_range
    assert report["psnr"] == psnr(result.image, truth, data_range)
    assert report["ssim"] == ssim(result.image, truth, data_range, None)
    assert report["input_psnr"] == psnr(image, truth, data_range)
    assert report["input_ssim"] == ssim(image, truth, data_range, None)
    by_step = dict(zip(report["psnr_by_step"]["step"], report["psnr_by_step"]["psnr"], strict=True))
    assert by_step == {s.step: psnr(s.image, truth, data_range) for s in result.snapshots}
    assert by_step[result.step] == report["psnr"]
    assert report["best_psnr"] == by_step[report["best_step"]] == max(by_step.values())


def test_a_criterion_that_there_is_not_is_null():
    report = through_json(denoise(noisy(), QUICK).report())
    assert report["curves"]["criterion"] == [None] * 12


def test_scores_that_are_not_finite_are_null():
    image = noisy((2, 30))
    result = denoise(image, QUICK, reference=image, data_range=100)
    report = through_json(result.report())
    assert report["input_psnr"] is None
    assert report["ssim"] is None


def test_a_report_of_a_stack_tells_of_each_frame():
    stack = noisy((3, 16, 17))
    stack[1] = 5
    result = denoise(stack, QUICK, axes="TYX", reference=clean((3, 16, 17)))
    report = through_json(result.report())
    assert [frame["index"] for frame in report["frames"]] == [[0], [2]]
    assert {frame["step"] for frame in report["frames"]} == {12}
    assert report["axes"] == "TYX"
    assert "Frame 1 is constant" in report["notes"][0]
    assert report["curves"]["step"] == [*range(1, 13), *range(1, 13)]
    assert report["curves"]["frame"] == [0] * 12 + [2] * 12
    assert report["seconds_per_step"] == pytest.approx(report["seconds"] / 24)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("config", [QUICK, WATCHED], ids=["fixed", "held-out"])
def test_the_configuration_of_the_report_reproduces_the_image(config, dtype):
    image = noisy(dtype=dtype)
    result = denoise(image, config.replace({"seed": 3}))
    again = denoise(image, Config.from_dict(through_json(result.report())["config"]))
    np.testing.assert_array_equal(again.image, result.image, strict=True)


def test_the_configuration_of_a_run_that_the_user_stopped_reproduces_the_image():
    run = DenoiseTask(noisy(), WATCHED.replace({"n_steps": 500}))
    for progress in run:
        if progress.step == 20:
            run.stop()
    result = run.result()
    again = denoise(noisy(), result.config)
    assert again.step == result.step
    np.testing.assert_array_equal(again.image, result.image, strict=True)


def test_the_configuration_of_an_extended_run_takes_all_its_steps_again():
    noise = np.random.default_rng(0).random((20, 23))
    eager = {"stopping.patience": 0, "stopping.min_patience": 0, "n_steps": 500, "generator.n_channels": 32}
    run = DenoiseTask(noise, WATCHED.replace(eager))
    for _ in run:
        pass
    assert run.result().reason.outcome is Outcome.RULE
    run.extend(50)
    for _ in run:
        pass
    result = run.result()
    again = denoise(noise, result.config)
    np.testing.assert_array_equal(again.curves["loss"], result.curves["loss"])


@pytest.mark.parametrize("shape", [(20, 23), (2, 16, 17), (16, 17, 3), (2, 16, 17, 3)])
def test_psnr_and_ssim_are_those_of_the_frames(shape):
    image, truth = noisy(shape), clean(shape)
    result = denoise(image, QUICK.replace({"n_steps": 2}), reference=truth, data_range=90)
    channel = 2 if shape[-1] == 3 else None
    frames = zip(image, truth, strict=True) if shape[0] == 2 else [(image, truth)]
    scores = result.scores(image)
    assert scores.psnr == pytest.approx(psnr(image, truth, 90), rel=1e-12)
    assert scores.ssim == pytest.approx(np.mean([ssim(a, b, 90, channel) for a, b in frames]), rel=1e-12)


def test_alpha_is_never_scored():
    image, truth = noisy((16, 17, 4)), clean((16, 17, 4))
    result = denoise(image, QUICK, reference=truth, data_range=100)
    colors = psnr(result.image[..., :3], truth[..., :3], 100)
    assert result.scores(result.image).psnr == pytest.approx(colors, rel=1e-12)
    assert result.psnr_by_step[result.step] == pytest.approx(colors, rel=1e-12)


def test_missing_pixels_do_not_spoil_the_scores():
    image, truth = noisy(), clean()
    image[2:4, 5] = np.nan
    truth[7, 8] = np.nan
    report = through_json(denoise(image, QUICK, reference=truth).report())
    assert all(report[name] is not None for name in ("psnr", "ssim", "input_psnr", "input_ssim", "best_psnr"))


def test_without_a_reference_there_is_no_psnr_by_step():
    assert denoise(noisy(), QUICK).psnr_by_step == {}


def test_the_image_is_the_snapshot_of_its_step():
    result = denoise(noisy(), WATCHED)
    [snapshot] = [s for s in result.snapshots if s.step == result.step]
    np.testing.assert_array_equal(snapshot.image, result.image, strict=True)
    assert snapshot.loss == result.curves["loss"][result.step - 1]
    assert snapshot.criterion == result.curves["criterion"][result.step - 1]


def test_snapshots_of_a_stack_show_each_frame_at_its_latest_and_rest_at_its_end():
    stack = noisy((2, 16, 17))
    run = DenoiseTask(stack, QUICK)
    for progress in run:
        if (progress.frame, progress.step) == (1, 4):
            run.stop()
    result = run.result()
    last_of_second = result.frames[1].snapshots[-1]
    assert last_of_second.step < 12
    assert [s.step for s in result.snapshots] == list(range(1, 13))
    for snapshot in result.snapshots:
        np.testing.assert_array_equal(snapshot.iterate[0], result.frames[0].snapshots[snapshot.step - 1].iterate)
        np.testing.assert_array_equal(
            snapshot.average[1], result.frames[1].snapshots[min(snapshot.step, last_of_second.step) - 1].average
        )
    np.testing.assert_array_equal(result.snapshots[-1].image, result.image)


def test_snapshots_of_a_stack_show_frames_that_were_not_fitted_as_they_came():
    stack = noisy((2, 16, 17))
    stack[0] = 3
    for snapshot in denoise(stack, QUICK).snapshots:
        assert (snapshot.iterate[0] == 3).all()
        assert (snapshot.average[0] == 3).all()


def test_snapshots_stay_within_the_memory_they_are_given():
    stack = noisy((2, 16, 17))
    bound = 8 * 2 * stack.nbytes
    result = denoise(stack, QUICK.replace({"n_steps": 60, "snapshot_memory": bound / 2**20}))
    for snapshots in (result.snapshots, [s for frame in result.frames for s in frame.snapshots]):
        assert len(snapshots) >= 4
        assert sum(s.iterate.nbytes + s.average.nbytes for s in snapshots) <= bound
    assert result.step in [s.step for s in result.snapshots]
    assert any("snapshots were dropped to stay within snapshot_memory" in note for note in result.notes)


def frame_result(number, step, outcome):
    snapshot = Snapshot(step, 0.5, 0.25, np.zeros((2, 2)), np.ones((2, 2)))
    reason = StopReason(outcome, "Because.")
    return FrameResult(number, (number, slice(None), slice(None)), step, reason, 0, (0.5,), (0.25,), (snapshot,))


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([Outcome.RULE, Outcome.RULE, Outcome.RULE], Outcome.RULE),
        ([Outcome.BUDGET, Outcome.BUDGET, Outcome.BUDGET], Outcome.BUDGET),
        ([Outcome.RULE, Outcome.BUDGET, Outcome.RULE], Outcome.RULE),
    ],
)
def test_the_reason_of_a_stack_sums_up_its_frames(outcomes, expected):
    result = denoise(noisy((3, 16, 17)), QUICK.replace({"n_steps": 1}))
    assert str(result.reason) == "3 frames were denoised."
    steps = [10, 30, 15]
    frames = tuple(map(frame_result, range(3), steps, outcomes))
    object.__setattr__(result, "frames", frames)
    assert result.step == 30
    assert result.reason.outcome is expected
    assert str(result.reason) == ("3 frames were fitted; the steps kept lie between 10 and 30, at 15 in the median.")


def test_at_finds_the_latest_snapshot_not_after_a_step():
    snapshots = tuple(Snapshot(s, 0.0, 0.0, np.zeros(1), np.zeros(1)) for s in (2, 5, 9))
    frame = FrameResult(0, (), 5, StopReason(Outcome.BUDGET, ""), 0, (), (), snapshots)
    assert [frame.at(step).step for step in (1, 2, 4, 5, 8, 9, 100)] == [2, 2, 2, 5, 5, 9, 9]


def test_another_step_can_be_kept_and_the_original_stays():
    result = denoise(noisy(), WATCHED.replace({"stopping.kind": "auto"}), reference=clean())
    other = result.keep(7)
    assert (other.step, other.reason.outcome) == (7, Outcome.USER)
    assert np.array_equal(other.image, result.frames[0].at(7).image)
    assert np.array_equal(other.expected_error, result.frames[0].at(7).expected_error)
    assert other.estimated_psnr is None
    assert other.scores(other.image).psnr == pytest.approx(result.psnr_by_step[7])
    assert result.step != 7
    assert np.array_equal(result.keep(result.step).image, result.image)
    assert result.keep(result.step).estimated_psnr == result.estimated_psnr


def test_a_step_of_a_stack_is_kept_in_each_frame():
    stack = np.stack([noisy(), 2 * noisy()[::-1]])
    result = denoise(stack, WATCHED, axes="TYX").keep(5)
    assert [frame.step for frame in result.frames] == [5, 5]
    for i, frame in enumerate(result.frames):
        assert np.array_equal(result.image[i], frame.at(5).image)
        assert np.array_equal(result.expected_error[i], frame.at(5).expected_error)


def test_the_expected_error_is_in_the_images_units_and_follows_a_change_of_them():
    image = noisy((32, 40))
    one = denoise(image, WATCHED)
    other = denoise(1000 * image + 7, WATCHED)
    assert one.expected_error.shape == image.shape
    assert one.expected_error.dtype == np.float32
    np.testing.assert_allclose(other.expected_error, 1000 * one.expected_error, rtol=1e-2)
    assert other.frames[0].error.mse == pytest.approx(1e6 * one.frames[0].error.mse, rel=1e-2)


@pytest.mark.parametrize("rule", ["held-out", "sure"])
def test_the_expected_error_is_that_of_the_estimate_on_average(rule):
    result = denoise(noisy((48, 48)), WATCHED.replace({"n_steps": 60, "stopping.kind": rule}))
    mean_square = float(np.mean(result.expected_error.astype(float) ** 2))
    assert mean_square == pytest.approx(result.frames[0].error.mse, rel=1e-3)


def test_a_single_generator_expects_no_error():
    result = denoise(noisy(), WATCHED.replace({"n_seeds": 1}))
    assert result.expected_error is None
    assert result.snapshots[0].expected_error is None


def test_the_estimated_psnr_has_the_peak_of_the_reference_or_of_the_image():
    image, truth = noisy((48, 48)), clean((48, 48))
    alone, scored = denoise(image, WATCHED), denoise(image, WATCHED, reference=truth)
    for result, peak in ((alone, np.ptp(alone.image)), (scored, np.ptp(truth))):
        psnr, deviation = result.estimated_psnr
        error = result.frames[0].error
        assert result.data_range == pytest.approx(peak)
        assert psnr == pytest.approx(10 * np.log10(peak**2 / error.mse))
        assert deviation == pytest.approx(10 / np.log(10) * error.deviation / error.mse)
    assert through_json(scored.report())["estimated_psnr"]["psnr"] == scored.estimated_psnr[0]


@pytest.mark.parametrize("mse", [0.0, 1.0])
def test_an_image_of_nothing_has_no_estimated_psnr(mse):
    result = denoise(noisy(), WATCHED)
    [frame] = result.frames
    nothing = np.zeros_like(result.image) if mse else result.image
    empty = replace(result, image=nothing, frames=(replace(frame, error=ErrorEstimate(mse, 0.1)),))
    assert empty.estimated_psnr is None
    assert "estimated_psnr" not in through_json(empty.report())


def test_the_error_left_of_white_noise_is_estimated_within_its_own_uncertainty(monkeypatch):
    monkeypatch.setattr(reported_error, "MOST_UNCERTAIN", np.inf)
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    truth = np.exp(-3 * (x**2 + y**2)).astype(np.float32)
    image = truth + np.random.default_rng(3).normal(0, 0.1, truth.shape).astype(np.float32)
    config = Config().replace({"generator.n_channels": 16, "n_steps": 150, "device": "cpu"})
    result = denoise(image, config, reference=truth)
    error = result.frames[0].error
    assert abs(error.mse - float(((result.image - truth) ** 2).mean())) < 2 * error.deviation
    assert error.deviation < 0.1 * 0.1**2
    assert result.frames[0].noise.sigma[0] == pytest.approx(0.1, rel=0.06)
    first, last = result.frames[0].interval
    assert first <= result.step <= last


def test_what_the_estimate_of_a_frame_is_off_by_others_are_off_by_too():
    frame = noisy((48, 48))
    one, many = denoise(frame, WATCHED), denoise(np.stack([frame] * 4), WATCHED, axes="TYX")
    assert many.estimated_psnr[1] == pytest.approx(one.estimated_psnr[1], rel=0.05)
