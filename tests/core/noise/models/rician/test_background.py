import numpy as np
import pytest

from napari_convgen.core.noise.models.rician import RicianStabilizer, background

RNG = np.random.default_rng(0)


def background_share(above, counts=None):
    return background.background_share(above, np.ones(above.shape, bool) if counts is None else counts)


def test_pure_background_is_taken_for_what_it_is():
    share = background_share(0.1 * RNG.standard_normal((100, 120)))
    assert share.shape == (100, 120)
    assert share.mean() > 0.97


def test_the_share_is_that_of_background_among_values_at_the_same_distance():
    """Background 0 ± 0.1, and as much signal at 0.2 ± 0.1: at 0.1 the two are as likely."""
    values = np.concatenate([RNG.standard_normal(200_000), 2 + RNG.standard_normal(200_000)])
    at = np.array([0.5, 1.0, 1.5, 2.0])
    expected = 1 / (1 + np.exp(2 * at - 2))
    # The signal's own values below the floor are counted as background's.
    below = 1 / (1 + np.exp(-2 * at - 2))
    shares = background_share(0.1 * np.concatenate([values, at]))[-len(at) :]
    np.testing.assert_allclose(shares, expected / below, atol=0.05)


@pytest.mark.parametrize("values", [np.full(500, 3.0), 1 + RNG.random(500), np.zeros(7)])
def test_where_nothing_lies_below_the_floor_there_is_no_background(values):
    assert (background_share(values) == 0).all()


def test_a_few_values_below_the_floor_hardly_touch_an_image_without_background():
    values = np.concatenate([0.5 + 0.1 * RNG.standard_normal(10_000), [-0.05, -0.01, -0.1]])
    assert background_share(values)[values > 0].max() < 0.5
    assert background_share(values)[values > 0.2].mean() < 0.02


def test_the_share_never_rises_with_the_distance():
    values = np.concatenate([0.1 * RNG.standard_normal(3000), RNG.exponential(0.2, 3000)])
    share = background_share(values)[np.argsort(values)]
    assert (np.diff(share) <= 0).all()
    assert ((share >= 0) & (share <= 1)).all()


def faint_tissue():
    """Background, and tissue whose mean is 0.4 above the floor, estimated to 0.1."""
    return np.concatenate([0.1 * RNG.standard_normal(20_000), 0.4 + 0.1 * RNG.standard_normal(5000)])


@pytest.mark.parametrize("depth", [-1.2, -2.7])
def test_zeros_around_a_slice_do_not_hide_faint_tissue(depth):
    values = faint_tissue()
    padded = np.concatenate([values, np.full(20_000, depth)])
    share = background_share(padded)
    np.testing.assert_allclose(share[: len(values)], background_share(values), atol=0.02)
    assert (share[len(values) :] == 1).all()
    assert share[20_000 : len(values)].mean() < 0.1


@pytest.mark.parametrize(("raised", "least"), [(0.03, 0.95), (-0.03, 0.95), (0.3, 0.0)])
def test_a_background_that_lies_a_little_above_the_floor_is_one(raised, least):
    """The noise's level is known within a few percent; a mean further above is faint signal."""
    share = background_share(raised + 0.02 * RNG.standard_normal((100, 120)))
    assert least <= share.mean() <= least + 0.05


def test_what_is_not_observed_does_not_count():
    values = faint_tissue()
    drawn = np.concatenate([values, -0.8 + 0.1 * RNG.standard_normal(20_000)])
    counts = np.arange(len(drawn)) < len(values)
    np.testing.assert_array_equal(background_share(drawn, counts)[: len(values)], background_share(values))


def test_padding_alone_is_background_and_says_nothing_of_the_rest():
    values = np.concatenate([np.full(50, -2.7), 3 + RNG.random(50)])
    np.testing.assert_array_equal(background_share(values), values < 0)


def test_an_empty_channel_has_no_shares():
    assert background_share(np.zeros((0, 3))).shape == (0, 3)


def test_a_noisy_estimate_of_a_background_has_no_signal_and_one_of_tissue_has():
    transform = RicianStabilizer(5.0)
    noise = np.hypot(5 * RNG.standard_normal(4_000_000), 5 * RNG.standard_normal(4_000_000))
    floor = transform.forward(noise).mean()
    background = floor + 0.1 * RNG.standard_normal((60, 60))
    tissue = transform.forward(np.full((60, 60), 40.0)) + 0.1 * RNG.standard_normal((60, 60))
    estimates = np.stack([background, tissue])
    share = transform.signal_share(estimates, np.ones(estimates.shape, bool))
    assert share[0].mean() < 0.06
    assert share[1].min() == 1
