import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_convgen.core.image import Layout, guess_axes
from napari_convgen.errors import InputError

SIZES = {"T": 2, "Z": 3, "C": 2, "Y": 6, "X": 7, "S": 3, "Q": 2}


def shape_of(axes):
    return tuple(SIZES[letter] for letter in axes)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((101,), "X"),
        ((20, 30), "YX"),
        ((5, 20, 30), "ZYX"),
        ((20, 30, 3), "YXS"),
        ((20, 30, 4), "YXS"),
        ((20, 30, 5), "ZYX"),
        ((32, 40, 5), "YXC"),
        ((32, 40, 6), "ZYX"),
        ((64, 64, 1), "YXC"),
        ((2, 40, 50, 2), "ZYXC"),
        ((20, 4, 4), "ZYX"),
        ((2, 5, 20, 30), "TZYX"),
        ((5, 20, 30, 3), "ZYXS"),
        ((2, 5, 20, 30, 3), "TZYXS"),
        ((2, 3, 5, 20, 30), "TCZYX"),
        ((2, 2, 5, 20, 30, 3), "ATZYXS"),
    ],
)
def test_axes_are_guessed_from_the_shape(shape, axes):
    assert guess_axes(shape) == axes
    assert Layout.of(shape).axes == axes


@pytest.mark.parametrize(
    ("shape", "is_color", "axes"),
    [
        ((20, 30, 3), False, "ZYX"),
        ((20, 30, 3), True, "YXS"),
        ((4, 4, 4), True, "YXS"),
        ((2, 5, 6, 7, 3), True, "TZYXS"),
    ],
)
def test_a_caller_who_knows_says_whether_there_is_color(shape, is_color, axes):
    assert guess_axes(shape, is_color) == axes


@pytest.mark.parametrize("shape", [(1, 2, 3, 4, 5, 6), (2, 2, 2, 2, 9, 9, 3)])
def test_too_many_axes_are_not_guessed(shape):
    with pytest.raises(InputError, match=r"cannot be guessed\. Name them, for example 'ATCZYX'"):
        guess_axes(shape)


@pytest.mark.parametrize(
    ("axes", "z_axis", "spatial", "channel", "frame_axes"),
    [
        ("X", "frames", "X", None, []),
        ("CX", "frames", "X", 0, []),
        ("yx", "frames", "YX", None, []),
        ("YXS", "frames", "YX", 2, []),
        ("CYX", "frames", "YX", 0, []),
        ("TZCYX", "frames", "YX", 2, [0, 1]),
        ("TCZYX", "volume", "ZYX", 1, [0]),
        ("ZYX", "frames", "YX", None, [0]),
        ("ZYX", "volume", "ZYX", None, []),
        ("XZYT", "volume", "XZY", None, [3]),
        ("QTYX", "frames", "YX", None, [0, 1]),
    ],
)
def test_each_letter_has_its_meaning(axes, z_axis, spatial, channel, frame_axes):
    shape = shape_of(axes.upper())
    layout = Layout.of(shape, axes, z_axis)
    assert (layout.axes, layout.spatial, layout.channel) == (axes.upper(), spatial, channel)
    assert layout.frame_axes() == frame_axes
    assert layout.is_color == ("S" in axes)
    assert layout.spatial_shape(shape) == shape_of(spatial)
    assert layout.frame_shape(shape) == tuple(n for i, n in enumerate(shape) if i not in frame_axes)


@pytest.mark.parametrize(
    ("axes", "shape", "z_axis", "message"),
    [
        ("YX", (2, 6, 7), "frames", r"expected 3 letters for shape \(2, 6, 7\), got 'YX'. Name the axes in order"),
        ("YYX", (2, 6, 7), "frames", "different letters .* got 'YYX'. Use for example"),
        ("Y-X", (2, 6, 7), "frames", "different letters .* got 'Y-X'. Use for example"),
        ("CYXS", (2, 6, 7, 3), "frames", "at most one of C and S, got 'CYXS'. Use for example"),
        ("YXS", (6, 7, 5), "frames", "must have 3 or 4 samples, got 5 in axes 'YXS'. Use C for"),
        ("TZY", (2, 6, 7), "frames", "must name the rows Y and the columns X, got 'TZY'. Use for example"),
        ("TX", (2, 7), "frames", "must name the rows Y and the columns X, got 'TX'. Use for example"),
        ("TYX", (2, 6, 7), "volume", "needs the axes Z, Y and X, got 'TYX'. Give 'ZYX' as the axes"),
    ],
)
def test_axes_that_do_not_fit_are_refused_with_the_way_out(axes, shape, z_axis, message):
    with pytest.raises(InputError, match=message):
        Layout.of(shape, axes, z_axis)


@pytest.mark.parametrize("z_axis", ["frames", "volume"])
@pytest.mark.parametrize(
    ("axes", "shape", "spatial", "frame_axes"),
    [
        ("ZYX", (9, 8, 1), "ZY", [2]),
        ("ZYX", (9, 1, 8), "ZX", [1]),
        ("ZYX", (1, 9, 8), "YX", [0]),
        ("TZCYX", (2, 9, 3, 8, 1), "ZY", [0, 4]),
    ],
)
def test_one_row_column_or_slice_is_a_plane_of_the_other_axes(axes, shape, spatial, frame_axes, z_axis):
    layout = Layout.of(shape, axes, z_axis)
    assert (layout.spatial, layout.frame_axes()) == (spatial, frame_axes)
    kept = [axis for axis in range(len(axes)) if axis not in frame_axes]
    part = Layout.of([shape[axis] for axis in kept], layout.letters_of_part(kept))
    assert (sorted(part.spatial), part.frame_axes()) == (["X", "Y"], [])


@settings(deadline=None, max_examples=25)
@given(st.permutations("TZCYX"), st.integers(2, 5), st.sampled_from(["frames", "volume"]))
def test_frames_cover_each_value_once_and_have_the_frames_shape(letters, n, z_axis):
    axes = "".join(sorted({"Y", "X", "Z", *letters[:n]}, key=letters.index))
    shape = shape_of(axes)
    layout = Layout.of(shape, axes, z_axis)
    counts = np.zeros(shape, int)
    for index in layout.frames(shape):
        assert counts[index].shape == layout.frame_shape(shape)
        counts[index] += 1
    assert (counts == 1).all()


def test_frames_are_counted_with_the_last_counted_axis_fastest():
    layout = Layout.of(shape_of("TYZX"), "TYZX")
    numbers = [(index[0], index[2]) for index in layout.frames(shape_of("TYZX"))]
    assert numbers == list(itertools.product(range(2), range(3)))
