"""``simulate`` and ``reconstruct`` of a phase, from file to file."""

import json

import numpy as np
import pytest
import tifffile

from napari_convgen import cli, simulate
from napari_convgen.core.image import Image
from napari_convgen.files.images import new_image, read_image, write_image

SMALL = {"generator.n_channels": "4", "generator.n_scales": "1", "n_threads": "1"}
QUICK = ["--preset", "deep-decoder", "--steps", "4", "--set", *(f"{name}={value}" for name, value in SMALL.items())]


def test_a_phase_goes_from_file_to_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    y, x = np.mgrid[:24, :22]
    truth = 0.8 * np.exp(-((y - 11) ** 2 + (x - 9) ** 2) / 18).astype(np.float32)
    tifffile.imwrite("truth.tif", truth, imagej=True, resolution=(5, 5), metadata={"unit": "micron"})
    words = ["--problem", "phase", "--planes", "3", "--z-step", "2", "--aberrations", "0.3", "--photons", "500"]
    assert cli.main(["simulate", "truth.tif", "-o", "stack.tif", *words, "--quiet"]) == 0
    stack = read_image("stack.tif")
    assert (stack.axes, stack.data.shape) == ("ZYX", (3, 24, 22))
    np.testing.assert_allclose(stack.image.scale, (2, 0.2, 0.2))
    words = ["--problem", "phase", "--zernikes", "1", "--starts", "1", "--reference", "truth.tif", "--report", "r.json"]
    assert cli.main(["reconstruct", "stack.tif", "-o", "phase.tif", *words, *QUICK]) == 0
    phase = read_image("phase.tif")
    assert (phase.axes, phase.data.shape, phase.data.dtype) == ("YX", (24, 22), np.float32)
    np.testing.assert_allclose(phase.image.scale, (0.2, 0.2))
    report = json.loads((tmp_path / "r.json").read_text())
    assert len(report["zernikes"]) == 1
    assert report["psnr"] > 5
    assert "The aberrations that were found are" in capsys.readouterr().out


def test_lights_that_are_no_numbers_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite(
        "stack.tif", np.eye(20, dtype=np.float32) + np.zeros((3, 1, 1), np.float32), photometric="minisblack"
    )
    (tmp_path / "lights.csv").write_text("0, 0\n0.2, left\n")
    words = ["--problem", "phase", "--lights", "lights.csv", "--dry-run"]
    assert cli.main(["reconstruct", "stack.tif", *words]) == 2
    assert "Write two numbers in each row" in capsys.readouterr().err


@pytest.mark.usefixtures("no_figures")
def test_what_a_stack_shows_of_a_generator_is_written(tmp_path, monkeypatch):
    """The vectors as images of the phase with its pixels, the fits to the stack and to noise, and the stack and the noise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("napari_convgen.core.phase.calibration.N_STEPS", 4)
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(f"napari_convgen.run.spectrum.run.{name}", 4)
    y, x = np.mgrid[:18, :17]
    truth = Image(0.8 * np.exp(-((y - 8) ** 2 + (x - 7) ** 2) / 12), "YX", (0.2, 0.2), ("micrometer",) * 2)
    made = simulate(truth, problem="phase", n_planes=3, z_step=2.0, photons=500)
    write_image("stack.tif", np.asarray(made.measurement.data), new_image(made.measurement))
    words = ["--problem", "phase", "--zernikes", "0", "--starts", "1", "--set", *QUICK[5:]]
    assert cli.main(["spectrum", "stack.tif", "-o", "vectors", "--rank", "4", *words]) == 0
    vectors = read_image("vectors/vectors-step0.tif")
    assert vectors.data.shape == (4, 18, 17)
    np.testing.assert_allclose(vectors.image.scale[-2:], (0.2, 0.2))
    assert tifffile.imread("vectors/projections-step0.tif").mean(axis=(1, 2)) == pytest.approx(0, abs=1e-5)
    assert cli.main(["compare-fits", "stack.tif", "-o", "fits", "--steps", "3", *words]) == 0
    assert tifffile.imread("fits/image.tif").shape == (3, 18, 17)
    targets = tifffile.imread("fits/targets.tif")
    assert targets.shape == (2, 3, 18, 17)
    np.testing.assert_allclose(targets[0], made.measurement.data, rtol=1e-3)
