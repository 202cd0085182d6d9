import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_convgen.run.kernels.run import STEPS, KernelChoice, explore
from napari_convgen.viewer.kernels.session import ExplorerSession, KernelSettings


@pytest.fixture
def viewer(noisy):
    viewer = ViewerModel()
    viewer.add_image(
        noisy,
        name="cells",
        scale=(0.5, 0.25),
        translate=(3, 4),
        units=("um", "um"),
        axis_labels=("y", "x"),
        colormap="magma",
        contrast_limits=(5, 200),
    )
    return viewer


@pytest.fixture
def session(viewer, qtbot):
    session = ExplorerSession(viewer)
    session.open()
    yield session
    from napari._qt.qthreading import wait_for_workers_to_quit

    session.close()
    wait_for_workers_to_quit(20_000)


@pytest.fixture
def wait(session, qtbot):
    def until_idle():
        qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)

    until_idle()
    return until_idle


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_preview_is_what_the_filter_draws_at_the_best_step(viewer, session, wait, noisy):
    expected = explore(KernelChoice("triangle", 5), 300, noisy).prediction
    assert names(viewer) == ["cells", "cells filtered"]
    assert session.answer.step == STEPS[expected.best] == session.answer.best
    np.testing.assert_array_equal(session.preview.data, expected.denoise(STEPS[expected.best]))
    assert viewer.layers.selection.active is viewer.layers["cells"]


def test_preview_lies_and_looks_as_its_layer(viewer, session, wait):
    source, preview = viewer.layers["cells"], session.preview
    for name in ("scale", "translate", "units", "axis_labels", "contrast_limits", "dtype"):
        np.testing.assert_array_equal(getattr(preview, name), getattr(source, name))
    assert preview.colormap.name == "magma"


def test_a_step_moves_the_preview_in_place(viewer, session, wait, noisy):
    preview, data = session.preview, session.preview.data
    session.show_step(1.0)
    wait()
    expected = explore(KernelChoice("triangle", 5), 300, noisy).prediction.denoise(1.0)
    np.testing.assert_array_equal(preview.data, expected)
    assert preview.data is data
    assert names(viewer) == ["cells", "cells filtered"]


def test_an_exploration_is_made_once_for_all_its_steps(session, wait):
    exploration = session.answer.request.exploration
    session.show_step(7.0)
    wait()
    assert session.answer.request.exploration is exploration
    session.change(KernelSettings(kind="bilinear"))
    wait()
    assert session.answer.request.exploration is not exploration


def test_the_best_step_is_kept_to_until_another_is_chosen(session, wait):
    session.change(KernelSettings(width=2.0))
    wait()
    assert session.answer.step == session.answer.best
    session.show_step(3.0)
    session.change(KernelSettings(width=4.0))
    wait()
    assert session.answer.step == 3.0 != session.answer.best
    session.show_step(None)
    wait()
    assert session.answer.step == session.answer.best


def test_selecting_the_preview_or_another_kind_of_layer_changes_nothing(viewer, session, wait):
    request = session.answer.request
    viewer.layers.selection.active = session.preview
    viewer.add_layer(Labels(np.zeros((8, 8), int)))
    wait()
    assert session.layer is viewer.layers["cells"]
    assert session.answer.request is request


def test_another_image_takes_the_place_of_the_last(viewer, session, wait, noisy):
    viewer.add_image(noisy[:20, :24].astype(np.float32), name="other")
    wait()
    assert session.layer is viewer.layers["other"]
    assert names(viewer) == ["cells", "other", "other filtered"]
    assert session.preview.data.shape == (20, 24)


def test_a_layer_can_be_removed_while_it_is_explored(viewer, session, qtbot, wait):
    session.change(KernelSettings(kind="Gaussian", width=2.0))
    viewer.layers.remove("cells")
    assert session.layer is None
    assert names(viewer) == []
    wait()
    assert session.answer.best is None
    assert session.answer.panels["Kernel"]
    assert names(viewer) == []


def test_a_preview_that_the_user_removes_stays_away(viewer, session, wait):
    told = []
    session.preview_removed.connect(lambda: told.append(True))
    viewer.layers.remove("cells filtered")
    session.show_step(5.0)
    wait()
    assert names(viewer) == ["cells"]
    assert told == [True]
    session.want_preview(True)
    wait()
    assert names(viewer) == ["cells", "cells filtered"]


def test_a_preview_whose_data_the_user_replaces_is_left_alone(viewer, session, wait):
    mine = session.preview
    mine.data = np.full((3, 4, 5), 7.0)
    session.show_step(5.0)
    wait()
    assert session.preview not in (None, mine)
    session.want_preview(False)
    wait()
    np.testing.assert_array_equal(mine.data, np.full((3, 4, 5), 7.0))
    assert mine in viewer.layers


def test_a_preview_that_is_not_wanted_is_removed(viewer, session, wait):
    session.want_preview(False)
    wait()
    assert names(viewer) == ["cells"]
    assert session.answer.prediction


def test_a_preview_can_be_kept(viewer, session, wait):
    kept, values = session.preview, session.preview.data.copy()
    best = session.answer.step
    session.keep()
    session.show_step(2.0)
    wait()
    assert names(viewer) == ["cells", f"cells filtered, step {best:.0f}", "cells filtered"]
    np.testing.assert_array_equal(kept.data, values)
    assert kept.metadata["napari-convgen"]["step"] == best
    assert kept.metadata["napari-convgen"]["kind"] == "triangle"


def test_changed_pixels_and_a_moved_layer_are_followed(viewer, session, wait, noisy):
    layer = viewer.layers["cells"]
    layer.data = noisy[:16, :20]
    wait()
    assert session.preview.data.shape == (16, 20)
    layer.translate = (7, 8)
    wait()
    np.testing.assert_array_equal(session.preview.translate, (7, 8))


def test_of_a_stack_the_shown_frame_is_filtered_where_it_lies(viewer, session, wait, noisy):
    stack = np.stack([noisy, noisy // 2, noisy.T])
    viewer.add_image(
        stack, name="stack", scale=(2, 1, 1), translate=(10, 0, 5), rotate=(0, 0, 30), axis_labels=("t", "y", "x")
    )
    wait()
    layer = viewer.layers["stack"]
    for i in (0, 2):
        viewer.dims.set_point(0, 10 + 2 * i)
        wait()
        expected = explore(KernelChoice("triangle", 5), 300, stack[i]).prediction
        assert session.frame.place == f"the shown frame only ({i + 1} of 3)"
        np.testing.assert_array_equal(session.preview.data[0], expected.denoise(session.answer.step))
        corner = (0, 7, 9)
        np.testing.assert_allclose(session.preview.data_to_world(corner), layer.data_to_world((i, *corner[1:])))
    assert names(viewer)[-1] == "stack filtered"


def test_the_finest_level_is_filtered(viewer, session, wait, noisy):
    viewer.add_image([noisy, noisy[::2, ::2]], name="levels", multiscale=True)
    wait()
    assert session.preview.data.shape == noisy.shape
    assert not session.preview.multiscale


def test_a_custom_kernel_is_taken_from_a_layer(viewer, session, wait, noisy):
    taps = np.array([[1.0, 2.0, 1.0]])
    session.viewer.layers.append(Image(taps, name="taps"))
    viewer.layers.selection.active = viewer.layers["cells"]
    session.change(KernelSettings(kind="custom", taps="taps"))
    wait()
    expected = explore(KernelChoice("custom", taps=taps), 300, noisy).prediction
    np.testing.assert_array_equal(session.preview.data, expected.denoise(STEPS[expected.best]))


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        (np.array([[1.0, np.nan]]), "finite and not all zero"),
        (np.ones((40, 40)), "must fit the image"),
        (np.ones((8, 8, 3), np.uint8), "color image"),
        (np.ones((5, 6, 7)), "has more"),
    ],
)
def test_a_layer_that_is_no_kernel_is_one_notification(viewer, session, wait, notes, taps, message):
    viewer.layers.append(Image(taps, name="taps", rgb=taps.dtype == np.uint8))
    viewer.layers.selection.active = viewer.layers["cells"]
    wait()
    notes.clear()
    session.change(KernelSettings(kind="custom", taps="taps"))
    wait()
    session.show_step(5.0)
    wait()
    assert [message in note.message for note in notes] == [True]
    assert message in str(session.answer.error)
    assert "cells filtered" not in names(viewer)
    session.change(KernelSettings())
    wait()
    assert session.answer.error is None
    assert "cells filtered" in names(viewer)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((16, 16, 3), np.uint8), "Split RGB"),
        (np.ones((16, 16)), "constant"),
        (np.where(np.eye(16) == 1, np.nan, np.arange(16.0)), "missing"),
    ],
)
def test_an_image_that_cannot_be_filtered_is_one_notification(viewer, session, wait, notes, data, message):
    viewer.add_image(data, name="odd", rgb=data.ndim == 3)
    wait()
    assert [message in note.message for note in notes] == [True]
    assert names(viewer) == ["cells", "odd"]
    viewer.layers.selection.active = viewer.layers["cells"]
    wait()
    assert session.answer.error is None


def test_errors_that_are_ours_are_shown_whole(session, wait, notes, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("a bug")

    monkeypatch.setattr("napari_convgen.viewer.kernels.session.explore", fail)
    session.change(KernelSettings(kind="bilinear"))
    wait()
    assert [type(note.exception) for note in notes] == [RuntimeError]


def test_a_closed_session_hears_nothing_of_the_viewer(viewer, session, wait, noisy):
    session.show_step(5.0)
    session.close()
    assert not session.is_busy
    viewer.layers.remove("cells")
    viewer.add_image(noisy, name="new")
    assert session.layer is None
    assert names(viewer) == ["cells filtered", "new"]
