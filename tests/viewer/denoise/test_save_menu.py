import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QPushButton

from napari_convgen import denoise
from napari_convgen.cli import main
from napari_convgen.config import PRESETS, Config
from napari_convgen.errors import FileError
from napari_convgen.files.images import read_image, read_recipe
from napari_convgen.viewer.denoise import save_menu
from napari_convgen.viewer.denoise.recipe import command_line
from napari_convgen.viewer.denoise.widget import DenoiseWidget
from napari_convgen.viewer.layers.door import METADATA_KEY
from napari_convgen.viewer.parts.loading import ZARR_FILES


@pytest.fixture(autouse=True)
def _presets(two, monkeypatch):
    monkeypatch.setitem(PRESETS, "two", two)


@pytest.fixture
def widget(make_widget):
    widget = make_widget(DenoiseWidget)
    place = {"scale": (0.5, 0.25), "units": ("um", "um"), "translate": (3, 4)}
    for layer in widget.viewer.layers:
        for name, value in place.items():
            setattr(layer, name, value)
    return widget


@pytest.fixture
def viewer(widget):
    return widget.viewer


@pytest.fixture
def choose(widget):
    """Choose an action of the menu."""

    def act(text, widget=widget):
        [menu] = [button.menu() for button in widget.findChildren(QPushButton) if button.text() == "Save and load"]
        [action] = [action for action in menu.actions() if action.text() == text]
        assert action.isEnabled()
        action.trigger()

    return act


@pytest.fixture
def answer(monkeypatch, tmp_path):
    """Answer the dialogs for a file."""

    def with_name(name):
        for dialog in ("getSaveFileName", "getOpenFileName"):
            monkeypatch.setattr(QFileDialog, dialog, lambda *_: (str(tmp_path / name), ""))
        return tmp_path / name

    return with_name


def test_a_result_is_saved_with_pixel_size_units_and_recipe_and_its_settings_are_loaded_again(
    viewer, widget, user, choose, answer
):
    user.run()
    of_machine = {"n_threads": 2, "device": "cpu", "backend": "auto"}
    ran = widget.session.result.config.replace(of_machine)
    path = answer("mine.tif")
    choose("Save result …")
    read = read_image(path)
    np.testing.assert_array_equal(read.data, viewer.layers["cells denoised"].data)
    (height, width), units = read.calibration
    assert (height, width) == pytest.approx((0.5, 0.25))
    assert units == ("µm", "µm")
    user.fill("Preset", "default")
    user.fill("Threads", "2")
    user.fill("Device", "cpu")
    choose("Load settings from a file …")
    assert widget.config() == ran  # but for what is this machine's
    user.fill("Preset", "default")
    viewer.layers.selection.active = viewer.layers["cells snapshots"]
    choose("Load settings from this layer")
    assert widget.config() == ran
    path = answer("mine.zarr")
    choose("Save result …")
    user.fill("Preset", "default")
    answer(f"mine.zarr/{next(name for name in ZARR_FILES if (path / name).exists())}")
    choose("Load settings from a file …")
    assert widget.config() == ran
    viewer.layers.selection.active = viewer.layers["truth"]
    choose("Load settings from this layer")
    assert "has no settings" in user.text


def test_a_result_is_saved_with_the_pixel_size_that_its_input_has_got_since(viewer, widget, user, choose, answer):
    user.run()
    viewer.layers["cells"].scale = 0.7, 0.35
    for name in ("mine.tif", "again.tif"):
        path = answer(name)
        choose("Save result …")
        assert read_image(path).calibration[0] == pytest.approx((0.7, 0.35))
        viewer.layers.remove(viewer.layers["cells denoised"]) if name == "mine.tif" else None
    viewer.layers.clear()


def test_a_result_is_saved_with_the_pixel_size_of_its_own_layer(viewer, user, choose, answer):
    user.run()
    viewer.layers["cells denoised"].scale = 2, 1
    path = answer("mine.tif")
    choose("Save result …")
    assert read_image(path).calibration[0] == pytest.approx((2, 1))


def test_a_run_is_opened_with_the_pixel_size_that_its_input_got_after_it(
    viewer, user, choose, answer, make_widget, hands
):
    user.run()
    viewer.layers["cells"].scale = 0.7, 0.35
    answer("run.npz")
    choose("Save run …")
    again = make_widget(DenoiseWidget)
    again.viewer.layers.clear()
    choose("Open run …", again)
    layers = again.viewer.layers
    assert [tuple(layer.scale[-2:]) for layer in layers] == [pytest.approx((0.7, 0.35))] * len(layers)
    layers["cells"].scale = 1, 1
    assert tuple(layers["cells denoised"].scale) == (1, 1)


def test_a_report_says_its_input_and_a_run_is_copied_as_a_command_and_as_python(
    viewer, widget, user, choose, answer, noisy, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # the window keeps one of them
    viewer.layers["cells"].scale = (0.5, 0.5)
    tifffile.imwrite("cells.tif", noisy)
    user.fill("Threads", "auto")
    user.run()
    answer("report.json")
    choose("Save report …")
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["input"]["name"], report["input"]["shape"]) == ("cells", [32, 32])
    assert len(report["input"]["sha256"]) == 64
    assert report["config"]["n_threads"] == 2
    main(["denoise", "cells.tif", "--config", "report.json", "-o", "again.tif", "--quiet"])
    np.testing.assert_array_equal(read_image("again.tif").data, widget.session.result.image)
    choose("Copy command line")
    name, *arguments = shlex.split(QApplication.clipboard().text())
    assert name == "napari-convgen"
    main([*arguments, "--quiet"])
    np.testing.assert_array_equal(read_image("cells_denoised.tif").data, widget.session.result.image)
    before = widget.session.result.image
    viewer.dims.set_point(0, 7)
    user.press("Promote step 7")
    chosen = widget.session.result.image
    assert (chosen != before).any()
    choose("Copy Python")
    exec(QApplication.clipboard().text(), {})
    np.testing.assert_array_equal(read_image("cells_denoised.tif").data, chosen)
    choose("Copy command line")
    main([*shlex.split(QApplication.clipboard().text())[1:], "--quiet", "--force"])
    np.testing.assert_array_equal(read_image("cells_denoised.tif").data, chosen)
    answer("moved.json")
    choose("Save report …")
    main(["denoise", "cells.tif", "--config", "moved.json", "-o", "moved.tif", "--quiet"])
    np.testing.assert_array_equal(read_image("moved.tif").data, chosen)


@pytest.mark.parametrize("name", ["head.nii.gz", "cells.v2.tif"])
def test_the_name_of_an_output_is_that_of_the_input_without_its_ending(name):
    source = SimpleNamespace(name="cells", path=name, axes="YX")
    command = command_line(source, PRESETS["default"], None)
    assert f"{name.removesuffix('.nii.gz').removesuffix('.tif')}_denoised.tif" in command.split()


def test_a_copy_for_a_layer_without_a_file_says_so(viewer, widget, user, choose, monkeypatch):
    said = []
    monkeypatch.setattr(save_menu, "show_info", said.append)
    user.run()
    choose("Copy command line")
    assert said == ["Copied. There is no file of 'cells': save it first, under the name in the text."]


def test_a_saved_run_is_opened_in_another_session_scrubbed_promoted_and_undone(
    user, choose, answer, widget, make_widget, hands
):
    user.fill("Preset", "two")
    user.check("Residual")
    user.run()
    widget.viewer.dims.set_point(0, 9)
    user.press("Promote step 9")
    answer("run.npz")
    choose("Save run …")
    again = make_widget(DenoiseWidget)
    again.viewer.layers.clear()
    other = hands(again)
    choose("Open run …", again)
    layers = again.viewer.layers
    assert [layer.name for layer in layers] == [
        "cells",
        "cells denoised",
        "cells snapshots",
        "cells residual",
        "cells expected error",
    ]
    for layer in layers[:2]:
        assert tuple(layer.scale) == (0.5, 0.25)
        assert tuple(layer.translate) == (3, 4)
        assert str(layer.units[0]) == "micrometer"
    np.testing.assert_array_equal(layers["cells denoised"].data, widget.session.result.image)
    assert layers["cells expected error"].metadata[METADATA_KEY] == layers["cells denoised"].metadata[METADATA_KEY]
    residual = widget.viewer.layers["cells residual"]
    np.testing.assert_array_equal(layers["cells residual"].data, residual.data)
    assert residual.metadata[METADATA_KEY] == widget.viewer.layers["cells denoised"].metadata[METADATA_KEY]
    assert other.value("Preset") == user.value("Preset")
    assert other.curves.n_steps == 30
    assert other.button("Continue").text() == "Continue near step 9"
    other.curves.dragged.emit(5)
    other.curves.dropped.emit(5)
    np.testing.assert_array_equal(layers["cells denoised"].data, widget.session.current_run().ended.keep(5).image)
    other.press("Undo")
    again.viewer.dims.set_point(0, 4)
    other.press("Promote step 4")
    np.testing.assert_array_equal(layers["cells denoised"].data, widget.session.current_run().ended.keep(4).image)
    other.press("Undo")
    other.press("Undo")
    np.testing.assert_array_equal(layers["cells denoised"].data, widget.session.current_run().ended.image)
    answer("other.npz").write_text("no run")
    choose("Open run …", again)
    assert "is not a run that was saved" in other.text


def test_the_input_of_an_opened_run_is_found_by_its_values(user, choose, answer, make_widget, hands, noisy):
    user.fill("Preset", "two")
    user.run()
    answer("run.npz")
    choose("Save run …")
    again = make_widget(DenoiseWidget)
    layers = again.viewer.layers
    layers.clear()
    again.viewer.add_image(np.full_like(noisy, 3), name="cells")
    choose("Open run …", again)
    assert [layer.name for layer in layers][:3] == ["cells", "cells [1]", "cells denoised"]
    np.testing.assert_array_equal(layers["cells [1]"].data, noisy)
    assert tuple(layers["cells [1]"].scale) == (0.5, 0.25)
    hands(again).press("Show input")
    assert [layer.name for layer in layers if layer.visible] == ["cells", "cells [1]"]
    layers.clear()
    again.viewer.add_image(noisy, name="mine")
    choose("Open run …", again)
    assert [layer.name for layer in layers][:2] == ["mine", "cells denoised"]


@pytest.mark.parametrize("step", [30, 3])
def test_a_run_that_is_opened_again_is_continued_with_the_bits_of_one_that_never_ended(
    user, choose, answer, widget, make_widget, hands, step
):
    user.fill("Preset", "two")
    user.run()
    answer("run.npz")
    if step != 30:
        widget.viewer.dims.set_point(0, step)
        user.press(f"Promote step {step}")
    choose("Save run …")
    user.fill("Steps to add", 9)
    start = widget.session.step_to_continue
    user.press("Continue from")
    user.wait_until_idle()

    again = make_widget(DenoiseWidget)
    again.viewer.layers.clear()
    other = hands(again)
    choose("Open run …", again)
    other.fill("Steps to add", 9)
    other.press("Continue")
    other.wait_until_idle()
    mine, theirs = widget.session.result, again.session.result
    assert len(theirs.frames[0].loss) == start + 9
    np.testing.assert_array_equal(theirs.image, mine.image)
    assert [each.step for each in theirs.snapshots] == [each.step for each in mine.snapshots]
    assert theirs.frames[0].loss == mine.frames[0].loss
    assert other.button("Continue").text() == f"Continue from step {start + 9}"


def test_a_run_that_cannot_be_repeated_is_left_as_it_is(user, choose, answer, widget, make_widget, hands):
    user.run()
    path = answer("run.npz")
    choose("Save run …")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["image"] = arrays["image"] + 1
    np.savez(path, **arrays)
    again = make_widget(DenoiseWidget)
    again.viewer.layers.clear()
    other = hands(again)
    choose("Open run …", again)
    shown = again.viewer.layers["cells denoised"].data.copy()
    other.press("Continue")
    other.wait_until_idle()
    assert "gave another image" in other.text
    np.testing.assert_array_equal(again.viewer.layers["cells denoised"].data, shown)
    assert len(again.session.result.frames[0].loss) == 30


def test_a_result_is_saved_in_the_format_of_its_name(viewer, user, choose, answer):
    user.run()
    result = viewer.layers["cells denoised"].data
    for name in ("mine.nii.gz", "mine.zarr", "mine.ome.tif", "mine.png"):
        path = answer(name)
        choose("Save result …")
        read = read_image(path)
        np.testing.assert_array_equal(np.squeeze(read.data), result)
        if name == "mine.png":
            with pytest.raises(FileError, match="no settings of a run"):
                read_recipe(path)
            continue
        assert read.calibration[0][-2:] == pytest.approx((0.5, 0.25))
        assert read.calibration[1][-2:] == ("µm", "µm")
        recipe = read_recipe(path)
        assert Config.from_dict(recipe["config"]).n_steps == 30
        assert (recipe["input"]["name"], len(recipe["input"]["sha256"])) == ("cells", 64)


def test_a_file_gets_the_ending_of_the_kind_that_is_chosen_and_is_replaced_only_if_the_user_agrees(
    viewer, user, choose, monkeypatch, tmp_path
):
    kinds, questions = [], []

    def ask(_, title, name, kind):
        kinds[:] = kind.split(";;")
        assert name == "cells 0.5 denoised"
        return str(tmp_path / "mine 0.5"), kinds[2]

    def question(_, title, text, buttons):
        questions.append(text)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    monkeypatch.setattr(QMessageBox, "question", question)
    viewer.layers["cells"].name = "cells 0.5"
    user.run()
    choose("Save result …")
    assert [kind.partition(" ")[0] for kind in kinds] == ["TIFF", "OME-TIFF", "NIfTI", "OME-Zarr", "PNG"]
    path = tmp_path / "mine 0.5.nii.gz"
    written = path.read_bytes()
    path.write_bytes(b"mine")
    choose("Save result …")
    assert (questions, path.read_bytes()) == (["mine 0.5.nii.gz is there already. Replace it?"], b"mine")
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    choose("Save result …")
    assert path.read_bytes() == written


def test_a_run_that_python_saved_is_opened(widget, choose, answer, noisy, small):
    denoise(noisy, small).save(answer("python.npz"))
    widget.viewer.layers.clear()
    choose("Open run …")
    names = [layer.name for layer in widget.viewer.layers]
    assert names[:3] == ["python", "python denoised", "python snapshots"]


@pytest.mark.parametrize(
    ("ending", "dtype"),
    [(".tif", np.uint8), (".tif", np.int32), (".ome.tif", np.int32), (".ome.zarr", np.uint8), (".nii.gz", np.int32)],
)
def test_napari_writes_snapshots_with_their_steps_and_other_layers_with_pixel_size_and_recipe(
    viewer, user, ending, dtype, tmp_path
):
    offered = PluginManifest.from_distribution("napari-convgen").contributions
    [writer] = [each for each in offered.writers if each.filename_extensions[0] == ending]
    [command] = [each for each in offered.commands if each.id == writer.command]
    write = import_python_name(command.python_name)
    viewer.layers["cells"].data = viewer.layers["cells"].data.astype(dtype)
    user.check("Residual")
    user.run()
    for name in ("cells snapshots", "cells residual"):
        layer = viewer.layers[name]
        data, attributes, _ = layer.as_layer_data_tuple()
        [path] = write(str(tmp_path / name), data, attributes)
        assert path == str(tmp_path / name) + ending
        read, recipe = read_image(path), read_recipe(path)
        steps = layer.metadata["steps"] if name == "cells snapshots" else None
        np.testing.assert_array_equal(np.squeeze(read.data), [data[step] for step in steps] if steps else data)
        assert recipe["config"] == layer.metadata[METADATA_KEY]["config"]
        assert Config.from_dict(recipe["config"]).n_steps == 30
        assert read.calibration[0][-2:] == pytest.approx((0.5, 0.25))
        if ending != ".tif":
            assert recipe.get("steps") == steps
        elif steps:
            with tifffile.TiffFile(path) as file:
                text = str(file.imagej_metadata or file.shaped_metadata)
            assert all(str(step) in text for step in steps)
