import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_convgen
from napari_convgen import PRESETS, Config, cli
from napari_convgen.run.denoise.run import DenoiseTask, denoise

SMALL = {"generator.n_channels": "4", "generator.n_scales": "1", "n_restarts": "0"}
SET = ["--preset", "deep-decoder", "--set", *(f"{name}={value}" for name, value in SMALL.items())]
QUICK = [*SET, "--stopping", "fixed", "--steps", "6"]


@pytest.fixture
def clean():
    y, x = np.mgrid[:24, :20]
    return (100 + 60 * np.sin(x / 5) * np.cos(y / 4)).astype(np.uint8)


@pytest.fixture
def noisy(clean):
    noise = np.random.default_rng(0).normal(0, 15, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch, clean, noisy):
    """The working directory, with images in it."""
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("noisy.tif", noisy, imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    tifffile.imwrite("clean.tif", clean, photometric="minisblack")
    tifffile.imwrite("stack.tif", np.stack([noisy, noisy.T.reshape(noisy.shape)]), photometric="minisblack")
    tifffile.imwrite("float.tif", noisy.astype(np.float32), photometric="minisblack")
    Image.fromarray(noisy).save("noisy.png")
    return tmp_path


def denoised(*arguments, input="noisy.tif", output="out.tif"):
    assert cli.main(["denoise", input, "-o", output, "--force", *arguments]) == 0
    return tifffile.imread(output)


def run_program(*arguments):
    words = [sys.executable, "-m", "napari_convgen.cli", *arguments]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_result_is_that_of_python_bit_for_bit(folder, noisy, capsys):
    image = denoised(*SET, "--seed", "3", "--steps", "40", "--report", "report.json")
    config = Config().replace(SMALL)
    result = denoise(noisy, config, seed=3, n_steps=40)
    np.testing.assert_array_equal(image, result.image)
    assert image.dtype == noisy.dtype
    assert not np.array_equal(image, noisy)
    assert json.loads((folder / "report.json").read_text())["config"] == result.config.model_dump()
    with tifffile.TiffFile("out.tif") as file:
        assert file.imagej_metadata["unit"] == "um"
        assert file.pages[0].resolution == (4, 5)


def test_the_configuration_of_a_run_reproduces_it(folder, capsys):
    first = denoised(*QUICK, "--seed", "7", "--report", "report.json")
    np.testing.assert_array_equal(denoised("--config", "report.json", output="again.tif"), first)
    config = Config.from_file("report.json")
    (folder / "run.toml").write_text(config.to_toml())
    np.testing.assert_array_equal(denoised("--config", "run.toml", output="again.tif"), first)
    assert not np.array_equal(denoised("--config", "run.toml", "--seed", "8", output="again.tif"), first)


def test_options_have_the_last_word(folder, capsys):
    (folder / "run.toml").write_text("n_steps = 5\nseed = 5\n[generator]\nn_lessons = 4\n[stopping]\nkind = 'fixed'\n")
    written = ["--config", "run.toml", "--set", "seed=6", "n_steps=4", "--set", "n_restarts=1", "--steps", "3"]
    denoised(*written, "--report", "report.json")
    config = json.loads((folder / "report.json").read_text())["config"]
    assert (config["n_steps"], config["seed"], config["n_restarts"], config["generator"]["n_lessons"]) == (3, 6, 1, 4)
    denoised(*QUICK, "--preset", "paper-narrow", "--device", "cpu", "--stopping", "held-out", "--report", "report.json")
    config = json.loads((folder / "report.json").read_text())["config"]
    assert (config["output"], config["device"], config["stopping"]["kind"]) == ("iterate", "cpu", "held-out")


def test_the_report_and_the_summary_tell_the_run(folder, capsys):
    denoised(*QUICK, "--reference", "clean.tif", "--report", "report.json", "--snapshots", "steps.tif")
    report = json.loads((folder / "report.json").read_text())
    keys = "config versions seed device backend step reason curves seconds seconds_per_step"
    assert set(keys.split()) <= set(report)
    scores = "psnr ssim input_psnr input_ssim data_range psnr_by_step best_step best_psnr"
    assert set(scores.split()) <= set(report)
    assert report["input"]["path"] == "noisy.tif"
    assert len(report["input"]["sha256"]) == 64
    assert report["curves"]["step"] == [1, 2, 3, 4, 5, 6]
    assert report["curves"]["criterion"] == [None] * 6
    assert report["data_range"] == 255

    printed, progress = capsys.readouterr()
    lines = printed.splitlines()
    assert lines[0] == "Kept step 6. All 6 steps were taken; step 6 is kept."
    assert lines[1].startswith("Gaussian noise of standard deviation ")
    assert lines[2].startswith(f"PSNR from {report['input_psnr']:.2f} to {report['psnr']:.2f} dB, SSIM from ")
    assert lines[2].endswith("data range 255.")
    assert lines[3].startswith("Fitted 6 steps in ")
    assert lines[4] == "Wrote out.tif, steps.tif, report.json."
    assert len(lines) == 5
    assert progress.splitlines()[0].startswith("step 1/6  loss 0.")

    with tifffile.TiffFile("steps.tif") as file:
        assert file.imagej_metadata["Labels"] == [f"step {step}" for step in range(1, 7)]
        np.testing.assert_array_equal(file.asarray()[-1], tifffile.imread("out.tif"))


def test_the_expected_error_is_written_and_the_estimated_quality_told(folder, capsys):
    denoised(
        *QUICK[:-4], "--stopping", "auto", "--steps", "60", "--expected-error", "error.tif", "--report", "report.json"
    )
    error = tifffile.imread("error.tif")
    assert (error.dtype, error.shape) == (np.float32, tifffile.imread("noisy.tif").shape)
    assert (error > 0).all()
    report = json.loads((folder / "report.json").read_text())
    estimate = report["estimated_psnr"]
    line = f"Estimated PSNR {estimate['psnr']:.1f} ± {estimate['deviation']:.1f} dB, data range {estimate['data_range']:g}."
    assert line in capsys.readouterr().out.splitlines()
    assert set(report["votes"][0]) >= {"held-out", "running-variance"}
    assert report["noise"][0]["kind"] == "gaussian"


def test_the_expected_error_of_a_single_generator_is_refused(folder, capsys):
    assert cli.main(["denoise", "noisy.tif", "-o", "out.tif", "--expected-error", "e.tif", "--set", "n_seeds=1"]) == 2
    assert "n_seeds must be at least 2, got 1" in capsys.readouterr().err
    words = ["--preset", "quick", "--set", "n_seeds=2"]
    assert cli.main(["denoise", "noisy.tif", "-o", "out.tif", "--expected-error", "e.tif", *words]) == 2
    assert "none is fitted" in capsys.readouterr().err


def test_the_data_range_of_the_scores_can_be_given(folder, capsys):
    denoised(*QUICK, "--reference", "clean.tif", "--data-range", "100", "--report", "report.json")
    assert json.loads((folder / "report.json").read_text())["data_range"] == 100


def test_quiet_prints_nothing(folder, capfd):
    denoised(*QUICK, "--quiet")
    assert capfd.readouterr() == ("", "")


def test_notes_are_printed(folder, capsys, noisy):
    holes = noisy.astype(np.float32)
    holes[3, 4:6] = np.nan
    with tifffile.TiffWriter("holes.tif") as writer:
        writer.write(holes, photometric="minisblack")
        writer.write(noisy[:9, :9], photometric="minisblack")
    image = denoised(*QUICK, input="holes.tif")
    assert np.isfinite(image).all()
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith(
        "Note: holes.tif holds 2 images (0: 24 × 20 float32 YX, 1: 9 × 9 uint8 YX); number 0 is read. --series"
    )
    assert lines[3].startswith("Note: 2 missing (NaN) pixels")
    assert denoised(*QUICK, "--series", "1", input="holes.tif").shape == (9, 9)
    assert "number 1 is read" in capsys.readouterr().out


def test_a_reference_is_one_of_several_images_of_its_file(folder, capsys, noisy):
    with tifffile.TiffWriter("clean.tif") as writer:
        writer.write(noisy[:9, :9], photometric="minisblack")
        writer.write(noisy, photometric="minisblack")
    denoised(*QUICK, "--reference", "clean.tif", "--reference-series", "1")
    out = capsys.readouterr().out
    assert "clean.tif holds 2 images (0: 9 × 9 uint8 YX, 1: 24 × 20 uint8 YX); number 1 is read." in out
    assert "PSNR from" in out
    assert cli.main(["denoise", "noisy.tif", "-o", "new.tif", "--reference", "clean.tif"]) == 2
    assert "must have the shape of the image: expected (24, 20), got (9, 9)" in capsys.readouterr().err


def test_stacks_are_gone_through_frame_by_frame(folder, capsys):
    image = denoised(*QUICK, "--axes", "tyx", "--report", "report.json", "--snapshots", "steps.tif", input="stack.tif")
    assert image.shape == (2, 24, 20)
    assert json.loads((folder / "report.json").read_text())["axes"] == "TYX"
    assert capsys.readouterr().err.startswith("frame 1/2  step 1/6  loss ")
    with tifffile.TiffFile("out.tif") as file:
        assert file.series[0].axes == "TYX"
    assert tifffile.imread("steps.tif").shape == (6, 2, 24, 20)


def test_png_comes_in_and_goes_out(folder, noisy, capsys):
    assert cli.main(["denoise", "noisy.png", "-o", "out.png", *QUICK]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open("out.png")), denoised(*QUICK))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("denoise noisy.tif", "--output is missing: name the file for the denoised image, or give --dry-run"),
        ("denoise noisy.tif -o out.tif --speed 3", "unrecognized arguments: --speed 3"),
        ("denoise noisy.tif -o out.tif --data-range wide", "argument --data-range: invalid float value: 'wide'"),
        ("denoise missing.tif -o out.tif", "missing.tif does not exist"),
        (
            "denoise noisy.tif float.tif -o out.tif",
            "takes one image, got 2. To denoise several: napari-convgen batch noisy.tif float.tif --output FOLDER",
        ),
        ("denoise *.png -o out.tif", "match a pattern: napari-convgen batch '*.png' --output FOLDER"),
        ("denoise noisy.tif -o out.tif --set frames.fit=volume", "are fitted as one volume with z_axis = 'volume'"),
        (
            "denoise noisy.tif -o out.tif --series 1",
            "noisy.tif holds 1 image (0: 24 × 20 uint8 YX), but none with the number 1",
        ),
        ("denoise noisy.tif -o out.tif --series one", "argument --series: invalid int value: 'one'"),
        ("denoise noisy.doc -o out.tif", "noisy.doc is of no known format: it must end in .tif,"),
        ("denoise noisy.tif -o noisy.tif", "--output and INPUT are the same file"),
        ("denoise noisy.tif -o ./a/../noisy.tif", "--output and INPUT are the same file"),
        ("denoise noisy.tif -o out.tif --reference link.tif", "--output and --reference are the same file"),
        ("denoise noisy.tif -o out.tif --snapshots out.tif", "--snapshots and --output are the same file"),
        ("denoise noisy.tif -o new.tif --snapshots a/../new.tif", "--snapshots and --output are the same file"),
        ("denoise noisy.tif -o new.tif --config run.json --report run.json", "--report and --config are the same file"),
        ("denoise noisy.tif -o out.doc", "out.doc must end in .tif or .tiff or .png or"),
        ("denoise noisy.tif -o missing/out.tif", "missing does not exist. Create it first."),
        ("denoise float.tif -o out.png", "out.png cannot hold float32 values"),
        ("denoise stack.tif -o out.png", "out.png cannot hold a stack with the axes QYX. Write a .tif instead."),
        ("denoise noisy.tif -o out.tif --snapshots steps.png", "steps.png cannot hold a stack"),
        ("denoise noisy.tif -o out.tif --report report.txt", "report.txt must end in .json."),
        ("denoise noisy.tif -o out.tif --axes ZYX", "axes must name each axis of the image once"),
        ("denoise noisy.tif -o new.tif --reference stack.tif", "The reference must have the shape of the image"),
        ("denoise noisy.tif -o new.tif --data-range 1", "got data_range = 1.0. Give the reference too"),
        ("denoise noisy.tif -o new.tif --reference-series 1", "there is none. Give --reference too"),
        ("denoise noisy.tif -o out.tif --preset good", "There is no preset 'good'"),
        ("denoise noisy.tif -o out.tif --preset paper --config run.toml", "--config is complete"),
        ("denoise noisy.tif -o out.tif --keep 0", "--keep must be a step, 1 or more, got 0"),
        ("denoise noisy.tif -o out.tif --config missing.toml", "missing.toml cannot be read"),
        ("denoise noisy.tif -o out.tif --set n_steps", "--set takes settings as KEY=VALUE, got 'n_steps'"),
        ("denoise noisy.tif -o out.tif --set colors=3", "There is no setting 'colors'"),
        ("denoise noisy.tif -o out.tif --seed one", "seed cannot be 'one'"),
        ("denoise noisy.tif -o out.tif --steps 0", "n_steps cannot be '0'"),
        ("denoise noisy.tif -o out.tif --stopping late", "stopping.kind cannot be 'late'"),
        ("denoise noisy.tif -o out.tif --device abacus", "device cannot be 'abacus'"),
        ("denoise noisy.tif -o new.tif --device cuda:99", "The device 'cuda:99' is not available"),
        ("new-config --preset good", "There is no preset 'good'"),
        ("new-config -o run.json", "run.json must end in .toml."),
        (
            "new-config -o run.toml",
            "run.toml exists already. Write to another place, or replace what is there with --force.",
        ),
        (
            "denoise noisy.tif -o out.tif",
            "out.tif exists already. Write to another place, or replace what is there with --force.",
        ),
        ("denoise noisy.tif -o out.tif --report run.json", "out.tif and 1 more of the outputs exist already."),
        ("denoise noisy.tif -o new.tif --report run.json", "run.json exists already."),
        ("denoise a -o new.tif", "To denoise all images of a folder: napari-convgen batch a --output FOLDER"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, monkeypatch, arguments, sentence):
    monkeypatch.setattr(DenoiseTask, "__iter__", lambda self: pytest.fail("a fit was started"))
    (folder / "run.toml").write_text("seed = 1")
    (folder / "run.json").write_text("{}")
    (folder / "out.tif").write_text("old")
    (folder / "a").mkdir()
    os.link("out.tif", "link.tif")
    if "link.tif" in arguments:
        (folder / "out.tif").write_bytes((folder / "clean.tif").read_bytes())
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert cli.main(arguments.split()) == 2
    printed, complaint = capsys.readouterr()
    assert printed == ""
    assert complaint.startswith("napari-convgen: ")
    assert sentence in complaint
    assert complaint.count("\n") == 1
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_what_fails_while_writing_leaves_no_half_file(folder, capsys, monkeypatch):
    def fill_disk(file, *data, **kwargs):
        if data:  # not when an image is only checked
            file.write(b"half")
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", fill_disk)
    before = sorted(os.listdir())
    assert cli.main(["denoise", "noisy.tif", "-o", "out.tif", "--quiet", *QUICK]) == 2
    assert (
        capsys.readouterr().err
        == "napari-convgen: out.tif cannot be written: No space left on device. Make room, or choose another folder.\n"
    )
    assert sorted(os.listdir()) == before


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot be sent SIGINT alone")
def test_interrupting_keeps_the_best_image_so_far(folder, noisy):
    outputs = ["-o", "out.tif", "--snapshots", "steps.tif", "--report", "report.json"]
    with run_program("denoise", "noisy.tif", *outputs, *QUICK, "--steps", "10000000") as program:
        assert program.stderr.readline().startswith("step 1/10000000")
        program.send_signal(signal.SIGINT)
        printed, complaint = program.communicate(timeout=30)
    assert program.returncode == 130
    assert "Traceback" not in complaint
    report = json.loads((folder / "report.json").read_text())
    assert report["outcome"] == "user"
    assert printed.startswith(f"Kept step {report['step']}. Stopped by the user at step ")
    image = tifffile.imread("out.tif")
    assert (image.shape, image.dtype) == (noisy.shape, noisy.dtype)
    with tifffile.TiffFile("steps.tif") as file:
        assert report["step"] in json.loads(file.imagej_metadata["steps"])
    assert not [name for name in os.listdir() if name.endswith(".tmp")]


def interrupt_at_first_step(monkeypatch, n_times):
    advance = DenoiseTask.__iter__

    def interrupted(self):
        for i, progress in enumerate(advance(self)):
            for _ in range(n_times if i == 0 else 0):
                signal.raise_signal(signal.SIGINT)
            yield progress

    monkeypatch.setattr(DenoiseTask, "__iter__", interrupted)


def test_a_first_interrupt_ends_the_run_a_second_one_aborts(folder, capsys, monkeypatch):
    before, handler = sorted(os.listdir()), signal.getsignal(signal.SIGINT)
    arguments = ["denoise", "noisy.tif", "-o", "out.tif", *QUICK, "--quiet"]
    with monkeypatch.context() as twice:
        interrupt_at_first_step(twice, 2)
        assert cli.main(arguments) == 130
    assert capsys.readouterr() == ("", "napari-convgen: aborted; no further file was written.\n")
    assert sorted(os.listdir()) == before
    interrupt_at_first_step(monkeypatch, 1)
    assert cli.main(arguments) == 130
    assert capsys.readouterr() == ("", "")
    assert "out.tif" in os.listdir()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_terminal_gets_a_bar(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    denoised(*QUICK)
    assert "━" in capsys.readouterr().err


def test_new_config_is_complete_and_commented(folder, capsys):
    assert cli.main(["new-config"]) == 0
    assert capsys.readouterr().out == PRESETS["default"].to_toml()
    assert cli.main(["new-config", "--preset", "paper", "-o", "paper.toml"]) == 0
    assert Config.from_file("paper.toml") == PRESETS["paper"]
    assert cli.main(["new-config", "-o", "paper.toml", "--force"]) == 0
    assert Config.from_file("paper.toml") == PRESETS["default"]


def test_help_loads_no_torch_and_the_version_is_told(folder):
    program = (
        "import sys, napari_convgen.cli as cli\ntry: cli.main([sys.argv[1]])\nfinally: print('torch' in sys.modules)"
    )
    for option, start in [("--help", "usage: napari-convgen"), ("-V", napari_convgen.__version__)]:
        words = [sys.executable, "-c", program, option]
        printed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        assert start in printed
        assert printed.endswith("False\n")


def test_a_dry_run_says_what_the_run_will_take_and_writes_nothing(folder, capsys):
    before = set(folder.iterdir())
    assert cli.main(["denoise", "noisy.tif", "--dry-run", *QUICK]) == 0
    printed, _ = capsys.readouterr()
    axes, noise, forecast = printed.splitlines()
    assert axes == "Axes YX, 24 × 20."
    assert "noise" in noise
    assert "of memory" in forecast
    assert forecast.endswith("for 6 steps, on cpu (numba, 1 thread).")
    assert cli.main(["denoise", "noisy.tif", "-o", "clean.tif", "--dry-run", *QUICK]) == 0
    assert set(folder.iterdir()) == before


@pytest.fixture
def levels(folder):
    """An image of few gray levels with a pixel size, as TIFF, OME-TIFF and PNG."""
    image = np.random.default_rng(0).integers(0, 4, (24, 20)).astype(np.uint8)
    tifffile.imwrite("levels.tif", image, imagej=True, resolution=(4, 5), metadata={"unit": "um"})
    tifffile.imwrite("levels.ome.tif", image, metadata={"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.2})
    Image.fromarray(image).save("levels.png")
    return folder


@pytest.mark.parametrize("name", ["levels.tif", "levels.ome.tif", "levels.png"])
def test_a_file_holds_fractions_and_says_so(levels, name, capsys):
    output = "out" + name.removeprefix("levels").replace(".png", ".tif")
    image = denoised(*QUICK, input=name, output=output)
    assert image.dtype == np.float32
    with tifffile.TiffFile(output) as file:
        assert file.ome_metadata is None or 'Type="float"' in file.ome_metadata
    assert "Note: The result is float32: rounding to uint8" in capsys.readouterr().out
    assert denoised(*QUICK, "--dtype", "same", input=name, output=output).dtype == np.uint8
    with tifffile.TiffFile(output) as file:
        assert file.is_ome == (".ome" in name)


def test_a_file_that_cannot_hold_fractions_is_refused_before_the_fit(levels, capsys):
    assert cli.main(["denoise", "levels.png", "-o", "out.png", *QUICK]) == 2
    message = capsys.readouterr().err
    assert "out.png cannot hold float32 values" in message
    assert ".tif" in message
    assert "--dtype same" in message
    assert not (levels / "out.png").exists()
    assert cli.main(["denoise", "levels.png", "-o", "out.png", *QUICK, "--dtype", "same"]) == 0
    assert "Note: The result is rounded" in capsys.readouterr().out


def test_a_comparison_of_images_with_fractions_is_written_as_tiff(levels):
    words = ["compare", "levels.png", "--methods", "nlm", "tv", *QUICK]
    assert cli.main([*words, "-o", "exact"]) == 0
    assert tifffile.imread("exact/nlm.tif").dtype == np.float32
    assert cli.main([*words, "-o", "rounded", "--dtype", "same"]) == 0
    assert np.asarray(Image.open("rounded/nlm.png")).dtype == np.uint8
