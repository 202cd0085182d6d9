import json
import signal

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from napari_convgen import cli
from napari_convgen.cli.commands import reconstruct as command
from napari_convgen.config import preset
from napari_convgen.files.images import read_image
from napari_convgen.run.reconstruct.problems import PROBLEMS
from napari_convgen.run.reconstruct.run import ReconstructTask, reconstruct
from napari_convgen.run.setup import forecast

SMALL = {"generator.n_channels": "4", "generator.n_scales": "1", "n_restarts": "0", "n_threads": "1"}
QUICK = ["--preset", "deep-decoder", "--set", *(f"{name}={value}" for name, value in SMALL.items()), "--steps", "6"]
MICROSCOPE = ["--na", "1.2", "--wavelength", "600", "--refractive-index", "1.33"]


@pytest.fixture
def truth():
    y, x = np.mgrid[:32, :28]
    return (100 + 60 * np.sin(x / 5) * np.cos(y / 4)).astype(np.float32)


@pytest.fixture
def folder(tmp_path, monkeypatch, truth):
    """The working directory, with a measurement of 0.1 × 0.1 µm pixels, masks and point spread functions in it."""
    monkeypatch.chdir(tmp_path)
    noisy = np.rint(truth + np.random.default_rng(0).normal(0, 3, truth.shape)).astype(np.uint16)
    calibrated = {"imagej": True, "resolution": (10, 10)}
    tifffile.imwrite("image.tif", noisy, **calibrated, metadata={"unit": "micron"})
    tifffile.imwrite("truth.tif", truth, photometric="minisblack")
    tifffile.imwrite("large.tif", np.kron(truth, np.ones((2, 2), np.float32)), photometric="minisblack")
    tifffile.imwrite("plain.tif", noisy, photometric="minisblack")
    tifffile.imwrite("stack.tif", np.stack([noisy, noisy[::-1]]), photometric="minisblack")
    mask = (np.random.default_rng(1).random(truth.shape) < 0.3).astype(np.uint8)
    PillowImage.fromarray(255 * mask).save("mask.png")
    for name, values in (("small", mask[1:]), ("all", mask | 1), ("none", 0 * mask)):
        tifffile.imwrite(f"{name}.tif", values, photometric="minisblack")
    one_left = np.ones_like(mask)
    one_left[3, 4] = 0
    tifffile.imwrite("one_left.tif", one_left, photometric="minisblack")
    y, x = np.mgrid[-3:4, -3:4]
    psf = np.exp(-(x**2 + y**2) / 2).astype(np.float32)
    aside = np.pad(psf, ((0, 4), (0, 0)))
    odd = {
        "psf": psf,
        "aside": aside,
        "negative": psf - 0.5,
        "constant": 0 * psf + 3,
        "wide": np.pad(psf, 20, mode="edge"),
        "nan": np.where(psf == 1, np.nan, psf),
    }
    for name, values in odd.items():
        tifffile.imwrite(f"{name}.tif", values.astype(np.float32), photometric="minisblack")
    tifffile.imwrite("psf_200nm.tif", psf, imagej=True, resolution=(5, 5), metadata={"unit": "micron"})
    return tmp_path


def run(*arguments, input="image.tif", output="out.tif"):
    assert cli.main(["reconstruct", input, "-o", output, "--force", *QUICK, *arguments]) == 0
    return tifffile.imread(output)


def test_the_problems_are_all_named():
    assert all(f"{problem} (" in command.PROBLEMS for problem in PROBLEMS)


@pytest.mark.parametrize(
    ("arguments", "inputs"),
    [
        (["--problem", "inpaint", "--mask", "mask.png"], {"is_missing": "mask.png"}),
        (["--problem", "deblur", "--psf", "psf.tif"], {"psf": "psf.tif"}),
        (["--problem", "deblur", "--sigma", "0.8", "--seed", "3"], {"sigma": 0.8, "seed": 3}),
        (
            ["--problem", "deblur", *MICROSCOPE],
            {"numerical_aperture": 1.2, "wavelength": 600, "refractive_index": 1.33},
        ),
        (["--problem", "enlarge", "--set", "operator.factor=3"], {"factor": 3}),
    ],
)
def test_the_result_is_that_of_python_bit_for_bit_and_the_report_repeats_it(folder, arguments, inputs, capsys):
    image = run(*arguments, "--report", "report.json")
    inputs = {name: read_image(value).image.data if isinstance(value, str) else value for name, value in inputs.items()}
    result = reconstruct(
        read_image("image.tif").image,
        preset("deep-decoder").replace(SMALL),
        problem=arguments[1],
        n_steps=6,
        **inputs,
    )
    np.testing.assert_array_equal(image, result.image)
    assert image.dtype == np.float32
    assert "The image is float32" in capsys.readouterr().out
    assert json.loads((folder / "report.json").read_text())["config"] == result.config.model_dump()
    files = [word for option in ("--mask", "--psf") if option in arguments for word in (option, arguments[3])]
    words = ["reconstruct", "image.tif", "-o", "again.tif", *arguments[:2], *files, "--config", "report.json"]
    assert cli.main([*words, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    np.testing.assert_array_equal(tifffile.imread("again.tif"), image)


def test_the_report_and_the_summary_tell_the_run(folder, capsys):
    files = ["--report", "report.json", "--snapshots", "steps.tif"]
    run("--problem", "enlarge", "--reference", "large.tif", "--data-range", "100", *files)
    report = json.loads((folder / "report.json").read_text())
    assert report["curves"]["step"] == [1, 2, 3, 4, 5, 6]
    assert (report["problem"], report["pixel_ratio"], report["dtype"]) == ("enlarge", [2, 2], "float32")
    assert report["psnr_by_step"]["step"] == report["curves"]["step"]
    printed, progress = capsys.readouterr()
    assert f"\nPSNR {report['psnr']:.2f} dB, SSIM {report['ssim']:.3f}, data range 100.\n" in printed
    assert "\nThe image is float32, 64 × 56 values (YX).\n" in printed
    assert printed.endswith("Wrote out.tif, steps.tif, report.json.\n")
    assert progress.startswith("step 1/6  loss ")
    with tifffile.TiffFile("steps.tif") as file:
        assert file.imagej_metadata["Labels"] == [f"step {step}" for step in range(1, 7)]
        assert file.asarray().shape == (6, 64, 56)
        assert file.pages[0].resolution == (20, 20)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--problem", "inpaint", "--mask", "mask.png"],
        ["--problem", "deblur", "--sigma", "0.8"],
        ["--problem", "enlarge", "--factor", "2"],
    ],
)
def test_a_classical_image_is_written_beside_the_result(folder, arguments, capsys):
    image = run(*arguments, "--baseline", "classical.tif")
    assert "Wrote out.tif, classical.tif." in capsys.readouterr().out
    given = {"sigma": 0.8} if "deblur" in arguments else {"factor": 2} if "enlarge" in arguments else {}
    if "inpaint" in arguments:
        given["is_missing"] = read_image("mask.png").image.data
    config = preset("deep-decoder").replace(SMALL)
    task = ReconstructTask(read_image("image.tif").image, config, problem=arguments[1], **given)
    classical = tifffile.imread("classical.tif")
    np.testing.assert_array_equal(classical, task.baseline())
    assert classical.shape == image.shape


def test_an_axis_of_length_one_stays(folder, truth):
    tifffile.imwrite("one.tif", truth[None], metadata={"axes": "TYX"})
    for problem in ("inpaint", "enlarge"):
        given = ["--mask", "mask.png"] if problem == "inpaint" else []
        image = run("--axes", "TYX", "--problem", problem, *given, "--snapshots", "steps.tif", input="one.tif")
        assert image.squeeze().shape == ((32, 28) if problem == "inpaint" else (64, 56))


def test_colors_are_enlarged_without_their_alpha(folder, truth):
    colors = np.stack([truth, truth[::-1], truth[:, ::-1], 0 * truth + 255], -1).astype(np.uint8)
    tifffile.imwrite("colors.tif", colors, photometric="rgb", extrasamples=["unassalpha"])
    assert run("--problem", "enlarge", input="colors.tif").shape == (64, 56, 3)


BAD = {
    "--problem sharpen": "There is no problem 'sharpen'. The problems are inpaint, deblur, enlarge",
    "": "the following arguments are required: --problem",
    "--problem inpaint": "There is nothing to fill in: give a mask",
    "--problem inpaint --mask small.tif": "The mask must have the shape of the image: expected (32, 28), got (31, 28)",
    "--problem inpaint --mask all.tif": "The mask marks every pixel",
    "--problem inpaint --mask none.tif": "The mask marks no pixel",
    "--problem inpaint --mask one_left.tif": "The image is constant: all its values are the same",
    "--problem inpaint --mask missing.tif": "missing.tif does not exist",
    "--problem inpaint --mask mask.png --factor 2": "takes no factor. Choose the problem 'enlarge'",
    "--problem enlarge --mask mask.png": "takes no mask of the missing pixels (is_missing). Choose the problem 'inpaint'",
    "--problem deblur --psf negative.tif": "The point spread function has negative values",
    "--problem deblur --psf constant.tif": "The point spread function is constant, 3",
    "--problem deblur --psf wide.tif": "must not be larger than the image: expected at most (32, 28) pixels",
    "--problem deblur --psf nan.tif": "The point spread function has values that are infinite or not a number",
    "--problem deblur --psf stack.tif": "must have the spatial axes of the image: expected 2 axes, got 3 axes",
    "--problem deblur --psf psf_200nm.tif": "distance between pixels along Y: expected 0.1 micrometers, got 0.2",
    "--problem deblur --psf psf.tif --na 1.2": "(psf) takes the place of operator.numerical_aperture",
    "--problem deblur --sigma 5": "must not be larger than the image",
    "--problem deblur --sigma wide": "operator.sigma cannot be 'wide': input should be a valid number",
    "--problem deblur --na 1.4 --refractive-index 1.33": "below the refractive index 1.33, got 1.4",
    "--problem deblur --wavelength 0.52": "operator.wavelength cannot be '0.52': input should be greater than or equal to 200. Wavel",
    "--problem deblur --wavelength 520e-9": "Wavelength of the emitted light in vacuum, in nanometers",
    "--problem deblur --na 1.4 --pixel-size 65": "Pixels are 65 micrometers apart, and a point's image is 0.453",
    "plain.tif --problem deblur --na 1.4": "the image does not know it in a unit of length. Give operator.pixel_size in micrometers",
    "stack.tif --problem enlarge": "A reconstruction is that of a single image, got 2 frames",
    "stack.tif --axes ZYX --problem enlarge": "Choose one of them. Or set z_axis to 'volume'",
    "stack.tif --axes ZYX --set z_axis=volume --problem deblur --na 1 --pixel-size 0.1": "Give operator.z_step in micro",
    "--problem enlarge --factor 1": "operator.factor cannot be '1'",
    "--problem enlarge --reference truth.tif": "The reference must have the shape of the image: expected (64, 56), got (32,",
    "--problem enlarge --preset deep-decoder --stopping sure": "holds for denoising only",
    "--problem enlarge --factor 16": "The fit needs about",
    "--problem enlarge -o out.png": "out.png cannot hold float32 values",
    "--problem enlarge -o image.tif": "--output and INPUT are the same file",
    "--problem enlarge --baseline image.tif": "--baseline and INPUT are the same file",
    "--problem inpaint --mask mask.png --snapshots mask.png": "cannot hold a stack",
    "--problem inpaint --mask small.tif --report run.txt": "The mask must have",
    "--problem inpaint --mask mask.png --report run.txt": "run.txt must end in .json",
    "--problem deblur --psf psf.tif --snapshots psf.tif": "--snapshots and --psf are the same file",
    "--problem inpaint --mask mask.png --config run.json --preset quick": "--config is complete",
}


@pytest.mark.parametrize("arguments", BAD)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, monkeypatch, arguments):
    monkeypatch.setattr(ReconstructTask, "__iter__", lambda self: pytest.fail("a fit was started"))
    if "--factor 16" in arguments:
        monkeypatch.setattr(forecast, "free_bytes", lambda device: 2**20)
    words = arguments.split()
    image = [] if words[:1] in (["plain.tif"], ["stack.tif"]) else ["image.tif"]
    output = [] if "-o" in words else ["-o", "out.tif"]
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert cli.main(["reconstruct", *image, *words, *output]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, complaint.count("\n")) == ("", 1)
    assert BAD[arguments] in complaint
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_point_spread_function_off_center_is_moved_and_this_is_said(folder, capsys):
    image = run("--problem", "deblur", "--psf", "aside.tif")
    assert "Note: The point spread function was off center: it was moved by (2, 0) pixels" in capsys.readouterr().out
    np.testing.assert_allclose(run("--problem", "deblur", "--psf", "psf.tif"), image, rtol=1e-4)


def test_a_forecast_writes_nothing(folder, capsys):
    before = set(folder.iterdir())
    assert cli.main(["reconstruct", "image.tif", "--problem", "enlarge", "--dry-run", *QUICK]) == 0
    assert "for 6 steps" in capsys.readouterr().out
    assert set(folder.iterdir()) == before
    assert cli.main(["reconstruct", "image.tif", "--problem", "enlarge"]) == 2
    assert "--output is missing: name the file for the reconstructed image" in capsys.readouterr().err


def test_an_interrupt_ends_the_fit_and_writes_the_best_so_far(folder, capsys, monkeypatch):
    advance = ReconstructTask.__iter__

    def interrupted(self):
        for i, progress in enumerate(advance(self)):
            if i == 0:
                signal.raise_signal(signal.SIGINT)
            yield progress

    monkeypatch.setattr(ReconstructTask, "__iter__", interrupted)
    words = ["reconstruct", "image.tif", "-o", "out.tif", "--problem", "enlarge", *QUICK, "--steps", "1000000"]
    assert cli.main(words) == 130
    assert "Stopped by the user at step " in capsys.readouterr().out
    assert tifffile.imread("out.tif").shape == (64, 56)


def test_the_help_says_which_problem_has_a_setting_and_its_default_there(capsys):
    with pytest.raises(SystemExit):
        cli.main(["reconstruct", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "for deblur and phase: numerical aperture" in text
    assert "settings, 1.4 for deblur, 0.5 for phase)" in text
    assert (
        "for deblur: wavelength of the emitted light in vacuum, in nanometers; for phase: wavelength of the light"
        in text
    )
    assert "for enlarge: means over" in text
