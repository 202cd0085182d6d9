from dataclasses import replace

import numpy as np
import pytest
from napari.layers import Image

from napari_convgen.viewer.layers.door import read_layer
from napari_convgen.viewer.layers.frame import take_part


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_part_of_a_file_is_no_file(is_whole):
    source = replace(read_layer(Image(np.zeros((8, 9), np.float32))), path="cells.tif")
    part = take_part(source, (slice(0, 8 if is_whole else 4), slice(None)))
    assert part.path == ("cells.tif" if is_whole else None)
