import numpy as np
import pytest
from napari.utils.notifications import notification_manager

from napari_convgen.config import Config


@pytest.fixture
def small():
    """A configuration that takes a fraction of a second."""
    return Config().replace(
        {
            "generator.n_channels": 8,
            "n_steps": 30,
            "n_seeds": 1,
            "stopping.kind": "fixed",
            "n_threads": 1,
            "device": "cpu",
        }
    )


@pytest.fixture
def endless(small):
    """A configuration that runs until it is ended."""
    return small.replace({"n_steps": 1_000_000})


@pytest.fixture
def noisy():
    y, x = np.mgrid[:32, :32]
    clean = 100 + 80 * np.sin(x / 5) * np.cos(y / 7)
    return (clean + np.random.default_rng(0).normal(0, 10, clean.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def notes():
    """Notifications of the test."""
    seen = []
    notification_manager.notification_ready.connect(seen.append)
    yield seen
    notification_manager.notification_ready.disconnect(seen.append)
