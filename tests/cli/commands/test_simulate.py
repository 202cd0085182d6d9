import numpy as np
import pytest
import tifffile

from napari_convgen import cli, simulate
from napari_convgen.files.images import read_image

QUICK = [
    "--preset",
    "deep-decoder",
    "--set",
    "generator.n_channels=4",
    "generator.n_scales=1",
    "--steps",
    "3",
    "--quiet",
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:32, :28]
    truth = (100 + 60 * np.sin(x / 5) * np.cos(y / 4)).astype(np.float32)
    tifffile.imwrite("truth.tif", truth, imagej=True, resolution=(10, 5), metadata={"unit": "micron"})
    return tmp_path


@pytest.mark.parametrize(
    ("problem", "options", "inputs", "written"),
    [
        ("inpaint", ["--missing", "0.3", "--noise", "2"], {"missing": 0.3, "noise": 2}, ["--write-mask", "--mask"]),
        ("deblur", ["--sigma", "0.8", "--photons", "90"], {"sigma": 0.8, "photons": 90}, ["--write-psf", "--psf"]),
        ("enlarge", ["--factor", "2", "--seed", "3"], {"factor": 2, "seed": 3}, []),
    ],
)
def test_a_truth_is_measured_reconstructed_and_scored(folder, capsys, problem, options, inputs, written):
    files = [written[0], "with.tif"] if written else []
    assert cli.main(["simulate", "truth.tif", "-o", "measured.tif", "--problem", problem, *options, *files]) == 0
    assert capsys.readouterr().out.endswith(f"Wrote measured.tif{', with.tif' * bool(files)}.\n")
    measured, made = read_image("measured.tif"), simulate(read_image("truth.tif").image, problem=problem, **inputs)
    np.testing.assert_array_equal(measured.data, made.measurement.data)
    assert measured.calibration[0] == pytest.approx((0.4, 0.2) if problem == "enlarge" else (0.2, 0.1))
    if files:
        values = made.psf.data if problem == "deblur" else 255 * made.is_missing.data
        np.testing.assert_array_equal(read_image("with.tif").data, values)
        assert read_image("with.tif").calibration[0] == pytest.approx((0.2, 0.1))
    words = ["reconstruct", "measured.tif", "-o", "out.tif", "--problem", problem, "--reference", "truth.tif", *QUICK]
    assert cli.main([*words, *([written[1], "with.tif"] if written else [])]) == 0
    assert read_image("out.tif").calibration[0] == pytest.approx((0.2, 0.1))


@pytest.mark.parametrize("given", ["--measured 0.3 --seed 2", "--patterns patterns.tif"])
def test_sums_of_pixels_are_written_and_made_an_image_again(folder, given):
    patterns = np.random.default_rng(0).integers(0, 2, (300, 32, 28)).astype(np.uint8)
    tifffile.imwrite("patterns.tif", patterns)
    inputs = {"measured": 0.3, "seed": 2} if "--seed" in given else {"patterns": patterns}
    assert cli.main(["simulate", "truth.tif", "-o", "sums.tif", "--problem", "sensing", *given.split()]) == 0
    made = simulate(read_image("truth.tif").image, problem="sensing", **inputs)
    np.testing.assert_array_equal(read_image("sums.tif").data.ravel(), made.measurement.data.ravel())
    size = given.split() if "patterns" in inputs else ["--rows", "32", "--columns", "28"]
    words = ["reconstruct", "sums.tif", "-o", "out.tif", "--problem", "sensing", "--reference", "truth.tif", *QUICK]
    assert cli.main([*words, *size, "--snapshots", "steps.tif"]) == 0
    assert (read_image("out.tif").axes, tifffile.imread("steps.tif").shape) == ("YX", (3, 32, 28))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("--problem inpaint", "the following arguments are required: -o/--output"),
        ("--problem inpaint -o truth.tif", "--output and TRUTH are the same file"),
        ("--problem inpaint -o out.png", "out.png cannot hold float32 values"),
        ("--problem inpaint -o out.tif --write-psf psf.tif", "--write-psf is for the problem 'deblur'"),
        ("--problem inpaint -o out.tif --write-mask mask.txt", "mask.txt must end in .tif or .tiff or .png"),
        ("--problem deblur -o out.tif --photons 5 --noise 2", "not allowed with argument --photons"),
        ("--problem deblur -o out.tif --photons few", "argument --photons: invalid float value"),
        ("--problem deblur -o out.tif --psf nowhere.tif", "nowhere.tif does not exist"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, arguments, sentence):
    before = sorted(folder.iterdir())
    assert cli.main(["simulate", "truth.tif", *arguments.split()]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, complaint.count("\n")) == ("", 1)
    assert sentence in complaint
    assert sorted(folder.iterdir()) == before
