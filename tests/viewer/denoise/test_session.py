import dataclasses
import gc
import weakref

import numpy as np
import pytest
from denoise_session import names, run_to_end, snapshot_at, start, started

from napari_convgen.errors import InputError
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.viewer.denoise.request import DenoiseRequest, Outputs
from napari_convgen.viewer.denoise.session import DenoiseSession
from napari_convgen.viewer.layers.door import METADATA_KEY, read_layer
from napari_convgen.viewer.worker.session import State


def test_a_run_leaves_result_and_snapshots_and_the_input_selected(session, qtbot, small):
    session.viewer.layers.selection.active = session.viewer.layers["cells"]
    run_to_end(session, qtbot, small)
    assert names(session) == ["cells", "cells denoised", "cells snapshots"]
    assert session.viewer.layers.selection.active is session.viewer.layers["cells"]
    assert session.viewer.dims.axis_labels[0] == "iteration"
    assert session.viewer.dims.current_step[0] == session.result.step == 30


def test_a_second_run_gets_names_of_its_own(session, qtbot, small):
    for _ in range(2):
        run_to_end(session, qtbot, small, outputs=Outputs(has_snapshots=False))
    assert len(set(names(session))) == 3
    assert names(session)[2].startswith("cells denoised")


def test_cancel_leaves_the_viewer_as_it_was(session, qtbot, endless):
    before = list(session.viewer.layers), session.viewer.dims.ndim
    start(session, endless)
    qtbot.waitUntil(lambda: started(session), timeout=30_000)
    session.cancel()
    assert session.state is State.IDLE
    qtbot.wait(200)
    assert (list(session.viewer.layers), session.viewer.dims.ndim) == before
    assert session.result is None


def test_stop_keeps_the_best_so_far(session, qtbot, endless):
    start(session, endless)
    qtbot.waitUntil(lambda: started(session), timeout=30_000)
    session.stop()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    assert session.result.reason.outcome.value == "user"
    assert names(session)[:2] == ["cells", "cells denoised"]


def test_a_paused_run_takes_no_steps_until_it_goes_on(session, qtbot, endless):
    steps = []
    session.progressed.connect(lambda progress: steps.append(progress.step))
    start(session, endless)
    qtbot.waitUntil(lambda: started(session), timeout=30_000)
    session.pause()
    assert session.state is State.PAUSED
    qtbot.wait(300)
    n_before = len(steps)
    qtbot.wait(300)
    assert len(steps) == n_before
    session.resume()
    qtbot.waitUntil(lambda: len(steps) > n_before, timeout=10_000)


@pytest.mark.parametrize("ending", ["stop", "cancel"])
def test_a_paused_run_can_be_ended(session, qtbot, endless, ending):
    start(session, endless)
    qtbot.waitUntil(lambda: started(session), timeout=30_000)
    session.pause()
    qtbot.wait(150)
    getattr(session, ending)()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=10_000)


def test_pausing_and_going_on_at_once_does_not_hang(session, qtbot, small):
    start(session, small.replace({"n_steps": 300}))
    qtbot.waitUntil(lambda: session.state is State.RUNNING, timeout=30_000)
    for _ in range(5):
        session.pause()
        session.resume()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    assert session.result.step == 300


def test_a_second_run_while_one_is_under_way_is_refused(session, qtbot, endless):
    start(session, endless)
    with pytest.raises(InputError, match="under way"):
        start(session, endless)


def test_bad_input_gives_one_notification_and_leaves_nothing(session, qtbot, small, notes):
    session.viewer.layers["cells"].data = np.zeros((16, 16))
    run_to_end(session, qtbot, small)
    assert [("constant" in str(note.message)) for note in notes] == [True]
    assert names(session) == ["cells"]


@pytest.mark.parametrize("error", [RuntimeError("broken"), ValueError("broken")])
def test_an_error_in_the_worker_gives_one_notification_and_a_usable_session(
    session, qtbot, small, notes, monkeypatch, error
):
    def broken(self):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(DenoiseTask, "preview", broken)
        run_to_end(session, qtbot, small)
    assert [str(note.message) for note in notes] == ["broken"]
    assert names(session) == ["cells"]
    run_to_end(session, qtbot, small)
    assert session.result is not None


def test_promote_makes_the_snapshot_on_screen_the_result(session, qtbot, small):
    run_to_end(session, qtbot, small)
    session.viewer.dims.set_current_step(0, 7)
    session.promote()
    assert session.result.step == 7
    np.testing.assert_array_equal(session.layers.result.data, snapshot_at(session, 7).image)
    assert session.layers.result.metadata[METADATA_KEY]["step"] == 7


def test_promote_without_snapshots_says_what_to_do(session, qtbot, small):
    run_to_end(session, qtbot, small, outputs=Outputs(has_snapshots=False))
    with pytest.raises(InputError, match="Snapshots"):
        session.promote()


def test_a_finished_run_goes_on_from_where_it_ended(session, qtbot, small, noisy):
    long = DenoiseTask(noisy, small.replace({"n_steps": 50}))
    list(long)
    run_to_end(session, qtbot, small)
    session.continue_from_here(20)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    assert session.result.step == 50
    np.testing.assert_array_equal(session.result.image, long.result().image)
    assert names(session) == ["cells", "cells denoised", "cells snapshots"]
    np.testing.assert_array_equal(session.layers.result.data, session.result.image)
    assert len(session.layers.snapshots.data) == 51


def test_a_stack_cannot_be_continued(session, qtbot, small, noisy):
    session.viewer.add_image(np.stack([noisy, noisy[::-1]]), name="stack")
    run_to_end(session, qtbot, small, "stack")
    assert session.step_to_continue is None
    with pytest.raises(InputError, match="single image"):
        session.continue_from_here(5)


def test_each_snapshots_layer_belongs_to_its_own_run_also_after_others_ran(session, qtbot, small, two):
    run_to_end(session, qtbot, small)
    first, first_result = session.layers, session.result
    run_to_end(session, qtbot, two)
    second, shown = session.layers, session.layers.result.data.copy()
    turned = []
    session.turned.connect(lambda: turned.append(session.layers))
    session.viewer.layers.selection.active = first.snapshots
    assert turned == [first]
    assert session.step_to_continue == 30
    session.viewer.dims.set_point(0, 7)
    session.promote()
    np.testing.assert_array_equal(first.result.data, first_result.keep(7).image)
    assert first.result.metadata[METADATA_KEY]["step"] == 7
    np.testing.assert_array_equal(second.result.data, shown)
    session.viewer.layers.selection.active = session.viewer.layers["cells"]  # no run's layer: the same run stays
    session.viewer.layers.selection.active = second.result
    assert session.result.config.n_seeds == 2
    assert session.step_to_continue == 30


def test_a_run_is_let_go_once_all_its_layers_were_removed(session, qtbot, small):
    run_to_end(session, qtbot, small)
    result = weakref.ref(session.result)
    for layer in session.layers.result, session.layers.snapshots:
        session.viewer.layers.remove(layer)
    run_to_end(session, qtbot, small)
    run_to_end(session, qtbot, small)
    gc.collect()
    assert result() is None


def test_promoting_can_be_undone_step_by_step_to_the_very_result_of_the_run(session, qtbot, two):
    run_to_end(session, qtbot, two)
    ended, report = session.result, session.report
    for step in (10, 5, 5):
        session.keep(step)
    session.undo()
    assert session.result.step == 10
    session.undo()
    assert session.result is ended
    assert session.report == report
    np.testing.assert_array_equal(session.layers.result.data, ended.image)
    assert not session.can_undo


def test_a_run_delivers_when_nobody_holds_its_session(viewer, qtbot, small):
    session = DenoiseSession(viewer)
    start(session, small)
    del session
    gc.collect()
    qtbot.waitUntil(lambda: "cells denoised" in [layer.name for layer in viewer.layers], timeout=30_000)
    qtbot.waitUntil(lambda: "cells snapshots" in [layer.name for layer in viewer.layers], timeout=30_000)


def test_promote_takes_the_step_on_screen_whatever_other_layers_make_of_the_axis(session, qtbot, small):
    session.viewer.add_image(np.zeros((50, 32, 32)), scale=(0.3, 0.5, 0.5), units=("um", "um", "um"), name="z-stack")
    run_to_end(session, qtbot, small)
    assert session.viewer.dims.point[0] == 30
    assert session.layers.snapshots.units[1] == session.viewer.layers["z-stack"].units[0]
    session.viewer.dims.set_point(0, 10)
    session.promote()
    assert session.result.step == 10


def test_promote_with_the_iteration_axis_displayed_says_what_to_do(session, qtbot, small):
    run_to_end(session, qtbot, small)
    session.viewer.dims.order = (1, 0, 2)
    with pytest.raises(InputError, match="slider"):
        session.promote()


def test_promote_scores_the_promoted_image_and_renews_the_residual(session, qtbot, small, noisy):
    run_to_end(session, qtbot, small, outputs=Outputs(has_residual=True), reference=noisy // 2)
    session.viewer.dims.set_point(0, 7)
    session.promote()
    promoted = snapshot_at(session, 7)
    report = session.layers.result.metadata[METADATA_KEY]
    assert report["psnr"] == session.result.scores(promoted.image).psnr
    np.testing.assert_array_equal(session.layers.residual.data, noisy.astype(np.float32) - promoted.image)


def test_cancelling_a_continued_run_brings_back_what_was_shown(session, qtbot, small):
    run_to_end(session, qtbot, small)
    session.viewer.dims.set_point(0, 7)
    session.promote()
    promoted = snapshot_at(session, 7)
    session.continue_from_here(1_000_000)
    qtbot.wait(300)
    session.cancel()
    np.testing.assert_array_equal(session.layers.result.data, promoted.image)
    assert session.layers.result.metadata[METADATA_KEY]["step"] == 7


class FailingStack:
    """A lazy stack whose last frame cannot be read once the fit has begun."""

    def __init__(self, frames, n_reads):
        self.frames, self.n_reads = frames, n_reads
        self.shape, self.dtype, self.ndim, self.size = frames.shape, frames.dtype, frames.ndim, frames.size

    def __getitem__(self, index):
        if index[0] == len(self.frames) - 1:
            self.n_reads -= 1
            if self.n_reads < 0:
                raise OSError("the share is gone")
        return self.frames[index]


def test_an_error_in_a_stack_keeps_the_frames_that_are_done(session, qtbot, small, noisy, notes):
    frames = np.stack([noisy, noisy[::-1], noisy.T])
    layer = session.viewer.add_image(frames, name="stack")
    given = dataclasses.replace(read_layer(layer), data=FailingStack(frames, n_reads=0))
    session.run(DenoiseRequest(given, small))
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    assert ["the share is gone" in str(note.message) for note in notes].count(True) == 1
    assert [frame.number for frame in session.result.frames] == [0, 1]
    np.testing.assert_array_equal(session.viewer.layers["stack denoised"].data, session.result.image)


def test_another_step_that_is_kept_becomes_the_result_with_all_that_goes_with_it(session, qtbot, two, noisy):
    run_to_end(session, qtbot, two, outputs=Outputs(has_residual=True, has_expected_error=True), reference=noisy // 2)
    seen = []
    session.kept.connect(seen.append)
    n_layers = len(session.viewer.layers)
    session.keep(13)
    kept = snapshot_at(session, 13)
    assert seen == [session.result]
    assert session.result.step == 13
    np.testing.assert_array_equal(session.layers.result.data, kept.image)
    np.testing.assert_array_equal(session.layers.residual.data, noisy.astype(np.float32) - kept.image)
    np.testing.assert_array_equal(session.layers.expected_error.data, kept.expected_error)
    report = session.layers.result.metadata[METADATA_KEY]
    assert (report["step"], report["outcome"]) == (13, "user")
    assert report["psnr"] == session.result.scores(kept.image).psnr
    assert session.viewer.dims.point[0] == 13
    assert len(session.viewer.layers) == n_layers


def test_the_step_that_was_left_can_be_taken_again(session, qtbot, two):
    run_to_end(session, qtbot, two)
    before = session.result
    session.keep(5)
    session.keep(before.step)
    assert session.result.step == before.step
    assert session.result.estimated_psnr == before.estimated_psnr
    np.testing.assert_array_equal(session.layers.result.data, before.image)


def test_one_generator_has_no_expected_error(session, qtbot, small):
    run_to_end(session, qtbot, small, outputs=Outputs(has_snapshots=False, has_expected_error=True))
    assert names(session) == ["cells", "cells denoised"]


def test_a_step_is_shown_in_the_snapshots_and_leaves_the_result(session, qtbot, small):
    run_to_end(session, qtbot, small)
    session.show_step(9)
    assert session.step_on_screen() == 9
    assert session.result.step == 30
    np.testing.assert_array_equal(session.layers.result.data, session.result.image)


@pytest.mark.parametrize("is_hidden", [True, False])
def test_without_snapshots_in_sight_a_step_is_shown_in_the_place_of_the_result(session, qtbot, small, is_hidden):
    run_to_end(session, qtbot, small, outputs=Outputs(has_snapshots=is_hidden))
    if is_hidden:
        session.layers.snapshots.visible = False
    session.show_step(9)
    np.testing.assert_array_equal(session.layers.result.data, snapshot_at(session, 9).image)
    assert session.result.step == 30


def test_a_step_of_a_stack_is_kept_in_every_frame(session, qtbot, small, noisy):
    session.viewer.add_image(np.stack([noisy, noisy[::-1]]), name="stack")
    run_to_end(session, qtbot, small, "stack")
    session.keep(7)
    expected = np.stack([frame.at(7).image for frame in session.result.frames])
    np.testing.assert_array_equal(session.layers.result.data, expected)
    assert [frame.step for frame in session.result.frames] == [7, 7]


def test_a_run_goes_on_from_the_step_that_the_user_went_back_to(session, qtbot, small):
    run_to_end(session, qtbot, small)
    assert session.step_to_continue == 30
    session.keep(20)
    expected = session.step_to_continue
    assert expected <= 20
    session.continue_from_here(4)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    assert len(session.result.frames[0].loss) == expected + 4
    assert len(session.layers.snapshots.data) == expected + 5
    assert session.step_to_continue == expected + 4


def test_no_step_can_be_kept_without_a_finished_run(session, endless):
    with pytest.raises(InputError, match="Press Run first"):
        session.keep(3)
    start(session, endless)
    with pytest.raises(InputError, match="Press Run first"):
        session.keep(3)


def test_the_noise_is_known_while_the_frame_is_fitted(session, qtbot, endless):
    seen = []
    session.progressed.connect(lambda _: seen.append(session.noise))
    start(session, endless)
    qtbot.waitUntil(lambda: bool(seen), timeout=30_000)
    assert seen[0].kind in ("gaussian", "poisson-gaussian")
