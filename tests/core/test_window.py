import numpy as np
import pytest
from scipy.signal import get_window

from napari_convgen.core.window import hann_window


@pytest.mark.parametrize("n", [2, 7, 64])
def test_it_is_that_of_scipy_bit_for_bit(n):
    np.testing.assert_array_equal(hann_window(n), get_window("hann", n))
