import json
import sys

import numpy as np
import pytest

from napari_convgen import Config, Image, denoise
from napari_convgen.core.baselines import BASELINES
from napari_convgen.core.baselines.frame import NoisyFrame
from napari_convgen.core.image import ImageTensor, Layout, Measured
from napari_convgen.core.noise.models import GaussianNoise
from napari_convgen.core.quality.metrics import psnr, ssim
from napari_convgen.core.snapshot import Outcome
from napari_convgen.errors import ConfigError, InputError
from napari_convgen.run.compare import run as module
from napari_convgen.run.compare.run import DEFAULT_METHODS, CompareTask, compare
from napari_convgen.run.setup import prepared
from napari_convgen.run.setup.build import build_noise

QUICK = Config().replace(
    {
        "generator.n_channels": 4,
        "generator.n_scales": 1,
        "n_steps": 6,
        "n_seeds": 1,
        "stopping.kind": "fixed",
        "n_threads": 1,
    }
)
FAST = ("nlm", "wavelet")


def clean(shape=(40, 36)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 100 + 60 * np.sin(x / 7) * np.cos(y / 6)


def noisy(shape=(40, 36), seed=0):
    return np.random.default_rng(seed).normal(clean(shape), 10).astype(np.float32)


def test_all_methods_know_what_the_source_of_an_image_says():
    image = Image(noisy(), noise_kind="rician")
    config = QUICK.replace({"noise.kind": "auto"})
    result = compare(image, config, methods=["nlm", "convgen"])
    np.testing.assert_array_equal(result["convgen"].image, denoise(image, config).image)
    np.testing.assert_array_equal(
        result["nlm"].image, compare(noisy(), config.replace({"noise.kind": "rician"}), methods=["nlm"])["nlm"].image
    )
    assert (result["convgen"].image != denoise(noisy(), config).image).any()


def test_each_method_gets_the_same_stabilized_image_and_goes_the_same_way_back():
    photons = np.random.default_rng(0).poisson(clean() / 10).astype(np.uint16) * 10
    config = QUICK.replace({"noise.kind": "poisson-gaussian", "noise.gain": 10, "noise.offset": 0, "noise.sigma": 0})
    layout = Layout.of(photons.shape)
    model = build_noise(Measured.of(photons, layout), layout, config.noise)
    tensor = ImageTensor.of(photons, layout, model)
    result = compare(photons, config, methods=FAST)
    assert result.noise == (model,)
    for name in FAST:
        expected = tensor.restore(BASELINES[name](NoisyFrame(tensor.values, tensor.noise_level)))
        np.testing.assert_array_equal(result[name].image, expected)
        assert result[name].image.dtype == np.uint16
        assert result[name].seconds > 0


def test_the_generator_is_that_of_denoise_bit_for_bit():
    result = compare(noisy(), QUICK.replace({"seed": 3}), methods=("convgen",))
    np.testing.assert_array_equal(result["convgen"].image, denoise(noisy(), QUICK.replace({"seed": 3})).image)
    assert result["convgen"].fit.step == 6
    assert result["convgen"].seconds == result["convgen"].fit.seconds


def test_a_named_preset_runs_where_the_configuration_says():
    config = QUICK.replace({"seed": 3, "device": "cpu", "z_axis": "volume", "frames.fit": "separate"})
    comparison = CompareTask(np.zeros((5, 64, 64)) + np.arange(64), config, methods=("convgen:paper-narrow",))
    own = comparison._runs["convgen:paper-narrow"].config
    assert (own.seed, own.device, own.z_axis, own.n_threads) == (3, "cpu", "volume", 1)
    assert own.frames.fit == "separate"
    assert own.generator.n_channels == 128


def test_scores_are_against_the_reference_and_the_noisy_image_has_some_too():
    result = compare(noisy(), QUICK, methods=FAST, reference=clean(), data_range=200)
    for name in FAST:
        assert result[name].scores.psnr == psnr(result[name].image, clean(), 200)
        assert result[name].scores.ssim == ssim(result[name].image, clean(), 200, None)
        assert result[name].scores.psnr > result.input_scores.psnr + 3
    assert result.input_scores.psnr == psnr(noisy(), clean(), 200)


def test_a_pair_that_was_stretched_is_scored_after_gain_and_offset():
    straight = compare(noisy(), QUICK, methods=FAST, reference=clean(), fit_affine=True, data_range=200)
    stretched = compare(0.5 * noisy() + 20, QUICK, methods=FAST, reference=clean(), fit_affine=True, data_range=200)
    for name in FAST:
        assert stretched[name].scores.psnr == pytest.approx(straight[name].scores.psnr, abs=0.02)
    assert stretched.input_scores.psnr == pytest.approx(straight.input_scores.psnr, abs=0.02)
    assert compare(0.5 * noisy() + 20, QUICK, methods=FAST, reference=clean())["nlm"].scores.psnr < 20


def test_the_residual_is_measured_against_the_noise():
    result = compare(noisy(), QUICK.replace({"noise.kind": "gaussian", "noise.sigma": 10}), methods=FAST)
    for name in FAST:
        difference = noisy().astype(float) - result[name].image
        assert result[name].residual.spread == pytest.approx(difference.std() / 10, rel=1e-5)
        assert 0.8 < result[name].residual.spread < 1.1
        assert abs(result[name].residual.autocorrelation) < 0.15
        np.testing.assert_allclose(result.residual_image(name), difference, atol=1e-4)


def test_stacks_go_frame_by_frame_and_frames_with_nothing_in_them_stay():
    stack = np.stack([noisy(seed=1), np.full((40, 36), 7, np.float32), noisy(seed=2)])
    told = []
    result = compare(stack, QUICK, methods=FAST, callback=told.append, axes="TYX")
    for i in (0, 2):
        np.testing.assert_array_equal(result["nlm"].image[i], compare(stack[i], QUICK, methods=FAST)["nlm"].image)
    np.testing.assert_array_equal(result["nlm"].image[1], stack[1])
    assert [(p.method, p.position, p.frame, p.done is not None) for p in told] == [
        (name, i, frame, done) for i, name in enumerate(FAST) for frame, done in [(0, 0), (1, 0), (2, 0), (2, 1)]
    ]
    assert result.noise[1] is None


def test_color_and_alpha_come_back_as_they_were():
    color = np.clip(
        clean()[..., None] * [0.9, 0.6, 0.8, 0] + np.random.default_rng(0).normal(0, 9, (40, 36, 4)), 0, 255
    )
    color = color.astype(np.uint8)
    color[..., 3] = 128
    reference = np.clip(clean()[..., None] * [0.9, 0.6, 0.8, 0], 0, 255).astype(np.uint8)
    result = compare(color, QUICK, methods=FAST, axes="YXS", reference=reference)
    for name in FAST:
        assert (result[name].image[..., 3] == 128).all()
        assert result[name].scores.psnr == psnr(result[name].image[..., :3], reference[..., :3], 255)
        assert result[name].scores.psnr > result.input_scores.psnr + 3


def test_missing_pixels_are_filled_in():
    holes = noisy()
    holes[34:39, 9:14] = np.nan  # where the image is brightest
    result = compare(holes, QUICK, methods=FAST)
    for name in FAST:
        assert np.abs(result[name].image - clean())[34:39, 9:14].max() < 15
    assert result.notes == ("25 missing (NaN) pixels were left out of the fit and filled in.",)


def test_baselines_get_a_noise_model_even_where_the_generator_has_none():
    result = compare(noisy(), QUICK.replace({"noise.kind": "none"}), methods=FAST)
    assert result.noise[0] is not None
    assert result["nlm"].residual.spread > 0.5


def test_what_fails_in_one_method_is_its_outcome(monkeypatch):
    def fail(frame):
        raise InputError("This cannot\nbe done.")

    monkeypatch.setitem(module.BASELINES, "nlm", fail)
    result = compare(noisy(), QUICK, methods=FAST, reference=clean())
    assert result["nlm"].error == "This cannot be done."
    assert result["nlm"].image is None
    assert result["wavelet"].error is None
    assert "| Non-local means" in result.table()
    assert "failed" in result.table()
    assert "Non-local means: This cannot be done." in result.table()
    assert result.report()["methods"][0]["error"] == "This cannot be done."


@pytest.mark.parametrize("n_told", [1, 2, 3])
def test_a_stop_keeps_what_is_done(n_told):
    stack = np.stack([noisy(seed=1), noisy(seed=2)])
    comparison = CompareTask(stack, QUICK, methods=FAST, axes="TYX")
    for i, _ in enumerate(comparison, start=1):
        if i == n_told:
            comparison.stop()
    result = comparison.result()
    [outcome] = result.methods
    assert outcome.method == "nlm"
    assert np.array_equal(outcome.image[1], stack[1]) == (n_told == 1)
    assert ("1 of 2 frames were not reached." in outcome.notes) == (n_told == 1)
    assert result.notes == ("Stopped before wavelet.",)


def test_before_a_method_has_ended_there_is_nothing_to_keep():
    comparison = CompareTask(noisy(), QUICK, methods=FAST)
    assert not comparison.has_result
    next(progress for progress in comparison if progress.done)
    assert comparison.has_result


def test_a_stop_within_the_generator_keeps_its_best_image():
    comparison = CompareTask(noisy(), QUICK.replace({"n_steps": 10_000_000}), methods=("convgen", "nlm"))
    for progress in comparison:
        assert progress.fit is not None or progress.done is not None
        comparison.stop()
    result = comparison.result()
    assert [outcome.method for outcome in result.methods] == ["convgen"]
    assert result["convgen"].fit.reason.outcome is Outcome.USER
    assert result["convgen"].image.shape == noisy().shape


def test_a_comparison_that_was_left_goes_on():
    comparison = CompareTask(noisy(), QUICK, methods=FAST)
    for progress in comparison:
        if progress.done:
            break
    assert [(p.method, p.position) for p in comparison] == [("wavelet", 1), ("wavelet", 1)]
    assert [outcome.method for outcome in comparison.result().methods] == list(FAST)


@pytest.mark.parametrize(
    ("methods", "sentence"),
    [
        ((), "There is nothing to compare"),
        (("nlm", "nlm"), "nlm is named twice"),
        (
            ("nlm", "median"),
            "There is no method 'median'. The methods are nlm, tv, wavelet, lichi, bm3d, convgen and convgen:PRESET.",
        ),
        (("nlm:fast",), "There is no method 'nlm:fast'"),
        (("convgen:none",), "There is no preset 'none'"),
        (("convgen:",), "There is no preset ''"),
    ],
)
def test_methods_that_do_not_exist_are_refused_before_anything_starts(methods, sentence):
    with pytest.raises(ConfigError, match=sentence):
        CompareTask(noisy(), QUICK, methods=methods)


def test_bm3d_that_is_not_installed_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(ConfigError, match=r"napari-convgen\[bm3d\]"):
        CompareTask(noisy(), QUICK, methods=("nlm", "bm3d"))
    assert "bm3d" not in DEFAULT_METHODS


def test_input_is_checked_before_anything_starts():
    with pytest.raises(InputError, match="constant"):
        CompareTask(np.zeros((9, 9)), QUICK, methods=FAST)
    with pytest.raises(InputError, match="must have the shape of the image"):
        CompareTask(noisy(), QUICK, methods=FAST, reference=clean()[:-1])


def test_correlated_noise_is_named(monkeypatch):
    monkeypatch.setattr(prepared.Prepared, "any_noise_model", lambda *_: GaussianNoise((9.0,), correlation_length=2))
    result = compare(noisy(), QUICK, methods=("nlm",))
    assert result["nlm"].notes == ("The noise is correlated, but this method takes it for white.",)


def test_the_report_and_the_table_tell_it_all():
    config = QUICK.replace({"noise.kind": "gaussian", "noise.sigma": 10})
    result = compare(noisy(), config, methods=("nlm", "convgen"), reference=clean(), data_range=200)
    report = json.loads(json.dumps(result.report(), allow_nan=False))
    assert set(report) == {
        "versions", "config", "axes", "noise", "notes", "methods", "data_range", "fit_affine", "input",
    }  # fmt: skip
    used = {"device": "cpu", "backend": "numba", "n_threads": result.config.n_threads}
    assert report["config"] == config.replace(used).model_dump()
    assert report["noise"][0]["sigma"] == [10]
    nlm, ours = report["methods"]
    assert set(nlm) == {"method", "seconds", "notes", "psnr", "ssim", "residual"}
    assert ours["fit"]["step"] == 6
    lines = result.table().splitlines()
    head = ["method", "PSNR", "SSIM", "residual / noise", "its autocorrelation", "time"]
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == head
    assert lines[3].startswith("| Non-local means | ")
    assert f"{nlm['psnr']:.2f}" in lines[3]
    assert len({len(line) for line in lines[:5]}) == 1
    assert "PSNR in dB and SSIM for a data range of 200." in lines
    without = compare(noisy(), config, methods=("nlm",))
    assert "PSNR" not in without.table()
    assert "noisy" not in without.table()
    assert "psnr" not in without.report()["methods"][0]


def test_what_stripes_are_taken_away_is_no_residual():
    rng = np.random.default_rng(0)
    striped = noisy((64, 60)) + 15 * rng.standard_normal((64, 1)).astype(np.float32)
    result = compare(striped, QUICK, methods=("wavelet",))
    assert result.noise[0].stripes[0] > 5
    assert 0.8 < result.methods[0].residual.spread < 1.2
    assert abs(result.methods[0].residual.autocorrelation) < 0.15
