import numpy as np
import pytest
from napari.layers import Image

from napari_convgen.viewer.layers.component_stack import ComponentStack

IMAGES = np.random.default_rng(0).random((6, 4, 5, 3)).astype(np.float32)


@pytest.fixture
def drawn():
    return []


@pytest.fixture
def stack(drawn):
    def draw(n):
        drawn.append(n)
        return IMAGES[n]

    return ComponentStack(draw, 5, (4, 5, 3), np.float32)


@pytest.mark.parametrize(
    "index",
    [
        2,
        -1,
        np.int64(3),
        slice(None),
        slice(1, 5, 2),
        slice(0, 0),
        (slice(2, 4), 1, slice(None)),
        (4, slice(None), 2),
        (..., 0),
        (slice(3, 3), 1),
    ],
)
def test_an_index_takes_what_it_takes_of_an_array(stack, index):
    np.testing.assert_array_equal(stack[index], IMAGES[index])
    assert stack[index].dtype == np.float32


def test_it_looks_like_an_array(stack):
    assert (len(stack), stack.ndim, stack.shape, stack.size) == (6, 4, IMAGES.shape, IMAGES.size)
    np.testing.assert_array_equal(np.asarray(stack), IMAGES)


def test_an_image_is_drawn_when_it_is_looked_at_and_only_once(stack, drawn):
    assert not drawn
    for _ in range(3):
        stack[2]
    assert drawn == [2]


def test_a_layer_draws_only_what_it_shows(stack, drawn):
    Image(stack, rgb=True, multiscale=False, contrast_limits=(0, 1))
    assert len(set(drawn)) <= 1


def test_a_number_too_large_is_refused(stack):
    with pytest.raises(IndexError):
        stack[6]
