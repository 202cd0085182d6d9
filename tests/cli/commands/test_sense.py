"""Scans with several coils, from file to file."""

import json

import numpy as np
import pytest
import tifffile
from raw_data import header, write_fastmri

from napari_convgen import cli, compare_fits, read_kspace, reconstruct, simulate, spectrum
from napari_convgen.config import preset
from napari_convgen.core.image import Image
from napari_convgen.core.mri.simulation import equispaced, head, scan
from napari_convgen.errors import InputError
from napari_convgen.files.images import new_image, read_image, write_image

SIZE = (36, 32)
SMALL = {"generator.n_channels": "4", "generator.n_scales": "1", "n_restarts": "0", "n_threads": "1"}
QUICK = ["--preset", "deep-decoder", "--set", *(f"{name}={value}" for name, value in SMALL.items()), "--steps", "3"]


def write(path, values):
    write_image(path, values, new_image(Image(values, "CYX")))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with scans of two slices, of one, sensitivities, a mask, and a truth in it."""
    monkeypatch.chdir(tmp_path)
    scans = [scan(head(SIZE, i), equispaced(SIZE, 2, 12), n_coils=3, noise=0.005) for i in (1, 2)]
    slices = 1e-4 * np.stack([each.kspace for each in scans])
    write_fastmri("scan.h5", slices, xml=header(SIZE, (72.0, 32.0), wanted=72.0))
    write("scan.cfl", slices[1])
    write("few.cfl", slices[1] * equispaced(SIZE, 99, 6))
    write("maps.cfl", scans[1].coil_maps.astype(np.complex64))
    write("two_maps.cfl", scans[1].coil_maps[:2].astype(np.complex64))
    write("nan.cfl", np.where(np.arange(32) == 3, np.nan, slices[1]).astype(np.complex64))
    write("shifted.cfl", np.fft.fftshift(slices[1], (1, 2)))
    write("image.cfl", np.abs(slices[1]).astype(np.complex64))
    tifffile.imwrite("rows.tif", scans[1].is_sampled[:, :1].astype(np.uint8))
    tifffile.imwrite("short.tif", scans[1].is_sampled[1:].astype(np.uint8))
    tifffile.imwrite("truth.tif", 1e-4 * np.abs(scans[1].image).astype(np.float32))
    tifffile.imwrite("stack.tif", np.ones((2, *SIZE), np.float32) * np.arange(32))
    tifffile.imwrite("signed.tif", np.arange(-16, 16) * np.ones(SIZE, np.float32))
    return tmp_path


def test_the_magnitude_phase_and_sensitivities_are_those_of_python(folder, capsys):
    files = [
        "--phase",
        "phase.tif",
        "--write-coil-maps",
        "maps_out.cfl",
        "--report",
        "run.json",
        "--snapshots",
        "steps.tif",
    ]
    words = ["reconstruct", "scan.h5", "-o", "out.nii.gz", "--problem", "sense", "--slice", "1", *files, *QUICK]
    assert cli.main([*words, "--reference", "truth.tif"]) == 0
    file = read_kspace("scan.h5", 1)
    result = reconstruct(file.image, preset("deep-decoder").replace(SMALL), problem="sense", n_steps=3)
    image = read_image("out.nii.gz")
    np.testing.assert_array_equal(image.data, np.abs(result.image))
    assert image.calibration == ((2.0, 1.0), ("mm", "mm"))
    np.testing.assert_array_equal(read_image("phase.tif").data, np.angle(result.image))
    np.testing.assert_array_equal(read_kspace("maps_out.cfl").kspace, result.extras["coil_maps"])
    assert tifffile.imread("steps.tif").shape[1:] == SIZE
    printed, report = capsys.readouterr().out, json.loads((folder / "run.json").read_text())
    assert "-fold acceleration), as rows; 13 in the middle are for calibration" in printed
    assert "The image is float32, 36 × 32 values (YX)." in printed
    assert printed.endswith("Wrote out.nii.gz, phase.tif, maps_out.cfl, steps.tif, run.json.\n")
    assert report["psnr"] > 5
    assert (report["axes"], report["ssim"] <= 1) == ("YX", True)


def test_sensitivities_sampling_and_calibration_are_taken(folder, capsys):
    given = ["--coil-maps", "maps.cfl", "--sampling", "rows.tif", "--calibration", "8"]
    assert cli.main(["reconstruct", "scan.cfl", "-o", "out.tif", "--problem", "sense", *given, *QUICK]) == 0
    assert "; 8 in the middle are for calibration" in capsys.readouterr().out
    files = {"coil_maps": read_kspace("maps.cfl").kspace, "is_sampled": tifffile.imread("rows.tif"), "n_calibration": 8}
    expected = reconstruct(
        read_kspace("scan.cfl").image, preset("deep-decoder").replace(SMALL), problem="sense", n_steps=3, **files
    )
    np.testing.assert_array_equal(tifffile.imread("out.tif"), np.abs(expected.image))


def test_a_scan_is_simulated_reconstructed_and_scored(folder, capsys):
    options = ["--coils", "4", "--acceleration", "2", "--calibration", "10", "--noise", "2e-7", "--seed", "5"]
    files = ["-o", "made.cfl", "--write-coil-maps", "made_maps.cfl"]
    assert cli.main(["simulate", "truth.tif", "--problem", "sense", *files, *options]) == 0
    assert capsys.readouterr().out.endswith("Wrote made.cfl, made_maps.cfl.\n")
    truth, inputs = read_image("truth.tif").image, {"n_coils": 4, "acceleration": 2, "n_calibration": 10, "noise": 2e-7}
    made = simulate(truth, problem="sense", seed=5, **inputs)
    kspace = read_kspace("made.cfl").kspace
    np.testing.assert_array_equal(kspace, made.measurement.data)
    np.testing.assert_array_equal((kspace != 0).any(0), made.is_sampled.data)
    clean = simulate(truth, problem="sense", seed=5, **inputs | {"noise": None}).measurement.data
    assert np.std((kspace - clean)[:, made.is_sampled.data].real) == pytest.approx(2e-7, rel=0.1)
    np.testing.assert_array_equal(read_kspace("made_maps.cfl").kspace, made.coil_maps.data)
    words = ["reconstruct", "made.cfl", "-o", "out.tif", "--problem", "sense", "--reference", "truth.tif", *QUICK]
    assert cli.main(words) == 0
    assert "PSNR " in capsys.readouterr().out


@pytest.mark.parametrize("given", [{"coil_maps": np.ones((8, *SIZE))}, {"is_sampled": np.ones(SIZE)}])
def test_a_simulation_takes_no_sensitivities_and_no_mask(given):
    with pytest.raises(InputError, match="makes its own"):
        simulate(np.ones(SIZE) * np.arange(32), problem="sense", **given)


BAD = {
    "reconstruct scan.h5 --problem sense --slice 2": "has slices 0 to 1, and none with the number 2",
    "reconstruct scan.h5 --problem sense --series 1": "Use --slice for k-space of several slices",
    "reconstruct truth.tif --problem sense": "this looks like an image",
    "reconstruct image.cfl --problem sense": "this looks like an image",
    "reconstruct shifted.cfl --problem sense": "K-space has its origin at index 0",
    "reconstruct nan.cfl --problem sense": "infinite or not a number (NaN)",
    "reconstruct few.cfl --problem sense": "Sensitivities need at least 8 fully sampled lines in the middle of k-space, got 6.",
    "reconstruct scan.cfl --problem sense --calibration 20": "n_calibration must be 0 to 13",
    "reconstruct scan.cfl --problem sense --calibration few": "operator.n_calibration cannot be 'few'",
    "reconstruct scan.cfl --problem sense --coil-maps two_maps.cfl": "expected 3 coils of 36 × 32, got (2, 36, 32)",
    "reconstruct scan.cfl --problem sense --coil-maps scan.h5": "coil sensitivities of 2 slices, and k-space has 1",
    "reconstruct scan.cfl --problem sense --sampling short.tif": "(36, 1) for whole rows, (1, 32) for whole columns, got (35, 32)",
    "reconstruct scan.cfl --problem sense --factor 2": "takes no factor",
    "reconstruct scan.cfl --problem sense --mask rows.tif": "takes no mask of the missing pixels",
    "reconstruct scan.cfl --problem sense --write-coil-maps maps.tif": "maps.tif must end in .cfl",
    "reconstruct scan.cfl --problem sense --phase out.tif": "are the same file",
    "reconstruct scan.cfl --problem sense --coil-maps maps.cfl --write-coil-maps maps.cfl": "are the same file",
    "reconstruct truth.tif --problem enlarge --phase phase.tif": "--phase is for the problem 'sense'",
    "reconstruct truth.tif --problem enlarge --coil-maps maps.cfl": "--coil-maps is for the problem 'sense'",
    "reconstruct truth.tif --problem enlarge --calibration 8": "takes no n_calibration. Choose the problem 'sense'",
    "simulate truth.tif --problem sense": "out.tif must end in .cfl",
    "simulate stack.tif --problem sense -o k.cfl": "A simulation is that of a single image",
    "simulate signed.tif --problem sense -o k.cfl": "without negative values, got 1 channels with values from -16",
    "simulate truth.tif --problem sense -o k.cfl --photons 9": "K-space has no photons",
    "simulate truth.tif --problem sense -o k.cfl --coils 0": "n_coils must be a whole number from 1 to 128, got 0",
    "simulate truth.tif --problem sense -o k.cfl --calibration 40": "n_calibration must be at most 36",
    "simulate truth.tif --problem inpaint -o k.tif --acceleration 2": "acceleration is for the problem 'sense'",
    "simulate truth.tif --problem inpaint -o k.tif --write-coil-maps m.cfl": "--write-coil-maps is for the problem 'sense'",
}


@pytest.mark.parametrize("arguments", BAD)
def test_what_cannot_be_done_is_one_sentence_and_status_2(folder, capsys, arguments):
    words, before = arguments.split(), sorted(folder.iterdir())
    assert cli.main([*words, *(["-o", "out.tif"] if "-o" not in words else [])]) == 2
    printed, complaint = capsys.readouterr()
    assert (printed, complaint.count("\n")) == ("", 1)
    assert BAD[arguments] in complaint
    assert sorted(folder.iterdir()) == before


@pytest.mark.usefixtures("no_figures")
def test_the_vectors_of_a_scan_are_written_as_images_of_it(folder, monkeypatch, capsys):
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(f"napari_convgen.run.spectrum.run.{name}", 4)
    small = [f"{name}={value}" for name, value in SMALL.items() if name != "n_restarts"]
    words = ["--problem", "sense", "--slice", "1", "--calibration", "8", "--rank", "6", "--set", *small]
    assert cli.main(["spectrum", "scan.h5", "-o", "out", *words]) == 0
    config = preset("deep-decoder").replace(SMALL)
    result = spectrum(read_kspace("scan.h5", 1).image, config, problem="sense", n_calibration=8, rank=6)
    vectors = tifffile.imread("out/vectors-step0.tif")
    np.testing.assert_array_equal(vectors, [result.vector(number) for number in range(6)])
    assert vectors.shape == (6, 2, *SIZE)  # real and imaginary part
    projections = tifffile.imread("out/projections-step0.tif")
    np.testing.assert_allclose(projections, [np.abs(result.projection(n)) for n in (1, 2, 5, 6)], rtol=1e-6)
    assert sorted(path.name for path in folder.glob("out/*.tif")) == ["projections-step0.tif", "vectors-step0.tif"]
    assert "6 vectors hold" in capsys.readouterr().out


@pytest.mark.usefixtures("no_figures")
def test_fits_to_a_scan_and_to_noise_are_written_in_magnitudes(folder):
    given = ["--problem", "sense", "--coil-maps", "maps.cfl", "--sampling", "rows.tif", "--reference", "truth.tif"]
    assert cli.main(["compare-fits", "scan.cfl", "-o", "out", *given, *QUICK]) == 0
    kspace, maps, mask = (read_image(name).data for name in ("scan.cfl", "maps.cfl", "rows.tif"))
    config = preset("deep-decoder").replace(SMALL | {"n_steps": 3})
    result = compare_fits(
        Image(kspace, "CYX"),
        config,
        problem="sense",
        coil_maps=maps,
        is_sampled=mask,
        reference=tifffile.imread("truth.tif"),
    )
    for target in result.targets:
        written = tifffile.imread(f"out/{target.name}.tif")
        np.testing.assert_array_equal(written, [np.abs(snapshot.image) for snapshot in target.snapshots])
    assert np.isfinite(result["image"].errors).all()
    targets = tifffile.imread("out/targets.tif")
    np.testing.assert_allclose(targets, [np.abs(target.values) for target in result.targets], rtol=1e-6)
    assert targets.shape == (2, *kspace.shape)


@pytest.mark.parametrize("command", ["spectrum", "compare-fits"])
def test_options_of_kspace_are_refused_for_an_image(folder, command, capsys):
    assert cli.main([command, "truth.tif", "-o", "out", "--slice", "1", *QUICK[:2]]) == 2
    assert "--slice is for the problem 'sense'" in capsys.readouterr().err
