import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from napari_convgen.core.image import Layout, Measured, check_array, is_doubtful
from napari_convgen.core.noise import estimate_noise
from napari_convgen.errors import InputError

SIZE = (96, 96)
Y, X = np.ogrid[:96, :96]
LABEL = (Y > 20) & (Y < 40) & (X > 30) & (X < 80)
DISK = (Y - 48) ** 2 + (X - 48) ** 2 < 36**2


def noise(seed=0, shape=SIZE):
    return np.random.default_rng(seed).standard_normal(shape)


def blobs(width, seed=1):
    """Return smoothed random shapes between 0 and 1, on a dark background."""
    return ndimage.gaussian_filter((ndimage.gaussian_filter(noise(seed), 6) > 0.04).astype(float), width)


def measured(frame, axes="YX", z_axis="frames"):
    return Measured.of(frame, Layout.of(frame.shape, axes, z_axis))


def textured():
    return 60 + 100 * blobs(2) + 10 * noise()


def with_bar(value):
    frame = textured().round().astype(np.uint8)
    frame[76:] = value
    return frame, np.broadcast_to(Y >= 76, SIZE)


def with_text():
    frame, is_bar = with_bar(0)
    is_text = is_bar & (Y > 80) & (Y < 92) & (X % 9 < 2) & (X > 6)
    return np.where(is_text, 255, frame), is_bar & ~is_text


AREAS = {
    "skull stripped": lambda: (np.where(DISK, textured(), 0).round().astype(np.int16), ~DISK),
    "padded with white": lambda: (np.where(DISK, textured(), 255).round().astype(np.uint8), ~DISK),
    "no data in float32": lambda: (np.where(DISK, textured(), -3.4e38).astype(np.float32), ~DISK),
    "bar of a value among the others": lambda: with_bar(90),
    "bar with text": with_text,
    "white label": lambda: (np.where(LABEL, 255, textured().round()).astype(np.uint8), LABEL),
    "bar on photons": lambda: (np.where(X < 20, 30, np.random.default_rng(0).poisson(6 * blobs(1) + 0.3)), X < 20),
    "interpolated border": lambda: (ndimage.zoom(np.where(DISK, textured(), 0), 1, order=1), ~DISK),
}


@pytest.mark.parametrize("lost", [[0], [2], [3, 4], [5]])
@pytest.mark.parametrize("value", [0.0, 90.0])
def test_lost_slices_of_a_volume_are_left_out_and_unchanged(lost, value):
    volume = np.stack([60 + 100 * blobs(2)[:32, :40] + 10 * noise(i, (32, 40)) for i in range(6)])
    volume[lost] = value
    left = measured(volume, "ZYX", "volume")
    is_lost = np.isin(np.arange(6), lost)[:, None, None] & np.ones(volume.shape, bool)
    np.testing.assert_array_equal(left.is_kept[0], is_lost)
    np.testing.assert_array_equal(left.is_observed[0], ~is_lost)


@pytest.mark.parametrize("share", [0.03, 0.3])
@pytest.mark.parametrize("value", [3.4e38, 65535.0, -9999.0])
def test_values_for_missing_data_are_left_out_however_many_they_are_and_wherever(share, value):
    frame, is_lost = textured(), np.random.default_rng(2).random(SIZE) < share
    frame[is_lost] = value
    frame[0, 0], is_lost[0, 0] = 2 * value if value < 1e30 else value, True  # a second such value, alone
    left = measured(frame)
    np.testing.assert_array_equal(left.is_observed[0], ~is_lost)
    assert left.left_out.n_outliers == is_lost.sum()


def test_overexposed_objects_with_sharp_edges_are_measured():
    frame = 40 + 8 * noise()
    disks = ((Y % 48 - 24) ** 2 + (X % 48 - 24) ** 2) < 10**2
    frame[np.broadcast_to(disks, SIZE)] = 255
    assert measured(frame.clip(0, 255)).is_observed.all()


@pytest.mark.parametrize("name", AREAS)
def test_large_areas_of_one_exact_value_are_left_out_of_scale_and_noise(name):
    frame, is_fill = AREAS[name]()
    is_fill = np.broadcast_to(is_fill, SIZE)
    found = measured(frame)
    assert (found.is_kept[0] & ~is_fill).sum() == 0
    assert (found.is_kept[0] & is_fill).sum() > 0.98 * is_fill.sum()
    assert not (found.is_observed & found.is_kept).any()
    assert found.left_out.n_filled.total() == found.is_kept.sum()
    if "photons" not in name:
        model = estimate_noise(found.values, found.is_observed)
        assert float(np.sqrt(model.variance(np.full((1, 1, 1), 60.0))).item()) == pytest.approx(10, rel=0.15)


@pytest.mark.parametrize("axes", ["ZYX", "X"])
def test_areas_are_found_in_volumes_and_lines(axes):
    shape = (6, 32, 32) if axes == "ZYX" else (700,)
    frame = 50 + noise(shape=shape)
    frame[..., : shape[-1] // 4] = 3
    assert measured(frame, axes, "volume" if "Z" in axes else "frames").is_kept.mean() == 0.25


def counts(mean, seed=0):
    return np.random.default_rng(seed).poisson(mean)


NATURAL = {
    **{f"{light} photons": lambda light=light: counts(np.full(SIZE, light)) for light in (0.002, 0.02, 0.2, 2.0)},
    "few photons in shapes": lambda: counts(0.5 * blobs(1)),
    "photons, dark outside": lambda: 37.0 * counts(20 * blobs(0) * (0.3 + X / 96)),
    "clipped at the background": lambda: (150 * blobs(1) + 20 * noise()).clip(0, 255).round(),
    "clipped above the background": lambda: (150 * blobs(1) - 40 + 20 * noise()).clip(0, 255).round(),
    "overexposed": lambda: (20 + 800 * blobs(2) + 5 * noise()).clip(0, 255).round(),
    "overexposed with a sharp edge": lambda: (
        np.where((Y - 50) ** 2 + (X - 40) ** 2 < 20**2, 400, textured()).clip(0, 255).round()
    ),
    "clipped at white": lambda: (275 - 200 * blobs(2) + 20 * noise()).clip(0, 255).round(),
    "binary": lambda: (blobs(0) > 0).astype(np.uint8),
    "truth values": lambda: blobs(0) > 0,
    "slope in steps": lambda: np.add.outer(np.arange(96), np.arange(96)) // 8,
    "noise": textured,
}


@pytest.mark.parametrize("name", NATURAL)
def test_what_noise_photons_and_exposure_make_equal_is_no_fill(name):
    assert not measured(NATURAL[name]()).is_kept.any()


def hot(frame, places, value, side=1):
    is_hot = np.zeros(SIZE, bool)
    for y, x in places:
        is_hot[y : y + side, x : x + side] = True
    return np.where(is_hot, value, frame), is_hot


OUTLIERS = {
    "one": lambda: hot(textured().round(), [(30, 40)], 65535),
    "in a corner and at the border": lambda: hot(textured(), [(0, 0), (0, 50), (95, 60)], -9999.0, 2),
    "clusters": lambda: hot(textured(), [(20, 20), (50, 70), (93, 3)], 3.4e38, 3),
    "beyond all squares": lambda: hot(textured(), [(30, 40)], -1e300),
    "a block without data": lambda: hot(textured(), [(30, 40)], -1e6, 8),
    "among few photons": lambda: hot(counts(np.full(SIZE, 0.02)).astype(float), [(30, 40), (60, 10)], 4000.0),
}


@pytest.mark.parametrize("name", OUTLIERS)
def test_pixels_far_outside_the_range_are_left_out_and_counted(name):
    frame, is_hot = OUTLIERS[name]()
    found = measured(frame)
    np.testing.assert_array_equal(found.is_observed[0], ~is_hot)
    assert np.isnan(found.values[0][is_hot]).all()
    assert not found.is_kept.any()
    assert found.left_out.n_outliers == is_hot.sum()


@pytest.mark.parametrize("width", [0.8, 1.0, 1.3, 2.0])
@pytest.mark.parametrize("height", [30.0, 100.0, 300.0, 1000.0, 10_000.0])
def test_points_that_optics_has_drawn_are_measured(width, height):
    spots = sum(np.exp(-((Y - y) ** 2 + (X - x) ** 2) / 2 / width**2) for y, x in ((20, 20.3), (50.5, 70), (80, 40)))
    assert measured(100 + 10 * noise() + 10 * height * spots).is_observed.all()
    saturated = np.minimum(100 + 10 * noise() + 10 * height * spots, 100 + 5 * height)
    assert width < 1 or measured(saturated).is_observed.all()


def test_photons_and_heavy_tails_have_no_outliers():
    assert measured(counts(np.full(SIZE, 0.3))).is_observed.all()
    assert measured(100 + np.random.default_rng(0).standard_t(5, SIZE)).is_observed.all()


def test_values_whose_squares_overflow_get_a_sentence():
    frame = textured() * 1e200
    with pytest.raises(
        InputError, match=r"values of up to 1.*e\+202, and their squares cannot be computed\. Divide it"
    ):
        check_array(frame, Layout.of(frame.shape))


@pytest.mark.parametrize("size", [1e-73, 1e-150, 1e-310])
def test_values_that_differ_too_little_get_a_sentence(size):
    stack = np.stack([textured(), textured() * size])
    with pytest.raises(
        InputError, match=r"differ by \d.*e-\d+ at most at T = 1, and powers of that cannot .*\. Multiply it"
    ):
        check_array(stack, Layout.of(stack.shape, "TYX"))
    assert is_doubtful(stack[1])


def test_small_values_are_fitted():
    frame = (100 + 10 * noise()) * 1e-42
    assert not is_doubtful(frame)
    [check] = check_array(frame, Layout.of(frame.shape))
    assert not check.is_constant
    assert estimate_noise(frame[None], np.ones((1, *SIZE), bool)).sigma == pytest.approx((1e-41,), rel=0.1)


@settings(deadline=None, max_examples=300)
@given(
    arrays.arrays(
        np.float64,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=24),
        elements=st.sampled_from([0.0, 1.0, 2.5, 40.0, 65_535.0, np.nan, 1.7e308, -1.7e308, 1e-300]),
        fill=st.sampled_from([0.0, 1.0, np.nan, -1.7e308]),
    ),
    st.integers(0, 2**16),
)
def test_any_array_is_looked_at_or_refused_with_a_sentence(frame, seed):
    for image in (frame, np.where(frame == 0, noise(seed, frame.shape), frame)):
        try:
            [check] = check_array(image, Layout.of(image.shape, "YX"))
        except InputError:
            continue
        found = measured(image)
        assert np.isfinite(found.values[found.is_observed]).all()
        assert check.left_out == found.left_out


def test_sentences_name_what_was_left_out():
    frame = np.stack([np.where(DISK, textured(), 0), np.full(SIZE, 4.0), textured()])
    frame[2, 5, 5] = np.nan
    frame[2, 40, 50] = 1e6
    [check] = check_array(frame, Layout.of(frame.shape, "CYX"))
    missing, outliers, fill, constant = check.left_out.sentences()
    assert missing.startswith("1 missing (NaN) pixels")
    assert "1 pixel far outside" in outliers
    assert "large areas of one exact value (0)" in fill
    assert "channel 1 (from 0)" in constant


def phase(slope, level, seed=0):
    angle = slope * (X + 0.5 * Y) / 10 + level * noise(seed)
    return np.angle(np.exp(1j * angle))


def test_a_wrapped_phase_is_told_from_other_images_of_its_range():
    frames = {True: [], False: []}
    frames[True] += [
        phase(2, 0.3),
        phase(2, 0.3).astype(np.float32),
        phase(1, 0.0) + np.pi,
        np.where(DISK, phase(2, 0.3), 0),
    ]
    smooth = np.interp(textured(), (textured().min(), textured().max()), (-np.pi, np.pi))
    frames[False] += [smooth, np.round(phase(2, 0.3)).astype(np.int16), 2 * phase(2, 0.3), 0.5 * phase(0.1, 0.1)]
    frames[False] += [10 * (phase(2, 0.3) + np.pi)]  # from 0 on, but beyond 2π
    turns = phase(2, 0.3) / (2 * np.pi)
    frames[True] += [360 * turns, np.round(360 * (turns + 0.5)).astype(np.int16), np.float32(180 + 360 * turns)]
    frames[False] += [np.floor(256 * (turns + 0.5)).astype(np.uint8)]  # as many images have their whole range
    frames[True] += [np.floor(4096 * (turns + 0.5)).astype(np.uint16)]
    frames[True] += [
        np.round(8192 * turns).astype(np.int16),
        np.random.default_rng(0).integers(0, 4096, SIZE, np.uint16),
    ]
    two = np.where(X % 16 < 8, 30.0, 225.0)  # two values with noise, edges between them
    photograph = 128 + 2 * (smooth * 30 + 40 * noise(3))
    frames[False] += [
        np.clip(each, 0, 255).astype(np.uint8) for each in (two + 12 * noise(1), photograph, 128 + 42 * noise(4))
    ]
    frames[False] += [np.clip(255 * np.round(turns + 0.5), 0, 255).astype(np.uint8), 360 * (smooth / (2 * np.pi) + 0.5)]
    for is_wrapped, images in frames.items():
        for image in images:
            notes = check_array(image, Layout.of(SIZE))[0].notes
            assert any("wrapped phase" in note for note in notes) is is_wrapped
