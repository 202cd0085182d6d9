import pytest
from napari.components import ViewerModel

from napari_convgen.run.spectrum import run as module


@pytest.fixture
def few_products(monkeypatch):
    """Draw less and iterate less in a spectrum, which is then quick and inaccurate."""
    for name in ("N_NOISE_DRAWS", "N_SENSITIVITY_PROBES", "N_TAIL_PRODUCTS", "N_DESCENT_PRODUCTS"):
        monkeypatch.setattr(module, name, 4)


@pytest.fixture
def viewer(noisy):
    """A viewer without a window, with a layer "cells"."""
    model = ViewerModel()
    model.add_image(noisy, name="cells")
    return model
