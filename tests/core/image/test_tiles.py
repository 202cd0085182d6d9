"""What an array is divided into covers it once, with pixels around each tile."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convgen.core.image import Division, Layout


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["YX", "TYX", "YXS", "CYX", "ZYX", "YTX", "X"]),
    st.lists(st.integers(3, 40), min_size=3, max_size=3),
    st.integers(1, 20),
    st.integers(0, 9),
    st.booleans(),
)
def test_tiles_cover_an_array_once_and_lie_within_what_is_read(axes, lengths, side, overlap, is_joint):
    shape = tuple(3 if letter == "S" else n for letter, n in zip(axes, lengths, strict=False))
    layout = replace(Layout.of(shape, axes), is_joint=is_joint)
    array = np.arange(math.prod(shape)).reshape(shape)
    division = Division.of(layout, shape, side, overlap)
    n_covered = np.zeros(shape, int)
    for piece in division.pieces:
        n_covered[piece.index] += 1
        window = array[piece.window]
        assert window.shape == layout.frame_shape(array[piece.window].shape) or window.ndim < len(shape)
        np.testing.assert_array_equal(window[piece.inside], array[piece.index])
        around = [
            (outer.indices(n), inner.indices(n), n)
            for outer, inner, n in zip(piece.window, piece.index, shape, strict=True)
            if isinstance(outer, slice)
        ]
        for (start, stop, _), (first, last, _), n in around:
            assert start <= max(0, first - overlap)
            assert stop >= min(n, last + overlap)
    assert (n_covered == 1).all()
    assert len({array[piece.window].shape for piece in division.pieces}) == 1
    assert len(division.pieces) == division.n_tiles * len(list(layout.frames(shape)))
    assert layout.spatial_shape([1] * len(shape)) == (1,) * len(division.size)


@settings(deadline=None, max_examples=25)
@given(st.sampled_from(["TYX", "YTX", "TYXC", "TCYX", "YXT"]), st.integers(1, 11), st.integers(1, 5), st.integers(0, 3))
def test_groups_of_frames_cover_an_array_once(axes, n, size, n_around):
    shape = tuple({"T": n, "C": 2, "Y": 20, "X": 9}[letter] for letter in axes)
    layout, axis = replace(Layout.of(shape, axes), is_joint=axes != "TCYX"), axes.index("T")
    array = np.arange(math.prod(shape)).reshape(shape)
    n_covered = np.zeros(shape, int)
    groups = Division.of(layout, shape, 8, 2).groups(axis, n, size, n_around)
    for piece in groups:
        n_covered[piece.index] += 1
        np.testing.assert_array_equal(array[piece.window][piece.inside], array[piece.index])
        outer, inner = piece.window[axis], piece.index[axis]
        assert (outer.start, outer.stop) == (max(0, inner.start - n_around), min(n, inner.stop + n_around))
        assert inner.start % size == 0
    assert (n_covered == 1).all()


@pytest.mark.parametrize(
    ("shape", "axes", "side", "size", "n_tiles"),
    [
        ((724, 724), "YX", "auto", (724, 724), 1),
        ((1024, 1024), "YX", "auto", (384, 384), 9),
        ((2048, 2048), "YX", "auto", (461, 461), 25),
        ((2048, 2048), "YX", "whole", (2048, 2048), 1),
        ((100, 20_000), "YX", "auto", (100, 508), 45),
        ((3, 2000, 600), "TYX", "auto", (452, 332), 10),
        ((96, 128), "YX", 64, (96, 128), 1),  # two tiles would each be read almost whole
        ((97, 129), "YX", 32, (73, 77), 20),
    ],
)
def test_sizes_of_tiles(shape, axes, side, size, n_tiles):
    division = Division.of(Layout.of(shape, axes), shape, side, 32)
    assert (division.size, division.n_tiles) == (size, n_tiles)


def test_a_volume_is_only_cut_if_it_is_asked_for():
    shape, layout = (40, 600, 600), Layout.of((40, 600, 600), "ZYX", "volume")
    assert Division.of(layout, shape, "auto", 32).n_tiles == 1
    assert Division.of(layout, shape, 128, 32).size == (40, 172, 172)
