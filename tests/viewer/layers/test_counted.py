import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image

from napari_convgen.core.snapshot import Snapshot
from napari_convgen.files.images import read_image
from napari_convgen.viewer.layers.counted import ComponentStack, NewAxes, StepStack, snapshots_layer
from napari_convgen.viewer.layers.door import image_layer, read_layer
from napari_convgen.viewer.writing import write_ome_zarr, write_tiff

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


def snapshot(step, image=None):
    image = np.full((6, 8), step, np.uint8) if image is None else image
    return Snapshot(step, 0.1, 0.2, image, image)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 60), min_size=1, unique=True).map(sorted), st.integers(0, 80))
def test_step_stack_shows_at_each_step_the_latest_snapshot_not_after_it(steps, step):
    stack = StepStack([snapshot(s) for s in steps])
    expected = max((s for s in steps if s <= step), default=steps[0])
    assert stack.at(step).step == expected
    assert len(stack) == steps[-1] + 1
    if step < len(stack):
        assert (stack[step] == expected).all()
        assert stack[step, 1, 0:2].shape == (2,)


@pytest.mark.parametrize("n_between", [0, 2])
def test_step_stack_behaves_as_its_array(n_between):
    stack = StepStack([snapshot(s) for s in (1, 4, 6)], n_between)
    array = np.asarray(stack)
    assert array.shape == stack.shape == (7, *(1,) * n_between, 6, 8)
    assert array.nbytes == stack.size * stack.dtype.itemsize
    for index in [3, slice(2, 6), (slice(None), 0), (slice(1, 5), slice(None), 0), (Ellipsis, 1)]:
        np.testing.assert_array_equal(stack[index], array[index])


PLACED = {
    "scale": (0.5, 0.25),
    "translate": (3, -4),
    "rotate": 30,
    "shear": [0.2],
    "affine": [[1, 0.1, 5], [0, 2, 6], [0, 0, 1]],
    "units": ("um", "um"),
    "axis_labels": ("y", "x"),
}


def test_snapshots_lie_where_the_input_lies_with_an_axis_of_steps_before():
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((6, 8), np.uint8), **PLACED)
    stack = snapshots_layer(viewer, read_layer(layer), [snapshot(step) for step in (1, 5, 9)], "snapshots")
    assert stack.axis_labels == ("iteration", "y", "x")
    assert stack.scale[0] == 1
    assert stack.translate[0] == 0
    for point in ((0, 0), (5, 7)):
        np.testing.assert_allclose(stack.data_to_world((4, *point)), (4, *layer.data_to_world(point)))


@pytest.mark.parametrize("n_samples", [3, 4])
def test_snapshots_of_colors_are_in_color(n_samples):
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((6, 8, n_samples), np.uint8), rgb=True)
    viewer.add_image(np.zeros((5, 6, 8)))
    stack = snapshots_layer(viewer, read_layer(layer), [snapshot(1, layer.data), snapshot(4, layer.data)], "snapshots")
    assert stack.rgb
    assert stack.data.shape == (5, 1, *layer.data.shape)


def seen(viewer, layer, *point):
    """Return the value that a viewer shows of a layer in the corner, with its sliders at a point; ``None`` if nothing."""
    viewer.dims.point = (*point, 0, 0)
    return layer.get_value((*point, 0, 0), world=True)


@pytest.fixture
def beside_a_stack():
    """Return a viewer with a stack of three planes, 2 µm apart, whose values are their numbers, and an image."""
    viewer = ViewerModel()
    planes = np.broadcast_to(np.arange(3, dtype=np.uint8)[:, None, None], (3, 6, 8))
    labels = ("z", "y", "x")
    stack = viewer.add_image(
        planes, name="stack", scale=(2, 1, 1), translate=(10, 0, 0), units=("um",) * 3, axis_labels=labels
    )
    image = viewer.add_image(np.zeros((6, 8), np.uint8), units=("um", "um"), axis_labels=labels[1:])
    return viewer, stack, image


def test_beside_a_stack_each_slider_moves_its_own(beside_a_stack):
    viewer, stack, image = beside_a_stack
    snapshots = snapshots_layer(viewer, read_layer(image), [snapshot(step) for step in (1, 4, 6)], "snapshots")
    viewer.add_layer(snapshots)
    assert viewer.dims.range[1] == (10, 14, 2)
    for step in range(1, 7):
        for plane in range(3):
            assert seen(viewer, stack, step, 10 + 2 * plane) == plane
            assert seen(viewer, snapshots, step, 10 + 2 * plane) == snapshots.data.at(step).step
    assert snapshots.axis_labels == ("iteration", "z", "y", "x")
    assert snapshots.units[1:] == stack.units


def test_a_second_run_beside_a_stack_shares_the_axis_of_the_first(beside_a_stack):
    viewer, _, image = beside_a_stack
    for _ in range(2):
        snapshots = snapshots_layer(viewer, read_layer(image), [snapshot(1), snapshot(40)], "snapshots")
        viewer.add_layer(snapshots)
        assert viewer.dims.ndim == 4
        np.testing.assert_allclose(snapshots.scale, (1, 6, 1, 1))


def test_what_is_drawn_after_a_run_adds_no_axis_to_the_next(beside_a_stack):
    viewer, stack, image = beside_a_stack
    viewer.layers.remove(stack)
    snapshots = snapshots_layer(viewer, read_layer(image), [snapshot(1), snapshot(40)], "snapshots")
    viewer.add_layer(snapshots)
    viewer.add_labels(np.zeros(snapshots.data.shape, int))  # as napari's buttons make them
    viewer.add_shapes(ndim=3)
    viewer.add_points(ndim=3)
    assert NewAxes.above_all(viewer, 2, "iteration").n_between == 0


def test_an_axis_next_to_those_of_an_image_is_that_of_the_stack(beside_a_stack):
    viewer, stack, image = beside_a_stack
    axis = NewAxes.next_to(viewer, 2, "coil")
    maps = image_layer(axis.place(read_layer(image)), stack.data, "maps")
    assert maps.axis_labels == ("coil", "y", "x")
    assert maps.units == stack.units


@pytest.mark.parametrize("write", [write_tiff, write_ome_zarr])
def test_what_is_saved_has_no_axes_of_other_layers(beside_a_stack, tmp_path, write):
    viewer, _, image = beside_a_stack
    source = read_layer(image)
    steps = snapshots_layer(viewer, source, [snapshot(step) for step in (1, 4)], "snapshots")
    axes = NewAxes.above_all(viewer, 2, "component")
    drawn = ComponentStack(lambda n: np.full((6, 8), n, np.uint8), 3, (6, 8), np.uint8, axes.n_between)
    for layer, n in ((steps, 2), (image_layer(axes.place(source), drawn, "drawn"), 4)):
        [path] = write(str(tmp_path / layer.name), *layer.as_layer_data_tuple()[:2])
        assert read_image(path).data.shape == (n, 6, 8)
