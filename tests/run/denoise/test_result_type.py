import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.run.compare.run import compare
from napari_convgen.run.denoise import reported_error
from napari_convgen.run.denoise.run import DenoiseTask, denoise

SMALL = Config().replace({"generator.n_channels": 6, "n_steps": 8, "n_threads": 1, "device": "cpu"})


@pytest.fixture(scope="module")
def clean():
    y, x = np.mgrid[:48, :48] / 48
    return 3.5 + 2.5 * np.sin(5 * x + 3 * y) * np.cos(4 * y)


@pytest.fixture(scope="module")
def noisy(clean):
    """Return an image of 8 gray levels."""
    return np.clip(np.rint(clean + 0.7 * np.random.default_rng(0).normal(size=clean.shape)), 0, 7).astype(np.uint8)


def test_few_gray_levels_are_not_rounded_away(noisy, clean):
    images = {dtype: denoise(noisy, "quick", dtype=dtype).image for dtype in ("auto", "same")}
    errors = {dtype: np.mean((image - clean) ** 2) for dtype, image in images.items()}
    assert (images["auto"].dtype, images["same"].dtype) == (np.float32, np.uint8)
    assert errors["auto"] < errors["same"] / 3
    assert (np.rint(images["auto"]) == images["same"]).all()


def test_the_sum_of_few_photons_is_kept():
    photons = np.random.default_rng(0).poisson(0.2, (48, 48)).astype(np.uint16)
    assert denoise(photons, "quick").image.sum() == pytest.approx(photons.sum(), rel=0.1)


@pytest.mark.parametrize("dtype", ["auto", "same"])
def test_a_stack_has_one_type_in_all_that_is_shown(noisy, dtype):
    stack = np.stack([np.full_like(noisy, 3), noisy, noisy[::-1] * 30])
    task = DenoiseTask(stack, SMALL.replace({"dtype": dtype}))
    expected = np.float32 if dtype == "auto" else np.uint8
    list(task)
    result = task.result()
    assert task.preview() is None or task.preview().dtype == expected
    images = [
        result.image,
        result.keep(3).image,
        *(s.image for s in result.snapshots),
        *(f.image for f in result.frames),
    ]
    assert {image.dtype for image in images} == {np.dtype(expected)}
    assert (result.image[0] == 3).all()
    assert result.report()["dtype"] == np.dtype(expected).name
    assert result.report()["input_dtype"] == "uint8"
    assert any("rounding to uint8" in note for note in result.report()["notes"])
    assert result.data_range == 255


def test_an_estimate_of_the_error_knows_of_rounding(noisy, monkeypatch):
    for limit in ("MOST_UNCERTAIN", "MOST_CLIPPED"):
        monkeypatch.setattr(reported_error, limit, np.inf)
    config = SMALL.replace({"stopping.kind": "held-out"})
    exact, rounded = (denoise(noisy, config.replace({"dtype": dtype})) for dtype in ("float32", "same"))
    assert rounded.frames[0].error.mse == pytest.approx(exact.frames[0].error.mse + 1 / 12)
    assert rounded.expected_error**2 == pytest.approx(exact.expected_error**2 + 1 / 12, rel=1e-5)


@pytest.mark.parametrize("dtype", ["auto", "same"])
def test_all_methods_of_a_comparison_have_one_type(noisy, dtype):
    own = SMALL.replace({"dtype": dtype, "noise.sigma": 0.7})
    result = compare(noisy, own, methods=("nlm", "tv", "convgen", "convgen:quick"))
    assert {each.image.dtype for each in result.methods} == {np.dtype(np.float32 if dtype == "auto" else np.uint8)}
    assert sum("rounding to uint8" in note for note in result.notes) == 1
    again = denoise(noisy, result["convgen"].fit.config)
    np.testing.assert_array_equal(again.image, result["convgen"].image)
