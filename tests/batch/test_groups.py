"""Neighboring frames that help each other are a piece."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from napari_convgen.batch import piece as piece_module
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.batch.store import StoreTask
from napari_convgen.config import preset
from napari_convgen.core.image import Division, Image
from napari_convgen.errors import InputError
from napari_convgen.files.images import read_image
from napari_convgen.run.denoise.run import JOINT, DenoiseTask, denoise
from napari_convgen.run.setup.forecast import Seconds

QUICK = preset("quick").replace({"device": "cpu", "n_threads": 1})
TILES = QUICK.replace({"tiles.size": 16, "tiles.overlap": 4})
NETWORK = preset("default").replace(
    {
        "generator.n_lessons": 1,
        "n_seeds": 1,
        "n_steps": 3,
        "device": "cpu",
        "n_threads": 1,
        "frames.fit": "joint",
    }
)

N_FRAMES = 9
"""Number of frames: two groups, of five and of four."""


@pytest.fixture
def stack(folder):
    """A time lapse of a pattern that moves, whose third frame is constant."""
    t, y, x = np.mgrid[:N_FRAMES, :16, :28]
    clean = 100 + 60 * np.sin((x + t) / 5) * np.cos(y / 4)
    noisy = (clean + 15 * np.random.default_rng(0).standard_normal(clean.shape)).clip(0, 255).astype(np.uint8)
    noisy[2] = 9
    return noisy


def write(stack, axes="TYX"):
    tifffile.imwrite("stack.tif", stack, imagej=True, metadata={"axes": axes})


def test_the_output_is_that_of_denoise_bit_for_bit_and_is_taken_up_again(stack, monkeypatch):
    write(stack)
    begun, fit = [], piece_module._fit
    monkeypatch.setattr(piece_module, "_fit", lambda job: begun.append(job.number) or fit(job))
    task = BatchTask(["stack.tif"], "out", NETWORK)
    assert JOINT in task.notes
    steps = iter(task)
    next(steps)
    steps.close()
    denoise_files("stack.tif", "out", NETWORK)
    assert begun == [0, 1]
    expected = denoise(read_image(Path("stack.tif")).image, NETWORK).image
    np.testing.assert_array_equal(tifffile.imread("out/stack.tif"), expected)


def test_a_forecast_counts_groups_and_their_frames(stack, monkeypatch):
    write(stack)
    monkeypatch.setattr(DenoiseTask, "forecast", lambda task: SimpleNamespace(piece=Seconds(1.0, 2.0)))
    forecast = BatchTask(["stack.tif"], "out", TILES).forecast()
    assert str(forecast).startswith("1 file, 4 pieces, 4 of them to do.")
    assert forecast.total.wall == 2 * N_FRAMES


def test_the_record_has_each_frame_of_a_group(stack):
    write(stack)
    denoise_files("stack.tif", "out", QUICK)
    pieces = json.loads(Path("out/stack.tif.json").read_text())["pieces"]
    assert [len(piece["frames"]) for piece in pieces] == [5, 4]
    notes = [frame.get("note") for piece in pieces for frame in piece["frames"]]
    assert notes == [None, None, "It is constant or missing throughout: left as it is.", *[None] * 6]
    assert pieces[0]["frames"][0]["noise"].startswith("Gaussian noise of standard deviation")


@pytest.mark.parametrize("config", [QUICK, TILES], ids=["whole", "tiles"])
def test_the_record_names_a_copy_by_its_number_in_the_stack(stack, config):
    stack[7] = stack[6]
    write(stack)
    denoise_files("stack.tif", "out", config)
    pieces = json.loads(Path("out/stack.tif.json").read_text())["pieces"]
    named = {note.partition(". ")[0] for piece in pieces for note in piece["notes"] if "copies" in note}
    assert named == {"Frames that are copies of others nearby, noise included: 7"}


def test_channels_that_are_fitted_alone_have_groups_of_their_own(stack):
    channels = np.stack([stack, 255 - stack[:, ::-1]], 1)
    write(channels, "TCYX")
    config = TILES.replace({"channels": "separate"})
    task = BatchTask(["stack.tif"], "out", config)
    [plan] = task.plans
    assert plan.cut.n_pieces == 8
    for number, piece in enumerate(plan.pieces):
        part = plan.part_of(number, piece)
        frames = Division.of(plan.layout, channels.shape, 16, 4).pieces
        own = [channels[frames[part.number_of(place)].index] for place in part.own]
        np.testing.assert_array_equal(own, channels[piece.index])
    task.finish()
    expected = denoise(channels, config, axes="TCYX").image
    np.testing.assert_array_equal(tifffile.imread("out/stack.tif"), expected)


def test_groups_with_nothing_to_fit_are_left_as_they_are_and_errors_name_the_frame(stack):
    stack[5:] = 3
    write(stack)
    denoise_files("stack.tif", "out", QUICK)
    np.testing.assert_array_equal(tifffile.imread("out/stack.tif")[5:], stack[5:])
    infinite = stack.astype(np.float32)
    infinite[6, 2, 2] = np.inf
    tifffile.imwrite("stack.tif", infinite, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(InputError, match="1 infinite values at T = 6"):
        denoise_files("stack.tif", "other", QUICK)


def test_an_image_that_is_in_no_file_begins_with_the_group_on_screen(stack, tmp_path):
    pytest.importorskip("zarr")
    task = StoreTask(Image(stack, "TYX"), TILES, tmp_path / "out.zarr", {}, {0: 7, 1: 3, 2: 20})
    progress = list(task)
    assert list(dict.fromkeys(each.number for each in progress)) == [3, 2, 0, 1]
    assert str(progress[0]) == "Group of frames 2 of 2, tile 2 of 2; 0 of 4 are done."
    np.testing.assert_array_equal(read_image(tmp_path / "out.zarr").data, denoise(stack, TILES, axes="TYX").image)
