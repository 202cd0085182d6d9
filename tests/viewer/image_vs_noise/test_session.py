import numpy as np
import pytest

from napari_convgen.errors import InputError
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.run import compare_fits
from napari_convgen.viewer.image_vs_noise.request import FitsRequest
from napari_convgen.viewer.image_vs_noise.session import FitsSession
from napari_convgen.viewer.layers.counted import ITERATION
from napari_convgen.viewer.layers.door import METADATA_KEY, read_layer
from napari_convgen.viewer.worker.session import State


@pytest.fixture
def session(viewer, workers_end, qtbot):
    session = FitsSession(viewer)
    yield session
    session.cancel()


def start(session, config, reference=None, **options):
    source = read_layer(session.viewer.layers["cells"])
    session.run(FitsRequest(source, config, TargetsConfig(**options), reference))


def run_to_end(session, qtbot, config, reference=None, **options):
    start(session, config, reference, **options)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)


def begin(session, qtbot, config, **options):
    """Start a run that does not end, and wait until it shows something."""
    start(session, config, **options)
    qtbot.waitUntil(lambda: bool(session.layers.layers), timeout=60_000)


def state(viewer):
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    shown = list(viewer.layers), viewer.layers.selection.active, viewer.dims.point
    return *shown, grid.model_dump(), camera.zoom, camera.center


def names(session):
    return [layer.name for layer in session.viewer.layers]


def test_each_target_gets_a_layer_with_the_pixels_of_the_verb(session, qtbot, small, noisy):
    truth = noisy // 2
    run_to_end(session, qtbot, small, truth, added_noise=20.0)
    expected = compare_fits(noisy, small, reference=truth, targets=TargetsConfig(added_noise=20.0))
    assert list(session.layers.layers) == ["image", "noise", "reference", "added noise"]
    for name, layer in session.layers.layers.items():
        for snapshot in expected[name].snapshots:
            np.testing.assert_array_equal(layer.data[snapshot.step], snapshot.image)
        assert tuple(layer.scale) == (1, 0.5, 0.5)
        assert layer.axis_labels == (ITERATION, "y", "x")
        assert layer.visible
        assert layer.metadata[METADATA_KEY]["sentences"] == list(expected.sentences())
    assert session.viewer.canvas.grid.enabled
    assert session.viewer.layers.selection.active is session.viewer.layers["cells"]


def test_one_slider_moves_all_and_the_names_tell_the_step_and_what_is_left(session, qtbot, small):
    run_to_end(session, qtbot, small)
    result = session.result
    assert session.layers.step_on_screen() == (result.first_step("image") or result.steps[-1])
    session.viewer.dims.set_point(0, 10)
    loss = next(s.loss for s in result["noise"].snapshots if s.step == 10)
    assert names(session)[-1] == f"noise, step 10: {100 * loss:.0f} % left"
    mine = session.layers.layers["noise"]
    mine.name = "mine"
    session.viewer.dims.set_point(0, 20)
    assert mine.name == "mine"
    assert session.layers.layers["image"].name.startswith("image, step 20: ")


def test_the_slider_follows_unless_it_was_moved(session, qtbot, endless):
    begin(session, qtbot, endless)
    layers = session.layers
    qtbot.waitUntil(lambda: layers.step_on_screen() > 10, timeout=60_000)
    session.viewer.dims.set_point(0, 2)
    before = len(layers.layers["noise"].data)
    qtbot.waitUntil(lambda: len(layers.layers["noise"].data) > before, timeout=60_000)
    assert layers.step_on_screen() == 2


def test_cancel_leaves_the_viewer_as_it_was(session, qtbot, endless):
    before = state(session.viewer)
    begin(session, qtbot, endless)
    assert state(session.viewer) != before
    session.cancel()
    assert not session.is_busy
    qtbot.wait(200)
    assert state(session.viewer) == before
    assert session.result is None


def test_layers_that_are_deleted_meanwhile_stay_away(session, qtbot, endless):
    begin(session, qtbot, endless)
    session.viewer.layers.remove(session.layers.layers["image"])
    session.viewer.layers.remove(session.viewer.layers["cells"])
    before = len(session.layers.layers["noise"].data)
    qtbot.waitUntil(lambda: len(session.layers.layers["noise"].data) > before, timeout=60_000)
    session.viewer.layers.clear()
    qtbot.wait(500)
    session.stop()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    assert names(session) == []
    assert session.result.steps[-1] > 1


@pytest.mark.parametrize("ending", ["stop", "cancel"])
def test_a_layer_whose_data_the_user_replaces_meanwhile_is_left_alone(session, qtbot, endless, ending):
    begin(session, qtbot, endless)
    mine = session.layers.layers["image"]
    mine.data = np.full((4, 5, 6), 7.0)
    before = len(session.layers.layers["noise"].data)
    qtbot.waitUntil(lambda: len(session.layers.layers["noise"].data) > before, timeout=60_000)
    getattr(session, ending)()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    np.testing.assert_array_equal(mine.data, np.full((4, 5, 6), 7.0))
    assert METADATA_KEY not in mine.metadata
    assert mine in session.viewer.layers
    if ending == "stop":
        new = session.layers.layers["image"]
        assert new is not mine
        assert len(new.data) == len(session.layers.layers["noise"].data)
        assert new.name.startswith("image, step ")


def test_a_layer_whose_pixels_were_replaced_is_left_alone(session, qtbot, small):
    run_to_end(session, qtbot, small)
    mine = session.layers.layers["image"]
    mine.data, name = np.zeros((31, 32, 32), np.uint8), mine.name
    session.viewer.dims.set_point(0, 3)
    assert session.layers.step_on_screen() == 3
    assert mine.name == name
    session.viewer.layers.remove(session.layers.layers["noise"])
    assert session.layers.step_on_screen() is None


def test_pause_holds_and_stop_keeps_what_there_is(session, qtbot, endless):
    steps = []
    session.progressed.connect(lambda where: steps.append(where.step))
    begin(session, qtbot, endless)
    session.pause()
    assert session.state is State.PAUSED
    qtbot.wait(300)
    n = len(steps)
    qtbot.wait(300)
    assert len(steps) == n
    session.resume()
    qtbot.waitUntil(lambda: len(steps) > n, timeout=60_000)
    session.pause()
    session.stop()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    assert session.result.steps[-1] < 1_000_000
    assert any("Stopped at step" in note for note in session.result.notes)


def test_a_second_run_while_one_is_under_way_is_refused(session, endless):
    start(session, endless)
    with pytest.raises(InputError, match="under way"):
        start(session, endless)


def test_bad_input_gives_one_notification_and_leaves_everything(session, qtbot, small, notes):
    session.viewer.layers["cells"].data = np.zeros((16, 16))
    before = state(session.viewer)
    run_to_end(session, qtbot, small)
    assert ["constant" in str(note.message) for note in notes] == [True]
    assert state(session.viewer) == before


def test_names_of_an_earlier_run_follow_the_slider_too_and_its_layer_brings_it_back(session, qtbot, small):
    run_to_end(session, qtbot, small)
    first, result = session.layers, session.result
    run_to_end(session, qtbot, small)
    session.viewer.dims.set_point(0, 12)
    assert "step 12" in first.layers["image"].name
    assert "step 12" in session.layers.layers["image"].name
    session.viewer.layers.selection.active = first.layers["noise"]
    assert session.result is result
