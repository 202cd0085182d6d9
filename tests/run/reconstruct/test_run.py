import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_convgen.config import BlurConfig, Config, ConfocalConfig, WidefieldConfig, preset
from napari_convgen.core.image import Image
from napari_convgen.core.operators.resizing import lanczos_downsampling
from napari_convgen.core.optics.microscope import widefield_psf
from napari_convgen.core.optics.objective import Objective
from napari_convgen.core.regularized import smoothest
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import FitError
from napari_convgen.run.reconstruct.run import ALL_HELD, ReconstructTask, reconstruct
from napari_convgen.run.setup import guides

TINY = Config().replace(
    {"generator.n_channels": 12, "generator.n_scales": 2, "n_steps": 40, "n_seeds": 2, "n_threads": 1}
)


def blobs(*size, seed=0):
    """An image between 100 and 300 with smooth structures."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=size), 2.5)
    return 200 + 100 * smooth / np.abs(smooth).max()


def rms(difference):
    return float(np.sqrt(np.mean(np.square(difference, dtype=np.float64))))


def test_missing_pixels_are_filled_in_and_measured_ones_kept_where_there_is_no_noise():
    truth = blobs(32, 28)
    is_missing = np.random.default_rng(1).random(truth.shape) < 0.4
    result = reconstruct(truth, TINY, problem="inpaint", is_missing=is_missing)
    assert result.image.shape == truth.shape
    assert rms((result.image - truth)[is_missing]) < 0.5 * truth.std()
    assert rms((result.image - truth)[~is_missing]) < 0.3 * rms((result.generator_image - truth)[~is_missing])
    np.testing.assert_array_equal(np.isnan(result.residual), is_missing)
    np.testing.assert_allclose(result.residual[~is_missing], (result.image - truth)[~is_missing], atol=1e-4)
    by_nan = reconstruct(np.where(is_missing, np.nan, truth), TINY, problem="inpaint")
    np.testing.assert_array_equal(by_nan.image, result.image)
    assert by_nan.rho == result.rho < 0.5


def test_a_mask_is_for_all_channels_and_leaves_alpha_alone():
    values = np.stack([blobs(20, 24, seed=seed) for seed in range(4)], -1).astype(np.uint8)
    is_missing = np.zeros((20, 24), int)
    is_missing[5:9, 5:9] = 3
    result = reconstruct(values, TINY.replace({"n_steps": 3}), problem="inpaint", axes="YXS", is_missing=is_missing)
    assert result.image.shape == values.shape
    np.testing.assert_array_equal(result.image[..., 3], values[..., 3])
    assert np.isfinite(result.image).all()


@pytest.mark.parametrize("config", ["default", "quick"])
def test_the_denoising_presets_fill_in_too(config):
    truth = blobs(24, 24)
    is_missing = np.random.default_rng(1).random(truth.shape) < 0.4
    noisy = truth + np.random.default_rng(2).normal(0, 5, truth.shape)
    result = reconstruct(noisy, config, problem="inpaint", is_missing=is_missing, n_steps=2)
    assert rms(result.image - truth) < 0.5 * truth.std()
    assert ALL_HELD not in result.notes
    assert result.config.generator.guide == "plug-and-play"


def test_a_blurred_image_is_sharper_afterwards_and_predicts_the_measurement():
    large = blobs(52, 48) + 150 * (np.indices((52, 48)).sum(0) % 17 == 0)
    sharp, blurred = large[8:-8, 8:-8], ndimage.gaussian_filter(large, 1.0)[8:-8, 8:-8]
    noisy = blurred + np.random.default_rng(2).normal(0, 1, blurred.shape)
    result = reconstruct(noisy, TINY, problem="deblur", sigma=1.0)
    assert result.image.shape == noisy.shape
    assert result.image.dtype == np.float32
    assert rms(result.image - sharp) < 0.9 * rms(noisy - sharp)
    assert rms(result.image - sharp) < rms(result.generator_image - sharp)
    assert result.residual.shape == (1, *noisy.shape)
    assert rms(result.residual) < 3
    assert result.snapshots[0].image.shape == noisy.shape
    assert result.pixel_ratio == (1, 1)


def test_a_measured_psf_takes_the_place_of_the_gaussian_and_is_centered():
    psf = np.zeros((7, 7))
    psf[1:4, 2:5] = 1
    result = reconstruct(blobs(24, 24), TINY.replace({"n_steps": 2}), problem="deblur", psf=psf)
    assert any("off center" in note for note in result.notes)


def test_a_microscope_by_numbers_deblurs_with_its_point_spread_function():
    config = TINY.replace({"n_steps": 2})
    image = Image(blobs(24, 24), "YX", (100.0, 100.0), ("nm", "nm"))
    numbers = {"numerical_aperture": 1.2, "wavelength": 600, "refractive_index": 1.33}
    result = reconstruct(image, config, problem="deblur", **numbers)
    assert result.config.operator == WidefieldConfig(**numbers)
    assert any("pixels of 0.1 × 0.1 micrometers" in note for note in result.notes)
    psf = widefield_psf(Objective(1.2, 0.6, 1.33), (0.1, 0.1)).values
    given = reconstruct(image, config, problem="deblur", psf=Image(psf, "YX", (0.1, 0.1), ("micron", "micron")))
    np.testing.assert_allclose(given.image, result.image, rtol=1e-5)
    again = reconstruct(image, result.config, problem="deblur")
    np.testing.assert_array_equal(again.image, result.image)
    assert reconstruct(image, config, problem="deblur", pinhole=1.0).config.operator == ConfocalConfig(pinhole=1.0)
    assert reconstruct(image, result.config, problem="deblur", sigma=1).config.operator == BlurConfig(sigma=1)


def test_noise_that_is_not_modeled_stays_so_and_the_configuration_of_a_result_repeats_it():
    config = TINY.replace({"n_steps": 2, "noise.kind": "none"})
    result = reconstruct(blobs(20, 20), config, problem="enlarge")
    assert result.config.noise.kind == "none"
    given = reconstruct(blobs(20, 20), TINY, problem="enlarge", n_steps=2).config
    assert (given.noise.kind, given.noise.is_shared) == ("auto", "no")


def test_means_of_the_enlarged_image_are_the_measurement():
    large = blobs(40, 48)
    y = large.reshape(20, 2, 24, 2).mean((1, 3))
    result = reconstruct(Image(y, axes="YX"), TINY, problem="enlarge")
    assert result.image.shape == large.shape
    assert result.pixel_ratio == (2, 2)
    means = result.image.reshape(20, 2, 24, 2).mean((1, 3))
    np.testing.assert_allclose(result.residual[0], means - y, atol=0.05)
    assert rms(means - y) < 0.3 * rms(result.generator_image.reshape(20, 2, 24, 2).mean((1, 3)) - y)
    assert rms(result.image - large) < 0.5 * large.std()


def test_channels_that_do_not_vary_are_enlarged_as_they_are():
    y = np.stack([blobs(16, 18), np.full((16, 18), 7.0), blobs(16, 18, seed=1)], 1)
    config = TINY.replace({"n_steps": 2, "operator.kind": "downsampling", "operator.weighting": "lanczos"})
    result = reconstruct(y, config, problem="enlarge", axes="YCX", factor=3)
    assert result.image.shape == (48, 3, 54)
    assert (result.image[:, 1] == 7).all()
    assert result.config.operator.weighting == "lanczos"


def test_a_volume_is_reconstructed():
    truth = blobs(8, 12, 14)
    config = TINY.replace({"n_steps": 2, "z_axis": "volume", "generator.n_scales": 1})
    assert reconstruct(truth, config, problem="enlarge", axes="ZYX").image.shape == (16, 24, 28)
    assert reconstruct(truth, config, problem="deblur", axes="ZYX", sigma=0.5).image.shape == (8, 12, 14)


def test_missing_pixels_of_a_blurred_image_are_left_out():
    y = blobs(24, 24)
    y[3, 4] = np.nan
    result = reconstruct(y, TINY.replace({"n_steps": 2}), problem="deblur", sigma=0.8)
    assert np.isfinite(result.image).all()
    assert np.isnan(result.residual[0, 3, 4])
    assert any("1 missing" in note for note in result.notes)


def test_without_held_out_entries_the_image_is_the_generators():
    result = reconstruct(blobs(20, 20), TINY.replace({"n_steps": 3, "stopping.kind": "fixed"}), problem="enlarge")
    assert math.isinf(result.rho)
    assert ALL_HELD in result.notes
    np.testing.assert_array_equal(result.image, result.generator_image)


def test_a_task_goes_on_where_it_was_left_and_gives_the_same():
    y = blobs(20, 20)
    whole = reconstruct(y, TINY, problem="enlarge")
    task = ReconstructTask(y, TINY, problem="enlarge")
    assert not task.has_result
    with pytest.raises(FitError, match="Nothing has been reconstructed yet"):
        task.result()
    steps = [next(iter(task)).step]
    steps += [progress.step for progress in task]
    assert steps == sorted(steps)
    assert steps[-1] == len(whole.loss)
    np.testing.assert_array_equal(task.result().image, whole.image)
    assert not list(task)
    assert task.result().loss == whole.loss


def test_a_stop_ends_it_with_the_best_so_far():
    task = ReconstructTask(blobs(20, 20), TINY, problem="enlarge")
    for progress in task:
        if progress.step >= 5:
            task.stop()
    result = task.result()
    assert result.reason.outcome is Outcome.USER
    assert len(result.loss) < 10
    early = ReconstructTask(blobs(20, 20), TINY, problem="enlarge")
    early.stop()
    assert not list(early)
    assert not early.has_result


def test_a_fit_that_diverges_is_started_afresh_and_then_given_up():
    config = TINY.replace({"optimizer.learning_rate": 1e30, "n_restarts": 1, "stopping.kind": "fixed"})
    task = ReconstructTask(blobs(20, 20), config, problem="enlarge")
    try:
        notes = task.finish().notes
    except FitError as error:
        notes = [str(error)]
    assert any("Lower optimizer.learning_rate" in note for note in notes)


def test_memory_and_time_are_predicted():
    forecast = ReconstructTask(blobs(20, 20), TINY, problem="enlarge").forecast()
    assert forecast.n_steps == 40
    assert 0 < forecast.seconds < 60
    small, large = (
        ReconstructTask(blobs(20, 20), TINY, problem="enlarge", changes={"operator.factor": f}).n_bytes for f in (2, 4)
    )
    assert large > 2 * small


def test_a_lanczos_measurement_is_predicted_by_its_reconstruction():
    large = torch.from_numpy(blobs(40, 40))[None]
    y = lanczos_downsampling((1, 20, 20), (2, 2)).apply(large)[0].numpy()
    config = TINY.replace({"operator.kind": "downsampling", "operator.weighting": "lanczos"})
    result = reconstruct(y, config, problem="enlarge")
    assert rms(result.residual) < 0.1 * y.std()
    assert rms(result.image - large[0].numpy()) < 0.4 * y.std()


def test_the_generators_image_is_that_of_the_step_that_is_kept():
    noise = np.random.default_rng(0).standard_normal((32, 30))
    noisy = (np.sin(np.arange(30) / 6) + 0.8 * noise).astype(np.float32)
    noisy[10:14, 5:9] = np.nan
    config = TINY.replace({"n_steps": 400, "generator.n_channels": 24, "stopping.min_patience": 400})
    result = reconstruct(noisy, config, problem="inpaint")
    kept = next(each for each in result.snapshots if each.step == result.step)
    assert 1 < result.step < 400
    np.testing.assert_array_equal(result.generator_image, kept.image)


def test_without_a_configuration_the_estimate_alternates_with_the_measurement_and_knows_photon_noise():
    large = np.exp(4 * (blobs(72, 72) - 150) / 150)
    truth, blurred = large[8:-8, 8:-8], ndimage.gaussian_filter(large, 1.5)[8:-8, 8:-8]
    scale = 100 / blurred.max()
    photons = np.random.default_rng(3).poisson(scale * blurred).astype(float)
    result = reconstruct(photons, problem="deblur", sigma=1.5)
    assert (result.config.generator.guide, result.rho) == ("plug-and-play", math.inf)
    assert rms(result.image - scale * truth) < 0.5 * rms(photons - scale * truth)
    counted, uniform = (
        reconstruct(photons, result.config.replace({"noise.kind": kind, **known}), problem="deblur")
        for kind, known in (("poisson-gaussian", {"noise.gain": 1.0}), ("gaussian", {}))
    )
    assert rms(np.sqrt(counted.image.clip(0)) - np.sqrt(scale * truth)) < 0.9 * rms(
        np.sqrt(uniform.image.clip(0)) - np.sqrt(scale * truth)
    )


def test_fine_structure_of_a_small_image_is_not_taken_for_noise_and_smoothed_away(monkeypatch):
    monkeypatch.setattr("napari_convgen.core.regularized.plug_and_play.MAX_DRAWS", 4)
    y, x = np.indices((40, 40))
    truth = 100 + 60 * (np.sin(x / 2.2 + y / 6) > 0) + 40 * np.sin(y / 2.5)
    small = truth.reshape(20, 2, 20, 2).mean((1, 3))
    known = preset("quick").replace({"noise.kind": "gaussian", "noise.sigma": 0.0})
    noisy = small + np.random.default_rng(0).normal(0, 15, small.shape)
    clean, exact = (reconstruct(small, config, problem="enlarge").image for config in ("quick", known))
    assert rms(clean - truth) < 1.05 * rms(exact - truth)
    assert rms(reconstruct(noisy, "quick", problem="enlarge").image - truth) < rms(
        reconstruct(noisy, known, problem="enlarge").image - truth
    )


def test_a_hole_that_is_too_large_for_the_smoothest_filling_is_noted(monkeypatch):
    image = np.add.outer(np.linspace(0, 1, 48), np.linspace(0, 1, 48) ** 2).astype(np.float32)
    image[4:44, 4:40] = np.nan
    given = {"problem": "inpaint", "changes": {"n_threads": 1}}
    *_, note = ReconstructTask(image, **given).finish().notes
    assert "smoothest" not in note
    monkeypatch.setattr(smoothest, "N_STEPS", 100)
    *_, note = ReconstructTask(image, **given).finish().notes
    assert "as in large holes, may be filled with another surface" in note
    monkeypatch.setattr(guides, "smooth_share", lambda *_: 0.0)  # nothing of it is in the image
    *_, note = ReconstructTask(image, **given).finish().notes
    assert "smoothest" not in note
