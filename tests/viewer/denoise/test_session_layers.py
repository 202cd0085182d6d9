"""The layers of a run, and what the user does to them meanwhile."""

import dask.array as da
import numpy as np
import pytest
from denoise_session import names, run_to_end, snapshot_at, start, started

from napari_convgen.errors import InputError
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.viewer.denoise.request import DenoiseRequest, Outputs
from napari_convgen.viewer.layers.door import METADATA_KEY, read_layer


def test_the_layers_hold_the_result_its_report_and_the_steps(session, qtbot, small):
    run_to_end(session, qtbot, small)
    np.testing.assert_array_equal(session.layers.result.data, session.result.image)
    report = session.layers.result.metadata[METADATA_KEY]
    assert report["config"] == small.replace({"backend": "numba"}).model_dump()
    assert report["step"] == 30
    assert session.layers.snapshots.metadata["steps"] == [s.step for s in session.result.snapshots]
    assert session.layers.result.data.dtype == np.uint8


def test_snapshots_and_residual_are_optional(session, qtbot, small):
    run_to_end(session, qtbot, small, outputs=Outputs(has_snapshots=False, has_residual=True))
    assert names(session) == ["cells", "cells denoised", "cells residual"]


@pytest.mark.parametrize("deed", ["remove", "rename", "change"])
def test_the_input_layer_may_change_during_the_run(session, qtbot, small, noisy, deed):
    alone = DenoiseTask(noisy, small)
    list(alone)
    layer = session.viewer.layers["cells"]
    start(session, small)
    if deed == "remove":
        session.viewer.layers.remove(layer)
    elif deed == "rename":
        layer.name = "other"
    else:
        layer.data = np.zeros((5, 5))
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    np.testing.assert_array_equal(session.result.image, alone.result().image)
    assert session.layers.result in session.viewer.layers


def test_removing_the_preview_does_not_lose_the_result(session, qtbot, small):
    start(session, small.replace({"n_steps": 400}))
    qtbot.waitUntil(lambda: session.layers.result is not None, timeout=30_000)
    session.viewer.layers.remove(session.layers.result)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    np.testing.assert_array_equal(session.viewer.layers["cells denoised"].data, session.result.image)


@pytest.mark.parametrize(
    ("shape", "dtype", "ending"),
    [
        ((3, 4, 5), float, "stop"),
        ((24, 28), np.uint16, "stop"),
        ((6, 6), np.uint8, "stop"),
        ((6, 6), np.uint8, "cancel"),
    ],
)
def test_a_preview_whose_data_the_user_replaces_is_left_alone(session, qtbot, endless, shape, dtype, ending):
    given = np.full(shape, 7, dtype)
    start(session, endless)
    qtbot.waitUntil(lambda: started(session), timeout=30_000)
    mine = session.layers.result
    mine.data = given.copy()
    steps = []
    session.progressed.connect(lambda progress: steps.append(progress.step))
    qtbot.wait(700)  # two previews
    assert len(steps) > 1
    getattr(session, ending)()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    np.testing.assert_array_equal(mine.data, given)
    assert METADATA_KEY not in mine.metadata
    assert mine in session.viewer.layers
    if ending == "stop":
        assert session.layers.result is not mine
        np.testing.assert_array_equal(session.layers.result.data, session.result.image)


def test_layers_may_be_renamed_moved_and_transposed_during_a_run(session, qtbot, endless):
    start(session, endless)
    qtbot.waitUntil(lambda: started(session), timeout=30_000)
    layer = session.layers.result
    layer.name, layer.metadata = "mine", {"note": "kept"}
    session.viewer.layers.move(0, 2)
    session.viewer.dims.transpose()
    session.viewer.add_image(np.zeros((3, 4, 5, 6)))
    qtbot.wait(400)
    session.stop()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)
    assert session.layers.result is layer
    assert (layer.name, layer.metadata["note"]) == ("mine", "kept")
    np.testing.assert_array_equal(layer.data, session.result.image)


def test_snapshots_and_residual_whose_data_the_user_replaces_are_left_alone(session, qtbot, small):
    run_to_end(session, qtbot, small, outputs=Outputs(has_residual=True))
    mine = [session.layers.snapshots, session.layers.residual]
    for layer in mine:
        layer.data = np.ones((5, 6, 7))
    with pytest.raises(InputError, match="changed"):
        session.promote()
    session.keep(7)
    assert all(layer.data.shape == (5, 6, 7) for layer in mine)
    assert all(layer in session.viewer.layers for layer in mine)
    np.testing.assert_array_equal(session.layers.result.data, snapshot_at(session, 7).image)
    assert len(session.layers.snapshots.data) == 31


def test_expected_error_lies_where_the_input_lies_in_its_units_from_zero_up(session, qtbot, two):
    run_to_end(session, qtbot, two, outputs=Outputs(has_expected_error=True))
    assert names(session) == ["cells", "cells denoised", "cells snapshots", "cells expected error"]
    layer = session.layers.expected_error
    assert layer.data.dtype == np.float32
    assert tuple(layer.scale) == (0.5, 0.5)
    assert layer.units == session.viewer.layers["cells"].units
    assert layer.colormap.name == "magma"
    assert layer.contrast_limits[0] == 0
    assert not layer.visible


def test_fractions_are_shown_as_the_integers_are(session, qtbot, small, noisy):
    session.viewer.add_image(noisy // 30, name="levels", contrast_limits=(1, 7))
    run_to_end(session, qtbot, small, "levels")
    for layer in (session.layers.result, session.layers.snapshots):
        assert layer.data.dtype == np.float32
        assert tuple(layer.contrast_limits) == (1, 7)
    run_to_end(session, qtbot, small.replace({"dtype": "same"}), "levels")
    assert session.layers.result.data.dtype == np.uint8


def test_fractions_of_colors_are_refused_as_they_could_not_be_shown(session, small, noisy):
    session.viewer.add_image(np.stack([noisy] * 3, axis=-1), name="color", rgb=True)
    source = read_layer(session.viewer.layers["color"])
    DenoiseRequest(source, small).build()
    with pytest.raises(InputError, match="from 0 to 1 only"):
        DenoiseRequest(source, small.replace({"dtype": "float32"})).build()


def test_frames_of_a_lazy_stack_that_are_not_reached_show_the_input(session, qtbot, endless, noisy):
    frames = np.stack([noisy, noisy[::-1], noisy.T])
    layer = session.viewer.add_image(da.from_array(frames, chunks=(1, -1, -1)), name="stack")
    session.run(DenoiseRequest(read_layer(layer), endless))
    qtbot.waitUntil(lambda: session.layers.result is not None, timeout=60_000)
    shown = session.layers.result.data
    np.testing.assert_array_equal(shown[1:], frames[1:])
    assert (shown[0] != frames[0]).any()
    session.viewer.dims.set_current_step(0, 2)  # napari draws it
    session.cancel()
    assert [layer.name for layer in session.viewer.layers] == ["cells", "stack"]
