import dataclasses

import numpy as np
import pytest

from napari_convgen.core.baselines import BASELINES
from napari_convgen.errors import InputError
from napari_convgen.run.compare.run import compare
from napari_convgen.viewer.compare.request import CompareRequest
from napari_convgen.viewer.compare.session import CompareSession
from napari_convgen.viewer.layers.door import METADATA_KEY, read_layer

TITLES = {"nlm": "NLM", "wavelet": "Wavelets"}
OURS = {"convgen": "convgen tiny"}


@pytest.fixture
def session(viewer, workers_end, qtbot):
    session = CompareSession(viewer)
    yield session
    session.cancel()


def start(session, titles, config, **options):
    session.run(CompareRequest(read_layer(session.viewer.layers["cells"]), config, titles, **options))


def run_to_end(session, qtbot, titles, config, **options):
    start(session, titles, config, **options)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)


def names(session):
    return [layer.name for layer in session.viewer.layers]


def state(viewer):
    grid, camera = viewer.canvas.grid, viewer.scene.camera
    return list(viewer.layers), viewer.layers.selection.active, grid.model_dump(), camera.zoom, camera.center


def test_each_method_gets_a_layer_beside_the_input_with_the_pixels_of_the_verb(session, qtbot, small, noisy):
    run_to_end(session, qtbot, TITLES | OURS, small)
    assert names(session) == ["cells", "NLM · cells", "Wavelets · cells", "convgen tiny · cells"]
    expected = compare(noisy, small, methods=tuple(TITLES | OURS))
    for method, layer in session.layers.images.items():
        np.testing.assert_array_equal(layer.data, expected[method].image)
        assert tuple(layer.scale) == (0.5, 0.5)
        assert layer.units == session.viewer.layers["cells"].units
        assert [each["method"] for each in layer.metadata[METADATA_KEY]["methods"]] == list(TITLES | OURS)
    assert session.viewer.canvas.grid.enabled
    assert session.viewer.layers.selection.active is session.viewer.layers["cells"]


def test_scores_stand_on_the_layers_and_residuals_beside_them(session, qtbot, small, noisy):
    run_to_end(session, qtbot, TITLES, small, reference=noisy // 2, has_residuals=True)
    psnr = {method: f"{session.result[method].scores.psnr:.1f} dB" for method in TITLES}
    assert names(session)[1:] == [
        f"NLM {psnr['nlm']} · cells",
        "NLM residual · cells",
        f"Wavelets {psnr['wavelet']} · cells",
        "Wavelets residual · cells",
    ]
    residual = session.layers.residuals["nlm"]
    assert residual.visible
    np.testing.assert_array_equal(residual.data, noisy.astype(np.float32) - session.layers.images["nlm"].data)


def test_cancel_leaves_the_viewer_as_it_was(session, qtbot, endless):
    before = state(session.viewer)
    start(session, TITLES | OURS, endless)
    qtbot.waitUntil(lambda: len(session.layers.images) == 2, timeout=60_000)
    assert state(session.viewer) != before
    session.cancel()
    assert not session.is_busy
    qtbot.wait(200)
    assert state(session.viewer) == before
    assert session.result is None


def test_cancel_spares_what_the_user_added_meanwhile(session, qtbot, endless):
    start(session, TITLES | OURS, endless)
    qtbot.waitUntil(lambda: len(session.layers.images) == 2, timeout=60_000)
    session.viewer.add_image(np.zeros((4, 4)), name="mine")
    session.viewer.layers.remove(session.layers.images["nlm"])
    session.cancel()
    assert names(session) == ["cells", "mine"]


def test_cancel_spares_layers_whose_data_the_user_replaced(session, qtbot, endless):
    start(session, TITLES | OURS, endless)
    qtbot.waitUntil(lambda: len(session.layers.images) == 2, timeout=60_000)
    mine = session.layers.images["nlm"]
    mine.data = np.zeros((4, 4))
    session.cancel()
    assert list(session.viewer.layers) == [session.viewer.layers["cells"], mine]


def test_stop_keeps_what_is_done_and_the_generator_as_far_as_it_came(session, qtbot, endless):
    fits = []
    session.progressed.connect(lambda where: fits.append(where.fit))
    start(session, {"nlm": "NLM"} | OURS, endless)
    qtbot.waitUntil(lambda: bool(fits) and fits[-1] is not None, timeout=60_000)
    session.stop()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    assert [each.method for each in session.result.methods] == ["nlm", "convgen"]
    assert session.result["convgen"].fit.step < 1_000_000


def test_a_second_comparison_while_one_is_under_way_is_refused(session, endless):
    start(session, OURS, endless)
    with pytest.raises(InputError, match="under way"):
        start(session, OURS, endless)


def test_bad_input_gives_one_notification_and_leaves_everything(session, qtbot, small, notes):
    session.viewer.layers["cells"].data = np.zeros((16, 16))
    before = state(session.viewer)
    run_to_end(session, qtbot, TITLES, small)
    assert ["constant" in str(note.message) for note in notes] == [True]
    assert state(session.viewer) == before


def test_a_method_that_fails_has_no_layer_and_the_others_do(session, qtbot, small, monkeypatch):
    def broken(frame):
        raise RuntimeError("no")

    monkeypatch.setitem(BASELINES, "nlm", broken)
    run_to_end(session, qtbot, TITLES, small)
    assert names(session) == ["cells", "Wavelets · cells"]
    assert session.result["nlm"].error == "no"


def test_progress_runs_from_nothing_to_all(session, qtbot, small):
    shares = []
    session.progressed.connect(lambda where: shares.append(where.share))
    run_to_end(session, qtbot, {"nlm": "NLM"} | OURS, small)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)


def test_later_changes_to_the_input_do_not_reach_the_comparison(session, qtbot, small, noisy):
    layer = session.viewer.layers["cells"]
    given = dataclasses.replace(read_layer(layer), name="given")
    session.run(CompareRequest(given, small, TITLES))
    layer.data = np.ones((5, 5))
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    np.testing.assert_array_equal(session.result.input, noisy)
