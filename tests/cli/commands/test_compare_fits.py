import csv
import json
import signal

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.config import Config
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.run import CompareFitsTask, compare_fits

SMALL = ["generator.n_channels=4", "generator.n_scales=1", "n_threads=1"]


@pytest.fixture
def clean():
    y, x = np.mgrid[:20, :18]
    return (100 + 60 * np.sin(x / 7) * np.cos(y / 6)).astype(np.uint8)


@pytest.fixture
def noisy(clean):
    return np.clip(clean + np.random.default_rng(0).normal(0, 10, clean.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch, noisy, clean):
    """The working directory, with images in it."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("noisy.tif", noisy, imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    tifffile.imwrite("clean.tif", clean)
    tifffile.imwrite("stack.tif", np.stack([noisy, noisy]), metadata={"axes": "TYX"})
    return tmp_path


def run(*arguments, image="noisy.tif"):
    return cli.main(["compare-fits", image, "-o", "out", "--set", *SMALL, "--steps", "6", *arguments])


@pytest.mark.usefixtures("no_figures")
def test_fits_through_a_problem_are_written_with_their_own_pixels(folder, noisy):
    assert run("--problem", "enlarge", "--factor", "2") == 0
    base = Config().replace(dict(each.split("=") for each in SMALL) | {"n_steps": 6})
    result = compare_fits(noisy, base, axes="YX", problem="enlarge", factor=2)
    with tifffile.TiffFile("out/image.tif") as file:
        np.testing.assert_array_equal(file.asarray(), [snapshot.image for snapshot in result["image"].snapshots])
        assert file.pages[0].resolution == (8, 10)
    assert tifffile.imread("out/targets.tif").shape == (2, *noisy.shape)


def test_it_writes_what_the_verb_finds(folder, noisy, clean, capsys):
    words = ["--noise", "gaussian", "--mean", "kept", "--added-noise", "12", "--reference", "clean.tif", "--seed", "3"]
    assert run(*words) == 0
    base = Config().replace(dict(each.split("=") for each in SMALL) | {"seed": 3, "n_steps": 6})
    result = compare_fits(noisy, base, targets=TargetsConfig("gaussian", "kept", 12.0), axes="YX", reference=clean)
    for target in result.targets:
        written = tifffile.imread(f"out/{target.name.replace(' ', '-')}.tif")
        assert written.dtype == np.uint8
        np.testing.assert_array_equal(written, [snapshot.image for snapshot in target.snapshots])
    np.testing.assert_array_equal(tifffile.imread("out/targets.tif"), [target.values for target in result.targets])
    with tifffile.TiffFile("out/noise.tif") as file:
        assert file.imagej_metadata["unit"] == "um"
        assert file.imagej_metadata["Labels"] == [f"step {step}" for step in range(1, 7)]
        assert file.pages[0].resolution == (4, 5)
    report = json.loads((folder / "out/report.json").read_text())
    assert report["targets"]["added noise"]["errors"] == pytest.approx(result["added noise"].errors)
    assert (report["noise"], report["mean"], report["added_noise"]) == ("gaussian", "kept", 12)
    assert Config.from_file("out/report.json") == result.config
    with open("out/curves.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["curve"] == "noise"]
    assert [float(row["y"]) for row in rows[:6]] == pytest.approx(result["noise"].losses)
    assert {path.name for path in (folder / "out").glob("*.*g")} == {"fits.png", "fits.svg"}
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == result.sentences()[0] == report["sentences"][0]
    assert printed[-1] == "Wrote to out."


@pytest.mark.usefixtures("no_figures")
def test_quiet_is_quiet_and_color_stays_color(folder, noisy, capsys):
    tifffile.imwrite("color.tif", np.stack([noisy, noisy[::-1], 255 - noisy], -1), photometric="rgb")
    assert run("--quiet", image="color.tif") == 0
    assert capsys.readouterr() == ("", "")
    assert tifffile.imread("out/noise.tif").shape == (6, 20, 18, 3)
    assert not (folder / "out/added-noise.tif").exists()


def test_a_dry_run_says_what_it_takes(folder, capsys):
    assert cli.main(["compare-fits", "noisy.tif", "--dry-run", "--set", *SMALL]) == 0
    assert "1000 steps" in capsys.readouterr().out
    assert {path.suffix for path in folder.iterdir()} == {".tif"}


@pytest.mark.parametrize(
    ("arguments", "image", "sentence"),
    [
        ("--noise pink", "noisy.tif", "noise must be one of uniform, gaussian"),
        ("--mean half", "noisy.tif", "mean must be one of removed, kept"),
        ("--added-noise -3", "noisy.tif", "added_noise must be a number from 0"),
        ("--stopping held-out", "noisy.tif", "unrecognized arguments: --stopping held-out"),
        (
            "--set stopping.kind=held-out",
            "noisy.tif",
            "stopping.kind would do nothing here: this command chooses n_seeds,",
        ),
        ("--set stopping.patience=2", "noisy.tif", "stopping.patience would do nothing here"),
        ("--set n_seeds=3", "noisy.tif", "n_seeds would do nothing here"),
        ("--added-noise much", "noisy.tif", "invalid float value"),
        (
            "--set generator.kind=guided-network",
            "noisy.tif",
            "A guided or taught network depends on the image that it is fitted to",
        ),
        ("--reference stack.tif", "noisy.tif", "The reference must have the shape of the image"),
        ("", "stack.tif", "a single image, got 2 frames"),
        ("", "missing.tif", "missing.tif does not exist"),
        ("--preset paper --config run.toml", "noisy.tif", "--config is complete"),
        ("-o clean.tif", "noisy.tif", "clean.tif is a file. Name a folder."),
        ("-o no/out", "noisy.tif", "no/out cannot be made"),
        ("-o old", "old/image.tif", "are the same file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, monkeypatch, arguments, image, sentence):
    monkeypatch.setattr(CompareFitsTask, "__iter__", lambda self: pytest.fail("a run was started"))
    (folder / "old").mkdir()
    (folder / "old/image.tif").write_bytes((folder / "noisy.tif").read_bytes())
    assert run(*arguments.split(), image=image) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert sentence in complaint
    assert complaint.count("\n") == 1


def test_out_is_needed(folder, capsys):
    assert cli.main(["compare-fits", "noisy.tif"]) == 2
    assert "--output is missing" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_a_first_interrupt_writes_what_there_is(folder, capsys, monkeypatch):
    advance = CompareFitsTask.__iter__

    def interrupted(self):
        for progress in advance(self):
            if progress.step == 3:
                signal.raise_signal(signal.SIGINT)
            yield progress

    monkeypatch.setattr(CompareFitsTask, "__iter__", interrupted)
    assert run("--steps", "100000") == 130
    assert tifffile.imread("out/noise.tif").shape == (4, 20, 18)
    printed, progress = capsys.readouterr()
    assert "Note: Stopped at step 4 of 100000." in printed
    assert progress.startswith("step 1/100000  image ")
