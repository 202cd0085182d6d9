import numpy as np
import pytest
import torch

from napari_convgen.core.columns import as_column


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("shape", [(2, 5), (2, 2, 3), (2, 4, 2, 3)])
def test_each_channel_gets_its_own_value(kind, shape):
    shifted = kind(np.zeros(shape)) + as_column(kind([1.0, 3.0]), len(shape))
    assert tuple(shifted.shape) == shape
    assert (shifted[0] == 1).all()
    assert (shifted[1] == 3).all()
