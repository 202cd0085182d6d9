import numpy as np
import pytest
import torch

from napari_convgen.core.generators.layers import reflect


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (0, 2)])
@pytest.mark.parametrize("size", [(7,), (4, 3), (1, 5), (2, 2), (1, 1, 2)])
def test_edges_are_reflected_as_numpy_does_it(size, before, after):
    x = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), *[(before, after)] * len(size)], mode="reflect")
    assert np.array_equal(reflect(x, before, after).numpy(), expected)


def test_the_memory_order_of_channels_last_is_kept():
    x = torch.zeros(1, 8, 6, 5).to(memory_format=torch.channels_last)
    assert reflect(x, 1, 1).is_contiguous(memory_format=torch.channels_last)
