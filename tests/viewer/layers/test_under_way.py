"""What is done of a lazy image is shown, and elsewhere the input, which is read no sooner."""

import numpy as np
import pytest

from napari_convgen.viewer.layers.under_way import UnderWay

DATA = np.random.default_rng(0).integers(0, 99, (3, 2, 6, 7), "uint16")


class Lazy:
    """An array that notes what is read of it."""

    shape, dtype = DATA.shape, DATA.dtype

    def __init__(self):
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return DATA[index]


@pytest.mark.parametrize(
    "index", [1, (1, 0), (..., 3), (slice(None), 0, slice(1, 5)), (2, ..., slice(None, None, 2)), ...]
)
def test_parts_are_in_their_place_and_the_rest_is_the_input(index):
    image, expected = UnderWay(Lazy(), np.float32), DATA.astype(np.float32)
    tiles = [(1, 0, slice(0, 6), slice(2, 5)), (2, 1, slice(3, 6), slice(0, 7))]
    for number, tile in enumerate((*tiles, tiles[0])):
        image[tile] = expected[tile] = np.full(expected[tile].shape, 100 + number)
    np.testing.assert_array_equal(image[index], expected[index])
    assert image[index].dtype == np.float32


def test_only_what_is_looked_at_is_read():
    source = Lazy()
    image = UnderWay(source, np.uint16)
    image[0, 0, slice(0, 6), slice(0, 7)] = np.zeros((6, 7))
    assert source.read == []
    image[1, 1]
    assert source.read == [(1, 1)]


@pytest.mark.parametrize("n_frames", [100, 5000])
def test_of_many_parts_those_that_are_looked_at_are_compared(n_frames, monkeypatch):
    image = UnderWay(np.zeros((n_frames, 2, 8)), np.float32)
    for number in range(n_frames):
        for columns in (slice(0, 4), slice(4, 8)):
            image[number, slice(0, 2), columns] = np.full((2, 4), number + 1.0 + columns.start)
    looked_at, find = [], UnderWay._looked_at
    monkeypatch.setattr(UnderWay, "_looked_at", lambda *each: looked_at.extend(found := find(*each)) or found)
    assert image[70, :, 2:].tolist() == [[71.0, 71.0, 75.0, 75.0, 75.0, 75.0]] * 2
    assert image[70:72, 1, 7].tolist() == [75.0, 76.0]
    assert image[3:3].shape == (0, 2, 8)
    assert looked_at == [140, 141, 141, 143]


def test_parts_in_files_are_shown_as_long_as_these_are_there(tmp_path):
    image, path = UnderWay(Lazy(), np.float32), tmp_path / "part.npy"
    np.save(path, np.full((2, 6, 3), 7.0))
    image[1, slice(0, 2), slice(0, 6), slice(2, 5)] = path
    expected = DATA[1].astype(np.float32)
    expected[..., 2:5] = 7
    np.testing.assert_array_equal(image[1], expected)
    path.unlink()
    np.testing.assert_array_equal(image[1], DATA[1])
