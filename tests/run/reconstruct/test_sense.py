"""The image of a scan with several coils, from undersampled k-space."""

import re

import numpy as np
import pytest
import torch

from napari_convgen.config import Config, for_reconstruction, preset, presets_for
from napari_convgen.core.mri.simulation import equispaced, head, poisson_disc, scan
from napari_convgen.core.operators.fourier import centered_fft
from napari_convgen.errors import ConfigError, FileError, InputError, ShortMemoryError
from napari_convgen.run.denoise.run import DenoiseTask
from napari_convgen.run.reconstruct.problems import sense
from napari_convgen.run.reconstruct.problems.sense import PATIENCE, describe_kspace
from napari_convgen.run.reconstruct.run import ReconstructTask, reconstruct
from napari_convgen.run.setup import forecast

SIZE = (36, 32)
SCAN = scan(head(SIZE, 3), equispaced(SIZE, 2, 12), n_coils=4, noise=0.005)
KSPACE = 1e-4 * SCAN.kspace
TINY = Config().replace(
    {
        "generator.n_channels": 12,
        "generator.n_scales": 2,
        "n_steps": 30,
        "n_seeds": 2,
        "n_threads": 1,
        "backend": "torch",
    }
)
GUIDED = for_reconstruction(preset("default"), "sense").replace(
    {"generator.n_channels": 8, "n_steps": 2, "n_threads": 1, "backend": "torch"}
)


@pytest.mark.parametrize("name", [None, "default", "best", "deep-decoder"])
def test_a_named_preset_takes_more_steps_of_a_scan_than_of_an_image(name):
    usual = preset(name or "default")
    task = ReconstructTask(KSPACE, name, problem="sense")
    assert task.config.n_steps == presets_for("sense")[name or "default"].n_steps > usual.n_steps
    assert task.forecast().n_steps == task.config.n_steps
    inpainted = np.full((16, 16), np.nan)
    inpainted[::2] = np.random.default_rng(0).random((8, 16))
    assert ReconstructTask(inpainted, name or "default", problem="inpaint").config.n_steps == usual.n_steps


def test_steps_that_are_chosen_are_taken_of_a_scan_too():
    assert ReconstructTask(KSPACE, "default", problem="sense", changes={"n_steps": 30}).config.n_steps == 30
    own = preset("deep-decoder")  # as a report has it
    assert ReconstructTask(KSPACE, own, problem="sense").config.n_steps == own.n_steps
    lessons = preset("default").replace({"n_steps": 7})
    assert ReconstructTask(KSPACE, lessons, problem="sense").config.n_steps == 7
    again = ReconstructTask(KSPACE, problem="sense").prepared.config_again
    assert ReconstructTask(KSPACE, again, problem="sense").config.n_steps == again.n_steps


def test_a_scan_is_fitted_with_patience():
    posed = ReconstructTask(
        KSPACE, TINY.replace({"stopping.kind": "held-out", "stopping.min_patience": 50}), problem="sense"
    ).posed
    assert posed.prepared.rule(posed.scaled, 0).min_patience == 50 * PATIENCE


def error_of(image, coil_maps):
    sees = coil_maps.any(0)
    return float(np.linalg.norm((np.abs(image) - 1e-4 * np.abs(SCAN.image))[sees]) / np.linalg.norm(image[sees]))


def predicted(result):
    return centered_fft(torch.from_numpy(result.extras["coil_maps"] * result.image), (1, 2)).numpy()


@pytest.fixture(scope="module")
def by_decoder():
    return reconstruct(KSPACE, TINY, problem="sense")


def test_an_image_and_its_coils_predict_the_measurement(by_decoder):
    result = by_decoder
    assert result.image.shape == SIZE
    assert result.image.dtype == np.complex64
    is_sampled = result.extras["is_sampled"]
    np.testing.assert_array_equal(is_sampled, SCAN.is_sampled)
    np.testing.assert_array_equal(np.isnan(result.residual).any(0), ~is_sampled)
    expected = (predicted(result) - KSPACE)[:, is_sampled]
    np.testing.assert_allclose(result.residual[:, is_sampled], expected, atol=1e-3 * np.abs(KSPACE).max())
    assert error_of(result.image, result.extras["coil_maps"]) < error_of(
        result.generator_image, result.extras["coil_maps"]
    )
    assert result.measurement_error > 0
    assert any("as rows; " in note for note in result.notes)
    np.testing.assert_array_equal(result.input, KSPACE)


def test_a_conv_decoder_takes_the_place_of_the_decoder():
    config = TINY.replace({"generator.kind": "conv-decoder", "generator.n_layers": 3, "n_steps": 60})
    result = reconstruct(KSPACE, config, problem="sense")
    maps = result.extras["coil_maps"]
    assert error_of(result.image, maps) < error_of(result.extras["first_image"], maps)


def test_a_noise_level_counts_whether_its_kind_is_named_or_not():
    levels = [
        ReconstructTask(
            KSPACE, TINY.replace({"noise.kind": kind, "noise.sigma": 3e-6}), problem="sense"
        ).posed.kspace.noise.level
        for kind in ("auto", "gaussian")
    ]
    assert levels == pytest.approx([3e-6 * np.sqrt(2)] * 2)


def test_snapshots_are_complex_and_their_errors_real(by_decoder):
    last = by_decoder.snapshots[-1]
    assert last.image.dtype == np.complex64
    assert last.expected_error.shape == SIZE
    assert last.expected_error.dtype == np.float32


def test_an_image_does_not_depend_on_the_unit_of_the_scanner(by_decoder):
    other = reconstruct(1e6 * KSPACE, TINY, problem="sense")
    np.testing.assert_allclose(
        other.image, 1e6 * by_decoder.image, rtol=0.02, atol=1e4 * np.abs(by_decoder.image).max()
    )


def test_the_default_is_guided_and_no_worse_than_its_start():
    result = reconstruct(KSPACE, GUIDED, problem="sense")
    maps = result.extras["coil_maps"]
    assert error_of(result.image, maps) < error_of(result.extras["first_image"], maps)
    assert result.config.generator.has_guide


def test_sensitivities_and_a_mask_can_be_given():
    full = scan(head(SIZE, 3), np.ones(SIZE, bool), n_coils=4, noise=0.005).kspace
    mask = poisson_disc(SIZE, 2, 4)
    config = TINY.replace({"n_steps": 2, "noise.kind": "gaussian", "noise.sigma": 0.005 * np.abs(SCAN.image).max()})
    result = reconstruct(full, config, problem="sense", coil_maps=3j * SCAN.coil_maps, is_sampled=mask)
    np.testing.assert_array_equal(result.extras["is_sampled"], mask)
    np.testing.assert_allclose(result.extras["coil_maps"], 3j * SCAN.coil_maps, rtol=1e-4, atol=1e-6)
    difference = (predicted(result) - full)[:, mask]
    np.testing.assert_allclose(result.residual[:, mask], difference, atol=1e-3 * np.abs(full).max())
    assert any("as single points" in note for note in result.notes)


def test_memory_and_time_are_predicted_with_the_guides():
    task = ReconstructTask(KSPACE, GUIDED, problem="sense")
    predicted_work = task.forecast()
    assert 0 < predicted_work.before.wall < predicted_work.seconds
    many = ReconstructTask(np.concatenate([KSPACE] * 8), GUIDED, problem="sense")
    assert many.n_bytes > task.n_bytes


@pytest.mark.parametrize(
    ("kspace", "given", "error", "sentence"),
    [
        (np.abs(KSPACE), {}, InputError, "this looks like an image"),
        (KSPACE.real.astype(np.complex64), {}, InputError, "an imaginary part of 0 throughout"),
        (
            KSPACE,
            {"coil_maps": np.full(KSPACE.shape, "a")},
            InputError,
            "The coil sensitivities must be numbers, got <U1",
        ),
        ("scan.cfl", {}, FileError, "does not exist"),
        (KSPACE, {"coil_maps": SCAN.coil_maps[:3]}, InputError, "expected 4 coils of 36 × 32, got (3, 36, 32)"),
        (KSPACE, {"coil_maps": 0 * SCAN.coil_maps}, InputError, "0 throughout"),
        (KSPACE, {"n_calibration": 4}, InputError, "at least 8 fully sampled lines"),
        (KSPACE, {"n_calibration": -1}, ConfigError, "operator.n_calibration cannot be -1"),
        (KSPACE, {"psf": np.ones((3, 3))}, ConfigError, "takes no point spread function"),
        (KSPACE, {"config": "guided-network"}, ConfigError, "needs a measurement that is the image itself"),
        (KSPACE * (np.abs(np.arange(36) - 18) < 6)[:, None], {}, InputError, "No group of the measurement is left"),
    ],
)
def test_what_cannot_be_reconstructed_is_refused(kspace, given, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        ReconstructTask(kspace, problem="sense", **given)


def test_a_stop_waits_longer_as_held_out_lines_are_little_but_noise():
    config = TINY.replace({"stopping.kind": "auto", "stopping.min_patience": 3, "stopping.patience": 0, "n_steps": 200})
    result = ReconstructTask(KSPACE, config, problem="sense").finish()
    assert len(result.loss) == int(np.argmin(result.criterion)) + 1 + 4 * 3 + 1


def test_a_mask_with_points_that_are_zero_is_noted():
    whole = ReconstructTask(KSPACE, GUIDED, problem="sense", is_sampled=np.ones(KSPACE.shape[1:], bool)).posed.notes
    n_empty = int((KSPACE == 0).all(0).sum())
    assert any(note.startswith(f"{n_empty} points that the mask says were sampled are 0") for note in whole)
    assert not any(
        "points that the mask" in note for note in ReconstructTask(KSPACE, GUIDED, problem="sense").posed.notes
    )


def test_denoising_has_no_kspace():
    with pytest.raises(ConfigError, match="this is an image"):
        DenoiseTask(np.random.default_rng(0).random((16, 16)), TINY.replace({"operator.kind": "fourier"}))


def test_too_many_coils_for_the_memory_are_refused_before_k_space_is_looked_at(monkeypatch):
    monkeypatch.setattr(forecast, "free_bytes", lambda device: 100_000)
    monkeypatch.setattr(sense, "check_kspace", lambda _: pytest.fail("k-space was looked at"))
    for look in (lambda: ReconstructTask(KSPACE, GUIDED, problem="sense"), lambda: describe_kspace(KSPACE)):
        with pytest.raises(ShortMemoryError, match=r"are free on cpu\. Combine the coils into fewer\."):
            look()
