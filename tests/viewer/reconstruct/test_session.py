import numpy as np
import pytest
from napari.components import ViewerModel
from scipy.ndimage import laplace

from napari_convgen.core.image import Image
from napari_convgen.run.reconstruct.run import reconstruct
from napari_convgen.viewer.layers.door import METADATA_KEY, read_layer
from napari_convgen.viewer.layers.frame import take_frame
from napari_convgen.viewer.reconstruct.measured import Measured
from napari_convgen.viewer.reconstruct.request import Outputs, ReconstructRequest
from napari_convgen.viewer.reconstruct.session import ReconstructSession

TURNED = {"scale": (0.5, 0.25), "translate": (3, -4), "rotate": 30, "shear": [0.2], "units": ("um", "um")}
ALL = Outputs(True, True, True, True)


@pytest.fixture
def quick(small):
    return small.replace({"n_steps": 8, "stopping.kind": "auto"})


@pytest.fixture
def viewer(noisy):
    viewer = ViewerModel()
    viewer.add_image(noisy[:20, :24], name="cells", axis_labels=("y", "x"), colormap="magma", **TURNED)
    return viewer


@pytest.fixture
def session(viewer, workers_end, qtbot):
    session = ReconstructSession(viewer)
    yield session
    session.cancel()


def start(session, problem, config, layer="cells", outputs=None, **given):
    kind = {"inpaint": "identity", "deblur": "blur", "enlarge": "downsampling"}[problem]
    source = read_layer(session.viewer.layers[layer])
    config = config.replace({"operator.kind": kind, "noise.kind": "gaussian"})
    session.run(ReconstructRequest(source, config, Measured(problem, given=given), outputs or Outputs()))


def run_to_end(session, qtbot, *arguments, **options):
    start(session, *arguments, **options)
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    return session.viewer.layers


def names(session):
    return [layer.name for layer in session.viewer.layers]


def assert_covers(layer, source):
    """Both layers cover the same area: the outer corners of their outer pixels are in the same places."""
    for corner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        ends = [np.array(corner) * each.data.shape[-2:] - 0.5 for each in (layer, source)]
        there = layer.data_to_world((*(0,) * (layer.ndim - 2), *ends[0]))[-2:]
        np.testing.assert_allclose(there, source.data_to_world(ends[1])[-2:])
    assert layer.units[-2:] == source.units[-2:]


@pytest.mark.parametrize("weighting", ["box", "lanczos"])
def test_an_enlarged_image_covers_what_the_input_covers(session, qtbot, quick, noisy, weighting):
    config = quick.replace({"operator.kind": "downsampling", "operator.factor": 3, "operator.weighting": weighting})
    layers = run_to_end(session, qtbot, "enlarge", config, outputs=ALL)
    beside = ["cells generator", "cells plain enlargement", "cells residual", "cells snapshots"]
    assert names(session) == ["cells", "cells enlarged", *beside]
    assert [layer.visible for layer in layers] == [True, True, False, False, False, False]
    for name in ("cells enlarged", "cells generator", "cells plain enlargement", "cells snapshots"):
        assert layers[name].data.shape[-2:] == (60, 72)
        assert_covers(layers[name], layers["cells"])
    assert_covers(layers["cells residual"], layers["cells"])
    expected = reconstruct(read_layer(layers["cells"]).image, config, problem="enlarge")
    np.testing.assert_array_equal(layers["cells enlarged"].data, expected.image)
    np.testing.assert_array_equal(layers["cells residual"].data, expected.residual[0])
    assert layers["cells enlarged"].colormap.name == "magma"
    assert layers["cells snapshots"].axis_labels[0] == "iteration"
    assert session.viewer.dims.point[0] == session.result.step
    for layer in layers[1:]:
        assert layer.metadata[METADATA_KEY]["step"] == expected.step
    plain = layers["cells plain enlargement"].data
    means = plain.reshape(20, 3, 24, 3).mean((1, 3))
    if weighting == "box":
        np.testing.assert_allclose(plain, noisy[:20, :24].repeat(3, 0).repeat(3, 1), atol=1e-3)
    else:
        assert 0 < np.abs(means - noisy[:20, :24]).mean() < 12


def test_pixels_under_a_mask_are_filled_in(session, qtbot, quick):
    mask = np.zeros((20, 24), bool)
    mask[4:8, 5:9] = True
    layers = run_to_end(session, qtbot, "inpaint", quick, is_missing=mask, outputs=ALL)
    expected = reconstruct(read_layer(layers["cells"]).image, quick, problem="inpaint", is_missing=mask)
    np.testing.assert_array_equal(layers["cells filled in"].data, expected.image)
    np.testing.assert_array_equal(np.isnan(layers["cells residual"].data), mask)
    smoothest = layers["cells smoothest filling"].data
    assert_covers(layers["cells smoothest filling"], layers["cells"])
    assert np.abs(laplace(smoothest.astype(float))).mean() < np.abs(laplace(layers["cells"].data.astype(float))).mean()
    assert_covers(layers["cells filled in"], layers["cells"])


def test_a_measured_psf_is_used(session, qtbot, quick):
    psf = Image(np.array([[0, 1, 0], [1, 3, 1], [0, 1, 0]]))
    layers = run_to_end(session, qtbot, "deblur", quick, psf=psf, outputs=ALL)
    assert_covers(layers["cells Wiener filter"], layers["cells"])
    config = quick.replace({"operator.kind": "blur"})
    expected = reconstruct(read_layer(layers["cells"]).image, config, problem="deblur", psf=psf)
    np.testing.assert_array_equal(layers["cells deblurred"].data, expected.image)


@pytest.mark.parametrize("problem", ["enlarge", "inpaint"])
def test_a_frame_of_a_stack_keeps_its_axes_and_its_place(session, qtbot, quick, noisy, problem):
    stack = session.viewer.add_image(np.stack([noisy, noisy // 2, noisy]), name="stack", scale=(5, 2, 2))
    source = take_frame(read_layer(stack, "TYX"), {0: 1})
    config = quick.replace({"operator.kind": "downsampling" if problem == "enlarge" else "identity"})
    mask = np.arange(32)[:, None] * np.ones(32) < 3 if problem == "inpaint" else None
    session.run(ReconstructRequest(source, config, Measured(problem, given={"is_missing": mask}), ALL))
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    for layer in session.viewer.layers[2:]:
        place = (0,) * layer.ndim
        np.testing.assert_allclose(layer.data_to_world(place)[-3], 5)
        assert layer.data.shape[-3] == 1
        assert layer.ndim == 3 + ("snapshots" in layer.name)


def test_colors_stay_colors_of_their_type(session, qtbot, quick, noisy):
    colors = np.stack([noisy, noisy // 2, 255 - noisy], -1)
    session.viewer.add_image(colors, name="colors", rgb=True)
    layers = run_to_end(session, qtbot, "enlarge", quick, "colors", outputs=ALL)
    for name in ("colors enlarged", "colors snapshots", "colors generator", "colors plain enlargement"):
        assert layers[name].rgb
        assert layers[name].data.dtype == np.uint8
    assert not layers["colors residual"].rgb


def test_the_preview_is_the_generators_image_and_cancel_removes_it(session, qtbot, endless):
    before = list(session.viewer.layers)
    start(session, "enlarge", endless)
    qtbot.waitUntil(lambda: len(session.viewer.layers) > 1, timeout=60_000)
    preview = session.viewer.layers["cells enlarged"]
    assert preview.data.shape == (40, 48)
    assert_covers(preview, session.viewer.layers["cells"])
    session.cancel()
    assert list(session.viewer.layers) == before
    assert session.result is None


def test_a_preview_that_the_user_has_removed_stays_away_until_the_end(session, qtbot, endless):
    start(session, "deblur", endless)
    qtbot.waitUntil(lambda: len(session.viewer.layers) > 1, timeout=60_000)
    session.viewer.layers.remove("cells deblurred")
    seen = []
    session.progressed.connect(seen.append)
    qtbot.waitUntil(lambda: len(seen) > 8, timeout=60_000)
    assert names(session) == ["cells"]
    session.stop()
    qtbot.waitUntil(lambda: not session.is_busy, timeout=60_000)
    assert names(session) == ["cells", "cells deblurred", "cells snapshots"]
