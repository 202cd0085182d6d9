from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_convgen.core.image import HIGH, LOW, ImageTensor, Layout
from napari_convgen.core.noise.models import GaussianNoise, PoissonGaussianNoise, RicianNoise
from napari_convgen.core.noise.stabilizer import StableNoise
from napari_convgen.errors import InputError

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 6, "X": 7, "S": 3, "Q": 2}
DTYPES = ["uint8", "uint16", "int8", "int16", "int32", "uint32", "float16", "float32", "float64", "bool", ">u2", ">f4"]


def shape_of(axes):
    return tuple(SIZES[letter] for letter in axes)


def values_of(shape, dtype="float64", seed=0):
    values = np.random.default_rng(seed).random(shape)
    return values > 0.5 if dtype == "bool" else (100 * values).astype(dtype)


def round_trip(frame, axes=None):
    image = ImageTensor.of(frame, Layout.of(frame.shape, axes))
    return image, image.restore(image.values)


@pytest.mark.parametrize("axes", ["X", "YX", "XY", "ZYX", "CX", "CYX", "YXC", "YCX", "YXS", "SYX"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_frame_comes_back_as_it_was(axes, dtype):
    frame = values_of(shape_of(axes), dtype)
    before = frame.copy()
    layout = Layout.of(frame.shape, axes, "volume" if "Z" in axes else "frames")
    image = ImageTensor.of(frame, layout)
    restored = image.restore(image.values)
    assert image.values.shape == (
        SIZES["C"] if "C" in axes else SIZES["S"] if "S" in axes else 1,
        *shape_of(layout.spatial),
    )
    assert restored.dtype == frame.dtype
    np.testing.assert_allclose(restored.astype(float), frame.astype(float), rtol=1e-6 if "f4" in dtype else 1e-13)
    np.testing.assert_array_equal(frame, before)
    assert not np.shares_memory(restored, frame)


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(
        st.sampled_from(["uint8", "uint16", "int16", "uint32", "int32", "bool"]),
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
    )
)
def test_integers_and_truth_values_come_back_exactly(frame):
    np.testing.assert_array_equal(round_trip(frame)[1], frame, strict=True)


def test_a_few_values_in_a_small_frame_are_no_marks_of_missing_data():
    frame = np.full((4, 6), 3, np.float32)
    frame[:2] = [[0, 4, 0, 0, 0, 0], [0, 0, 0, 0, 0, 3]]
    np.testing.assert_allclose(round_trip(frame)[1], frame, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: arrays.arrays(
            dtype,
            arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=6),
            elements={"allow_nan": False, "min_value": -(2.0**100), "max_value": 2.0**100},
        )
    )
)
def test_floats_come_back_to_rounding_and_within_their_own_range(frame):
    restored = round_trip(frame)[1]
    assert restored.dtype == frame.dtype
    assert frame.min() <= restored.min() <= restored.max() <= frame.max()
    span = float(frame.max()) - float(frame.min())
    np.testing.assert_allclose(restored, frame, rtol=2 * np.finfo(frame.dtype).eps, atol=1e-14 * span)


def test_values_of_a_channel_span_the_generators_range():
    frame = values_of((2, 6, 7))
    frame[1] *= 1000
    image, _ = round_trip(frame, "CYX")
    assert image.values.min((1, 2)) == pytest.approx([LOW, LOW], rel=1e-12)
    assert image.values.max((1, 2)) == pytest.approx([HIGH, HIGH], rel=1e-12)
    assert image.low.tolist() == frame.min((1, 2)).tolist()
    assert image.high.tolist() == frame.max((1, 2)).tolist()


def test_samples_of_a_color_share_one_range():
    frame = values_of((6, 7, 3))
    frame[..., 1] /= 4
    image, _ = round_trip(frame)
    assert image.values.max() == pytest.approx(HIGH)
    assert image.values[1].max() < 0.3
    assert len(set(image.low)) == len(set(image.high)) == 1


@pytest.mark.parametrize(("shape", "axes"), [((6, 7, 4), "YXS"), ((4, 6, 7), "SYX")])
def test_alpha_is_neither_fitted_nor_touched(shape, axes):
    frame = values_of(shape, "uint8")
    position = axes.index("S")
    np.moveaxis(frame, position, 0)[3] = values_of((6, 7), "uint8", seed=1) + 150
    image = ImageTensor.of(frame, Layout.of(shape, axes))
    assert image.values.shape == (3, 6, 7)
    assert image.high.max() < 150
    restored = image.restore(np.full_like(image.values, 0.5))
    assert restored.shape == shape
    np.testing.assert_array_equal(np.take(restored, 3, position), np.take(frame, 3, position))
    assert np.unique(np.take(restored, range(3), position)).size == 1


def test_missing_values_are_marked_and_do_not_shift_the_range():
    frame = values_of((6, 7))
    frame[2, 3] = np.nan
    image = ImageTensor.of(frame, Layout.of(frame.shape))
    assert np.argwhere(~image.is_observed).tolist() == [[0, 2, 3]]
    assert image.values[0, 2, 3] == 0.5
    assert np.isfinite(image.values).all()
    assert (image.low[0], image.high[0]) == (np.nanmin(frame), np.nanmax(frame))


def test_missing_values_are_filled_from_the_generator():
    frame = np.linspace(10, 20, 42).reshape(6, 7)
    frame[2, 3] = np.nan
    image = ImageTensor.of(frame, Layout.of(frame.shape))
    values = image.values.copy()
    values[0, 2, 3] = (LOW + HIGH) / 2
    restored = image.restore(values)
    assert restored[2, 3] == pytest.approx(15)
    np.testing.assert_allclose(np.delete(restored, 17), np.delete(frame, 17), rtol=1e-13)


@pytest.mark.parametrize("axes", ["CYX", "YXC", "YXS"])
@pytest.mark.parametrize("value", [7, np.nan])
def test_a_channel_that_is_constant_or_missing_is_set_aside_and_stays(axes, value):
    frame = values_of(shape_of(axes))
    position = Layout.of(frame.shape, axes).channel
    channels = np.moveaxis(frame, position, 0)
    channels[1] = value
    image = ImageTensor.of(frame, Layout.of(frame.shape, axes))
    others = np.delete(np.arange(len(channels)), 1)
    assert image.measured.channels == tuple(others)
    assert len(image.values) == len(others)
    np.testing.assert_allclose(image.restore(image.values), frame, rtol=1e-13)
    error = np.moveaxis(image.restore_error(np.ones_like(image.values), image.values), position, 0)
    assert (error[1] == 0).all()
    assert (error[others] > 0).all()


def test_an_area_of_one_value_is_restored_as_it_is_and_has_no_error():
    frame = 50 + np.random.default_rng(0).standard_normal((40, 50))
    frame[:10] = 0
    image = ImageTensor.of(frame, Layout.of(frame.shape))
    assert not image.is_observed[0, :10].any()
    assert image.low[0] > 40
    restored = image.restore(np.full_like(image.values, 0.5))
    assert (restored[:10] == 0).all()
    assert (restored[10:] > 40).all()
    assert (image.restore_error(np.ones_like(image.values), image.values)[:10] == 0).all()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_result_beyond_the_range_is_held_at_the_images_own_minimum_and_maximum(dtype):
    frame = values_of((6, 7), dtype)
    image = ImageTensor.of(frame, Layout.of(frame.shape))
    assert (image.restore(np.full_like(image.values, 1.2)) == frame.max()).all()
    assert (image.restore(np.full_like(image.values, -0.2)) == frame.min()).all()


def test_integers_are_rounded_and_truth_values_cut_at_one_half():
    numbers = np.array([[0, 10, 0, 10]], np.uint8)
    image = ImageTensor.of(numbers, Layout.of(numbers.shape))
    values = LOW + (HIGH - LOW) * np.array([[[0.26, 0.34, 0.44, 0.96]]])
    assert image.restore(values).tolist() == [[3, 3, 4, 10]]
    truth = numbers > 5
    image = ImageTensor.of(truth, Layout.of(truth.shape))
    assert image.restore(values).tolist() == [[False, False, False, True]]


PHOTONS = PoissonGaussianNoise((3.0,), (2.0,), (100.0,))


def photons(shape=(40, 50), peak=30.0, seed=0):
    rng = np.random.default_rng(seed)
    expected = peak * (1 + np.sin(np.indices(shape).sum(0) / 5)) / 2
    return 100 + 2 * rng.poisson(expected) + 3 * rng.standard_normal(shape)


def of(frame, noise, axes=None):
    return ImageTensor.of(frame, Layout.of(frame.shape, axes), noise)


@pytest.mark.parametrize(
    ("frame", "noise"),
    [
        (values_of((6, 7)), GaussianNoise((2.0,))),
        (photons(), PHOTONS),
        (np.abs(values_of((6, 7))), RicianNoise((5.0,))),
    ],
)
def test_stabilized_values_span_the_generators_range(frame, noise):
    image = of(frame, noise)
    assert (image.values.min(), image.values.max()) == (pytest.approx(LOW), pytest.approx(HIGH))
    assert (np.argsort(image.values, axis=None) == np.argsort(frame, axis=None, kind="quicksort")).mean() > 0.9


def test_without_a_model_the_noise_is_not_known():
    assert np.isnan(of(values_of((6, 7)), None).noise_level).all()


def test_the_level_of_gaussian_noise_is_scaled_as_the_values_are():
    frame = values_of((2, 6, 7))
    frame[1] *= 10
    image = of(frame, GaussianNoise((2.0, 2.0)), "CYX")
    np.testing.assert_allclose(image.noise_level, 0.9 * 2 / np.ptp(frame, axis=(1, 2)))
    np.testing.assert_array_equal(image.values, of(frame, None, "CYX").values)
    np.testing.assert_array_equal(image.restore(image.values), of(frame, None, "CYX").restore(image.values))


def test_the_level_of_stabilized_noise_is_what_is_there():
    frame = np.concatenate([100 + 2 * np.random.default_rng(0).poisson(n, (1, 20_000)) for n in (8, 40)]).astype(float)
    image = of(frame, PoissonGaussianNoise((0.0,), (2.0,), (100.0,)))
    np.testing.assert_allclose(image.values[0].std(1), image.noise_level[0], rtol=0.03)


def test_the_mean_of_stabilized_values_comes_back_as_the_clean_value():
    clean = 12.0
    frame = 100 + 2 * np.random.default_rng(0).poisson(clean, (400, 400)).astype(float)
    image = of(frame, PoissonGaussianNoise((0.0,), (2.0,), (100.0,)))
    flat = image.restore(np.full_like(image.values, image.values.mean()))
    np.testing.assert_allclose(flat, 100 + 2 * clean, atol=0.1)


def test_a_rician_background_comes_back_as_zero():
    rng = np.random.default_rng(0)
    frame = 5 * np.hypot(
        np.repeat([[0], [20]], 200, 0) + rng.standard_normal((400, 300)), rng.standard_normal((400, 300))
    )
    image = of(frame, RicianNoise((5.0,)))
    means = image.values[0].reshape(2, -1).mean(1)
    restored = image.restore(np.repeat(means, 200)[None, :, None] + np.zeros((1, 400, 300)))
    assert restored[0, 0] < 1.5
    assert restored[-1, 0] == pytest.approx(100, rel=0.01)
    assert frame.min() > 0


def rician_slice(signal=20):
    """Half background, half tissue, with the noisy estimate of its means that a generator would draw."""
    rng = np.random.default_rng(0)
    noise = [5 * rng.standard_normal((400, 300)) for _ in range(2)]
    frame = np.hypot(5 * np.repeat([[0], [signal]], 200, 0) + noise[0], noise[1])
    image = of(frame, RicianNoise((5.0,)))
    means = np.repeat(image.values[0].reshape(2, -1).mean(1), 200)[None, :, None]
    return image, means + 0.1 * image.noise_level[0] * rng.standard_normal((1, 400, 300))


def test_chance_about_the_noise_floor_is_not_taken_for_signal():
    image, drawn = rician_slice()
    restored, plain = image.restore(drawn), image.restore(drawn, is_denoised=False)
    assert np.sqrt(np.mean(plain[:200] ** 2)) > 1.5
    assert np.sqrt(np.mean(restored[:200] ** 2)) < 0.5
    np.testing.assert_allclose(restored[200:], plain[200:], rtol=1e-6)


def test_the_error_is_largest_where_there_is_signal():
    image, drawn = rician_slice()
    level = image.noise_level[0]
    restored = image.restore_error(np.full_like(drawn, level), drawn)
    assert np.sqrt(np.mean(restored[200:] ** 2)) == pytest.approx(5, rel=0.05)
    assert np.sqrt(np.mean(restored[:200] ** 2)) < 2.5
    assert (image.slope(drawn) == 0).any()
    assert restored.min() > 0.1
    np.testing.assert_allclose(restored[200:], level * image.slope(drawn)[0][200:], rtol=1e-6)


def test_the_slope_is_the_change_of_the_restored_image_per_unit():
    frame = 3 + np.random.default_rng(0).poisson(20.0, (40, 50)).astype(float)
    image = of(frame, PoissonGaussianNoise((0.0,), (1.0,), (3.0,)))
    drawn = np.full_like(image.values, image.values.mean())
    change = image.restore(drawn + 0.01) - image.restore(drawn)
    np.testing.assert_allclose(image.slope(drawn + 0.005)[0], change / 0.01, rtol=1e-3)


def test_the_variance_of_the_noise_at_a_pixel_is_the_one_measured_there_or_that_of_the_theory():
    frame = np.abs(values_of((2, 6, 7))) * 10 + 50
    plain = PoissonGaussianNoise((1.0, 1.0), (2.0, 2.0), (3.0, 3.0))
    image = of(frame, plain, "CYX")
    column = image.noise_level[:, None, None] ** 2
    theory = np.stack([s.noise_variance(s.forward(x)) for s, x in zip(image.stabilizers, frame, strict=True)])
    np.testing.assert_allclose(image.noise_variance(image.values), column * theory)
    ends = [each.forward(np.array([x.min(), x.max()])) for each, x in zip(image.stabilizers, frame, strict=True)]
    stable = tuple(StableNoise(tuple(x.tolist()), (0.5, 0.9), 0.8) for x in ends)
    image = of(frame, replace(plain, stable=stable), "CYX")
    for values, share in ((LOW, 0.5), ((LOW + HIGH) / 2, 0.7), (HIGH, 0.9)):
        variance = image.noise_variance(np.full(frame.shape, values))
        np.testing.assert_allclose(variance, np.broadcast_to(share * column, variance.shape))
    np.testing.assert_allclose(image.mean_noise_level, 0.8 * image.noise_level)


def test_gaussian_noise_has_the_same_variance_everywhere():
    frame = values_of((2, 6, 7))
    image = of(frame, GaussianNoise((2.0, 3.0)), "CYX")
    expected = np.broadcast_to(image.noise_level[:, None, None] ** 2, frame.shape)
    np.testing.assert_allclose(image.noise_variance(image.values), expected)
    assert np.isnan(of(frame, None, "CYX").noise_variance(image.values)).all()


def test_magnitudes_that_are_missing_say_nothing_of_the_floor():
    image, drawn = rician_slice(2)
    frame = image.frame.copy()
    frame[:100] = np.nan
    masked = of(frame, image.noise)
    at = masked.scale(np.stack([np.full((400, 300), 6.0)]))  # the floor is at 6.3
    drawn = np.where(masked.is_observed, masked.scale(image._undo(drawn)), at - 0.8 * masked.noise_level[0])
    tissue = masked.restore(drawn)[200:]
    np.testing.assert_allclose(tissue.mean(), masked.restore(drawn, is_denoised=False)[200:].mean(), rtol=0.05)


def test_rician_noise_needs_magnitudes():
    with pytest.raises(InputError, match=r"has negative values\. Choose another kind"):
        of(-values_of((6, 7)), RicianNoise((5.0,)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_of_channels_with_the_same_noise_the_mean_is_fitted_and_the_differences_stay(dtype):
    rng = np.random.default_rng(0)
    clean = 60 + 100 * rng.random((20, 30, 3))
    frame = (clean + 10 * rng.standard_normal((20, 30, 1))).astype(dtype)
    image = of(frame, GaussianNoise((10.0,) * 3, is_shared=True))
    assert image.values.shape == (1, 20, 30)
    assert image.noise_level.shape == (1,)
    np.testing.assert_allclose(image.restore(image.values), frame, rtol=1e-6)
    exact = image.restore(image.scale(clean.mean(-1)[None])).astype(float)
    assert np.abs(exact - clean).mean() < (1.2 if dtype != "float32" else 0.4)
    assert image.restore(image.values).dtype == dtype


def test_a_missing_sample_takes_the_difference_of_the_nearest_pixel():
    frame = np.stack([values_of((6, 7)), values_of((6, 7)) + 5, values_of((6, 7)) + 20], -1)
    whole = frame.copy()
    frame[2, 3, 1] = np.nan
    image = of(frame, GaussianNoise((1.0,) * 3, is_shared=True))
    assert np.argwhere(~image.is_observed).tolist() == [[0, 2, 3]]
    np.testing.assert_allclose(image.restore(image.scale(whole.mean(-1)[None])), whole)


def test_impulses_are_not_observed():
    frame = 50 + np.random.default_rng(0).standard_normal((40, 50))
    frame[20, 20] = 57
    image = of(frame, GaussianNoise((1.0,), impulses=1e-3))
    assert np.argwhere(~image.is_observed).tolist() == [[0, 20, 20]]
    assert image.high[0] < 55
    assert of(frame, GaussianNoise((1.0,))).is_observed.all()


def test_counts_are_events_and_come_back():
    frame = photons()
    image = of(frame, PHOTONS)
    counts = image.counts
    np.testing.assert_allclose(counts[0], np.maximum((frame - 100) / 2 + 2.25, 0))
    kept = counts > 0
    np.testing.assert_allclose(image.from_counts(counts)[kept], image.values[kept])


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_thinned_counts_have_the_mean_of_all_and_more_noise(share):
    rng = np.random.default_rng(0)
    counts = rng.poisson(20, (1, 400, 400)).astype(float)
    image = of(counts[0], PoissonGaussianNoise((0.0,), (1.0,), (0.0,)))
    thinned = image.from_counts(rng.binomial(counts.astype(int), share).astype(float), share)
    assert thinned.mean() == pytest.approx(image.values.mean(), abs=0.02 * image.noise_level[0])
    assert thinned.std() == pytest.approx(image.noise_level[0] / np.sqrt(share), rel=0.02)
