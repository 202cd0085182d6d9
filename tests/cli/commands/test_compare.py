import json
import signal
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_convgen import cli
from napari_convgen.run.compare.run import CompareTask, compare

SMALL = ["generator.n_lessons=1", "n_seeds=1", "n_restarts=0", "n_threads=1"]
QUICK = ["--set", *SMALL, "--stopping", "fixed", "--steps", "6"]


@pytest.fixture
def noisy():
    y, x = np.mgrid[:40, :36]
    rng = np.random.default_rng(0)
    return np.clip(100 + 60 * np.sin(x / 7) * np.cos(y / 6) + rng.normal(0, 10, x.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch, noisy):
    """The working directory, with images in it."""
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:40, :36]
    tifffile.imwrite("noisy.tif", noisy, imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    tifffile.imwrite("clean.tif", (100 + 60 * np.sin(x / 7) * np.cos(y / 6)).astype(np.uint8))
    Image.fromarray(noisy).save("noisy.png")
    return tmp_path


def run(*arguments):
    return cli.main(["compare", "noisy.tif", "-o", "out", *arguments])


def test_each_method_gives_an_image_with_the_metadata_of_the_input(folder, noisy, capsys):
    assert run("--methods", "nlm", "wavelet", "convgen", *QUICK, "--reference", "clean.tif") == 0
    result = compare(noisy, methods=("nlm", "wavelet"))
    residuals = tifffile.imread("out/residuals.tif")
    for i, name in enumerate(["nlm", "wavelet", "convgen"]):
        with tifffile.TiffFile(f"out/{name}.tif") as file:
            assert file.imagej_metadata["unit"] == "um"
            assert file.pages[0].resolution == (4, 5)
            image = file.asarray()
        if name != "convgen":
            np.testing.assert_array_equal(image, result[name].image)
        np.testing.assert_array_equal(residuals[i], noisy.astype(np.float32) - image)
    with tifffile.TiffFile("out/residuals.tif") as file:
        assert file.imagej_metadata["Labels"] == ["method nlm", "method wavelet", "method convgen"]
        assert file.imagej_metadata["unit"] == "um"
    report = json.loads((folder / "out/report.json").read_text())
    assert [each["method"] for each in report["methods"]] == ["nlm", "wavelet", "convgen"]
    printed = capsys.readouterr().out
    assert (folder / "out/report.md").read_text() in printed
    assert printed.splitlines()[0].startswith("| method ")
    assert printed.splitlines()[-1] == "Wrote to out."


def test_png_gives_png_and_presets_have_files_of_their_own(folder, capsys):
    arguments = ["compare", "noisy.png", "-o", "out", "--methods", "nlm", "convgen", "--quiet", *QUICK]
    assert cli.main(arguments) == 0
    assert capsys.readouterr() == ("", "")
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {"nlm.png", "convgen.png", "residuals.tif", "report.json", "report.md"}


def test_a_pair_that_was_stretched_can_be_scored(folder, noisy, capsys):
    tifffile.imwrite("noisy.tif", noisy // 2 + 20)
    assert run("--methods", "nlm", "--reference", "clean.tif", "--fit-affine", "--data-range", "200") == 0
    report = json.loads((folder / "out/report.json").read_text())
    assert (report["fit_affine"], report["data_range"]) == (True, 200)
    assert report["methods"][0]["psnr"] > 25


def test_what_fails_in_one_method_is_told_and_the_others_are_written(folder, noisy, capsys, monkeypatch):
    def fail(frame):
        raise ValueError("no such luck")

    monkeypatch.setitem(compare.__globals__["BASELINES"], "nlm", fail)
    assert run("--methods", "nlm", "wavelet") == 0
    assert "Non-local means: no such luck" in capsys.readouterr().out
    assert not (folder / "out/nlm.tif").exists()
    assert tifffile.imread("out/residuals.tif").shape == noisy.shape


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--methods nlm median", "There is no method 'median'. The methods are nlm,"),
        ("--methods nlm nlm", "nlm is named twice"),
        ("--methods convgen:none", "There is no preset 'none'"),
        ("--methods bm3d", "pip install 'napari-convgen[bm3d]'"),
        ("--methods nlm --data-range 200", "got data_range = 200.0. Give the reference too"),
        ("--methods nlm --fit-affine", "fit_affine scales and shifts images to fit a reference, and there is none"),
        ("--methods nlm --reference missing.tif", "missing.tif does not exist"),
        ("--methods nlm --preset paper --config run.toml", "--config is complete"),
        ("--methods nlm --axes ZYX", "axes must name each axis of the image once"),
        ("-o missing/out", "missing/out cannot be made: No such file or directory."),
        ("-o clean.tif", "clean.tif is a file. Name a folder."),
        ("--methods nlm --reference old/nlm.tif -o old", "old/nlm.tif and --reference are the same file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, monkeypatch, arguments, sentence):
    monkeypatch.setattr(CompareTask, "__iter__", lambda self: pytest.fail("a comparison was started"))
    monkeypatch.setitem(sys.modules, "bm3d", None)
    (folder / "old").mkdir()
    (folder / "old/nlm.tif").write_bytes((folder / "clean.tif").read_bytes())
    assert run(*arguments.split()) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert sentence in complaint
    assert complaint.count("\n") == 1


def test_a_dry_run_says_what_it_takes_and_writes_nothing(folder, capsys):
    before = sorted(folder.rglob("*"))
    assert (
        cli.main(["compare", "noisy.tif", "-o", "out", "--methods", "nlm", "convgen", "--dry-run", "--preset", "quick"])
        == 0
    )
    assert "memory" in capsys.readouterr().out
    assert sorted(folder.rglob("*")) == before


def test_a_first_interrupt_keeps_what_is_done(folder, capsys, monkeypatch):
    advance = CompareTask.__iter__

    def interrupted(self):
        for i, progress in enumerate(advance(self)):
            if i == 1:
                signal.raise_signal(signal.SIGINT)
            yield progress

    monkeypatch.setattr(CompareTask, "__iter__", interrupted)
    assert run("--methods", "nlm", "wavelet") == 130
    assert (folder / "out/nlm.tif").exists()
    assert not (folder / "out/wavelet.tif").exists()
    printed, progress = capsys.readouterr()
    assert "Stopped before wavelet." in printed
    assert progress.startswith("Non-local means (1/2)")
