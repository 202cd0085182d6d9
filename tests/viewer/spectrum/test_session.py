import numpy as np
import pytest

from napari_convgen.errors import InputError
from napari_convgen.run.spectrum.run import spectrum
from napari_convgen.viewer.layers.door import read_layer
from napari_convgen.viewer.spectrum.request import SpectrumRequest, SpectrumSettings
from napari_convgen.viewer.spectrum.session import SpectrumSession

QUICK = SpectrumSettings(rank=4, n_passes=1)
LONG = SpectrumSettings(rank=4, n_passes=1, at_steps=(0, 1_000_000))


pytestmark = pytest.mark.usefixtures("few_products")


@pytest.fixture
def session(viewer, workers_end, qtbot):
    session = SpectrumSession(viewer)
    yield session
    session.cancel()


@pytest.fixture
def ends(session):
    seen = []
    session.finished.connect(seen.append)
    return seen


def start(session, config, settings=QUICK):
    session.run(SpectrumRequest(read_layer(session.viewer.layers["cells"]), config, settings))


def settle(session, qtbot):
    qtbot.waitUntil(lambda: not session.is_busy, timeout=30_000)


def state(viewer):
    grid, camera, dims = viewer.canvas.grid, viewer.scene.camera, viewer.dims
    return list(viewer.layers), viewer.layers.selection.active, grid.model_dump(), camera.zoom, dims.point, dims.ndim


def test_a_run_says_what_the_verb_says(session, qtbot, small, noisy, ends):
    start(session, small, SpectrumSettings(rank=4, n_passes=1, at_steps=(0, 5), groups=("norms",)))
    settle(session, qtbot)
    expected = spectrum(noisy, small, rank=4, n_passes=1, at_steps=(0, 5), groups=("norms",))
    assert ends == [session.result]
    for found, wanted in zip(session.result.spectra, expected.spectra, strict=True):
        np.testing.assert_allclose(found.singular_values, wanted.singular_values, rtol=1e-3)
    assert session.result.groups == ("norms",)
    assert len(session.viewer.layers) == 5
    assert session.viewer.canvas.grid.enabled


def test_forecast_comes_before_the_run_and_progress_rises(session, qtbot, small):
    seen = []
    session.forecasted.connect(seen.append)
    session.progressed.connect(lambda where: seen.append(where.share))
    start(session, small, SpectrumSettings(rank=10, n_passes=3))
    settle(session, qtbot)
    forecast, *shares = seen
    assert "of memory" in str(forecast)
    assert shares == sorted(shares)
    assert shares[-1] <= 1


def test_a_forecast_alone_leaves_the_viewer_and_the_last_result(session, qtbot, small, ends):
    start(session, small)
    settle(session, qtbot)
    before, result = state(session.viewer), session.result
    session.forecast(session.request)
    settle(session, qtbot)
    assert state(session.viewer) == before
    assert session.result is result
    assert ends == [result]


def test_cancel_leaves_the_viewer_as_it_was(session, qtbot, small, ends):
    before = state(session.viewer)
    start(session, small, LONG)
    qtbot.waitUntil(lambda: session.task is not None and session.task.has_result, timeout=30_000)
    session.cancel()
    assert not session.is_busy
    qtbot.wait(100)
    assert state(session.viewer) == before
    assert ends == [None]
    assert session.result is None


def test_stop_keeps_the_steps_that_are_done(session, qtbot, small):
    start(session, small, LONG)
    qtbot.waitUntil(lambda: session.task is not None and session.task.has_result, timeout=30_000)
    session.stop()
    settle(session, qtbot)
    assert [each.step for each in session.result.spectra] == [0]
    assert "1 of 2 steps were not looked at" in session.result.notes[0]
    assert len(session.viewer.layers) == 5


def test_stop_before_the_first_step_is_done_is_cancel(session, qtbot, small, ends):
    before = state(session.viewer)
    start(session, small, SpectrumSettings(rank=100, n_passes=20, at_steps=(0,)))
    session.stop()
    assert not session.is_busy
    assert ends == [None]
    assert state(session.viewer) == before


def test_a_stop_before_there_is_anything_to_keep_says_so(session, qtbot, small, ends, notes):
    start(session, small, SpectrumSettings(rank=100, n_passes=20, at_steps=(0,)))
    qtbot.waitUntil(lambda: session.task is not None, timeout=30_000)
    assert not session.task.has_result
    session.stop()
    settle(session, qtbot)
    assert ends == [None]
    assert [note.message for note in notes] == ["Stopped before there was anything to keep."]


def test_the_layer_may_go_while_it_is_looked_at(session, qtbot, small, notes):
    start(session, small)
    session.viewer.layers.remove("cells")
    settle(session, qtbot)
    assert [layer.name for layer in session.viewer.layers] == [
        f"{what}, cells" for what in ("vectors", "projection", "remainder", "sensitivity")
    ]
    assert not notes


def test_bad_input_is_one_notification_and_leaves_everything(session, qtbot, small, notes, ends):
    before = state(session.viewer)
    start(session, small, SpectrumSettings(rank=5000))
    settle(session, qtbot)
    assert ["rank must not exceed" in note.message for note in notes] == [True]
    assert ends == [None]
    assert state(session.viewer) == before


def test_a_second_run_while_one_is_under_way_is_refused(session, small):
    start(session, small, LONG)
    with pytest.raises(InputError, match="under way"):
        start(session, small)
