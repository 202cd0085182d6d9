"""Files are denoised in pieces; what is done stays done, whatever happens."""

import csv
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.batch import output as output_module
from napari_convgen.batch import piece as piece_module
from napari_convgen.batch import run as run_module
from napari_convgen.batch import source as source_module
from napari_convgen.batch.output import put_together
from napari_convgen.batch.plan import Plan
from napari_convgen.batch.run import BatchTask, denoise_files
from napari_convgen.core.image import Image
from napari_convgen.errors import ConfigError, FileError, InputError, ShortMemoryError
from napari_convgen.files.images import new_image, read_image, write_image
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.setup.starts import PREVIOUS_NOTE


def break_pieces(monkeypatch, numbers, error):
    """Let the fits of some pieces of a plane fail; return the numbers of all that are begun."""
    begun, fit = [], piece_module._fit

    def broken(job):
        begun.append((job.plan.path.name, job.number))
        if job.number in numbers and job.plan.path.name == "plane.tif":
            raise error
        return fit(job)

    monkeypatch.setattr(piece_module, "_fit", broken)
    return begun


def test_an_output_is_that_of_denoise_bit_for_bit_and_done_once(folder, few, hashes, monkeypatch):
    seen = []
    result = denoise_files("in", "out", few, callback=seen.append)
    for name in ("plane.tif", "stack.tif"):
        file = read_image(Path("in", name))
        np.testing.assert_array_equal(
            tifffile.imread(f"out/{name}"), denoise(file.image, few.replace({"n_threads": 1})).image
        )
        assert read_image(Path("out", name)).calibration == file.calibration
        record = json.loads(Path("out", f"{name}.json").read_text())
        assert record["config"]["tiles"] == {"size": 16, "overlap": 4}
        assert record["sha256"] == hashes(folder / "out")[name]
        assert {piece["status"] for piece in record["pieces"]} == {"done"}
    assert [progress.share for progress in seen] == [n / 5 for n in range(1, 6)]
    assert {(state.status, state.n_pieces, state.n_done) for state in result.files} == {("done", 3, 3), ("done", 2, 2)}
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "plane.tif",
        "plane.tif.json",
        "report.csv",
        "stack.tif",
        "stack.tif.json",
    ]
    rows = list(csv.DictReader(Path("out/report.csv").read_text().splitlines()))
    assert [(row["input"], row["status"]) for row in rows] == [("in/plane.tif", "done"), ("in/stack.tif", "done")]

    before = hashes(folder / "out")
    begun = break_pieces(monkeypatch, [], None)
    denoise_files(["in", "in/*.tif"], "out", few)
    assert begun == []
    Path("out/plane.tif").unlink()
    denoise_files("in/plane.tif", "out", few)
    assert begun == [("plane.tif", n) for n in range(3)]
    assert hashes(folder / "out") == before


def test_a_batch_that_is_left_goes_on_where_it_was(folder, few, hashes, monkeypatch):
    denoise_files("in", "whole", few)
    begun = break_pieces(monkeypatch, [], None)
    task = BatchTask(["in"], "out", few, n_workers=1)
    steps = iter(task)
    for _ in range(2):
        next(steps)
    steps.close()
    state = task.result().files[0]
    assert (state.status, state.n_done) == ("unfinished", 2)
    denoise_files("in", "out", few)
    assert len(begun) == 5
    assert hashes(folder / "out") == hashes(folder / "whole")
    assert not Path("out/.pieces").exists()


def test_a_piece_that_fails_stops_no_other_and_is_tried_again_if_asked(folder, few, monkeypatch):
    begun = break_pieces(monkeypatch, [1], RuntimeError("something  went\nwrong"))
    result = denoise_files("in", "out", few)
    assert [state.status for state in result.files] == ["failed", "done"]
    assert (result.files[0].n_done, result.files[0].error) == (2, "something went wrong")
    assert "1 piece of 1 file failed, the first of in/plane.tif: something went wrong" in str(result)
    assert not Path("out/plane.tif").exists()
    assert next(csv.DictReader(Path("out/report.csv").read_text().splitlines()))["error"] == "something went wrong"

    begun.clear()
    denoise_files("in", "out", few)
    assert begun == []
    monkeypatch.undo()
    os.chdir(folder)
    assert denoise_files("in", "out", few, retries_failed=True).n_files("done") == 2


def test_the_start_of_workers_is_no_part_of_the_time_that_is_left(folder, few, monkeypatch):
    class Slow:
        def run(self, jobs):
            time.sleep(0.3)
            for number, job in enumerate(jobs, 1):
                yield job, {"status": "done", "seconds": 10.0 * number, "cpu_seconds": 0.0}

    monkeypatch.setattr(BatchTask, "_workers", lambda task: Slow())
    monkeypatch.setattr(run_module, "finish", lambda plan: None)
    seen = list(BatchTask(["in"], "out", few, n_workers=2))
    assert [progress.seconds_left for progress in seen] == [10 * 4 / 2, 15 * 3 / 2, 20 * 2 / 2, 25 / 2, 0]
    assert seen[0].seconds >= 0.3
    monkeypatch.setattr(BatchTask, "_choose_workers", lambda *_: 64)  # of a cluster
    assert next(iter(BatchTask(["in"], "out", few))).seconds_left == 10 * 4 / 5


def test_parts_share_out_the_pieces_and_the_last_puts_them_together(folder, few, hashes):
    denoise_files("in", "whole", few)
    for number in (2, 1):
        assert not hashes(folder / "out")
        denoise_files("in", "out", few, part=(number, 2))
    assert hashes(folder / "out") == hashes(folder / "whole")


def test_pieces_with_nothing_to_fit_are_left_as_they_are(folder, few):
    image = tifffile.imread("in/plane.tif")
    image[:, :24] = 9
    tifffile.imwrite("in/plane.tif", image, photometric="minisblack")
    denoise_files("in/plane.tif", "out", few)
    np.testing.assert_array_equal(tifffile.imread("out/plane.tif")[:, :13], image[:, :13])
    note = json.loads(Path("out/plane.tif.json").read_text())["pieces"][0]["note"]
    assert note == "It is constant or missing throughout: left as it is."


def test_a_run_that_is_left_writes_the_report(folder, few):
    steps = iter(BatchTask(["in"], "out", few))
    next(steps)
    steps.close()
    rows = list(csv.DictReader(Path("out/report.csv").read_text().splitlines()))
    assert [(row["status"], row["n_done"]) for row in rows] == [("unfinished", "1"), ("unfinished", "0")]


def test_an_output_that_cannot_be_written_is_the_failure_of_its_file(folder, few, capsys, monkeypatch):
    write, names = write_image, ["in/plane.tif", "in/stack.tif"]

    def fail(path, *others):
        if path.name == "plane.tif":
            raise FileError(f"{path} cannot be written: the share is gone.")
        write(path, *others)

    with monkeypatch.context() as patch:
        patch.setattr(output_module, "write_image", fail)
        result = denoise_files(names, "out", few)
        assert [(state.status, state.n_done, state.n_failed) for state in result.files] == [
            ("failed", 3, 0),
            ("done", 2, 0),
        ]
        assert (
            "1 output cannot be written, the first that of in/plane.tif: out/plane.tif cannot be written: the share"
            in str(result)
        )
        rows = list(csv.DictReader(Path("out/report.csv").read_text().splitlines()))
        assert [(row["status"], "the share is gone" in row["error"]) for row in rows] == [
            ("failed", True),
            ("done", False),
        ]
        Path("few.toml").write_text(few.to_toml())
        assert cli.main(["batch", *names, "-o", "out", "--config", "few.toml", "--quiet"]) == 1
    assert "the share is gone" in str(BatchTask(names, "out", few).result())
    begun = break_pieces(monkeypatch, [], None)
    assert denoise_files(names, "out", few).n_files("done") == 2
    assert begun == []
    assert not Path("out/.pieces").exists()


def test_a_report_has_one_row_for_a_file_however_its_folder_is_named(folder, few):
    denoise_files("in/stack.tif", "out", few)
    denoise_files("in", folder / "out", few)
    rows = list(csv.DictReader(Path("out/report.csv").read_text().splitlines()))
    assert [(Path(row["output"]).name, row["status"]) for row in rows] == [("plane.tif", "done"), ("stack.tif", "done")]


@pytest.mark.parametrize("is_made", [True, False])
def test_an_output_whose_name_promises_too_much_is_refused_before_anything_is_done(folder, few, is_made):
    values = tifffile.imread("in/plane.tif")
    tifffile.imwrite("in/pages.ome.tif", np.stack([values] * 4), ome=False, photometric="minisblack")
    if is_made:
        Path("out").mkdir()
    with pytest.raises(FileError, match=r"out/pages\.ome\.tif cannot be OME-TIFF"):
        BatchTask(["in"], "out", few)


def test_damaged_outputs_are_found(folder, few):
    denoise_files("in", "out", few)
    task = BatchTask(["in"], "out", few)
    assert task.damaged() == ()
    with Path("out/stack.tif").open("r+b") as file:
        file.truncate(500)
    assert task.damaged() == (Path("out/stack.tif"),)


def test_outputs_of_another_plan_are_only_replaced_if_that_is_asked_for(folder, few, hashes):
    other = few.replace({"seed": 1})
    denoise_files("in/plane.tif", "out", few)
    before = hashes(folder / "out")
    with pytest.raises(FileError, match=r"out/plane\.tif is there already, from another input, other settings"):
        BatchTask(["in/plane.tif"], "out", other)
    BatchTask(["in/plane.tif"], "out", other, is_forced=True).forecast()
    assert hashes(folder / "out") == before
    denoise_files("in/plane.tif", "out", other, is_forced=True)
    assert hashes(folder / "out") != before

    steps = iter(BatchTask(["in/plane.tif"], "begun", few, n_workers=1))
    next(steps)
    steps.close()
    with pytest.raises(FileError, match="is there already"):
        BatchTask(["in/plane.tif"], "begun", other)
    os.utime("in/plane.tif", (0, 0))
    with pytest.raises(FileError, match="is there already"):
        BatchTask(["in/plane.tif"], "begun", few)
    shutil.copy("in/stack.tif", "begun/stack.tif")
    with pytest.raises(FileError, match=r"begun/stack\.tif is there already"):
        BatchTask(["in/stack.tif"], "begun", few)


def test_a_batch_that_may_replace_goes_on_without_being_asked_again(folder, few, hashes):
    other = few.replace({"seed": 1})
    denoise_files("in", "out", few)
    before = hashes(folder / "out")
    steps = iter(BatchTask(["in"], "out", other, n_workers=1, is_forced=True))
    next(steps)
    steps.close()
    assert hashes(folder / "out") == before  # an output stays until the other one is there
    with pytest.raises(FileError, match="is there already"):
        BatchTask(["in"], "out", few)
    assert BatchTask(["in"], "out", other).forecast().n_pieces_left == 4
    shutil.copy("in/plane.tif", "out/plane.tif")
    with pytest.raises(FileError, match=r"out/plane\.tif is there already"):
        BatchTask(["in"], "out", other)
    assert denoise_files("in/stack.tif", "out", other).n_files("done") == 1
    assert hashes(folder / "out")["stack.tif"] != before["stack.tif"]


def test_an_output_that_somebody_else_has_put_there_is_not_replaced(folder, few):
    steps = iter(BatchTask(["in/plane.tif"], "out", few, n_workers=1))
    next(steps)
    steps.close()
    Path("out/plane.tif").write_text("mine")
    with pytest.raises(FileError, match=r"out/plane\.tif is there already"):
        denoise_files("in/plane.tif", "out", few)
    assert Path("out/plane.tif").read_text() == "mine"
    assert denoise_files("in/plane.tif", "out", few, is_forced=True).n_files("done") == 1


@pytest.mark.parametrize("differs", ["from the start", "at the end"])
def test_inputs_of_one_name_size_and_time_are_told_apart(folder, few, differs, monkeypatch):
    values = tifffile.imread("in/plane.tif")
    if differs == "at the end":
        monkeypatch.setattr(source_module, "BLOCK", 8)
    for name, image in (("first", values), ("second", values[::-1])):
        Path(name).mkdir()
        tifffile.imwrite(f"{name}/plane.tif", image)
        os.utime(f"{name}/plane.tif", (0, 0))
    denoise_files("first/plane.tif", "out", few)
    if differs == "from the start":
        Path("first/plane.tif").unlink()  # so that only its values tell that it was not moved
    with pytest.raises(FileError, match=r"out/plane\.tif is there already, from another input"):
        denoise_files("second/plane.tif", "out", few)
    assert denoise_files("second/plane.tif", "out", few, is_forced=True).files[0].input == "second/plane.tif"


def test_what_is_done_of_files_that_were_moved_stays_done(folder, few, monkeypatch):
    denoise_files("in/plane.tif", "out", few)
    Path("in").rename("moved")
    begun = break_pieces(monkeypatch, [], None)
    assert denoise_files(folder / "moved/plane.tif", folder / "out", few).n_files("done") == 1
    assert begun == []


@pytest.mark.parametrize("said", [{"Modality": "MR"}, {"digest": "of something else"}])
def test_a_file_in_the_place_of_a_record_is_only_replaced_if_that_is_asked_for(folder, few, said):
    Path("out").mkdir()
    Path("out/plane.tif.json").write_text(json.dumps(said))
    with pytest.raises(FileError, match=r"out/plane\.tif\.json is there already, and is no record of a batch.*--force"):
        BatchTask(["in/plane.tif"], "out", few)
    assert json.loads(Path("out/plane.tif.json").read_text()) == said
    assert denoise_files("in/plane.tif", "out", few, is_forced=True).n_files("done") == 1
    assert json.loads(Path("out/plane.tif.json").read_text())["input"] == "in/plane.tif"


@pytest.mark.parametrize(
    ("inputs", "output", "options", "error", "message"),
    [
        ([], "out", {}, FileError, "There is nothing to do: no input is named"),
        (["nowhere.tif"], "out", {}, FileError, r"nowhere\.tif does not exist"),
        (["nowhere/*.tif"], "out", {}, FileError, r"No image file matches nowhere/\*\.tif"),
        (["empty"], "out", {}, FileError, r"The folder empty holds no image file: names must end in \.tif"),
        (["texts"], "out", {}, FileError, r"The folder texts holds no image file: names must end in \.tif"),
        (["in/notes.txt"], "out", {}, FileError, r"in/notes\.txt is of no known format"),
        (["in"], "in", {}, FileError, r"in/plane\.tif is an input, and would be replaced"),
        (["in", "copies"], "out", {}, FileError, r"in/plane\.tif and copies/plane\.tif would both be written to out/"),
        (["in"], "in/notes.txt", {}, FileError, r"in/notes\.txt is a file\. Name a folder"),
        (["in"], "a/b", {}, FileError, r"a/b cannot be written to: No such file or directory"),
        (["bad"], "out", {}, FileError, r"bad/damaged\.tif .* 1 of 2 files are refused"),
        (["in"], "out", {"axes": "ZZ"}, InputError, "axes"),
        (["in"], "out", {"config": "finest"}, ConfigError, "no preset 'finest'"),
        (["in"], "out", {"part": (3, 2)}, ConfigError, "from 1 to the number of parts, got 3 of 2"),
        (
            ["in"],
            "out",
            {"scheduler": "tcp://a:1", "memory": 1},
            ConfigError,
            "The workers of a Dask cluster are started with",
        ),
        (
            ["in"],
            "out",
            {"scheduler": "tcp://a:1", "n_workers": 2},
            ConfigError,
            "Leave out the number of workers and the memory",
        ),
        (["in"], "out", {"memory": 0.001}, ShortMemoryError, r"A worker needs about .* only 1\.0 MiB are there"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is(folder, few, inputs, output, options, error, message):
    for name in ("empty", "copies", "bad", "texts"):
        Path(name).mkdir()
    Path("texts/notes.txt").write_text("no image")
    shutil.copy("in/plane.tif", "copies")
    shutil.copy("in/plane.tif", "bad/good.tif")
    Path("bad/damaged.tif").write_bytes(b"II*\0 nothing more")
    before = sorted(folder.rglob("*"))
    with pytest.raises(error, match=message):
        BatchTask(inputs, output, **{"config": few} | options)
    assert sorted(folder.rglob("*")) == before


@pytest.fixture
def zarr_input(folder):
    """A stack of three frames as OME-Zarr, the only input."""
    pytest.importorskip("zarr")
    stack = np.concatenate([tifffile.imread("in/stack.tif"), tifffile.imread("in/stack.tif")[:1]])
    shutil.rmtree("in")
    Path("in").mkdir()
    write_image("in/stack.zarr", stack, new_image(Image(stack, "TYX")))
    return stack


def test_an_ome_zarr_output_is_replaced_where_it_may_be(zarr_input, folder, few, monkeypatch):
    denoise_files("in", "whole", few)
    expected = np.asarray(read_image("whole/stack.zarr").data)

    def killed(*_):
        raise KeyboardInterrupt  # as if the process ended after the output had its name, and before its record was written

    monkeypatch.setattr(output_module, "_record", killed)
    with pytest.raises(KeyboardInterrupt):
        denoise_files("in", "out", few)
    assert Path("out/stack.zarr").is_dir()
    assert not Path("out/stack.zarr.json").exists()
    monkeypatch.undo()
    os.chdir(folder)
    assert denoise_files("in", "out", few).n_files("done") == 1
    np.testing.assert_array_equal(np.asarray(read_image("out/stack.zarr").data), expected)
    other = few.replace({"seed": 7})
    with pytest.raises(FileError, match="is there already"):
        denoise_files("in", "out", other)
    assert denoise_files("in", "out", other, is_forced=True).n_files("done") == 1
    assert (np.asarray(read_image("out/stack.zarr").data) != expected).any()
    assert not Path("out/.pieces").exists()


def test_another_process_that_has_just_written_the_output_is_waited_for(zarr_input, few, monkeypatch):
    task = BatchTask(["in"], "out", few, n_workers=1)
    monkeypatch.setattr("napari_convgen.batch.run.finish", lambda plan: None)
    task.finish()  # all pieces are there

    def slower(path, *_):
        path.mkdir()  # that of the other process
        raise FileError(f"{path} cannot be written: Directory not empty.")

    monkeypatch.setattr(output_module, "write_image", slower)
    states = iter([False] * 5)
    monkeypatch.setattr(Plan, "is_done", property(lambda plan: next(states, True)))
    assert put_together(task.plans[0])


def test_what_changed_within_a_folder_is_noticed(zarr_input, few):
    before = BatchTask(["in"], "out", few).plans[0].digest
    assert BatchTask(["in"], "out", few).plans[0].digest == before
    chunk = next(
        path for path in sorted(Path("in/stack.zarr").rglob("*")) if path.is_file() and path.parent.name != "stack.zarr"
    )
    os.utime(chunk, ns=(0, 0))
    assert BatchTask(["in"], "out", few).plans[0].digest != before


def test_chains_of_frames_are_pieces_with_the_numbers_of_one_run(folder, few):
    first, second = tifffile.imread("in/stack.tif")
    stack = np.stack([first, second, first, second, first])
    tifffile.imwrite("in/stack.tif", stack, imagej=True, metadata={"axes": "TYX"})
    changes = {"stopping.kind": "auto", "noise.sigma": 15.0, "n_steps": 20, "n_threads": 1, "tiles.size": "whole"}
    fresh = few.replace({**changes, "dtype": "float32"})
    config = fresh.replace({"frames.start": "previous", "frames.chain": 3})
    task = BatchTask(["in/stack.tif"], "out", config, n_workers=1)
    assert [len(range(*each.index[0].indices(5))) for each in task.plans[0].pieces] == [3, 2]
    for _ in task:
        pass
    out = tifffile.imread("out/stack.tif")
    np.testing.assert_array_equal(out, denoise(stack, config, axes="TYX").image)
    is_fresh = (out == denoise(stack, fresh, axes="TYX").image).all((1, 2))
    assert is_fresh.tolist() == [True, False, False, True, False]
    assert PREVIOUS_NOTE in task.plans[0].cut.notes
