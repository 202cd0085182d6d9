"""The course of a run: its progress, pauses and stop, and how it is extended."""

import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import ConfigError, FitError
from napari_convgen.run import task as module
from napari_convgen.run.denoise.run import DenoiseTask, denoise

QUICK = Config().replace({"generator.n_channels": 6, "n_steps": 8, "stopping.kind": "fixed", "device": "cpu"})


WATCHED = QUICK.replace({"stopping.kind": "held-out", "n_steps": 60})


def test_progress_tells_every_step_once_and_every_snapshot(noisy):
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


def test_pauses_do_not_count_as_seconds(noisy, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    run = DenoiseTask(noisy(), QUICK)
    for _ in run:
        clock[0] += 100
    assert run.result().seconds == 0


def test_an_error_of_the_callback_reaches_the_caller(noisy):
    def complain(progress):
        raise KeyError(progress.step)

    with pytest.raises(KeyError):
        denoise(noisy(), QUICK, callback=complain)


def test_the_preview_is_the_image_as_it_is_now(noisy, same):
    image = noisy(dtype="uint16")
    run = DenoiseTask(image, QUICK)
    assert run.preview() is None
    for progress in run:
        preview = run.preview()
        assert preview.dtype == image.dtype
        assert same(preview, progress.snapshot.image)


@pytest.mark.parametrize("n_taken", [1, 4, 7, 8])
def test_a_run_that_was_left_goes_on_where_it_was(noisy, same, n_taken):
    expected = denoise(noisy(), QUICK)
    run = DenoiseTask(noisy(), QUICK)
    for progress in run:
        if progress.step == n_taken:
            break
    list(run)
    assert same(run.result().image, expected.image)
    assert run.result().frames[0].loss == expected.frames[0].loss
    assert run.result().reason == expected.reason


def test_a_run_that_has_ended_yields_nothing_more(noisy):
    run = DenoiseTask(noisy(), QUICK)
    list(run)
    assert list(run) == []


def test_stop_keeps_the_best_so_far(noisy, same):
    run = DenoiseTask(noisy(), QUICK.replace({"n_steps": 500}))
    for progress in run:
        if progress.step == 5:
            run.stop()
    result = run.result()
    assert len(result.curves["loss"]) in (6, 7)
    assert result.reason.outcome is Outcome.USER
    assert result.step == len(result.curves["loss"])
    assert same(result.image, denoise(noisy(), QUICK, n_steps=result.step).image)


def test_a_run_that_was_left_can_still_be_stopped_for_its_best_image(noisy):
    run = DenoiseTask(noisy(), QUICK.replace({"n_steps": 500}))
    for progress in run:
        if progress.step == 5:
            break
    run.stop()
    list(run)
    assert run.result().reason.outcome is Outcome.USER
    assert run.result().step in (6, 7)


def test_a_run_that_never_started_has_no_result(noisy):
    run = DenoiseTask(noisy(), QUICK)
    run.stop()
    assert list(run) == []
    with pytest.raises(FitError, match="Nothing has been fitted yet"):
        run.result()


def test_an_extended_run_equals_one_with_more_steps(noisy, same):
    run = DenoiseTask(noisy(), QUICK)
    assert not run.can_extend
    list(run)
    assert run.can_extend
    run.extend(5)
    assert not run.can_extend
    assert [progress.n_steps for progress in run] == [13] * 5
    expected = denoise(noisy(), QUICK, n_steps=13)
    assert same(run.result().image, expected.image)
    assert run.result().config.n_steps == 13
    assert run.result().frames[0].loss == expected.frames[0].loss


def test_a_run_names_the_step_that_it_will_go_on_from(noisy):
    run = DenoiseTask(noisy(), QUICK)
    list(run)
    assert [run.step_before_extension(step) for step in (None, 100, 8)] == [8, 8, 8]
    step = run.step_before_extension(5)
    assert step <= 5
    run.extend(3, from_step=5)
    list(run)
    assert len(run.result().curves["loss"]) == step + 3


def test_a_run_that_was_stopped_or_ended_by_its_rule_can_be_extended():
    noise = np.random.default_rng(0).random((20, 23))
    eager = {"stopping.patience": 0, "stopping.min_patience": 0, "n_steps": 500, "generator.n_channels": 32}
    run = DenoiseTask(noise, WATCHED.replace(eager))
    list(run)
    n_first = len(run.result().curves["loss"])
    assert run.result().reason.outcome is Outcome.RULE
    run.extend(100)
    for _ in run:
        run.stop()
    n_second = len(run.result().curves["loss"])
    assert n_first < n_second < n_first + 100
    assert run.result().reason.outcome is Outcome.USER
    run.extend(20)
    list(run)
    assert run.result().reason.outcome is Outcome.BUDGET
    assert len(run.result().curves["loss"]) == n_second + 20


def test_a_run_that_goes_back_takes_the_same_steps_again(noisy):
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


def test_notes_are_not_repeated_when_a_run_is_extended(noisy):
    image = noisy()
    image[3, 3] = np.nan
    run = DenoiseTask(image, QUICK.replace({"snapshot_memory": 6 * 2 * image.nbytes / 2**20, "n_steps": 20}))
    list(run)
    run.extend(20)
    list(run)
    notes = run.result().notes
    assert len([note for note in notes if "snapshots were dropped" in note]) == 1
    assert len([note for note in notes if "missing" in note]) == 1


def test_a_run_that_cannot_be_extended_says_why(noisy):
    run = DenoiseTask(noisy(), QUICK)
    with pytest.raises(ConfigError, match="Only a finished fit of a network to a single image can be continued"):
        run.extend(5)
    list(run)
    with pytest.raises(ConfigError, match="at least 1 to continue, got 0"):
        run.extend(0)
    stack = DenoiseTask(noisy((2, 12, 13)), QUICK)
    list(stack)
    assert not stack.can_extend
    with pytest.raises(ConfigError, match="Run a stack anew with more steps"):
        stack.extend(5)


def test_a_run_whose_early_snapshots_were_dropped_goes_back_to_the_states_before_them(noisy):
    run = DenoiseTask(noisy(), QUICK.replace({"snapshot_memory": 0.001, "n_steps": 20, "n_threads": 1}))
    run.finish()
    assert run.result().snapshots[0].step > 5
    assert run.step_before_extension(5) <= 5
    run.extend(10, from_step=5)
    result = run.finish()
    assert result.snapshots[-1].step == run.step_before_extension(100)
