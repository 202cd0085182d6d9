import numpy as np
import pytest
from scipy.ndimage import gaussian_filter


@pytest.fixture
def scene():
    """A function of a shape and a seed that returns smooth shapes with edges, in [0.2, 0.8]."""

    def draw(shape=(48, 40), seed=5):
        rough = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 4)
        return 0.3 + 0.4 * (rough > 0) + 0.1 * np.tanh(rough / rough.std())

    return draw
