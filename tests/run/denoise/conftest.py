import numpy as np
import pytest


@pytest.fixture(scope="session")
def noisy():
    """Draw a bright spot under noise."""

    def draw(shape=(20, 23), dtype="float32", seed=0):
        rng = np.random.default_rng(seed)
        axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[-2:]), indexing="ij")
        values = 20 + 150 * np.exp(-4 * sum(x**2 for x in axes)) + 10 * rng.standard_normal(shape)
        return values > 90 if dtype == "bool" else values.astype(dtype)

    return draw


@pytest.fixture(scope="session")
def same():
    """Tell whether two arrays have the same type and the same values, missing ones included."""

    def are_same(one, other):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")

    return are_same


@pytest.fixture
def used():
    """Return what a result was computed with, as settings."""
    return lambda result: {"device": result.device, "n_threads": result.n_threads, "backend": result.backend}
