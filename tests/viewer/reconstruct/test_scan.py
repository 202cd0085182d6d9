"""Scans with several coils: a file of k-space in, magnitude, phase and coil maps out."""

import numpy as np
import pytest
import torch
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog
from raw_data import header, write_fastmri

from napari_convgen import new_image, read_kspace, reconstruct, write_image
from napari_convgen.config import PRESETS
from napari_convgen.core.image import Image
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.core.operators.fourier import centered_ifft
from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.reconstruct.widget import ReconstructWidget

SIZE = (36, 32)
INPUTS = (
    *("K-space", "K-space file", "Slice", "Coil maps", "Sampled points", "Calibration lines"),
    *("Missing pixels", "Point spread"),
)


@pytest.fixture
def path(tmp_path):
    """A file of two slices, of pixels of 2 × 1 mm, whose second has fewer calibration lines."""
    slices = [scan(head(SIZE, i), equispaced(SIZE, 2, 12 - 6 * i), n_coils=3, noise=0.005).kspace for i in (1, 0)]
    write_fastmri(tmp_path / "knee.h5", np.stack(slices), xml=header(SIZE, (72.0, 32.0), wanted=72.0))
    return tmp_path / "knee.h5"


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(viewer, small, workers_end, qtbot, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", small.replace({"n_steps": 6}))
    widget = ReconstructWidget(viewer)
    qtbot.addWidget(widget)
    yield widget
    widget.session.cancel()


def sees(user):
    return [label for label in INPUTS if user.editor(label).isVisibleTo(user.widget)]


def open_file(user, path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *arguments: (str(path), ""))
    user.press("Open…")


def test_a_file_becomes_a_layer_and_its_sampling_is_said(viewer, user, path, monkeypatch):
    user.fill("Problem", "MRI scan")
    assert sees(user) == ["K-space", "K-space file", "Coil maps", "Sampled points", "Calibration lines"]
    open_file(user, path, monkeypatch)
    user.wait_for(lambda: "as rows; 13 in the middle" in user.text)
    assert "3 coils, 36 × 32 points. " in user.text
    assert sees(user) == ["K-space", "K-space file", "Slice", "Coil maps", "Sampled points", "Calibration lines"]
    assert user.value("Slice") == 1
    kspace = viewer.layers["knee k-space"]
    file = read_kspace(path, 1)
    np.testing.assert_allclose(10 ** kspace.data[file.kspace != 0], np.abs(file.kspace[file.kspace != 0]), rtol=1e-4)
    assert np.isnan(kspace.data[file.kspace == 0]).all()
    user.fill("Calibration lines", "20")
    user.wait_for(lambda: "n_calibration must be 0 to 13" in user.text)
    user.fill("Calibration lines", "auto")
    user.fill("Slice", 0)
    user.wait_for(lambda: "; 6 in the middle" in user.text)
    assert list(viewer.layers) == [kspace]
    user.fill("Problem", "Deblur")
    assert sees(user) == ["Point spread"]
    assert "coils" not in user.text


def test_magnitude_phase_and_coil_maps_are_shown_in_their_place(viewer, widget, user, path, monkeypatch):
    user.fill("Problem", "MRI scan")
    open_file(user, path, monkeypatch)
    user.wait_for(lambda: "in the middle" in user.text)
    user.fill("Preset", "tiny")
    user.check("Zero-filled")
    user.run()
    expected = reconstruct(read_kspace(path).image, widget.config(), problem="sense")
    names = ["knee k-space", "knee magnitude", "knee zero-filled", "knee phase", "knee coil maps", "knee snapshots"]
    assert [layer.name for layer in viewer.layers] == names
    _, magnitude, plain, phase, maps, snapshots = viewer.layers
    coils = centered_ifft(torch.from_numpy(np.asarray(read_kspace(path).image.data)), (1, 2)).numpy()
    combined = np.abs((expected.extras["coil_maps"].conj() * coils).sum(0))
    assert np.corrcoef(plain.data.ravel(), combined.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(magnitude.data, np.abs(expected.image))
    np.testing.assert_array_equal(phase.data, np.angle(expected.image))
    np.testing.assert_array_equal(maps.data, np.abs(expected.extras["coil_maps"]))
    assert (phase.colormap.name, phase.contrast_limits) == ("twilight", pytest.approx([-np.pi, np.pi]))
    for layer in (magnitude, phase, maps, snapshots):
        assert tuple(layer.scale[-2:]) == (2, 1)
        assert [str(unit) for unit in layer.units[-2:]] == ["millimeter"] * 2
    assert snapshots.data.shape[1:] == (1, *SIZE)  # beside the axis of the coils
    assert magnitude.contrast_limits[1] > 0
    assert maps.axis_labels == ("coil", "y", "x")
    assert user.text.count("points of k-space were sampled") == 1
    assert "agrees with the measurement" in user.text


def test_coil_maps_and_sampling_are_taken_from_layers_and_the_residual_is_over_kspace(
    viewer, widget, user, path, tmp_path, monkeypatch
):
    maps = scan(head(SIZE, 0), equispaced(SIZE, 2, 12), n_coils=3).coil_maps.astype(np.complex64)
    write_image(tmp_path / "maps.cfl", maps, new_image(Image(maps, "CYX")))
    user.fill("Problem", "MRI scan")
    for each in (tmp_path / "maps.cfl", path):
        n_before = len(viewer.layers)
        open_file(user, each, monkeypatch)
        user.wait_for(lambda n=n_before: len(viewer.layers) > n)
    mask = equispaced(SIZE, 4, 12).astype(np.uint8)
    viewer.add_labels(mask, name="lines")
    user.fill("K-space", "knee k-space")
    user.fill("Coil maps", "maps k-space")
    user.fill("Sampled points", "lines")
    user.wait_for(lambda: "(" in user.text and f"{mask.sum()} of {mask.size} points" in user.text)
    user.fill("Preset", "tiny")
    user.box("Residual").setChecked(True)
    user.run()
    file = read_kspace(path)
    expected = reconstruct(file.image, widget.config(), problem="sense", is_sampled=mask, coil_maps=maps)
    np.testing.assert_array_equal(viewer.layers["knee magnitude"].data, np.abs(expected.image))
    residual = viewer.layers["knee residual"].data
    np.testing.assert_array_equal(np.isnan(residual).all(0), mask == 0)
    seen = np.isfinite(residual)
    np.testing.assert_allclose(10 ** residual[seen], np.abs(expected.residual)[seen], rtol=1e-3)


def test_without_kspace_or_with_a_bad_file_there_is_one_notification(viewer, user, tmp_path, notes, monkeypatch):
    user.fill("Problem", "MRI scan")
    user.run()
    assert ["There is no k-space" in str(note.message) for note in notes] == [True]
    (tmp_path / "bad.h5").write_text("no scan")
    open_file(user, tmp_path / "bad.h5", monkeypatch)
    user.wait_for(lambda: len(notes) == 2)
    assert "bad.h5 cannot be read" in str(notes[1].message)
    assert not viewer.layers


@pytest.mark.parametrize("kind", [ReconstructWidget, DenoiseWidget])
def test_k_space_is_not_taken_for_an_image(kind, viewer, scan_layer, hands, workers_end, qtbot, notes):
    scan_layer(viewer, SIZE)
    widget = kind(viewer)
    qtbot.addWidget(widget)
    hands(widget).press("Run")
    said = "'knee k-space' shows k-space, from which an image is yet to be made."
    assert [said in str(note.message) for note in notes] == [True]
    assert len(viewer.layers) == 1


@pytest.mark.parametrize(
    ("problem", "label"), [("Fill in missing pixels", "Missing pixels"), ("Deblur", "Point spread")]
)
def test_k_space_is_offered_neither_as_a_mask_nor_as_a_point(viewer, user, scan_layer, problem, label):
    scan_layer(viewer, SIZE)
    viewer.add_image(np.eye(8), name="point")
    user.fill("Problem", problem)
    assert "point" not in user.choices(label)  # it is the input
    viewer.add_image(np.eye(9), name="other")
    assert "point" in user.choices(label)
    assert "knee k-space" not in user.choices(label)
