import numpy as np
from napari.layers import Image

from napari_convgen.files.images import read_image
from napari_convgen.viewer.writing import write_ome_tiff


def test_of_a_multiscale_layer_the_finest_level_is_written(tmp_path):
    fine = np.random.default_rng(0).random((16, 16), np.float32)
    data, attributes, _ = Image([fine, fine[::2, ::2]], multiscale=True).as_layer_data_tuple()
    [path] = write_ome_tiff(str(tmp_path / "levels"), data, attributes)
    np.testing.assert_array_equal(read_image(path).data, fine)
