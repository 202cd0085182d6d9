import csv
import json
import signal

import numpy as np
import pytest
import tifffile

from napari_convgen import cli
from napari_convgen.config import Config
from napari_convgen.run.spectrum import run as module
from napari_convgen.run.spectrum.run import SpectrumTask, spectrum

SMALL = ["generator.n_channels=4", "generator.n_scales=1", "n_threads=1"]


@pytest.fixture(autouse=True)
def _few_products(monkeypatch):
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(module, name, 4)


@pytest.fixture
def noisy():
    y, x = np.mgrid[:20, :18]
    rng = np.random.default_rng(0)
    return np.clip(100 + 60 * np.sin(x / 7) * np.cos(y / 6) + rng.normal(0, 10, x.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch, noisy):
    """The working directory, with images in it."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("noisy.tif", noisy, imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    tifffile.imwrite("color.tif", np.stack([noisy, noisy[::-1], 255 - noisy], -1), photometric="rgb")
    tifffile.imwrite("stack.tif", np.stack([noisy, noisy]), metadata={"axes": "TYX"})
    return tmp_path


@pytest.mark.usefixtures("no_figures")
def test_a_problem_and_its_inputs_are_those_of_the_verb(folder, noisy):
    is_missing = np.random.default_rng(1).random(noisy.shape) < 0.3
    tifffile.imwrite("mask.tif", is_missing.astype(np.uint8))
    config = Config().replace(dict(each.split("=") for each in SMALL))
    for words, inputs in (
        (["--problem", "inpaint", "--mask", "mask.tif"], {"problem": "inpaint", "is_missing": is_missing}),
        (["--problem", "deblur", "--sigma", "0.8"], {"problem": "deblur", "sigma": 0.8}),
        (["--problem", "enlarge", "--factor", "2"], {"problem": "enlarge", "factor": 2}),
    ):
        assert run(*words, "--force") == 0
        [found] = spectrum(noisy, config, axes="YX", rank=6, **inputs).spectra
        np.testing.assert_array_equal(tifffile.imread("out/vectors-step0.tif"), found.left_vectors[:, 0])


def run(*arguments, image="noisy.tif"):
    return cli.main(["spectrum", image, "-o", "out", "--rank", "6", "--set", *SMALL, *arguments])


def test_it_writes_what_the_verb_finds(folder, noisy, capsys):
    assert run("--passes", "3", "--at-step", "0", "2", "--groups", "norms", "output", "--seed", "3") == 0
    config = Config().replace(dict(each.split("=") for each in SMALL) | {"seed": 3})
    result = spectrum(noisy, config, axes="YX", rank=6, n_passes=3, at_steps=(0, 2), groups=("norms", "output"))
    for i, step in enumerate((0, 2)):
        found = result.spectra[i]
        np.testing.assert_array_equal(tifffile.imread(f"out/vectors-step{step}.tif"), found.left_vectors[:, 0])
        np.testing.assert_array_equal(tifffile.imread(f"out/sensitivity-step{step}.tif")[0], found.sensitivity[0])
        projections = tifffile.imread(f"out/projections-step{step}.tif")
        assert projections.dtype == np.uint8
        np.testing.assert_array_equal(projections, [result.projection(n, i) for n in (1, 2, 5, 6)])
        np.testing.assert_array_equal(
            tifffile.imread(f"out/remainders-step{step}.tif"), [result.remainder(n, i) for n in (1, 2, 5, 6)]
        )
    with tifffile.TiffFile("out/vectors-step0.tif") as file:
        assert file.imagej_metadata["unit"] == "um"
        assert file.imagej_metadata["Labels"][:2] == ["vector 1", "vector 2"]
        assert file.pages[0].resolution == (4, 5)
    with open("out/values.csv") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["singular_value"]) for row in rows[6:]] == pytest.approx(result.spectra[1].singular_values)
    report = json.loads((folder / "out/report.json").read_text())
    assert report["groups"] == ["norms", "output"]
    assert Config.from_file("out/report.json") == result.config
    assert {path.name for path in (folder / "out").glob("*.*g")} == {"spectrum.png", "spectrum.svg"}
    assert "Singular values" in (folder / "out/curves.csv").read_text()
    printed = capsys.readouterr().out
    assert printed.startswith("Step 0: 6 vectors hold ")
    assert printed.splitlines()[-1] == "Wrote to out."


@pytest.mark.usefixtures("no_figures")
def test_color_has_vectors_with_channels_and_projections_like_the_image(folder, capsys):
    assert run("--quiet", image="color.tif") == 0
    assert capsys.readouterr() == ("", "")
    assert tifffile.imread("out/vectors-step0.tif").shape == (6, 3, 20, 18)
    assert tifffile.imread("out/projections-step0.tif").shape == (4, 20, 18, 3)


def test_a_dry_run_says_what_it_takes(folder, capsys):
    assert cli.main(["spectrum", "noisy.tif", "--dry-run", "--rank", "6", "--set", *SMALL]) == 0
    assert "products" in capsys.readouterr().out
    assert {path.suffix for path in folder.iterdir()} == {".tif"}


@pytest.mark.parametrize(
    ("arguments", "image", "sentence"),
    [
        ("--rank 1000", "noisy.tif", "got 1000"),
        ("--groups all", "noisy.tif", "groups must be some of convolutions, norms, output"),
        ("--at-step -1", "noisy.tif", "at_steps must be whole numbers from 0"),
        ("--set n_steps=7", "noisy.tif", "n_steps would do nothing here: this command chooses n_seeds,"),
        ("--at-step one", "noisy.tif", "invalid int value"),
        ("", "stack.tif", "a single image, got 2 frames"),
        ("", "missing.tif", "missing.tif does not exist"),
        ("--preset paper --config run.toml", "noisy.tif", "--config is complete"),
        ("-o color.tif", "noisy.tif", "color.tif is a file. Name a folder."),
        ("-o no/out", "noisy.tif", "no/out cannot be made"),
        ("-o old", "old/vectors-step0.tif", "are the same file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, monkeypatch, arguments, image, sentence):
    monkeypatch.setattr(SpectrumTask, "__iter__", lambda self: pytest.fail("a run was started"))
    (folder / "old").mkdir()
    (folder / "old/vectors-step0.tif").write_bytes((folder / "noisy.tif").read_bytes())
    assert run(*arguments.split(), image=image) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert sentence in complaint
    assert complaint.count("\n") == 1


def test_out_is_needed(folder, capsys):
    assert cli.main(["spectrum", "noisy.tif"]) == 2
    assert "--output is missing" in capsys.readouterr().err


@pytest.mark.parametrize("at", ["start", "later"])
@pytest.mark.usefixtures("no_figures")
def test_a_first_interrupt_keeps_the_steps_that_are_done(folder, capsys, monkeypatch, at):
    monkeypatch.setattr("napari_convgen.run.task.STATUS_SECONDS", 0)
    advance = SpectrumTask.__iter__

    def interrupted(self):
        for progress in advance(self):
            if progress.step == (0 if at == "start" else 2):
                signal.raise_signal(signal.SIGINT)
            yield progress

    monkeypatch.setattr(SpectrumTask, "__iter__", interrupted)
    assert run("--at-step", "0", "2") == 130
    printed, complaint = capsys.readouterr()
    assert (folder / "out/vectors-step0.tif").exists() == (at == "later")
    assert not (folder / "out/vectors-step2.tif").exists()
    assert ("1 of 2 steps were not looked at." in printed) == (at == "later")
    assert ("aborted" in complaint) == (at == "start")
