import numpy as np
import pytest

from napari_convgen.config import Config
from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.noise.models import PoissonGaussianNoise
from napari_convgen.errors import ConfigError
from napari_convgen.run.image_vs_noise.config import TargetsConfig
from napari_convgen.run.image_vs_noise.targets import Target, build_targets, noise_like


@pytest.fixture
def image():
    """Two channels with different means and norms, and where they are observed."""
    rng = np.random.default_rng(0)
    values = np.stack([0.2 + 0.1 * rng.random((40, 50)), 0.7 + 0.2 * rng.random((40, 50))])
    return values, rng.random(values.shape) < 0.8


@pytest.mark.parametrize("shape", ["uniform", "gaussian"])
def test_noise_with_its_mean_removed_has_the_mean_and_variance_of_each_channel(image, shape):
    values, is_observed = image
    noise = noise_like(values, is_observed, shape, "removed", np.random.default_rng(1))
    for channel, observed, drawn in zip(values, is_observed, noise, strict=True):
        assert drawn[observed].mean() == pytest.approx(channel[observed].mean(), rel=1e-12)
        assert drawn[observed].std() == pytest.approx(channel[observed].std(), rel=1e-12)
        assert np.linalg.norm(drawn[observed]) == pytest.approx(np.linalg.norm(channel[observed]), rel=1e-12)


@pytest.mark.parametrize("shape", ["uniform", "gaussian"])
def test_noise_with_its_mean_kept_has_the_norm_and_three_quarters_of_its_energy_in_the_mean(image, shape):
    values, is_observed = image
    noise = noise_like(values, is_observed, shape, "kept", np.random.default_rng(1))
    for channel, observed, drawn in zip(values, is_observed, noise, strict=True):
        assert np.linalg.norm(drawn[observed]) == pytest.approx(np.linalg.norm(channel[observed]), rel=1e-12)
        assert drawn[observed].mean() ** 2 / np.mean(drawn[observed] ** 2) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(("shape", "kurtosis"), [("uniform", 1.8), ("gaussian", 3.0)])
def test_noise_is_white_and_of_that_distribution(shape, kurtosis):
    values = np.random.default_rng(0).random((1, 300, 300))
    noise = noise_like(values, np.full(values.shape, True), shape, "removed", np.random.default_rng(1))[0]
    noise = (noise - noise.mean()) / noise.std()
    assert np.mean(noise**4) == pytest.approx(kurtosis, abs=0.1)
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.02
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 0.02


def test_a_channel_that_is_nowhere_observed_is_no_reason_to_fail(image):
    values, is_observed = image
    is_observed[1] = False
    assert np.isfinite(noise_like(values, is_observed, "uniform", "removed", np.random.default_rng(1))).all()


def targets_of(frame, model=None, reference=None, seed=0, **words):
    layout = Layout.of(frame.shape)
    image = ImageTensor.of(frame, layout, model)
    return image, {
        target.name: target for target in build_targets(image, layout, reference, TargetsConfig(**words), seed)
    }


def test_all_targets_are_in_the_units_that_the_image_is_fitted_in():
    truth = np.linspace(1000, 3000, 900).reshape(30, 30)
    frame = np.random.default_rng(0).poisson(truth / 10) * 10.0
    frame[3, 4] = np.nan
    model = PoissonGaussianNoise((0.0,), (10.0,), (0.0,))
    image, targets = targets_of(frame, model, truth, added_noise=300.0)
    assert list(targets) == ["image", "noise", "reference", "added noise"]
    np.testing.assert_array_equal(targets["image"].values, image.values)
    np.testing.assert_array_equal(targets["reference"].values, image.scale(truth[np.newaxis]))
    assert targets["reference"].is_observed.all()
    assert not targets["added noise"].is_observed[0, 3, 4]
    assert targets["noise"].clean is None
    for name in ("image", "added noise"):
        np.testing.assert_array_equal(targets[name].clean[0], truth)
    # The Anscombe transform of values x of gain g has the slope 1 / sqrt(x g): the noise added has that many units.
    low, high = image.stabilizers[0].forward(np.array([image.low[0], image.high[0]]))
    expected = 0.9 / (high - low) * 300 * np.sqrt(np.nanmean(1 / (frame * 10)))
    differences = (targets["added noise"].values - image.values)[image.is_observed]
    assert differences.std() == pytest.approx(expected, rel=0.1)


def test_without_a_reference_the_noisier_image_is_compared_with_the_image():
    frame = np.random.default_rng(0).random((20, 20))
    _, targets = targets_of(frame, added_noise=0.2)
    assert list(targets) == ["image", "noise", "added noise"]
    assert targets["image"].clean is None
    np.testing.assert_array_equal(targets["added noise"].clean[0], frame)


def test_a_seed_means_one_noise():
    frame = np.random.default_rng(0).random((20, 20))
    seeds = (0, 0, 1)
    drawn = [targets_of(frame, seed=seed, added_noise=0.2)[1] for seed in seeds]
    for name in ("noise", "added noise"):
        first, again, other = (targets[name].values for targets in drawn)
        np.testing.assert_array_equal(first, again)
        assert not np.allclose(first, other)


def test_what_lies_beyond_the_sigmoid_is_told_as_a_share_of_the_variance():
    values = np.array([[[0.25, 0.75, -0.5, 1.5]]])  # about 0.5: 0.25, 0.25, 1, 1; beyond [0, 1]: 0.5, 0.5
    target = Target("noise", values, np.array([[[True, True, True, True]]]))
    assert target.unreachable == pytest.approx(2 * 0.5**2 / (2 * 0.25**2 + 2))
    assert Target("noise", values, np.array([[[True, True, False, False]]])).unreachable == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"noise": "pink"}, "noise must be one of uniform, gaussian, got 'pink'"),
        ({"mean": "half"}, "mean must be one of removed, kept, got 'half'"),
        ({"added_noise": -1.0}, "added_noise must be a number from 0, got -1.0"),
        ({"added_noise": float("nan")}, "added_noise must be a number from 0, got nan"),
    ],
)
def test_what_cannot_be_compared_is_refused(words, sentence):
    with pytest.raises(ConfigError, match=sentence):
        TargetsConfig(**words)


def test_a_generator_that_depends_on_the_measurement_is_refused():
    with pytest.raises(ConfigError, match="A guided or taught network depends on the image that it is fitted to"):
        TargetsConfig().check_generator(Config().replace({"generator.kind": "guided-network"}))
