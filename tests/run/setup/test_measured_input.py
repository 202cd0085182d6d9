"""What is left out of an image is left out by every verb, and named."""

import numpy as np
import pytest

from napari_convgen.config import preset
from napari_convgen.core.quality.metrics import psnr
from napari_convgen.run.compare.run import compare
from napari_convgen.run.denoise.run import denoise
from napari_convgen.run.image_vs_noise.run import compare_fits
from napari_convgen.run.spectrum.run import spectrum

QUICK = preset("quick").replace({"device": "cpu"})
TINY = preset("deep-decoder").replace(
    {"generator.n_channels": 6, "n_steps": 4, "stopping.kind": "fixed", "n_seeds": 1, "device": "cpu"}
)
Y, X = np.mgrid[:48, :48]
CLEAN = 100 + 60 * np.sin(X / 6) * np.cos(Y / 9)
NOISY = (CLEAN + 10 * np.random.default_rng(0).standard_normal(CLEAN.shape)).astype(np.float32)


def with_defects():
    """Return an image with a bar and two hot pixels, the same with NaN there, and where it was measured."""
    image, given = NOISY.copy(), NOISY.copy()
    image[:12] = 90
    image[30, [20, 40]] = 65_535
    is_bad = (image == 90) | (image == 65_535)
    given[is_bad] = np.nan
    return image, given, ~is_bad


def test_defects_are_as_good_as_missing_pixels_and_a_bar_stays():
    image, given, seen = with_defects()
    for run in (lambda x: denoise(x, QUICK), lambda x: compare(x, QUICK, methods=["nlm"])["nlm"]):
        result, same = run(image), run(given)
        np.testing.assert_array_equal(result.image[12:], same.image[12:])
        assert (result.image[:12] == 90).all()
        assert np.abs(result.image[12:] - CLEAN[12:]).max() < 40
    found = denoise(image, QUICK)
    assert found.frames[0].noise.sigma[0] == pytest.approx(10, rel=0.15)
    assert psnr(found.image[seen], CLEAN[seen], 120) > psnr(NOISY[seen], CLEAN[seen], 120) + 4
    assert found.report()["notes"][: len(found.notes)] == list(found.notes)


def test_every_verb_names_what_it_left_out():
    image, _, _ = with_defects()
    for result in (
        denoise(image, QUICK),
        compare(image, QUICK, methods=["nlm"]),
        spectrum(image, TINY, rank=3),
        compare_fits(image, TINY, reference=CLEAN),
    ):
        notes = " ".join(result.notes)
        assert "2 pixels far outside the range of all others" in notes
        assert "576 pixels in large areas of one exact value (90)" in notes


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_constant_channel_does_not_touch_the_others(is_shared):
    one = NOISY[:30, :32]
    other = one if is_shared else one[::-1]
    two = np.stack([one, other], -1)
    three = np.stack([one, other, np.full_like(one, 3)], -1)
    config = QUICK.replace({"noise.is_shared": "yes"}) if is_shared else QUICK
    result, expected = denoise(three, config, axes="YXS"), denoise(two, config, axes="YXC")
    assert (result.image[..., 2] == 3).all()
    np.testing.assert_allclose(result.image[..., :2], expected.image, atol=1e-3)
    assert "Nothing varies in channel 2 (from 0)" in " ".join(result.notes)
    methods = ["wavelet", "lichi"]
    compared, alone = (compare(x, config, axes=axes, methods=methods) for x, axes in ((three, "YXS"), (two, "YXC")))
    for method in methods:
        np.testing.assert_allclose(compared[method].image[..., :2], alone[method].image, atol=1e-3)
        assert (compared[method].image[..., 2] == 3).all()
    for verb in (lambda: spectrum(three, TINY, axes="YXS", rank=3), lambda: compare_fits(three, TINY, axes="YXS")):
        assert "Nothing varies" in " ".join(verb().notes)


def test_a_wrapped_phase_gets_advice():
    phase = np.angle(np.exp(1j * (X / 4 + 0.2 * (NOISY - CLEAN) / 10)))
    assert "real and the imaginary part" in " ".join(denoise(phase, QUICK).notes)


def test_a_wrapped_phase_is_better_denoised_by_its_real_and_imaginary_part():
    true = X / 4 + Y / 11
    rng = np.random.default_rng(0)
    wave = np.exp(1j * true) + 0.3 * (rng.standard_normal(true.shape) + 1j * rng.standard_normal(true.shape))
    parts = denoise(np.stack([wave.real, wave.imag]).astype(np.float32), QUICK, axes="CYX").image
    as_phase = denoise(np.angle(wave).astype(np.float32), QUICK).image
    noisy, by_parts, by_phase = (
        np.sqrt(np.mean(np.angle(np.exp(1j * (angle - true))) ** 2))
        for angle in (np.angle(wave), np.angle(parts[0] + 1j * parts[1]), as_phase)
    )
    assert by_parts < 0.5 * noisy
    assert by_parts < 0.5 * by_phase


def labels():
    quiet = np.zeros(CLEAN.shape, np.float32)
    quiet[10:20, 10:20] = 200
    return quiet


@pytest.mark.parametrize("quiet", [labels, lambda: 120 * (Y > 20).astype(np.float32)])
@pytest.mark.parametrize("axes", ["YXS", "CYX"])
def test_a_channel_without_noise_is_set_aside_and_the_others_are_denoised(quiet, axes):
    noisy = [NOISY, NOISY[::-1], quiet()]
    image = np.stack(noisy, axes.index("S") if "S" in axes else 0)
    config = QUICK.replace({"channels": "joint"} if "C" in axes else {})
    result = denoise(image, config, axes=axes)
    channels = np.moveaxis(result.image, -1, 0) if "S" in axes else result.image
    np.testing.assert_array_equal(channels[2], noisy[2])
    assert psnr(channels[0], CLEAN, 120) > psnr(NOISY, CLEAN, 120) + 4
    assert sum("No noise was found in channel 2 (from 0), unlike in the others" in note for note in result.notes) == 1
