"""A kind of noise with a parameter of its own needs a file and a line in the table: estimate and image ask the model alone."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

from napari_convgen.core.image import ImageTensor, Layout
from napari_convgen.core.noise import estimate, estimate_noise
from napari_convgen.core.noise.models import NOISE_MODELS, NoiseModel, PoissonGaussianNoise
from napari_convgen.core.noise.models.base import given
from napari_convgen.core.noise.stabilizer import Stabilizer


@dataclass(frozen=True)
class Speckle(NoiseModel):
    """Noise that grows with the signal itself: variance ``(contrast x)² + sigma²``."""

    strengths: ClassVar[tuple[str, ...]] = ("sigma", "contrast")
    kind: str = field(init=False, default="speckle")
    contrast: tuple[float, ...]

    @classmethod
    def recognizes(cls, channel):
        curve = channel.reliable_curve
        spread = np.sqrt(curve.variance) / curve.mean
        return len(spread) > 5 and spread.min() > 0.8 * spread.max()

    @classmethod
    def estimate(cls, channel, settings):
        curve, contrast = channel.reliable_curve, given(settings, "contrast")
        measured = float(np.median(np.sqrt(curve.variance) / curve.mean))
        return cls((given(settings, "sigma") or 0.0,), (measured if contrast is None else contrast,))

    @property
    def has_noise(self):
        return max(*self.sigma, *self.contrast) > 0

    def variance(self, x):
        return (self.column("contrast", x.ndim) * x) ** 2 + self.column("sigma", x.ndim) ** 2

    def stabilizers(self):
        return tuple(Logarithm(contrast) for contrast in self.contrast)


@dataclass(frozen=True)
class Logarithm(Stabilizer):
    contrast: float
    noise_level = 1.0

    def forward(self, x):
        return np.log(np.maximum(x, 1e-6)) / self.contrast

    def inverse(self, y):
        return np.exp(self.contrast * y)

    def noise_variance(self, y):
        return np.ones_like(y)


@pytest.fixture
def image(monkeypatch):
    monkeypatch.setattr(estimate, "NOISE_MODELS", {"speckle": Speckle, **NOISE_MODELS})
    clean = 100 * np.exp(2 * np.linspace(0, 1, 256)) * np.ones((256, 1))
    return clean * (1 + 0.05 * np.random.default_rng(0).standard_normal(clean.shape))


def of(image, **words):
    return estimate_noise(image[np.newaxis], np.ones((1, *image.shape), bool), **words)


@pytest.mark.parametrize("words", [{}, {"kind": "speckle"}])
def test_it_is_recognized_and_estimated(image, words):
    model = of(image, **words)
    assert (model.kind, model.contrast) == ("speckle", (pytest.approx(0.05, rel=0.05),))
    assert model.stable[0].level == pytest.approx(1, rel=0.05)


def test_its_own_setting_chooses_it_and_is_taken(image):
    flat = np.random.default_rng(0).standard_normal(image.shape) + 100 + 50 * np.linspace(0, 1, 256)
    assert of(flat, contrast="auto").kind == "gaussian"
    model = of(flat, contrast=0.2)
    assert (model.kind, model.contrast, model.stable) == ("speckle", (0.2,), None)


def test_an_image_goes_through_its_transform_and_back(image):
    scaled = ImageTensor.of(image, Layout.of(image.shape), of(image))
    np.testing.assert_allclose(scaled.restore(scaled.values), image)
    assert not scaled.has_counts
    with pytest.raises(TypeError, match="no events are counted"):
        scaled.counts.sum()


def test_a_setting_that_no_kind_has_is_refused():
    with pytest.raises(TypeError, match="No kind of noise has the settings contrast"):
        of(np.ones((9, 9)), contrast=0.2)


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"must be 'auto' or one of rician, .*, gaussian, got 'speckle'"):
        of(np.ones((9, 9)), kind="speckle")


def test_the_gain_chooses_the_kind_that_has_one():
    assert isinstance(of(np.random.default_rng(0).normal(9, 1, (64, 64)), gain=2.0), PoissonGaussianNoise)
